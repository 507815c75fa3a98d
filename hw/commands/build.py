"""``bitswath build``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.status import Status

from bitswath.basics.console import say
from bitswath.builds.report import Report
from bitswath.bundle.bundle import load_bundle
from bitswath.bundle.zoo import refuse_writing
from bitswath.errors import BuildError
from bitswath.hw.building.activity import frames_of
from bitswath.hw.building.bitstream import missing_tools
from bitswath.hw.building.build import MARGIN, Options, build
from bitswath.hw.planning.boards import Board, find_board

__all__ = ["command"]


@click.command("build")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--board", "board_name", required=True, help="Its name; 'bitswath boards' lists all.")
@click.option("--target-fps", type=click.FloatRange(0, min_open=True), help="Frames a second; else as many as fit.")
@click.option("--folding", type=click.Path(path_type=Path), help='By hand: JSON, {"unit": {"PE": 4, "SIMD": 9}}.')
@click.option("--clock-mhz", type=click.FloatRange(1, 1000), help="Else the board's own.")
@click.option("--margin", default=MARGIN, show_default=True, type=click.FloatRange(0, 0.9), help="Share to leave free.")
@click.option(
    "--instances", default=1, show_default=True, type=click.IntRange(1, 64), help="Accelerators in one design."
)
@click.option(
    "--pixels", type=click.IntRange(1, 8), help="Of a row that come in a cycle; else no more than the target takes."
)
@click.option("--quick", is_flag=True, help="Count the stages only, not the whole design in one piece.")
@click.option("--estimate", is_flag=True, help="Count nothing: resources are estimates. Saves minutes.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1), help="Programs that run at a time.")
@click.option("--bitstream", is_flag=True, help="Fail if no bitstream can be made.")
@click.option("--out-of-context", is_flag=True, help="With Vivado: synthesize and route the accelerator alone.")
@click.option(
    "--saif",
    "images",
    type=click.Path(path_type=Path),
    help="Simulate frames of these images for Vivado's estimate of power: a file, folder or zip.",
)
@click.option("--saif-frames", default=2, show_default=True, type=click.IntRange(1), help="How many of them.")
def command(
    bundle: Path,
    board_name: str,
    target_fps: float | None,
    folding: Path | None,
    clock_mhz: float | None,
    margin: float,
    instances: int,
    pixels: int | None,
    quick: bool,
    estimate: bool,
    jobs: int,
    bitstream: bool,
    out_of_context: bool,
    images: Path | None,
    saif_frames: int,
) -> None:
    """Turn BUNDLE into a dataflow accelerator for a board.

    FINN generates the RTL; it is simulated cycle by cycle, its queues sized, its results compared with the
    emulator, its resources counted. With Vivado (or Vitis) on the path the bitstream follows, its timing checked. The
    build goes into the bundle, below hw/BOARD. A build that was stopped goes on where it was.
    """
    refuse_writing(bundle)
    board, loaded = find_board(board_name), load_bundle(bundle)
    if (bitstream or out_of_context) and (reason := missing_tools(board)):
        raise BuildError(f"no bitstream for {board.name}: {reason}")
    options = Options(
        target_fps=target_fps,
        folding=None if folding is None else _read_folding(folding),
        clock_hz=None if clock_mhz is None else clock_mhz * 1e6,
        margin=margin,
        counts="estimates" if estimate else "parts" if quick else "whole",
        jobs=jobs,
        out_of_context=out_of_context,
        instances=instances,
        pixels=pixels,
        frames=None if images is None else frames_of(loaded, images, saif_frames),
    )
    console = Console()
    with _Steps(console).shown() as on_step:
        report, folder = build(loaded, board, options, on_step)
    _summarize(console, report, folder, board)


def _read_folding(path: Path) -> dict[str, dict[str, int]]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BuildError(f"{path}: cannot be read as JSON ({error})") from None
    units = content.values() if isinstance(content, dict) else [content]
    if not all(isinstance(unit, dict) and all(type(value) is int for value in unit.values()) for unit in units):
        raise BuildError(f'{path}: expected an object like {{"conv0_matvec": {{"PE": 4, "SIMD": 9}}}}')
    return dict(content)


class _Steps:
    """One line for each step that took a while, a spinner for the one under way."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.name = ""
        self.since = time.monotonic()

    @contextmanager
    def shown(self) -> Iterator[Callable[[str], None]]:
        with self.console.status("starting") as status:
            yield lambda name: self.enter(name, status)
            self.leave()

    def enter(self, name: str, status: Status) -> None:
        self.leave()
        self.name, self.since = name, time.monotonic()
        status.update(name)

    def leave(self) -> None:
        took = time.monotonic() - self.since
        if self.name and took >= 1:
            self.console.print(f"{took:7.1f} s  {self.name}", highlight=False)


def _summarize(console: Console, report: Report, folder: Path, board: Board) -> None:
    usage = ", ".join(f"{name} {share:.0%}" for name, share in report.usage.items() if share)
    several = f" of {report.instances} instances" if report.instances > 1 else ""
    say(f"{report.checked_frames} frames simulated, every integer equal to the emulator's", console=console)
    say(
        f"{report.frames_per_s:,.0f} frames/s{several} at {report.clock_hz / 1e6:g} MHz (a frame every"
        f" {report.initiation_interval:,.0f} cycles, latency {report.latency_cycles:,});"
        f" {'up to ' if report.input.compressed else ''}{report.input.frame_bytes:,} link bytes a frame",
        console=console,
    )
    if report.target_fps is not None and report.frames_per_s < report.target_fps:
        wanted = f"{report.target_fps:,.0f} frames/s were asked for, between which units wait for each other"
        say(f"{wanted}: no folding that fits is as fast", "yellow", console=console)
    how = "estimated" if report.resources_from == "estimates" else f"counted by Yosys ({report.resources_from})"
    say(f"{board.name}: {usage}, {how}", console=console)
    if (path := report.path) is not None:
        period = 1e9 / report.clock_hz
        say(
            f"clock of {period:.1f} ns: the longest path takes {path.ns:.1f} ns before placement ({report.path_from},"
            f" {path.levels} LUTs, {path.carries} carries, from {path.start} to {path.end})",
            "yellow" if path.ns > period else "",
            console=console,
        )
    if report.folding is not None:
        say(f"folding: {report.folding}", console=console)
    for problem in report.problems.values():
        say(f"not counted: {problem}", "yellow", console=console)
    if (routed := report.routed) is not None:
        counted = routed.counted
        say(
            f"{routed.tool}, {routed.of}: {counted.lut:,.0f} LUT, {counted.ff:,.0f} FF, {counted.bram36:g} RAMB36,"
            f" {counted.dsp:g} DSP, worst slack {routed.slack_ns:g} ns",
            console=console,
        )
        if (power := routed.power_estimated) is not None:
            say(f"power estimated by Vivado: {power.total_w:g} W, from {routed.activity}", console=console)
    if report.bitstream is None:
        say(f"no bitstream was built: {report.bitstream_reason}", "yellow", console=console)
    say(f"{folder}: report.html, report.json, rtl/", console=console)
