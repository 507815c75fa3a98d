"""What ``bitswath info`` says of a bitstream that FINN left."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bitswath.backends.board.archives import is_packed
from bitswath.backends.board.bitfiles import SUFFIXES
from bitswath.backends.board.finn.build import FinnBuild
from bitswath.backends.board.finn.driver import End
from bitswath.backends.board.finn.report import BuildReport
from bitswath.backends.board.overlay_folder import load_build
from bitswath.basics.console import say
from bitswath.bundle.bundle import MANIFEST
from bitswath.errors import BundleError

__all__ = ["bitstream_at", "show_build"]


def bitstream_at(path: Path) -> FinnBuild | None:
    """The build in a folder or archive, or of a bit file; None where the path is something else, such as a bundle.

    Raises `BundleError` for an archive or driver that is damaged.
    """
    is_folder = path.is_dir()
    if not is_folder and not is_packed(path) and not (path.suffix in SUFFIXES and path.is_file()):
        return None
    if (path / MANIFEST).exists():
        return None
    found = load_build(path)
    if found is None and not is_folder:
        raise BundleError(
            f"{path}: expected driver/settings.json (FINN+) or driver/driver.py (FINN) in it or beside it, found none"
        )
    return found


def show_build(console: Console, build: FinnBuild, as_json: bool) -> None:
    """Print what it is and what it reported."""
    if as_json:
        console.print_json(json.dumps(_facts(build)))
        return
    for name, value in _lines(build):
        say(f"{name}: {value}", console=console)
    if build.report is not None:
        console.print(_table(build.report, _from(build, build.report.folder)))


def _facts(build: FinnBuild) -> dict[str, Any]:
    driver, blocks, pair, report = build.driver, build.blocks, build.pair, build.report
    reported = None
    if report is not None:
        timing = report.timing
        reported = {
            "folder": str(report.folder),
            "timing met": None if timing is None else timing.met,
            "worst slack ns": None if timing is None else timing.slack_ns,
            "failing endpoints": None if timing is None else timing.failing,
            "counted": None if report.counted is None else report.counted.model_dump(exclude={"lutram"}),
            "estimated": None if report.estimated is None else report.estimated.model_dump(exclude={"lutram", "ff"}),
            "frames/s simulated": report.simulated_fps,
            "frames/s estimated": report.estimated_fps,
            "latency s estimated": report.estimated_latency_s,
            "problems": list(report.problems),
        }
    return {
        "driver": str(driver.path),
        "driver kind": driver.kind,
        "platform": driver.platform or None,
        "bit file": None if pair is None else str(pair.bitfile),
        "not taken": [] if pair is None else [str(file) for file in pair.others],
        "handoff": None if build.handoff is None else str(build.handoff),
        "board": None if blocks is None else blocks.board or None,
        "part": None if blocks is None else blocks.part or None,
        "inputs": [_end_facts(build, end) for end in driver.inputs],
        "outputs": [_end_facts(build, end) for end in driver.outputs],
        "clock MHz": None if build.clock_hz is None else build.clock_hz / 1e6,
        "clock MHz in time": None if build.timely_hz is None else round(build.timely_hz / 1e6, 3),
        "weights": driver.weights or None,
        "cannot be driven": _obstacle(build) or None,
        "attention": list(build.doubts),
        "report": reported,
    }


def _end_facts(build: FinnBuild, end: End) -> dict[str, Any]:
    block = None if build.blocks is None else build.blocks.engines.get(end.engine)
    return {
        "engine": end.engine,
        "datatype": end.datatype,
        "shape": list(end.normal[1:]),
        "folded": list(end.folded[1:]),
        "packed": list(end.packed[1:]),
        "bytes per frame": end.frame_bytes,
        "stream bits": None if block is None or block.stream_bytes is None else 8 * block.stream_bytes,
        "memory bits": None if block is None else block.port_bits,
        "registers": None if block is None else block.address,
    }


def _lines(build: FinnBuild) -> Iterator[tuple[str, str]]:
    driver, pair = build.driver, build.pair
    kind = f"{driver.kind} for {driver.platform}" if driver.platform else driver.kind
    yield "driver", f"{_from(build, driver.path)} ({kind})"
    if pair is not None:
        yield "bit file", _from(build, pair.bitfile) + (f" ({pair.because})" if pair.because else "")
        if pair.others:
            yield "not taken", ", ".join(file.name for file in pair.others)
    if build.handoff is not None:
        yield "handoff", _from(build, build.handoff)
    if build.blocks is not None:
        yield "board", f"{build.blocks.board or 'unknown'}, part {build.blocks.part}, Vivado {build.blocks.vivado}"
    for name, ends, way in (
        ("input", driver.inputs, "memory to accelerator"),
        ("output", driver.outputs, "accelerator to memory"),
    ):
        for i, end in enumerate(ends):
            yield name if len(ends) == 1 else f"{name} {i}", _frame(end)
            yield f"{end.engine}", ", ".join([f"DMA engine, {way}", *_engine(build, end)])
    yield "clock", "unknown" if build.clock_hz is None else f"{build.clock_hz / 1e6:g} MHz"
    if driver.weights:
        yield "weights", f"{driver.weights}, loaded at run time"
    obstacle = _obstacle(build)
    yield "can be driven", f"no: {obstacle}" if obstacle else "yes"
    for doubt in build.doubts:
        yield "attention", doubt
    if build.timely_hz is not None:
        yield "attention", f"timing was not met; open it with clock_hz={build.timely_hz / 1e6:g}e6 or less"


def _from(build: FinnBuild, path: Path) -> str:
    """A path as seen from the folder or archive that was given."""
    return os.path.relpath(path, build.folder)


def _frame(end: End) -> str:
    shape, folded = (" x ".join(map(str, shape[1:])) for shape in (end.normal, end.folded))
    return f"{shape} {end.datatype}, folded {folded}, {end.frame_bytes} byte{'s' * (end.frame_bytes != 1)} a frame"


def _engine(build: FinnBuild, end: End) -> Iterator[str]:
    block = None if build.blocks is None else build.blocks.engines.get(end.engine)
    if block is not None and block.stream_bytes is not None:
        yield f"stream of {8 * block.stream_bytes} bits"
    if block is not None and block.port_bits is not None:
        yield f"memory port of {block.port_bits} bits"
    if block is not None and block.address is not None:
        yield f"registers at {block.address:#x}"


def _obstacle(build: FinnBuild) -> str:
    """Why it cannot be driven, "" if it can."""
    try:
        build.check()
    except BundleError as error:
        return str(error)
    return build.problem


def _table(report: BuildReport, folder: str) -> Table:
    """What Vivado found after synthesis and routing, FINN in its simulation and by its model."""
    table = Table("", title=escape(f"what the build reported, in {folder}"))
    for heading in ("Vivado", "FINN's simulation", "FINN's estimate"):
        table.add_column(heading, justify="right")
    if (timing := report.timing) is not None:
        table.add_row("timing", "met" if timing.met else "not met")
        table.add_row("late endpoints", f"{timing.failing:,}")
        table.add_row("worst slack, ns", f"{timing.slack_ns:g}")
        if timing.period_ns:
            table.add_row("clock, MHz", f"{1e3 / timing.period_ns:g}")
    for name, field in (("LUT", "lut"), ("FF", "ff"), ("BRAM36", "bram36"), ("URAM", "uram"), ("DSP", "dsp")):
        counted, estimated = (
            "" if counts is None else f"{getattr(counts, field):,g}" for counts in (report.counted, report.estimated)
        )
        if any(getattr(counts, field) for counts in (report.counted, report.estimated) if counts is not None):
            table.add_row(name, counted, "", "" if field == "ff" else estimated)
    if report.simulated_fps is not None or report.estimated_fps is not None:
        rates = ("" if fps is None else f"{fps:,.0f}" for fps in (report.simulated_fps, report.estimated_fps))
        table.add_row("frames/s", "", *rates)
    if report.estimated_latency_s is not None:
        table.add_row("latency, us", "", "", f"{1e6 * report.estimated_latency_s:,.4g}")
    for problem in report.problems:
        table.add_row("cannot be read", escape(problem))
    return table
