"""Puts together what a build found out: the report, and a page that shows it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from bitswath.backends.rtl.backend import Statistics
from bitswath.builds.design import Design, Link, Stage
from bitswath.builds.report import Counts, LinkReport, PathReport, QueueReport, Report, RoutedReport, StageReport
from bitswath.errors import BuildError
from bitswath.hw.counting.synthesis import Synthesis
from bitswath.hw.counting.yosys import Cells
from bitswath.hw.planning.boards import Board
from bitswath.hw.planning.prices import queue_cost
from bitswath.hw.planning.resources import Resources

__all__ = ["make_report"]

_CYCLES_NOTE = (
    "Frames per second and latency come from a cycle-accurate simulation, at the board's clock. That the clock is met "
    "is for place and route to say; until then the longest path is evidence, its nets' delays are modelled."
)
_COUNTS_NOTE = (
    "Resources are counted after synthesis by Yosys, before placement. The board's shell (DMA, interconnect) is not "
    "included. Which memories become block RAM is Yosys' choice where the design leaves it open."
)
_ESTIMATES_NOTE = "Nothing was counted: resources are the cost model's estimates, without a shell."
_VERSAL_NOTE = "Yosys does not know Versal: counts for it are those of UltraScale+ fabric, an estimate."
_COMPRESSED_NOTE = (
    "Frames are compressed and differ in length: the rate is that of those simulated, half of them of smooth patches, "
    "half of noise. A damaged frame is told with its results."
)

_SHARING_NOTE = (
    "Frames go to the instances in turn, each of which has a queue of a frame. One instance was simulated and counted; "
    "the rate is a multiple of its own, up to what the link brings, and the queues' resources are estimated."
)

_POWER_NOTE = (
    "What stands under Vivado was measured by it after routing, but for power, which it estimates, from the activity "
    "that is named beside it."
)


def make_report(
    design: Design,
    board: Board,
    *,
    measured: Statistics,
    synthesis: Synthesis | None,
    checked_frames: int = 0,
    target_fps: float | None = None,
    estimates: Mapping[str, Resources] | None = None,
    high_water: Mapping[str, int] | None = None,
    folding: str | None = None,
    pixels: int = 1,
    tools: Mapping[str, str] | None = None,
    bitstream: str | None = None,
    bitstream_reason: str | None = None,
    routed: RoutedReport | None = None,
) -> Report:
    """The report of `design`.

    `measured`: of at least two frames; `synthesis`: None where nothing was counted; `target_fps`: what was asked for;
    `estimates`: by stage; `high_water`: by stream; `folding`: how it was chosen; `pixels`: that come abreast; `tools`:
    versions by name; `routed`: what Vivado found. Raises `BuildError` if too little was measured.
    """
    if measured.interval is None or measured.latency is None:
        raise BuildError("expected a simulation of two frames or more; without it there is no rate to report")
    stages = tuple(_stage(stage, measured, synthesis, estimates or {}) for stage in design.stages)
    busiest = max((stage for stage in stages if stage.cycles), key=lambda stage: stage.cycles or 0, default=None)
    tool = {"synthesis": synthesis.tool} if synthesis else {}
    paths = synthesis.paths if synthesis else {}
    longest = "" if "" in paths else max(paths, key=lambda name: paths[name].ns, default=None)
    return Report(
        name=design.name,
        board=board.name,
        part=design.part,
        clock_hz=design.clock_hz,
        instances=design.instances,
        frames_per_s=design.clock_hz / max(measured.interval / design.instances, design.input.step_words),
        initiation_interval=measured.interval,
        latency_cycles=measured.latency,
        checked_frames=checked_frames,
        target_fps=target_fps,
        limiting=busiest.name if busiest else None,
        folding=folding,
        pixels=pixels,
        input=_link(design.input),
        output=_link(design.output),
        **_resources(design, board, synthesis, estimates or {}),
        available=Counts(**{name: float(getattr(board, name)) for name in Counts.model_fields}),
        path=_path(synthesis, longest) if longest is not None else None,
        path_from=None if longest is None else "parts" if longest else "whole design",
        stages=stages,
        queues=_queues(design, synthesis, high_water or {}),
        problems=dict(synthesis.problems) if synthesis else {},
        tools={**(tools or {}), **tool},
        notes=tuple(_notes(design, board, counted=synthesis is not None, routed=routed is not None)),
        bitstream=bitstream,
        bitstream_reason=bitstream_reason,
        routed=routed,
    )


def sharing_cost(design: Design, board: Board) -> Resources:
    """Of the queues before and behind each instance, estimated; nothing where there is one alone."""
    if design.instances == 1:
        return Resources()
    links = (design.input, design.output)
    each = (queue_cost(1, link.width, board.dsp_block, link.words) for link in links)
    return sum(each, Resources()) * design.instances


def _resources(
    design: Design, board: Board, synthesis: Synthesis | None, estimates: Mapping[str, Resources]
) -> dict[str, Any]:
    """Of all instances and what they share: those counted of the whole, else of the parts, else estimated."""

    def shared(one: Resources) -> Resources:
        return one * design.instances + sharing_cost(design, board)

    guessed = shared(sum(estimates.values(), Resources()))
    parts = shared(synthesis.parts) if synthesis else guessed
    whole = shared(synthesis.whole.resources) if synthesis and synthesis.whole else None
    return {
        "resources": _counts(whole or parts),
        "resources_from": "whole design" if whole else "sum of parts" if synthesis else "estimates",
        "parts": _counts(parts),
        "estimated": _counts(guessed) if estimates else None,
    }


def _notes(design: Design, board: Board, *, counted: bool, routed: bool) -> Iterator[str]:
    yield _CYCLES_NOTE
    yield _COUNTS_NOTE if counted else _ESTIMATES_NOTE
    if counted and board.family == "versal":
        yield _VERSAL_NOTE
    if design.input.compressed:
        yield _COMPRESSED_NOTE
    if design.instances > 1:
        yield _SHARING_NOTE
    if routed:
        yield _POWER_NOTE


def _stage(
    stage: Stage, measured: Statistics, synthesis: Synthesis | None, estimates: Mapping[str, Resources]
) -> StageReport:
    found, cycles = measured.streams, max(measured.cycles, 1)
    stalls = [found[name].stalls for name in stage.outputs.values() if name in found]
    starved = [found[name].starved for name in stage.inputs.values() if name in found]
    return StageReport(
        name=stage.name,
        kind=stage.kind,
        layer=stage.layer,
        folding=dict(stage.folding),
        cycles=stage.cycles,
        busy=stage.cycles / measured.interval if stage.cycles and measured.interval else None,
        stalled=max(stalls) / cycles if stalls else None,
        starved=max(starved) / cycles if starved else None,
        counted=_cells(synthesis.stages.get(stage.name)) if synthesis else None,
        path=_path(synthesis, stage.name),
        estimated=_counts(estimates[stage.name]) if stage.name in estimates else None,
        finn_estimated=_counts(Resources(**stage.finn_estimate)) if stage.finn_estimate else None,
    )


def _queues(design: Design, synthesis: Synthesis | None, high_water: Mapping[str, int]) -> tuple[QueueReport, ...]:
    return tuple(
        QueueReport(
            stream=stream.name,
            depth=stream.depth,
            width=stream.width,
            ram_style=stream.ram_style,
            high_water=high_water.get(stream.name),
            counted=_cells(synthesis.queues.get(stream.name)) if synthesis else None,
            path=_path(synthesis, f"queue {stream.name}"),
        )
        for stream in design.streams
        if stream.depth
    )


def _link(link: Link) -> LinkReport:
    return LinkReport(width=link.width, frame_bytes=link.frame_bytes, compressed=link.compressed)


def _cells(cells: Cells | None) -> Counts | None:
    return _counts(cells.resources) if cells else None


def _path(synthesis: Synthesis | None, name: str) -> PathReport | None:
    found = synthesis.paths.get(name) if synthesis else None
    if found is None:
        return None
    return PathReport(
        ns=round(found.ns, 2), levels=found.levels, carries=found.carries, start=found.start, end=found.end
    )


def _counts(resources: Resources) -> Counts:
    return Counts(**{name: math.ceil(value * 2) / 2 for name, value in asdict(resources).items()})
