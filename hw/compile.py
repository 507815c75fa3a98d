"""From a bundle to RTL: FINN in a process of its own, then our top around what it generated."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bitswath.bundle import Bundle
from bitswath.design import DESIGN, Design, SourceFile
from bitswath.errors import BuildError, DependencyError
from bitswath.files import sha256_of, write_atomic
from bitswath.hw.boards import Board
from bitswath.hw.top import top_module
from bitswath.hw.units import Folding
from bitswath.schema import parse_json

__all__ = ["RTL", "compile_design", "load_design", "save_design"]

RTL = "rtl"
KERNELS = Path(__file__).parent / "rtl"
OWN_SOURCES = ("stream_fifo.sv", "stream_tap.sv")
FINN_FIFO = "finn-rtllib/fifo/hdl/fifo.sv"


def compile_design(
    bundle: Bundle,
    board: Board,
    clock_hz: float,
    foldings: Mapping[str, Folding],
    folder: Path,
    *,
    on_step: Callable[[str], None] = lambda name: None,
    timeout_s: float = 600.0,
) -> Design:
    """Generate the accelerator's RTL into the new folder `folder`: `rtl/`, `design.json`, the compiler's log.

    Raises `BuildError` that names the failing step and the log, `DependencyError` without FINN.
    """
    folder.mkdir(parents=True)
    job = {
        "bundle": str(bundle.path),
        "board": board.name,
        "clock_hz": clock_hz,
        "foldings": {name: dict(folding) for name, folding in foldings.items()},
        "folder": str(folder.absolute()),
    }
    (folder / "job.json").write_text(json.dumps(job, indent=1))
    _run_worker(folder, on_step, timeout_s)
    for name in OWN_SOURCES:
        shutil.copyfile(KERNELS / name, folder / RTL / name)
    shutil.copyfile(folder / FINN_FIFO, folder / RTL / "fifo.sv")
    design = parse_json(Design, (folder / DESIGN).read_bytes(), BuildError)
    return save_design(design, folder)


def save_design(design: Design, folder: Path) -> Design:
    """Write `design` with its top to a build folder and return it with the digests of all files."""
    top = folder / RTL / f"{design.top}.sv"
    write_atomic(top, top_module(design).encode())
    files = tuple(_source_file(path, folder / RTL) for path in sorted((folder / RTL).iterdir()))
    design = design.model_copy(update={"files": files})
    write_atomic(folder / DESIGN, (design.model_dump_json(indent=1) + "\n").encode())
    return design


def load_design(folder: Path) -> Design:
    """The design of a build folder. Raises `BuildError` if there is none or it is damaged."""
    try:
        return parse_json(Design, (folder / DESIGN).read_bytes(), BuildError)
    except OSError as error:
        raise BuildError(f"{folder / DESIGN}: cannot be read ({error.strerror}); build again") from None


def _source_file(path: Path, root: Path) -> SourceFile:
    kind = "source" if path.suffix in (".v", ".sv") else "data"
    return SourceFile(path=path.relative_to(root).as_posix(), sha256=sha256_of(path), kind=kind)


def _run_worker(folder: Path, on_step: Callable[[str], None], timeout_s: float) -> None:
    log = folder / "compile.log"
    current = "start"
    with log.open("wb") as errors:
        worker = subprocess.Popen(
            [sys.executable, "-m", "bitswath.hw.worker", str(folder / "job.json")],
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            text=True,
        )
        ended: dict[str, object] = {}
        try:
            for line in _lines(worker, timeout_s):
                ended = json.loads(line)
                if "step" in ended:
                    current = str(ended["step"])
                    on_step(current)
        except TimeoutError:
            raise BuildError(f"compiling: step {current!r} took longer than {timeout_s:g} s; see {log}") from None
        finally:
            worker.kill()
            worker.wait()
    if "error" in ended:
        raise BuildError(f"compiling: step {current!r} failed: {ended['error']}; see {log}")
    if not ended.get("done"):
        _check_installed(log)
        raise BuildError(
            f"compiling: the compiler ended in step {current!r} (exit code {worker.returncode}); see {log}"
        )


def _lines(worker: subprocess.Popen[str], timeout_s: float):
    """The worker's lines until it closes its output; `TimeoutError` after `timeout_s` in all."""
    import threading

    expired = threading.Event()

    def stop() -> None:
        expired.set()
        worker.kill()

    timer = threading.Timer(timeout_s, stop)
    timer.daemon = True
    timer.start()
    try:
        assert worker.stdout is not None
        yield from worker.stdout
    finally:
        timer.cancel()
    if expired.is_set():
        raise TimeoutError


def _check_installed(log: Path) -> None:
    if "No module named 'finn'" in log.read_text(errors="replace"):
        raise DependencyError("building needs FINN; install it with: pip install 'bitswath[hw]'")
