"""Which files pictures are written to."""

from __future__ import annotations

from pathlib import Path

from bitswath.errors import InputError

__all__ = ["picture_format"]

_PICTURE_FORMATS = ("png", "svg", "pdf")


def picture_format(path: Path) -> str:
    """png, svg or pdf, by the path's ending; raises `InputError` for another."""
    ending = path.suffix.lower().lstrip(".")
    if ending not in _PICTURE_FORMATS:
        raise InputError(
            f"{path}: expected a picture ending in {', '.join(_PICTURE_FORMATS)}, not {ending or 'none'!r}"
        )
    return ending
