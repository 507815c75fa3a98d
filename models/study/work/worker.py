"""The process that works on cells: ``python -m bitswath.models.study.work.worker``.

One line of JSON on standard input says what to do (`process.Task`), lines of JSON on standard output what happens.
When standard input ends, the one who asked is gone, and this process ends too. An error that bitswath foresees is
written to the store; any other ends the process, and the one who asked writes it down.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from bitswath.errors import BitswathError, StudyError
from bitswath.models.study.plan.cells import Cell, ContainerCell, ImageryCell
from bitswath.models.study.work.measures import measure_container, measure_imagery
from bitswath.models.study.work.patches import Shelf
from bitswath.models.study.work.store import Store

__all__ = ["main", "work_on"]

Progress = Callable[[float, str], None]

REPORT_EVERY_S = 1.0


def main() -> None:
    """Read a task, work on its cells one after the other, end."""
    channel = _private_output()
    task: dict[str, Any] = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_asker, daemon=True).start()
    folder = Path(task["folder"])
    store, shelf = Store(folder), Shelf(folder, task["data"], task["download"])
    for digest in task["digests"]:
        with store.claimed(digest) as mine:
            if not mine:
                _say(channel, digest, "busy")
                continue
            row = store.row(digest)
            if row is None:
                raise StudyError(f"{store.path}: has no cell {digest}")
            if row.state == "done":
                _say(channel, digest, "done")
                continue
            _attempt(row.cell, store, shelf, int(task["threads"]), channel)


def _attempt(cell: Cell, store: Store, shelf: Shelf, threads: int, channel: TextIO) -> None:
    digest, started = cell.digest, time.monotonic()
    store.begin(digest)
    _say(channel, digest, "begun")
    try:
        facts = work_on(cell, shelf, threads, _Reporter(channel, digest))
    except (BitswathError, OSError, MemoryError) as error:
        message = str(error) or type(error).__name__
        store.fail(digest, message, time.monotonic() - started)
        _say(channel, digest, "failed", note=message)
    else:
        store.finish(digest, facts, time.monotonic() - started)
        _say(channel, digest, "done")


def work_on(cell: Cell, shelf: Shelf, threads: int, progress: Progress = lambda share, note: None) -> dict[str, Any]:
    """What is measured of a cell, plain JSON."""
    if isinstance(cell, ImageryCell):
        return measure_imagery(cell, shelf)
    if isinstance(cell, ContainerCell):
        return measure_container(cell, shelf)
    from bitswath.models.study.work.train_cell import train_cell, use_threads

    use_threads(threads)
    return train_cell(cell, shelf, progress)


class _Reporter:
    """Says how far a cell is, not too often."""

    def __init__(self, channel: TextIO, digest: str) -> None:
        self.channel, self.digest, self.last = channel, digest, 0.0

    def __call__(self, share: float, note: str) -> None:
        now = time.monotonic()
        if now - self.last >= REPORT_EVERY_S:
            self.last = now
            _say(self.channel, self.digest, "progress", share=share, note=note)


def _say(channel: TextIO, digest: str, event: str, **more: Any) -> None:
    channel.write(json.dumps({"digest": digest, "event": event, **more}) + "\n")
    channel.flush()


def _private_output() -> TextIO:
    """Standard output for messages alone; what libraries print goes to standard error."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return channel


def _end_with_the_asker() -> None:
    while sys.stdin.read(1):
        pass
    os._exit(3)


if __name__ == "__main__":
    main()
