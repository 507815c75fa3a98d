"""A stream's bar shows frames, rate and time left, and nothing where no one sees it."""

from __future__ import annotations

import io

from rich.console import Console

from bitswath.streaming.counters import Counters
from bitswath.streaming.progress import stream_progress


def shown(console: Console) -> None:
    with stream_progress(console) as progress:
        progress(Counters(frames=500, total=1000, elapsed_s=0.25))


def test_a_terminal_sees_frames_and_rate() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    shown(console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "500/1000" in text
    assert "2,000 frames/s" in text


def test_a_file_gets_nothing() -> None:
    console = Console(file=io.StringIO())
    shown(console)
    assert console.file.getvalue().strip() == ""  # type: ignore[attr-defined]
