"""Running the worker, where FINN is: one process a job, its output kept, its end always awaited."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bitswath.errors import BuildError, DependencyError

__all__ = ["LOG", "run_worker"]

LOG = "compile.log"

_MODULE = "bitswath.hw.worker"


def run_worker(
    job: Mapping[str, object], folder: Path, on_step: Callable[[str], None], timeout_s: float, what: str = "compiling"
) -> None:
    """Run `job` with `folder` as its working folder; the job and the log stay there.

    Raises `BuildError` that names the failing step and the log, also after `timeout_s`, `DependencyError` without
    FINN. The worker and all that it started have ended when this returns or raises.
    """
    (folder / "job.json").write_text(json.dumps(job, indent=1))
    log = folder / LOG
    with log.open("wb") as errors:
        worker = subprocess.Popen(
            [sys.executable, "-m", _MODULE, str(folder.absolute() / "job.json")],
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            text=True,
            start_new_session=True,
        )
        step, last = "start", {}
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            _kill(worker)

        timer = threading.Timer(timeout_s, expire)
        timer.daemon = True
        timer.start()
        try:
            for last in _lines(worker):
                if "step" in last:
                    step = str(last["step"])
                    on_step(step)
        finally:
            timer.cancel()
            _kill(worker)
            worker.wait()
    if expired.is_set():
        raise BuildError(f"{what}: step {step!r} took longer than {timeout_s:g} s; see {log}")
    if "error" in last:
        raise BuildError(f"{what}: step {step!r} failed: {last['error']}; see {log}")
    if not last.get("done"):
        _check_installed(log)
        raise BuildError(f"{what}: the worker ended in step {step!r} (exit code {worker.returncode}); see {log}")


def _lines(worker: subprocess.Popen[str]) -> Iterator[dict[str, object]]:
    for line in worker.stdout or ():
        try:
            found = json.loads(line)
        except ValueError:  # cut short as the worker was killed
            return
        yield found


def _kill(worker: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)


def _check_installed(log: Path) -> None:
    if "No module named 'finn'" in log.read_text(errors="replace"):
        raise DependencyError("building needs FINN; install it with: pip install 'bitswath[hw]'")
