"""The vendor's part: from a proved build to a bitstream, where Vivado (Zynq) or Vitis (Alveo) is installed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from bitswath.backends.board.overlay import EngineEntry, OverlayFile, write_overlay_file
from bitswath.basics.files import sha256_of
from bitswath.builds.design import Design
from bitswath.builds.folder import read_design
from bitswath.bundle.bundle import Bundle
from bitswath.errors import BuildError
from bitswath.hw.generating.compile import generation_job
from bitswath.hw.generating.process import run_worker
from bitswath.hw.planning.boards import Board
from bitswath.hw.units import Folding

__all__ = ["describe_overlay", "make_bitstream", "missing_tools"]

_TOOLS = {"zynq": ("vivado", "vitis_hls"), "alveo": ("vivado", "vitis_hls", "v++")}
_TIMEOUT_S = 24 * 3600.0


def missing_tools(board: Board) -> str | None:
    """Why no bitstream can be made here, or None if it can."""
    if board.shell is None:
        return f"FINN has no shell for {board.name}; take the RTL in the build into a project of your own"
    missing = [tool for tool in _TOOLS[board.shell] if shutil.which(tool) is None]
    if missing:
        suite = "Vitis with its platform files" if board.shell == "alveo" else "Vivado 2022.2 or later"
        return f"{' and '.join(missing)} not found on the path; it needs {suite}"
    return None


def make_bitstream(
    bundle: Bundle,
    board: Board,
    clock_hz: float,
    foldings: Mapping[str, Folding],
    build: Path,
    *,
    out_of_context: bool = False,
    on_step: Callable[[str], None] = lambda name: None,
    timeout_s: float = _TIMEOUT_S,
) -> Path:
    """Run the vendor's tools on the build folder `build`; the folder with the bitstream, its hardware description
    and FINN's driver settings, or with reports if `out_of_context`.

    Raises `BuildError` that names the step and the log, or the missing tool.
    """
    if reason := missing_tools(board):
        raise BuildError(f"no bitstream for {board.name}: {reason}")
    folder = build.with_name("out-of-context" if out_of_context else "bitstream")
    result = folder / "result"
    if result.is_dir():
        return result
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    job = {
        "task": "bitstream",
        "generate": generation_job(bundle, board, clock_hz, foldings, folder),
        "design": str(build.absolute() / "design.json"),
        "out_of_context": out_of_context,
    }
    run_worker(job, folder, on_step, timeout_s, what="bitstream")
    if not out_of_context:
        describe_overlay(result, read_design(build))
    return result


def describe_overlay(result: Path, design: Design) -> None:
    """Bring FINN's bit file and handoff file up into `result` and write what the driver must know beside them.

    Raises `BuildError` if there is not one bit file.
    """
    for path in (result / "bitfile").glob("*"):
        path.replace(result / path.name)
    bitfiles = [path for path in result.iterdir() if path.suffix in (".bit", ".xclbin")]
    if len(bitfiles) != 1:
        raise BuildError(f"{result}: expected one bit file of FINN's shell, found {len(bitfiles)}; see its log")
    entry = OverlayFile(
        bitfile=bitfiles[0].name,
        sha256=sha256_of(bitfiles[0]),
        network=design.network,
        shell="finn",
        idma=EngineEntry(name="idma0"),
        odma=EngineEntry(name="odma0"),
        clock_hz=design.clock_hz,
    )
    write_overlay_file(result, entry)
