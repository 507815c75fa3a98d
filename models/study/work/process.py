"""Running a worker: one process a task, its messages passed on, its end always awaited, whatever ends it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bitswath.models.study.work.store import Store

__all__ = ["Event", "Task", "run_task"]

_MODULE = "bitswath.models.study.work.worker"
_TICK_S = 0.5

Event = dict[str, Any]
"""``{"digest", "event": begun | progress | done | failed | busy, "share": 0..1, "note"}``."""


@dataclass(frozen=True)
class Task:
    """Cells to work on one after the other. `folder`: the study's; `data`, `download`: as for `Shelf`.

    A cell that says nothing for `silence_s`, or takes longer than `longest_s`, is ended and written down as failed.
    """

    folder: str
    digests: tuple[str, ...]
    data: str | None = None
    download: bool = False
    threads: int = 1
    silence_s: float = 1800.0
    longest_s: float | None = None


def run_task(
    task: Task, report: Callable[[Event], None] = lambda event: None, stopped: Callable[[], bool] = lambda: False
) -> dict[str, str]:
    """Work on a task's cells in processes of their own; what became of each: done, failed or busy.

    A process that dies takes only its cell with it. When `stopped` says so, the process is ended and what is left is
    not in the answer.
    """
    ends: dict[str, str] = {}
    while (left := [digest for digest in task.digests if digest not in ends]) and not stopped():
        ends |= _Worker(replace(task, digests=tuple(left)), report, stopped).run()
    return ends


@dataclass
class _Worker:
    task: Task
    report: Callable[[Event], None]
    stopped: Callable[[], bool]
    ends: dict[str, str] = field(default_factory=dict)
    current: str | None = None
    begun_s: float = 0.0

    def run(self) -> dict[str, str]:
        folder = Path(self.task.folder)
        log = folder / "logs" / f"{self.task.digests[0][:12]}.log"
        log.parent.mkdir(exist_ok=True)
        started = time.monotonic()
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", _MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
            try:
                reason = self._follow(process)
            finally:
                _end(process)
        if left := self._unfinished():
            why = _death(process.returncode, log) if reason is None else f"{reason}; see {log}"
            self._lost(left, why, time.monotonic() - started)
        return self.ends

    def _unfinished(self) -> str | None:
        """The cell that was being worked on, or that the process died before."""
        left = [digest for digest in self.task.digests if digest not in self.ends]
        return None if self.stopped() or not left else self.current or left[0]

    def _lost(self, digest: str, reason: str, seconds: float) -> None:
        Store(Path(self.task.folder)).fail(digest, reason, seconds)
        self._take({"digest": digest, "event": "failed", "note": reason})

    def _follow(self, process: subprocess.Popen[str]) -> str | None:
        """Pass messages on until the process ends; why it has to be ended before that, or None."""
        lines = _lines(process, json.dumps(asdict(self.task)))
        heard = time.monotonic()
        while not self.stopped() and len(self.ends) < len(self.task.digests):
            try:
                line = lines.get(timeout=_TICK_S)
            except queue.Empty:
                line = ""
            if line is None:
                process.wait()
                return None
            now = time.monotonic()
            if line:
                heard = now
                self._take(json.loads(line))
            if now - heard > self.task.silence_s:
                return f"nothing heard for {self.task.silence_s:g} s"
            if self.current and self.task.longest_s is not None and now - self.begun_s > self.task.longest_s:
                return f"took longer than {self.task.longest_s:g} s"
        return None

    def _take(self, event: Event) -> None:
        digest, kind = str(event["digest"]), event["event"]
        if kind == "begun":
            self.current, self.begun_s = digest, time.monotonic()
        elif kind != "progress":
            self.current, self.ends[digest] = None, str(kind)
        self.report(event)


def _lines(process: subprocess.Popen[str], request: str) -> queue.Queue[str | None]:
    """Lines as they come, None when there are no more. Standard input stays open: its end ends the process."""
    found: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        with contextlib.suppress(BrokenPipeError):
            print(request, file=process.stdin, flush=True)
        for line in process.stdout or ():
            if line.endswith("\n"):
                found.put(line)
        found.put(None)

    threading.Thread(target=read, daemon=True).start()
    return found


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _death(code: int | None, log: Path) -> str:
    """Why a process died, from its exit code and the last line that it left."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-1].strip() if lines else "no message"
    how = f"killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
    return f"the worker died ({how}): {last[:200]}; see {log}"
