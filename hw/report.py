"""Puts together what a build found out: the report, and a page that shows it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict

from bitswath.backends.rtl import Statistics
from bitswath.build_report import Counts, LinkReport, QueueReport, Report, StageReport
from bitswath.design import Design, Link, Stage
from bitswath.errors import BuildError
from bitswath.hw.boards import Board
from bitswath.hw.costs import Resources
from bitswath.hw.synthesis import Synthesis
from bitswath.hw.yosys import Cells

__all__ = ["make_report"]

_NOTES = (
    "Frames per second and latency come from a cycle-accurate simulation, at the board's clock; that the clock is "
    "met is for place and route to say.",
    "Resources are counted after synthesis by Yosys, before placement. The board's shell (DMA, interconnect) is not "
    "included. Which memories become block RAM is Yosys' choice where the design leaves it open.",
)
_VERSAL_NOTE = "Yosys does not know Versal: counts for it are those of UltraScale+ fabric, an estimate."


def make_report(
    design: Design,
    board: Board,
    *,
    measured: Statistics,
    synthesis: Synthesis,
    checked_frames: int = 0,
    estimates: Mapping[str, Resources] | None = None,
    high_water: Mapping[str, int] | None = None,
    tools: Mapping[str, str] | None = None,
    bitstream: str | None = None,
    bitstream_reason: str | None = None,
) -> Report:
    """The report of `design`.

    `measured`: of at least two frames; `estimates`: by stage; `high_water`: by stream; `tools`: versions by name.
    Raises `BuildError` if too little was measured.
    """
    if measured.interval is None or measured.latency is None:
        raise BuildError("expected a simulation of two frames or more; without it there is no rate to report")
    stages = tuple(_stage(stage, measured, synthesis, estimates or {}) for stage in design.stages)
    busiest = max((stage for stage in stages if stage.cycles), key=lambda stage: stage.cycles or 0, default=None)
    whole = synthesis.whole
    return Report(
        name=design.name,
        board=board.name,
        part=design.part,
        clock_hz=design.clock_hz,
        frames_per_s=design.clock_hz / measured.interval,
        initiation_interval=measured.interval,
        latency_cycles=measured.latency,
        checked_frames=checked_frames,
        limiting=busiest.name if busiest else None,
        input=_link(design.input),
        output=_link(design.output),
        resources=_counts(whole.resources if whole else synthesis.parts),
        resources_from="whole design" if whole else "sum of parts",
        parts=_counts(synthesis.parts),
        estimated=_counts(sum(estimates.values(), Resources())) if estimates else None,
        available=Counts(**{name: float(getattr(board, name)) for name in Counts.model_fields}),
        stages=stages,
        queues=_queues(design, synthesis, high_water or {}),
        problems=dict(synthesis.problems),
        tools={**(tools or {}), "synthesis": synthesis.tool},
        notes=(*_NOTES, _VERSAL_NOTE) if board.family == "versal" else _NOTES,
        bitstream=bitstream,
        bitstream_reason=bitstream_reason,
    )


def _stage(stage: Stage, measured: Statistics, synthesis: Synthesis, estimates: Mapping[str, Resources]) -> StageReport:
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
        counted=_cells(synthesis.stages.get(stage.name)),
        estimated=_counts(estimates[stage.name]) if stage.name in estimates else None,
        finn_estimated=_counts(Resources(**stage.finn_estimate)) if stage.finn_estimate else None,
    )


def _queues(design: Design, synthesis: Synthesis, high_water: Mapping[str, int]) -> tuple[QueueReport, ...]:
    return tuple(
        QueueReport(
            stream=stream.name,
            depth=stream.depth,
            width=stream.width,
            ram_style=stream.ram_style,
            high_water=high_water.get(stream.name),
            counted=_cells(synthesis.queues.get(stream.name)),
        )
        for stream in design.streams
        if stream.depth
    )


def _link(link: Link) -> LinkReport:
    return LinkReport(width=link.width, frame_bytes=link.frame_bytes)


def _cells(cells: Cells | None) -> Counts | None:
    return _counts(cells.resources) if cells else None


def _counts(resources: Resources) -> Counts:
    return Counts(**{name: math.ceil(value * 2) / 2 for name, value in asdict(resources).items()})
