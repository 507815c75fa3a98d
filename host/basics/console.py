"""Lines on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

__all__ = ["say"]


def say(text: str, style: str = "", console: Console | None = None) -> None:
    """Print one line as it is: nothing in it is markup, and it is not broken where a terminal is narrow."""
    (console or Console()).print(Text(text, style), soft_wrap=True)
