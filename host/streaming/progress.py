"""How far a stream is, on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console

from bitswath.streaming.counters import Counters

__all__ = ["stream_progress"]


@contextmanager
def stream_progress(console: Console | None = None) -> Generator[Callable[[Counters], None], None, None]:
    """What a stream's `progress` takes, shown on a terminal (by default standard error) as a bar with frames, rate
    and time left.

        with stream_progress() as progress:
            for result in accelerator.stream(batches, total=10_000, progress=progress): ...
    """
    shown = console or Console(stderr=True)
    if not shown.is_terminal:
        yield lambda counters: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), "{task.fields[rate]}", TimeRemainingColumn())
    with Progress(*columns, console=shown, transient=True) as bar:
        task = bar.add_task("classify", total=None, rate="")

        def show(counters: Counters) -> None:
            rate = f"{counters.rate:,.0f} frames/s"
            bar.update(task, completed=counters.frames, total=counters.total, rate=rate)

        yield show
