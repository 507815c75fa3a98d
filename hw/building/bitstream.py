"""The vendor's part: from a proved build to a bitstream, where Vivado (Zynq) or Vitis (Alveo) is installed.

What was simulated is what is built: the shell's kernels are packaged as they are and joined in a block design, or
linked into a card's platform. Packages and results stay in the cache, so a run that was stopped goes on with them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bitswath.basics.files import sha256_of
from bitswath.builds.design import DESIGN, Design
from bitswath.builds.folder import read_design
from bitswath.builds.report import RoutedReport
from bitswath.errors import BuildError
from bitswath.hw.planning.boards import Board
from bitswath.hw.vendor.project import KERNELS, LINK, platform_of, script, write_project
from bitswath.hw.vendor.results import XCLBIN, describe_overlay, routed_report
from bitswath.hw.vendor.tools import run_tool, tool_version, vivado_command

__all__ = ["Made", "make_bitstream", "missing_tools"]

_TOOLS = {"zynq": ("vivado",), "alveo": ("vivado", "v++")}
_TIMEOUT_S = 24 * 3600.0

Step = Callable[[str], None]


@dataclass(frozen=True)
class Made:
    """`folder`: bit file, hand-off file, overlay.json and the tools' reports, or reports alone; `routed`: what these
    say."""

    folder: Path
    routed: RoutedReport


def missing_tools(board: Board) -> str | None:
    """Why no bitstream can be made here, or None if it can."""
    if board.shell is None:
        return f"there is no shell for {board.name}; take the RTL in the build into a project of your own"
    missing = [tool for tool in _TOOLS[board.shell] if shutil.which(tool) is None]
    if missing:
        suite = "Vitis 2022.2 or later" if board.shell == "alveo" else "Vivado 2022.2 or later"
        return f"{' and '.join(missing)} not found on the path; it needs {suite}"
    return None


def make_bitstream(
    board: Board,
    build: Path,
    *,
    out_of_context: bool = False,
    activity: Path | None = None,
    jobs: int = 2,
    on_step: Step = lambda name: None,
    timeout_s: float = _TIMEOUT_S,
) -> Made:
    """Run the vendor's tools on the build folder `build`; `activity`: a SAIF file of its simulation.

    Raises `BuildError` that names the tool, what it said and the log, or says what is missing; also where timing is not
    met or the hand-off file is not what the driver expects.
    """
    if reason := missing_tools(board):
        raise BuildError(f"no bitstream for {board.name}: {reason}")
    versions = {tool: tool_version(tool) for tool in _TOOLS[str(board.shell)]}
    design = read_design(build)
    task = _Task(board, design, build, jobs, activity, on_step, timeout_s)
    name = "out-of-context" if out_of_context else "bitstream"
    folder = build.with_name(f"{name}-{_digest(task, versions)}")
    try:
        if not (folder / "result").is_dir():
            _run(task, folder, out_of_context)
    except OSError as error:
        raise BuildError(f"{error.filename or folder}: cannot be written ({error.strerror})") from error
    routed = routed_report(folder / "result", "accelerator alone" if out_of_context else "with shell")
    if not out_of_context:
        describe_overlay(folder / "result", design, board)
    return Made(folder / "result", routed)


@dataclass(frozen=True)
class _Task:
    board: Board
    design: Design
    build: Path
    jobs: int
    activity: Path | None
    on_step: Step
    timeout_s: float


def _run(task: _Task, folder: Path, out_of_context: bool) -> None:
    """Everything happens in a folder `run`, of which packages and the result are kept once they are whole."""
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    write_project(task.design, task.build, task.board, run, jobs=task.jobs, activity=task.activity)
    if out_of_context:
        _vivado(task, folder, "out_of_context")
    else:
        if (folder / "ip").is_dir():
            shutil.copytree(folder / "ip", run / "ip")
        else:
            _vivado(task, folder, "package")
            _check_packages(run / "ip", folder / "package.log")
            shutil.rmtree(folder / "ip.partial", ignore_errors=True)
            shutil.copytree(run / "ip", folder / "ip.partial")
            (folder / "ip.partial").rename(folder / "ip")
        if task.board.shell == "alveo":
            _link(task, folder)
        else:
            _vivado(task, folder, "system")
    if not (run / "result" / "facts.txt").is_file():
        raise BuildError(f"{run}: the tools ended without a result; see {folder}/*.log")
    (run / "result").rename(folder / "result")


def _check_packages(ip: Path, log: Path) -> None:
    for kernel in KERNELS:
        if not (ip / kernel / "component.xml").is_file():
            raise BuildError(f"{ip}: Vivado ended without a package of {kernel}; see {log}")


def _vivado(task: _Task, folder: Path, name: str) -> None:
    run_tool(vivado_command(script(name)), folder / "run", folder / f"{name}.log", task.timeout_s, task.on_step)


def _link(task: _Task, folder: Path) -> None:
    """With Vitis: packages into a card's platform."""
    platform = platform_of(task.board)
    task.on_step(f"v++ for {platform}")
    run = folder / "run"
    packages = [str(path) for path in sorted((run / "ip").glob("*.xo"))]
    command = ["v++", "--link", "-t", "hw", "--platform", platform, "--config", LINK, "--save-temps"]
    command += ["--kernel_frequency", f"{task.design.clock_hz / 1e6:.0f}", "--jobs", str(task.jobs)]
    run_tool([*command, "-o", XCLBIN, *packages], run, folder / "link.log", task.timeout_s)
    _vivado(task, folder, "card")
    if not (run / XCLBIN).is_file():
        raise BuildError(f"v++ left no {XCLBIN}; see {folder / 'link.log'}")
    shutil.copyfile(run / XCLBIN, run / "result" / XCLBIN)


def _digest(task: _Task, versions: dict[str, str]) -> str:
    """Of all that decides the result: tools, scripts, sources, activity."""
    room = script("common").parents[1]
    scripts = {
        path.name: sha256_of(path) for path in sorted(room.rglob("*")) if path.suffix in (".tcl", ".json", ".py")
    }
    activity = sha256_of(task.activity) if task.activity else None
    parts = [versions, scripts, sha256_of(task.build / DESIGN), activity]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
