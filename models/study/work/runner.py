"""A study's cells worked on side by side, on this machine or on a cluster, until none is left.

What is done stays done, what another process works on is waited for, what fails is written down and leaves the rest
alone. However it ends, by an interrupt too, no process of this machine is left behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.thread import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Flag
from typing import Protocol

from bitswath.basics.machine import cores
from bitswath.errors import StudyError
from bitswath.models.study.plan.cells import Cell, TrainingCell
from bitswath.models.study.work.process import Event, Task, run_task
from bitswath.models.study.work.store import Row, Store

__all__ = ["Engine", "LocalEngine", "Settings", "run_study", "standing", "threads_for"]

POLL_S = 0.5
BUSY_S = 3.0
"""How long to leave a cell alone that another process works on."""

LARGEST_BATCH = 40
"""Cells that one process works on before another begins."""

Report = Callable[[Event], None]


@dataclass(frozen=True)
class Settings:
    """`data`, `download`: as for `Shelf`; `silence_s`, `longest_s`: as for `Task`; `threads`: of each process."""

    data: str | None = None
    download: bool = False
    threads: int = 1
    silence_s: float = 1800.0
    longest_s: float | None = None


class Engine(Protocol):
    """Where tasks run: so many at once, their events to `report`; `stop` ends those that run."""

    jobs: int

    def submit(self, task: Task, report: Report) -> Future[dict[str, str]]: ...

    def stop(self) -> None: ...


class LocalEngine:
    """Processes of this machine."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._stop = Flag()
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="study")

    def submit(self, task: Task, report: Report) -> Future[dict[str, str]]:
        return self._pool.submit(run_task, task, report, self._stop.is_set)

    def stop(self) -> None:
        """Returns when every process has ended."""
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)


def run_study(
    cells: Iterable[Cell], store: Store, engine: Engine, settings: Settings, report: Report = lambda event: None
) -> None:
    """Work on the cells that are not done. The engine is stopped when this returns or raises."""
    try:
        _Run(store, engine, settings, report, list(cells)).run()
    finally:
        engine.stop()


def standing(rows: Iterable[Row], cells: Sequence[Cell], done: Set[str]) -> list[Row]:
    """Rows of another folder that can stand for cells here: done, and not of a network that one left to train here
    starts from, whose weights are not here. `done`: digests of what this folder has."""
    found = {row.digest: row for row in rows if row.state == "done"}
    while True:
        left = [cell for cell in cells if cell.digest not in found and cell.digest not in done]
        needed = {origin for cell in left if (origin := _origin(cell)) in found and origin not in done}
        if not needed:
            return list(found.values())
        found = {digest: row for digest, row in found.items() if digest not in needed}


def threads_for(jobs: int) -> int:
    """Threads of each of so many processes, so that together they fill the machine."""
    return max(1, cores() // jobs)


@dataclass
class _Run:
    store: Store
    engine: Engine
    settings: Settings
    report: Report
    cells: list[Cell]
    waiting: list[list[Cell]] = field(default_factory=list)
    ends: dict[str, str] = field(default_factory=dict)
    not_before: dict[str, float] = field(default_factory=dict)

    def run(self) -> None:
        self.store.add(self.cells)
        self.ends = {row.digest: "done" for row in self.store.rows() if row.state == "done"}
        self.waiting = _grouped([cell for cell in self.cells if cell.digest not in self.ends], self.engine.jobs)
        running: dict[Future[dict[str, str]], list[Cell]] = {}
        while self.waiting or running:
            while len(running) < self.engine.jobs and (group := self._ready()):
                running[self.engine.submit(self._task(group), self.report)] = group
            if not running:
                time.sleep(POLL_S)
                continue
            for future in wait(running, POLL_S, FIRST_COMPLETED).done:
                self._settle(running.pop(future), future.result())

    def _ready(self) -> list[Cell] | None:
        """The next cells to work on; those that start from a cell that failed fail too."""
        for group in list(self.waiting):
            first = group[0]
            origin = _origin(first)
            end = "done" if origin is None else self.ends.get(origin)
            if end == "failed":
                self.waiting.remove(group)
                self._failed(first, f"the cell that it starts from, {str(origin)[:12]}, failed")
            elif end == "done" and time.monotonic() >= self.not_before.get(first.digest, 0):
                self.waiting.remove(group)
                return group
        return None

    def _settle(self, group: list[Cell], ends: dict[str, str]) -> None:
        busy = [cell for cell in group if ends.get(cell.digest) == "busy"]
        if missing := [cell.label for cell in group if cell.digest not in ends]:
            raise StudyError(f"{missing[0]}: its task ended without an answer; start the study again")
        self.ends |= {digest: end for digest, end in ends.items() if end != "busy"}
        if busy:
            self.waiting.append(busy)
            self.not_before[busy[0].digest] = time.monotonic() + BUSY_S

    def _failed(self, cell: Cell, reason: str) -> None:
        self.ends[cell.digest] = "failed"
        self.store.fail(cell.digest, reason, 0.0)
        self.report({"digest": cell.digest, "event": "failed", "note": reason})

    def _task(self, group: list[Cell]) -> Task:
        s = self.settings
        digests = tuple(cell.digest for cell in group)
        folder = str(Path(self.store.folder).absolute())
        return Task(folder, digests, s.data, s.download, s.threads, s.silence_s, s.longest_s)


def _origin(cell: Cell) -> str | None:
    return cell.start.cell if isinstance(cell, TrainingCell) and cell.start else None


def _grouped(cells: list[Cell], jobs: int) -> list[list[Cell]]:
    """Networks one by one, what needs no training in batches, since a process takes a second to start."""
    measured: list[Cell] = [cell for cell in cells if not isinstance(cell, TrainingCell)]
    size = max(1, min(LARGEST_BATCH, -(-len(measured) // (2 * jobs))))
    batches = [measured[start : start + size] for start in range(0, len(measured), size)]
    return batches + [[cell] for cell in cells if isinstance(cell, TrainingCell)]
