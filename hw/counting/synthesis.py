"""Counts what a design needs in fabric, with Yosys: each stage and queue on its own, and the design as a whole.

A part is synthesized once: its count is kept in the cache under a digest of its sources, parameters, constant
inputs and the sizes of its memories, without its name. Parts go through Yosys in groups, since starting it costs as
much as a small part does.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bitswath.basics.cache import cache_folder
from bitswath.basics.files import write_atomic
from bitswath.builds.design import Design, Stage, Stream
from bitswath.errors import BuildError
from bitswath.hw.counting.yosys import PRIMITIVES, TECHMAP, Cells, map_modules, script, tool
from bitswath.hw.planning.boards import Board
from bitswath.hw.planning.costs import Resources

__all__ = ["Synthesis", "synthesize"]

GROUP = 10
"""Parts in one run of Yosys."""

_SOURCES = (".sv", ".v", ".svh", ".vh")
_QUEUE_SOURCES = ("stream_fifo.sv", "fifo.sv")


@dataclass(frozen=True)
class Synthesis:
    """What Yosys counted. `stages`, `queues`: by the name of the stage and of the stream it is in; what could not be
    counted is missing there and has its reason in `problems`, under its name, the whole design's under ""."""

    tool: str
    family: str
    stages: Mapping[str, Cells]
    queues: Mapping[str, Cells]
    whole: Cells | None
    problems: Mapping[str, str]

    @property
    def parts(self) -> Resources:
        """Stages and queues together, as if nothing were optimized across their borders."""
        return sum((cells.resources for cells in (*self.stages.values(), *self.queues.values())), Resources())

    def check(self) -> None:
        """Raises `BuildError` with the first of `problems`, if any."""
        for problem in self.problems.values():
            raise BuildError(problem)


@dataclass(frozen=True)
class _Part:
    """A module to count: `ports` and `body` of a wrapper around one instance."""

    name: str
    key: str
    ports: tuple[str, ...]
    body: str
    sources: tuple[str, ...]

    def wrapper(self, module: str) -> str:
        return f"module {module} (\n  {', '.join(self.ports)}\n);\n{self.body}endmodule\n"


def synthesize(
    design: Design, folder: Path, board: Board, *, jobs: int = 2, whole: bool = True, timeout_s: float = 1800
) -> Synthesis:
    """Count the design whose build folder is `folder`, for the part of `board`.

    `jobs`: runs of Yosys at a time; `whole`: also count the design in one piece, from ``rtl/accelerator.sv``, which
    takes minutes; `timeout_s`: for each run. A part that Yosys cannot take, or not in time, is a problem of the
    result, not an error. Raises `BuildError` if sources are missing, `DependencyError` without Yosys.
    """
    rtl = folder / "rtl"
    parts = [_stage(stage, design, rtl) for stage in design.stages]
    parts += [_queue(stream, rtl) for stream in design.streams if stream.depth]
    wanted = {part.key: part for part in parts}
    cells, problems = _count(list(wanted.values()), rtl, board.yosys_family, jobs, timeout_s)
    found = {part.name: cells[part.key] for part in parts if part.key in cells}
    failed = {part.name: problems[part.key] for part in parts if part.key in problems}
    complete: Cells | None = None
    if whole:
        try:
            complete = _whole(design, rtl, board.yosys_family, timeout_s)
        except BuildError as error:
            failed[""] = str(error)
    names = {stage.name for stage in design.stages}
    return Synthesis(
        tool=tool(),
        family=board.yosys_family,
        stages={name: found[name] for name in found if name in names},
        queues={name.removeprefix("queue "): found[name] for name in found if name not in names},
        whole=complete,
        problems=failed,
    )


# What is counted


def _stage(stage: Stage, design: Design, rtl: Path) -> _Part:
    streams = {stream.name: stream for stream in design.streams}
    ports, wires = ["input ap_clk", "input ap_rst_n"], [".ap_clk", ".ap_rst_n"]
    for prefixes, into, out in ((stage.inputs, "input", "output"), (stage.outputs, "output", "input")):
        for prefix, name in prefixes.items():
            ports += [
                f"{into} [{streams[name].width - 1}:0] {prefix}_TDATA",
                f"{into} {prefix}_TVALID",
                f"{out} {prefix}_TREADY",
            ]
            wires += [f".{prefix}_{kind}" for kind in ("TDATA", "TVALID", "TREADY")]
    wires += [f".{port}({_constant(value)})" for port, value in stage.ties.items()]
    body = f"  {stage.module}{_given(stage.parameters)} part ({', '.join(wires)});\n"
    sources = stage.sources or _all_sources(rtl)
    texts = {name: _read(rtl / name) for name in sources}
    return _Part(stage.name, _key(ports, body, texts, rtl, stage.module), tuple(ports), body, sources)


def _queue(stream: Stream, rtl: Path) -> _Part:
    width = stream.width
    ports = ["input clk", "input rst_n"]
    for prefix, into, out in (("s_axis", "input", "output"), ("m_axis", "output", "input")):
        ports += [f"{into} [{width - 1}:0] {prefix}_tdata", f"{into} {prefix}_tvalid", f"{out} {prefix}_tready"]
    parameters = {"WIDTH": width, "DEPTH": stream.depth, "RAM_STYLE": stream.ram_style}
    body = f"  stream_fifo{_given(parameters)} part (.*);\n"
    key = _digest(body, *(_read(rtl / name) for name in _QUEUE_SOURCES))
    return _Part(f"queue {stream.name}", key, tuple(ports), body, _QUEUE_SOURCES)


def _given(parameters: Mapping[str, int | str]) -> str:
    shown = (f".{k}({json.dumps(v) if isinstance(v, str) else _constant(v)})" for k, v in parameters.items())
    return f" #({', '.join(shown)})" if parameters else ""


def _constant(value: int) -> str:
    if -(1 << 31) <= value < 1 << 31:
        return str(value)
    return f"{'-' if value < 0 else ''}{abs(value).bit_length() + 1}'sd{abs(value)}"


def _all_sources(rtl: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in rtl.iterdir() if path.suffix in (".sv", ".v")))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BuildError(f"{path}: cannot be read ({error.strerror}); build the design again") from error


# What makes two parts the same


def _key(ports: Sequence[str], body: str, texts: Mapping[str, str], rtl: Path, module: str) -> str:
    """A digest without the module's name, and with the sizes of memories instead of their names and contents."""
    contents = [path.name for path in sorted(rtl.iterdir()) if path.suffix not in _SOURCES]

    def sizes(quoted: re.Match[str]) -> str:
        files = [name for name in contents if quoted[1] and name.startswith(quoted[1])]
        return " ".join(_size(rtl / name) for name in files) if files else quoted[0]

    anonymous = (text.replace(module, "part") for text in (*ports, body, *texts.values()))
    return _digest(*(re.sub(r'"([^"\n]*)"', sizes, text) for text in anonymous))


def _size(path: Path) -> str:
    lines = path.read_text().split()
    return f"{len(lines)}x{max(map(len, lines), default=0)}"


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:32]


def _kept(key: str, family: str) -> Path:
    """Where a count is kept; it also depends on the tool and on what it is told."""
    recipe = (tool(), script([], [], family, "top"), PRIMITIVES.read_text(), TECHMAP.read_text())
    return cache_folder("yosys") / f"{_digest(key, *recipe)}.json"


# Counting


def _count(
    parts: Sequence[_Part], rtl: Path, family: str, jobs: int, timeout_s: float
) -> tuple[dict[str, Cells], dict[str, str]]:
    """Cells and problems by key, from the cache or counted now."""
    files = {part.key: _kept(part.key, family) for part in parts}
    missing = [part for part in parts if not files[part.key].exists()]
    groups = [missing[i :: -(-len(missing) // GROUP)] for i in range(-(-len(missing) // GROUP))]
    problems: dict[str, str] = {}
    with ThreadPoolExecutor(jobs) as pool:
        for found in pool.map(lambda group: _group(group, rtl, family, timeout_s, files), groups):
            problems.update(found)
    cells = {key: Cells(json.loads(path.read_text())) for key, path in files.items() if path.exists()}
    return cells, problems


def _group(
    group: Sequence[_Part], rtl: Path, family: str, timeout_s: float, files: Mapping[str, Path]
) -> dict[str, str]:
    """Counts a group into the cache and gives its problems; if it fails, each of its parts for itself."""
    log = files[group[0].key].with_suffix(".log")
    try:
        for key, cells in _run(group, rtl, family, log, timeout_s).items():
            write_atomic(files[key], json.dumps(dict(cells.by_type)).encode())
    except BuildError as error:
        if len(group) == 1:
            return {group[0].key: f"{group[0].name}: {error}"}
        return {k: why for part in group for k, why in _group([part], rtl, family, timeout_s, files).items()}
    return {}


def _run(group: Sequence[_Part], rtl: Path, family: str, log: Path, timeout_s: float) -> dict[str, Cells]:
    modules = [f"part_{i}" for i in range(len(group))]
    sources = list(dict.fromkeys(name for part in group for name in part.sources))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _copy(rtl, folder)
        texts = [part.wrapper(module) for part, module in zip(group, modules)]
        (folder / "parts.sv").write_text("".join([*texts, _over(group, modules)]))
        cells = map_modules(folder, [*sources, "parts.sv"], modules, family, top="parts", log=log, timeout_s=timeout_s)
    return {part.key: cells[module] for part, module in zip(group, modules)}


def _over(group: Sequence[_Part], modules: Sequence[str]) -> str:
    """A module over all parts of a group, with every port of theirs."""
    ports, bodies = [], []
    for part, module in zip(group, modules):
        names = [port.split()[-1] for port in part.ports]
        ports += [f"{port.rpartition(' ')[0]} {module}_{name}" for port, name in zip(part.ports, names)]
        bodies.append(f"  {module} u_{module} ({', '.join(f'.{name}({module}_{name})' for name in names)});\n")
    return f"module parts (\n  {', '.join(ports)}\n);\n{''.join(bodies)}endmodule\n"


def _whole(design: Design, rtl: Path, family: str, timeout_s: float) -> Cells:
    sources = _all_sources(rtl)
    if f"{design.top}.sv" not in sources:
        raise BuildError(f"{rtl}: expected {design.top}.sv, the design's top")
    texts = (_read(rtl / name) for name in sources)
    kept = _kept(_key([], "", dict(zip(sources, texts)), rtl, design.top), family)
    if not kept.exists():
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            _copy(rtl, folder)
            log = kept.with_suffix(".log")
            cells = map_modules(folder, sources, [design.top], family, top=design.top, log=log, timeout_s=timeout_s)
            write_atomic(kept, json.dumps(dict(cells[design.top].by_type)).encode())
    return Cells(json.loads(kept.read_text()))


def _copy(rtl: Path, folder: Path) -> None:
    for path in rtl.iterdir():
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
