"""From a bundle to RTL: FINN in a process of its own, then our top around what it generated."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from bitswath.basics.files import sha256_of, write_atomic
from bitswath.basics.schema import parse_json
from bitswath.builds.design import DESIGN, Design, SourceFile
from bitswath.builds.folder import RTL
from bitswath.bundle.bundle import Bundle
from bitswath.errors import BuildError
from bitswath.hw.generating.instances import KERNELS as SHARING_KERNELS
from bitswath.hw.generating.instances import core_of, instances_module
from bitswath.hw.generating.process import run_worker
from bitswath.hw.generating.shell import KERNELS as SHELL_KERNELS
from bitswath.hw.generating.shell import SHELL, shell_sources
from bitswath.hw.generating.top import top_module
from bitswath.hw.planning.boards import Board
from bitswath.hw.rtl import KERNELS
from bitswath.hw.units import Folding

__all__ = ["compile_design", "generation_job", "save_design"]

OWN_SOURCES = ("stream_fifo.sv", "stream_tap.sv")
FINN_FIFO = "finn-rtllib/fifo/hdl/fifo.sv"


def compile_design(
    bundle: Bundle,
    board: Board,
    clock_hz: float,
    foldings: Mapping[str, Folding],
    folder: Path,
    *,
    pixels: int = 1,
    on_step: Callable[[str], None] = lambda name: None,
    timeout_s: float = 600.0,
) -> Design:
    """Generate the accelerator's RTL into the new folder `folder`: `rtl/`, `design.json`, the compiler's log.
    `pixels`: as the plan's that was folded.

    Raises `BuildError` that names the failing step and the log, `DependencyError` without FINN.
    """
    folder.mkdir(parents=True)
    job = generation_job(bundle, board, clock_hz, foldings, folder, pixels)
    run_worker(job, folder, on_step, timeout_s)
    for name in OWN_SOURCES:
        shutil.copyfile(KERNELS[name], folder / RTL / name)
    shutil.copyfile(folder / FINN_FIFO, folder / RTL / "fifo.sv")
    design = parse_json(Design, (folder / DESIGN).read_bytes(), BuildError)
    return save_design(design, folder)


def generation_job(
    bundle: Bundle, board: Board, clock_hz: float, foldings: Mapping[str, Folding], folder: Path, pixels: int = 1
) -> dict[str, object]:
    """What the worker is told."""
    return {
        "bundle": str(bundle.path),
        "board": board.name,
        "clock_hz": float(clock_hz),
        "pixels": pixels,
        "foldings": {name: dict(folding) for name, folding in foldings.items()},
        "folder": str(folder.absolute()),
    }


def save_design(design: Design, folder: Path) -> Design:
    """Write `design` with its top and its shell to a build folder and return it with the digests of all files."""
    rtl = folder / RTL
    write_atomic(rtl / f"{design.top}.sv", top_module(design).encode())
    _write_shell(design, rtl)
    files = tuple(_source_file(path, rtl) for path in sorted(rtl.rglob("*")) if path.is_file())
    design = design.model_copy(update={"files": files})
    write_atomic(folder / DESIGN, (design.model_dump_json(indent=1) + "\n").encode())
    return design


def _write_shell(design: Design, rtl: Path) -> None:
    """The shell's sources have a folder of their own, so that what takes the accelerator alone does not meet them."""
    folder = rtl / SHELL
    folder.mkdir(exist_ok=True)
    texts, kernels = shell_sources(design), list(SHELL_KERNELS)
    if design.instances > 1:
        texts |= {f"{core_of(design)}.sv": instances_module(design)}
        kernels += SHARING_KERNELS
    for name, text in texts.items():
        write_atomic(folder / name, text.encode())
    for name in kernels:
        if not (rtl / name).exists():
            shutil.copyfile(KERNELS[name], folder / name)


def _source_file(path: Path, root: Path) -> SourceFile:
    kind: Literal["source", "data", "shell"] = "source" if path.suffix in (".v", ".sv") else "data"
    if path.parent.name == SHELL:
        kind = "shell"
    return SourceFile(path=path.relative_to(root).as_posix(), sha256=sha256_of(path), kind=kind)
