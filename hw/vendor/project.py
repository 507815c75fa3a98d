"""What the vendor's tools are given: the kernels' sources, settings for our scripts (tcl/), and Vitis' link file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bitswath.basics.files import write_atomic
from bitswath.builds.design import Design
from bitswath.builds.folder import RTL
from bitswath.errors import BuildError
from bitswath.hw.generating.shell import DATAFLOW, IDMA, ODMA, SHELL
from bitswath.hw.generating.shell import KERNELS as SHELL_KERNELS
from bitswath.hw.planning.boards import Board
from bitswath.simulated.hwh import Family
from bitswath.simulated.overlay import CONTROLLER, engine_addresses

__all__ = [
    "ENGINES",
    "KERNELS",
    "LINK",
    "SETTINGS",
    "Target",
    "family_of",
    "link_file",
    "platform_of",
    "script",
    "write_project",
]

ENGINES = (IDMA, ODMA)
KERNELS = (IDMA, DATAFLOW, ODMA)
SOURCES, SETTINGS, LINK = "sources", "settings.tcl", "link.cfg"
_SIMULATED = "stream_tap.sv"
"""Of the sources, what only simulators have in a stream."""
_TCL = Path(__file__).with_name("tcl")
_PORT_BITS = {"zynq": 64, "zynqmp": 128}
"""The widest memory port of the processing system."""
_PLATFORMS = ("PLATFORM_REPO_PATHS", "/opt/xilinx/platforms")


@dataclass(frozen=True)
class Target:
    """What Vivado has to know of a board. `board_part`: vendor and name of its board files; `crystal_mhz`: of the
    processing system; `platform`: of a card, a pattern; `memory`: where an engine's buffers lie on it."""

    board_part: str = ""
    crystal_mhz: float = 33.333333
    platform: str = ""
    memory: str = ""


@cache
def _targets() -> dict[str, Target]:
    table = json.loads(Path(__file__).with_name("boards.json").read_text())
    return {name: Target(**entry) for name, entry in table.items()}


def family_of(board: Board) -> Family:
    """Of its processing system."""
    return "zynq" if board.family == "7series" else "zynqmp"


def script(name: str) -> Path:
    """One of our scripts."""
    return _TCL / f"{name}.tcl"


def platform_of(board: Board) -> str:
    """The newest platform of a card that is installed.

    Raises `BuildError` that says where it was looked for."""
    pattern = _targets()[board.name].platform
    places = [*filter(None, os.environ.get(_PLATFORMS[0], "").split(os.pathsep)), _PLATFORMS[1]]
    found = [
        path.name for place in places for path in Path(place).glob(pattern) if (path / f"{path.name}.xpfm").is_file()
    ]
    if not found:
        raise BuildError(
            f"no platform {pattern} for {board.name} in {' or '.join(places)}; install the card's development platform "
            f"or name its folder in {_PLATFORMS[0]}"
        )
    return max(found, key=lambda name: [int(digits) for digits in re.findall(r"\d+", name)])


def write_project(design: Design, build: Path, board: Board, folder: Path, *, jobs: int, activity: Path | None) -> None:
    """Into the new folder `folder`: ``sources/``, ``settings.tcl``, and for a card ``link.cfg``.

    `build`: the folder of the design; `activity`: a SAIF file of its simulation.
    """
    folder.mkdir(parents=True)
    sources = _copy_sources(design, build / RTL, folder / SOURCES)
    target = _targets().get(board.name, Target())
    family = family_of(board)
    engines = engine_addresses(family)
    settings: dict[str, object] = {
        "part": board.part,
        "kernels": KERNELS,
        "engines": ENGINES,
        **{f"sources({name})": paths for name, paths in sources.items()},
        "vitis": int(board.shell == "alveo"),
        "ip": str(folder.absolute() / "ip"),
        "result": str(folder.absolute() / "result"),
        "board_part": target.board_part,
        "board_files": [path for path in os.environ.get("BITSWATH_BOARD_FILES", "").split(os.pathsep) if path],
        "family": family,
        "clock_mhz": round(design.clock_hz / 1e6, 6),
        "crystal_mhz": target.crystal_mhz,
        "port_bits": min(_PORT_BITS[family], max(design.input.width, design.output.width)),
        "engine_addresses": [f"{address:#x}" for address in engines],
        "controller_address": f"{CONTROLLER[family]:#x}",
        "jobs": jobs,
        "activity": "" if activity is None else str(activity.absolute()),
    }
    write_atomic(folder / SETTINGS, _settings(settings).encode())
    if board.shell == "alveo":
        write_atomic(folder / LINK, link_file(target).encode())


def link_file(target: Target) -> str:
    """Vitis' connectivity: compute units by the names that the driver knows, their memory, and the streams between."""
    lines = ["[connectivity]", *(f"nk={name}:1:{name}0" for name in KERNELS)]
    lines += [f"sp={name}0.m_axi_gmem:{target.memory.format(index=i)}" for i, name in enumerate(ENGINES)]
    lines += [f"stream_connect={IDMA}0.m_axis:{DATAFLOW}0.s_axis", f"stream_connect={DATAFLOW}0.m_axis:{ODMA}0.s_axis"]
    return "\n".join(lines) + "\n"


def _copy_sources(design: Design, rtl: Path, target: Path) -> dict[str, list[str]]:
    """Copy what is synthesized; the files of each kernel.

    Memory files are named by their whole path in the copies, since Vivado runs elsewhere than where they lie. Raises
    `BuildError` for one that no source names."""
    target.mkdir()
    places = {Path(file.path).name: target.absolute() / Path(file.path).name for file in design.files}
    data = {Path(file.path).name for file in design.files if file.kind == "data"}
    named: set[str] = set()
    for file in design.files:
        content = (rtl / file.path).read_bytes()
        if file.kind != "data":
            content = _with_paths(content.decode(), data, target.absolute(), named).encode()
        places[Path(file.path).name].write_bytes(content)
    if data - named:
        raise BuildError(f"{rtl}: no source names the memory file {min(data - named)}; Vivado would not find it")
    engine = {*SHELL_KERNELS, f"{SHELL}.sv", *(f"{name}.v" for name in KERNELS)}
    code = {Path(file.path).name: file.kind for file in design.files if file.kind != "data"}
    accelerator = [name for name, kind in code.items() if kind == "source" or name not in engine]
    names = {name: [f"{name}.v", *SHELL_KERNELS] for name in ENGINES}
    names[DATAFLOW] = [f"{DATAFLOW}.v", *(name for name in accelerator if name != _SIMULATED)]
    files = {kernel: [places[name] for name in listed] for kernel, listed in names.items()}
    return {name: [str(path) for path in _packages_first(paths)] for name, paths in files.items()}


def _with_paths(text: str, data: Iterable[str], folder: Path, named: set[str]) -> str:
    """A source in which memory files, or what their names begin with up to an underscore, lie in `folder`; those files
    are added to `named`."""

    def place(found: re.Match[str]) -> str:
        told = found[1]
        files = [name for name in data if name == told or (told.endswith("_") and name.startswith(told))]
        named.update(files)
        return f'"{folder}/{told}"' if files else found[0]

    return re.sub(r'"([^"/\\\n]+)"', place, text)


def _packages_first(paths: list[Path]) -> list[Path]:
    return sorted(dict.fromkeys(paths), key=lambda path: not path.name.endswith("_pkg.sv"))


def _settings(values: Mapping[str, object]) -> str:
    return "".join(f"set {name} {_word(value)}\n" for name, value in values.items())


def _word(value: object) -> str:
    """As one word of Tcl, a list in it word by word."""
    if isinstance(value, (list, tuple)):
        return "[list " + " ".join(map(_word, value)) + "]"
    return '"' + re.sub(r'([\\"$\[\]])', r"\\\1", str(value)) + '"'
