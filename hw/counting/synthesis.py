"""Counts what a design needs in fabric, with Yosys: each stage and queue on its own, and the design as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bitswath.backends.netlist.mapping import map_parts, read_netlist
from bitswath.backends.netlist.parts import parts_of, whole_of
from bitswath.builds.design import Design
from bitswath.errors import BuildError
from bitswath.hw.counting.timing import TimingPath, longest_path, slowness
from bitswath.hw.counting.yosys import Cells, cells_of, tool
from bitswath.hw.planning.boards import Board
from bitswath.hw.planning.resources import Resources

__all__ = ["Synthesis", "synthesize"]


@dataclass(frozen=True)
class Synthesis:
    """What Yosys counted. `stages`, `queues`: by the name of the stage and of the stream it is in; what could not be
    counted is missing there and has its reason in `problems`, under its name, the whole design's under "".
    `paths`: the longest of each part, queues named "queue STREAM", and of the whole, named ""."""

    tool: str
    family: str
    stages: Mapping[str, Cells]
    queues: Mapping[str, Cells]
    whole: Cells | None
    problems: Mapping[str, str]
    paths: Mapping[str, TimingPath] = field(default_factory=dict)

    @property
    def parts(self) -> Resources:
        """Stages and queues together, as if nothing were optimized across their borders."""
        return sum((cells.resources for cells in (*self.stages.values(), *self.queues.values())), Resources())

    def check(self) -> None:
        """Raises `BuildError` with the first of `problems`, if any."""
        for problem in self.problems.values():
            raise BuildError(problem)


def synthesize(
    design: Design, folder: Path, board: Board, *, jobs: int = 2, whole: bool = True, timeout_s: float = 1800
) -> Synthesis:
    """Count the design whose build folder is `folder`, for the part of `board`.

    `jobs`: runs of Yosys at a time; `whole`: also count the design in one piece, from ``rtl/accelerator.sv``, which
    takes minutes; `timeout_s`: for each run. A part that Yosys cannot take, or not in time, is a problem of the
    result, not an error. Raises `BuildError` if sources are missing, `DependencyError` without Yosys.
    """
    rtl = folder / "rtl"
    parts = parts_of(design, rtl)
    mapped = map_parts(parts, rtl, board.yosys_family, jobs=jobs, timeout_s=timeout_s)
    files, failed = dict(mapped.files), dict(mapped.problems)
    if whole:
        one = map_parts([replace(whole_of(design, rtl), name="")], rtl, board.yosys_family, timeout_s=timeout_s)
        files, failed = {**files, **one.files}, {**failed, **one.problems}
    found, paths = dict[str, Cells](), dict[str, TimingPath]()
    for name, path in files.items():
        netlist = read_netlist(path)
        found[name] = cells_of(netlist)
        try:
            paths[name] = longest_path(netlist, slowness(board.part))
        except BuildError as error:
            failed[f"path of {name or 'the whole'}"] = str(error)
    names = {stage.name for stage in design.stages}
    return Synthesis(
        tool=tool(),
        family=board.yosys_family,
        stages={name: found[name] for name in found if name in names},
        queues={name.removeprefix("queue "): found[name] for name in found if name and name not in names},
        whole=found.get(""),
        problems=failed,
        paths=paths,
    )
