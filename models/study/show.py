"""How far a study is: a bar over the whole grid with the time left, a line for each cell that is worked on."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import timedelta
from threading import Lock
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from bitswath.models.study.plan.cells import Cell, TrainingCell
from bitswath.models.study.work.process import Event
from bitswath.models.study.work.store import Row

__all__ = ["Show", "cost", "results_table"]

TYPICAL_PATCHES = 20_000
"""Of a training split without a limit."""


def cost(cell: Cell) -> float:
    """Expected work, in any unit: epochs x patches x multiply-accumulates, as far as a cell tells."""
    if not isinstance(cell, TrainingCell):
        return 1.0
    epochs = 2 * cell.schedule.epochs + cell.schedule.float_epochs
    patches = cell.imagery.data.limit or TYPICAL_PATCHES
    return 10 + epochs * patches / 1000 * cell.architecture.multiplier**2


class Show:
    """What `run_study` reports to; on a terminal bars, elsewhere a line for each cell that ends."""

    def __init__(self, cells: Iterable[Cell], console: Console) -> None:
        self.cells = {cell.digest: cell for cell in cells}
        self.total = sum(map(cost, self.cells.values()))
        self.shares: dict[str, float] = {}
        self.counts = {"done": 0, "failed": 0}
        self.started = time.monotonic()
        self.console = console
        self._bars: dict[str, TaskID] = {}
        self._lock = Lock()
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

    def __enter__(self) -> Show:
        self._progress.start()
        self._all = self._progress.add_task("study", total=self.total, note="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        cell = self.cells.get(str(event["digest"]))
        if cell is None:
            return
        with self._lock:
            if event["event"] in ("begun", "progress"):
                self._under_way(cell, event)
            elif event["event"] in self.counts:
                self._ended(cell, event)
            self._progress.update(self._all, completed=self.done, note=self._note())

    @property
    def done(self) -> float:
        return sum(cost(self.cells[digest]) * share for digest, share in self.shares.items())

    @property
    def left_s(self) -> float | None:
        """Expected seconds left, by the work done so far; None before there is any."""
        done = self.done
        return (time.monotonic() - self.started) / done * (self.total - done) if done else None

    def _under_way(self, cell: Cell, event: Event) -> None:
        share = float(event.get("share", 0.0))
        self.shares[cell.digest] = share
        if cell.digest not in self._bars:
            self._bars[cell.digest] = self._progress.add_task(cell.label[:60], total=1.0, note="")
        self._progress.update(self._bars[cell.digest], completed=share, note=str(event.get("note", "")))

    def _ended(self, cell: Cell, event: Event) -> None:
        self.shares[cell.digest] = 1.0
        self.counts[event["event"]] += 1
        if cell.digest in self._bars:
            self._progress.remove_task(self._bars.pop(cell.digest))
        failed = event["event"] == "failed"
        reason = f": {event['note']}" if event.get("note") else ""
        count = f"{sum(self.counts.values())}/{len(self.cells)}"
        line = f"{count} {cell.label}" + (f" FAILED{reason}" if failed else "")
        self.console.print(Text(line, "red" if failed else ""), soft_wrap=True)

    def _note(self) -> str:
        failed = f", {self.counts['failed']} failed" if self.counts["failed"] else ""
        left = "" if self.left_s is None else f", {timedelta(seconds=round(self.left_s))} left"
        return f"{sum(self.counts.values())}/{len(self.cells)} cells{failed}{left}"


def results_table(rows: Iterable[Row]) -> Table:
    """Networks with their accuracies, in the study's order; bytes: of a frame, or of the file before it."""
    table = Table("network", "bytes", "val %", "test %", "95 %", "emulated patches/s")
    for row in rows:
        if isinstance(row.cell, TrainingCell) and row.measures is not None:
            table.add_row(*_cells_of(row.cell, row.measures))
    return table


def _cells_of(cell: TrainingCell, measures: dict[str, Any]) -> list[Text]:
    best = measures.get("test", measures["val"])
    speed = measures.get("emulator_patches_per_s")
    low, high = best["interval"]
    values = (
        cell.label,
        f"{measures.get('source_bytes', measures['link_bytes']):,.0f}",
        f"{100 * measures['val']['accuracy']:.2f}",
        f"{100 * measures['test']['accuracy']:.2f}" if "test" in measures else "",
        f"{100 * low:.2f}-{100 * high:.2f}",
        "" if speed is None else f"{speed:,.0f}",
    )
    return [Text(value) for value in values]
