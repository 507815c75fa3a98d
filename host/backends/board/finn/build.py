"""A folder that FINN or FINN+ left, as a whole: driver, bit file, block design, report; and the overlay it makes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bitswath.backends.board.bitfiles import (
    Pair,
    Wanted,
    contradiction,
    likely_handoff,
    pick_bitfile,
    read_header,
    together,
)
from bitswath.backends.board.finn.driver import Driver, End, find_driver
from bitswath.backends.board.finn.report import BuildReport, find_report
from bitswath.backends.board.handoff import Blocks
from bitswath.backends.board.overlay import Frames, Overlay
from bitswath.errors import BundleError

__all__ = ["FinnBuild", "find_build"]

_ADVICE = "use FINN's own driver for it"
_DRIVEN = ("FINNDMAOverlay", "FINNDMAInstrumentationOverlay")
_TOLERANCE = 0.01
_SUFFIXES = {"alveo": ".xclbin", "zynq-iodma": ".bit"}
"""Of the bit file, by the platform that the driver is for."""


@dataclass(frozen=True)
class FinnBuild:
    """`folder`: as it was given. `pair`: None where no bit file is to be had, and `problem` says why; `handoff` and
    `blocks`: the block design, then if it is clear all the same. `clock_hz`: what the accelerator was routed for, as
    driver or .hwh have it, the lower if both do; None if neither tells. `doubts`: what does not fit together, or may
    make results wrong, a sentence each."""

    folder: Path
    driver: Driver
    pair: Pair | None
    handoff: Path | None
    blocks: Blocks | None
    report: BuildReport | None
    problem: str
    clock_hz: float | None
    doubts: tuple[str, ...]

    def overlay(self) -> Overlay:
        """Raises `BundleError` for what this driver cannot drive, see `check`."""
        given, taken = self.check()
        if self.pair is None:
            raise BundleError(self.problem)
        return Overlay(
            bitfile=together(self.pair),
            shell="finn",
            input=given,
            output=taken,
            clock_hz=self.clock_hz,
            timely_hz=self.timely_hz,
            doubts=self.doubts,
        )

    @property
    def timely_hz(self) -> float | None:
        """The fastest clock at which all is in time after routing, where that is slower than the one routed for."""
        timing = None if self.report is None else self.report.timing
        return None if timing is None else timing.fitting_hz

    def check(self) -> tuple[Frames, Frames]:
        """How frames lie at both ends. Raises `BundleError` for what this driver cannot drive: several inputs or
        outputs, weights loaded at run time, data that are no integers, and files that are of different builds."""
        driver = self.driver
        _check_driven(driver)
        given, taken = (_frames(driver, end) for end in (*driver.inputs, *driver.outputs))
        for end in (*driver.inputs, *driver.outputs):
            width = _stream_bytes(self.blocks, end)
            if width not in (None, end.group_bytes) and end.integer and end.integer[0] % 8:
                raise BundleError(
                    f"{driver.path}: {end.group} values of {end.integer[0]} bits fill {end.group_bytes} bytes at "
                    f"{end.engine}, the .hwh has words of {width} there; driver and bit file are not of one build, "
                    "copy both again"
                )
        return given, taken


def find_build(folder: Path, *, suffix: str = "", bitfile: str = "") -> FinnBuild | None:
    """The build whose driver or output folder this is; None if there is no driver in it.

    `suffix`: ".bit" or ".xclbin", where the device takes one of them; `bitfile`: the name of the one to take.
    Raises `BundleError` for a driver that cannot be read; a bit file that is missing or not clear is a `problem`.
    """
    driver = find_driver(folder)
    if driver is None:
        return None
    ends = (*driver.inputs, *driver.outputs)
    wanted = Wanted(
        engines={end.engine: end.group_bytes for end in ends},
        suffix=suffix or _SUFFIXES.get(driver.platform, ""),
        name=bitfile,
        likely=driver.bitfile,
    )
    inside = folder in driver.path.parents and not bitfile
    places = list(dict.fromkeys([*driver.places, folder] if inside else [folder, *driver.places]))
    pair, problem = None, ""
    try:
        pair = pick_bitfile(places, wanted)
    except BundleError as error:
        problem = str(error)
    found = likely_handoff(places, wanted) if pair is None else (pair.handoff, pair.blocks)
    handoff, blocks = found or (None, None)
    report, routed_hz = find_report(driver.path.parent), _routed_hz(driver, blocks)
    return FinnBuild(
        folder=folder,
        driver=driver,
        pair=pair,
        handoff=handoff,
        blocks=blocks,
        report=report,
        problem=problem,
        clock_hz=min((hz for hz in (driver.clock_hz, routed_hz) if hz is not None), default=None),
        doubts=(*_misfits(driver, pair, blocks), *_lateness(report)),
    )


def _stream_bytes(blocks: Blocks | None, end: End) -> int | None:
    block = None if blocks is None else blocks.engines.get(end.engine)
    return None if block is None else block.stream_bytes


def _routed_hz(driver: Driver, blocks: Blocks | None) -> float | None:
    for end in driver.inputs:
        block = None if blocks is None else blocks.engines.get(end.engine)
        if block is not None and block.clock_hz:
            return block.clock_hz
    return None


def _misfits(driver: Driver, pair: Pair | None, blocks: Blocks | None) -> Iterator[str]:
    """Of driver, block design and bit file."""
    if blocks is None:
        return
    for end in (*driver.inputs, *driver.outputs):
        width = _stream_bytes(blocks, end)
        if end.engine not in blocks.engines:
            yield f"the .hwh has no engine {end.engine}, which the driver names"
        elif width is not None and width != end.group_bytes:
            yield (
                f"{end.engine} moves words of {8 * width} bits in the .hwh, the driver's frames are made of words of "
                f"{8 * end.group_bytes}: they are hardly of one build"
            )
    header = None
    with contextlib.suppress(BundleError):
        header = None if pair is None else read_header(pair.bitfile)
    if header is not None and contradiction(header, blocks):
        yield f"bit file and .hwh do not belong together: {contradiction(header, blocks)}"
    routed = _routed_hz(driver, blocks)
    if routed is not None and driver.clock_hz is not None and abs(routed / driver.clock_hz - 1) > _TOLERANCE:
        yield f"the driver asks for {driver.clock_hz / 1e6:g} MHz, the .hwh was made for {routed / 1e6:g} MHz"


def _lateness(report: BuildReport | None) -> Iterator[str]:
    """Of a design that no clock helps."""
    timing = None if report is None else report.timing
    if timing is not None and not timing.met and timing.fitting_hz is None:
        yield f"timing was not met at {timing.failing} endpoints, at any clock: results may be wrong; build it again"


def _check_driven(driver: Driver) -> None:
    path = driver.path
    if driver.kind == "axi_dma":
        raise BundleError(
            f"{path}: expected FINN's own DMA engines, got an AXI DMA as FINN before 0.4 has it; build it again with a "
            "later FINN"
        )
    if driver.kind not in _DRIVEN:
        raise BundleError(f"{path}: expected a bitstream with DMA engines, got one for {driver.kind}; {_ADVICE}")
    for what, said, ends in (
        ("inputs", driver.inputs_said, driver.inputs),
        ("outputs", driver.outputs_said, driver.outputs),
    ):
        if said != 1 or len(ends) != 1:
            names = ", ".join(end.engine for end in ends)
            raise BundleError(
                f"{path}: expected one input and one output, got {max(said, len(ends))} {what} ({names}); {_ADVICE}"
            )
    if driver.weights:
        raise BundleError(
            f"{path}: expected weights in the bitstream, got {driver.weights} to be loaded at run time; {_ADVICE}"
        )


def _frames(driver: Driver, end: End) -> Frames:
    if end.integer is None:
        account = _account(driver, end)
        raise BundleError(
            f"{driver.path}: expected integers at both ends, got {end.datatype} at {end.engine}; {account}"
        )
    bits, signed = end.integer
    return Frames(end.engine, bits, signed, end.values, end.group, end.frame_bytes, shape=end.normal[1:])


def _account(driver: Driver, end: End) -> str:
    """What an end without integers lacks, and what to do."""
    bits = 8 * end.group_bytes / end.group
    if not end.datatype.startswith("FLOAT"):
        return f"only INT, UINT, BINARY, BIPOLAR and TERNARY can be driven, {_ADVICE}"
    told = end.datatype.removeprefix("FLOAT")
    if told.isdigit() and bits < int(told):
        return (
            f"its frames have {bits:g} bits a value, so that the host is left to quantize, and no scale and zero point "
            f"are told; put the datatype of the accelerator's integers (such as UINT{bits:.0f}) into "
            f"{driver.path.name}, and the bundle makes and reads them, or {_ADVICE}"
        )
    if end in driver.inputs:
        return (
            "the accelerator takes floats and quantizes them, and no scale is told that makes them of a bundle's "
            "codes; build it again with an integer input (annotate the graph's input, such as UINT8, so that FINN "
            f"puts the scale into thresholds), or {_ADVICE}"
        )
    return (
        "the accelerator scales its results, and a bundle has the scale itself and compares integers; build it again "
        f"with the last scale and bias (Mul, Add) left out of the dataflow part, or {_ADVICE}"
    )
