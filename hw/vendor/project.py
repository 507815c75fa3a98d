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
from bitswath.hw.generating.shell import DATAFLOW, IDMA, ODMA
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
        "instances": 1,
        "engine_addresses": [f"{address:#x}" for address in engines],
        "controller_address": f"{CONTROLLER[family]:#x}",
        "jobs": jobs,
        "activity": "" if activity is None else str(activity.absolute()),
    }
    write_atomic(folder / SETTINGS, _settings(settings).encode())
    if board.shell == "alveo":
        write_atomic(folder / LINK, link_file(target, instances=1).encode())


def link_file(target: Target, *, instances: int) -> str:
    """Vitis' connectivity: compute units by the names that the driver knows, their memory, and the streams between."""
    lines = ["[connectivity]"]
    lines += [f"nk={name}:{instances}:{'.'.join(f'{name}{i}' for i in range(instances))}" for name in KERNELS]
    for index in range(instances):
        for place, engine in enumerate(ENGINES):
            memory = target.memory.format(index=2 * index + place)
            lines.append(f"sp={engine}{index}.m_axi_gmem:{memory}")
        lines.append(f"stream_connect={IDMA}{index}.m_axis:{DATAFLOW}{index}.s_axis")
        lines.append(f"stream_connect={DATAFLOW}{index}.m_axis:{ODMA}{index}.s_axis")
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
    synthesized = (Path(file.path).name for file in design.files if file.kind == "source")
    accelerator = [places[name] for name in synthesized if name != _SIMULATED]
    shared = [places[name] for name in SHELL_KERNELS]
    wrapped = {name: [places[f"{name}.v"]] for name in KERNELS}
    files = {
        IDMA: wrapped[IDMA] + shared,
        DATAFLOW: wrapped[DATAFLOW] + accelerator,
        ODMA: wrapped[ODMA] + shared,
    }
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
