"""From a bundle to a proved build of it for a board: simulated, counted, reported.

The bundle changes only at the end, in one step.
"""

from __future__ import annotations

from pathlib import Path

from bitswath import __version__
from bitswath.builds.design import Design
from bitswath.builds.report import Report
from bitswath.bundle.bundle import Bundle
from bitswath.errors import BuildError
from bitswath.hw.building.activity import record_activity
from bitswath.hw.building.bitstream import make_bitstream, missing_tools
from bitswath.hw.building.design import CHECKED_FRAMES, Step, finn_version, locked_home, simulate
from bitswath.hw.building.folder import BITSTREAM, publish
from bitswath.hw.building.options import MARGIN, Options
from bitswath.hw.counting.synthesis import synthesize
from bitswath.hw.planning.boards import Board
from bitswath.hw.planning.costs import cost
from bitswath.hw.planning.folding import Fit
from bitswath.hw.planning.plan import Plan
from bitswath.hw.planning.prices import converter_cost, unit_logic_cost, weights_cost
from bitswath.hw.planning.resources import Resources
from bitswath.hw.report.report import make_report

__all__ = ["CHECKED_FRAMES", "MARGIN", "Options", "build"]


def build(bundle: Bundle, board: Board, options: Options, on_step: Step = lambda name: None) -> tuple[Report, Path]:
    """Build `bundle` for `board`; the report, and the folder in the bundle that has the build.

    Raises `BuildError`, `BackendError`, `VerificationError`; then the bundle is as it was.
    """
    clock_hz = options.clock_hz or board.clock_hz
    if clock_hz > board.fastest_hz:
        raise BuildError(
            f"{board.name}: expected a clock of up to {board.fastest_hz / 1e6:g} MHz, got {clock_hz / 1e6:g} MHz"
        )
    if options.instances > 1 and bundle.codec.compressed:
        raise BuildError("compressed frames, whose ends only their decoder knows, go to one instance alone")
    made = simulate(bundle, board, clock_hz, options, on_step)
    with locked_home(made.home):
        synthesis = None
        if options.counts != "estimates":
            on_step("synthesis")
            whole = options.counts == "whole"
            synthesis = synthesize(made.design, made.folder, board, jobs=options.jobs, whole=whole)
        activity = None if options.frames is None else record_activity(made.folder, options.frames, on_step)
        reason, implemented = missing_tools(board), None
        if reason is None:
            implemented = make_bitstream(
                board,
                made.folder,
                out_of_context=options.out_of_context,
                activity=activity,
                jobs=options.jobs,
                on_step=on_step,
            )
            reason = "out of context, without a shell" if options.out_of_context else None
        on_step("report")
        report = make_report(
            made.design,
            board,
            measured=made.measured,
            synthesis=synthesis,
            checked_frames=CHECKED_FRAMES,
            target_fps=options.target_fps,
            estimates=_estimates(made.plan, made.fit, board, made.design),
            high_water=made.high_water,
            folding=made.fit.described,
            pixels=made.fit.pixels,
            tools={"finn-plus": finn_version(), "bitswath": __version__},
            bitstream=BITSTREAM if implemented and not reason else None,
            bitstream_reason=reason,
            routed=implemented.routed if implemented else None,
        )
        return report, publish(
            bundle, board, made.folder, report, implemented.folder if implemented else None, activity
        )


def _estimates(hardware: Plan, fit: Fit, board: Board, design: Design) -> dict[str, Resources]:
    """By stage: units, their weight memories apart, converters; and queues, by the stream in their name."""
    found = {unit.name: unit_logic_cost(unit, fit.foldings[unit.name], board) for unit in hardware.units}
    found |= {f"{unit.name}_weights": weights_cost(unit, fit.foldings[unit.name]) for unit in hardware.units}
    streams = {stream.name: stream for stream in design.streams}
    for stage in design.stages:
        if stage.name not in found:
            (given, taken) = (streams[name] for ends in (stage.inputs, stage.outputs) for name in ends.values())
            found[stage.name] = converter_cost(given.elements, taken.elements, given.bits)
    for stream in design.streams:
        if stream.depth:
            sizes = {"depth": stream.depth, "width": stream.width, "style": stream.ram_style}
            found[f"queue {stream.name}"] = cost("StreamingFIFO_rtl", **sizes, dsp_block=board.dsp_block)
    return {name: needed for name, needed in found.items() if needed != Resources()}
