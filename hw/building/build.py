"""From a bundle to a proved build of it for a board: compiled, queues sized, simulated, counted, reported.

Each step's result is kept in the cache under a digest of all that decides it, so a build that was stopped, or that
differs only in later steps, goes on where it can. The bundle changes only at the end, in one step.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

import bitswath
from bitswath import __version__, hw
from bitswath.backends.emulator import EmulatorBackend
from bitswath.backends.rtl.backend import RtlBackend, Statistics
from bitswath.basics.cache import cache_folder, locked
from bitswath.basics.files import scratch_path, sha256_of, swap_folders, write_atomic
from bitswath.builds.design import DESIGN, Design
from bitswath.builds.folder import CHECKED, FAILED, HARDWARE, RTL, read_design
from bitswath.builds.report import REPORT, REPORT_PAGE, Report
from bitswath.bundle.bundle import NETWORK, Bundle
from bitswath.codecs.packing import pack
from bitswath.errors import BuildError, DependencyError, VerificationError
from bitswath.hw.building.activity import ACTIVITY, record_activity
from bitswath.hw.building.bitstream import make_bitstream, missing_tools
from bitswath.hw.counting.queues import QueueSizing, size_queues
from bitswath.hw.counting.synthesis import synthesize
from bitswath.hw.generating.compile import compile_design, save_design
from bitswath.hw.planning.boards import Board
from bitswath.hw.planning.costs import cost
from bitswath.hw.planning.folding import PIXELS, Fit, find_plan, match_plan
from bitswath.hw.planning.plan import Plan, plan
from bitswath.hw.planning.prices import converter_cost, unit_logic_cost, weights_cost
from bitswath.hw.planning.resources import Resources
from bitswath.hw.report.page import report_page
from bitswath.hw.report.report import make_report
from bitswath.hw.units import Folding, decoding_of

__all__ = ["MARGIN", "Options", "build"]

MARGIN = 0.1
"""Share of each of a board's resources that is left over."""

CHECKED_FRAMES = 4

SIZING = "sizing.json"
BITSTREAM = "bitstream"
"""Folder of a build with what the vendor's tools made."""

_CODE = {".py", ".sv", ".json", ".cpp", ".hpp"}
_HOST_SOURCES = ("builds/design.py", "builds/words.py", "network/network.py", "network/file.py")
_SIMULATION = "backends/rtl"

Step = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """`target_fps`: frames a second at the clock, or None for as many as fit. `folding`: by hand, by unit.

    `clock_hz`: None for the board's own. `margin`: share of each resource to leave. `counts`: count the resources of
    all parts and of the design in one piece ("whole"), of the "parts" only, or leave it at "estimates". `jobs`:
    programs that run at a time. `out_of_context`: with Vivado, place and route the accelerator alone instead of
    making a bitstream. `frames`: packed ones, uint8 (N, W), whose switching activity is simulated for Vivado's estimate
    of power. `instances`: accelerators that share the board and the frames, each a share of `target_fps`. `pixels`: of
    a row that come in a cycle; None for no more than `target_fps`, or the board, has a use for.
    """

    target_fps: float | None = None
    folding: Mapping[str, Folding] | None = None
    clock_hz: float | None = None
    margin: float = MARGIN
    counts: Literal["whole", "parts", "estimates"] = "whole"
    jobs: int = 2
    out_of_context: bool = False
    frames: NDArray[np.uint8] | None = None
    instances: int = 1
    pixels: int | None = None


def build(bundle: Bundle, board: Board, options: Options, on_step: Step = lambda name: None) -> tuple[Report, Path]:
    """Build `bundle` for `board`; the report, and the folder in the bundle that has the build.

    Raises `BuildError`, `BackendError`, `VerificationError`; then the bundle is as it was.
    """
    on_step("folding")
    clock_hz = options.clock_hz or board.clock_hz
    if clock_hz > board.fastest_hz:
        raise BuildError(
            f"{board.name}: expected a clock of up to {board.fastest_hz / 1e6:g} MHz, got {clock_hz / 1e6:g} MHz"
        )
    if options.instances > 1 and bundle.codec.compressed:
        raise BuildError("compressed frames, whose ends only their decoder knows, go to one instance alone")
    hardware, fit = _folded(bundle, board, clock_hz, options)
    home = cache_folder("build") / _digest(bundle, board, clock_hz, fit)
    home.mkdir(exist_ok=True)
    with locked(home / "lock", timeout_s=3600.0):
        folder = _shared(_sized(bundle, board, clock_hz, fit, home, on_step), options.instances, home)
        sizing = _sizing(folder)
        on_step("simulation")
        measured = _check(bundle, board, folder)
        synthesis = None
        if options.counts != "estimates":
            on_step("synthesis")
            whole = options.counts == "whole"
            synthesis = synthesize(sizing.design, folder, board, jobs=options.jobs, whole=whole)
        activity = None if options.frames is None else record_activity(folder, options.frames, on_step)
        reason, made = missing_tools(board), None
        if reason is None:
            made = make_bitstream(
                board,
                folder,
                out_of_context=options.out_of_context,
                activity=activity,
                jobs=options.jobs,
                on_step=on_step,
            )
            reason = "out of context, without a shell" if options.out_of_context else None
        on_step("report")
        report = make_report(
            sizing.design,
            board,
            measured=measured,
            synthesis=synthesis,
            checked_frames=CHECKED_FRAMES,
            estimates=_estimates(hardware, fit, board, sizing.design),
            high_water=sizing.high_water,
            folding=fit.described,
            pixels=fit.pixels,
            tools={"finn-plus": _finn(), "bitswath": __version__},
            bitstream=BITSTREAM if made and not reason else None,
            bitstream_reason=reason,
            routed=made.routed if made else None,
        )
        return report, publish(bundle, board, folder, report, made.folder if made else None, activity)


def _sized(bundle: Bundle, board: Board, clock_hz: float, fit: Fit, home: Path, on_step: Step) -> Path:
    """The folder of the compiled design with its queues."""
    compiled, sized = home / "compiled", home / "sized"
    with _made(compiled) as folder:
        if folder:
            compile_design(
                bundle,
                board,
                clock_hz,
                fit.foldings,
                folder,
                pixels=fit.pixels,
                on_step=lambda name: on_step(f"FINN: {name}"),
            )
    with _made(sized) as folder:
        if folder:
            _copy_design(compiled, folder)
            draw = partial(_usual_frames, bundle) if bundle.codec.compressed else None
            sizing = size_queues(
                read_design(folder), folder, draw=draw, on_step=lambda name: on_step(f"queues: {name}")
            )
            write_atomic(folder / SIZING, json.dumps(_plain(sizing), indent=1).encode())
    return sized


def _shared(sized: Path, instances: int, home: Path) -> Path:
    """The folder of so many instances of a design with its queues."""
    if instances == 1:
        return sized
    shared = home / f"instances-{instances}"
    with _made(shared) as folder:
        if folder:
            _copy_design(sized, folder)
            save_design(read_design(folder).model_copy(update={"instances": instances}), folder)
            shutil.copyfile(sized / SIZING, folder / SIZING)
    return shared


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


def publish(
    bundle: Bundle, board: Board, build: Path, report: Report, bitstream: Path | None, activity: Path | None = None
) -> Path:
    """Put a build folder with its report into the bundle, whole or not at all; the folder there. `bitstream`: what the
    vendor's tools left, `activity`: of simulated frames."""
    target = bundle.path / HARDWARE / board.name
    with _taking_the_place_of(target) as scratch:
        _copy_design(build, scratch)
        if bitstream is not None:
            shutil.copytree(bitstream, scratch / BITSTREAM)
        if activity is not None:
            shutil.copyfile(activity, scratch / ACTIVITY)
        (scratch / REPORT).write_text(report.model_dump_json(indent=1) + "\n")
        (scratch / REPORT_PAGE).write_text(report_page(report))
    shutil.rmtree(_failed(target), ignore_errors=True)
    return target


def _keep_failed(bundle: Bundle, board: Board, build: Path, frames: NDArray[np.uint8]) -> Path:
    """Put a build whose results are wrong for `frames` into the bundle, where only its own name finds it."""
    target = _failed(bundle.path / HARDWARE / board.name)
    with _taking_the_place_of(target) as scratch:
        _copy_design(build, scratch)
        np.save(scratch / CHECKED, frames)
    return target


def _failed(target: Path) -> Path:
    return target.with_name(f"{target.name}{FAILED}")


def _copy_design(build: Path, folder: Path) -> None:
    shutil.copytree(build / RTL, folder / RTL)
    shutil.copyfile(build / DESIGN, folder / DESIGN)


@contextlib.contextmanager
def _taking_the_place_of(target: Path) -> Iterator[Path]:
    """A scratch folder that becomes `target` if all goes well; else what was there stays."""
    scratch = scratch_path(target)
    try:
        scratch.mkdir(parents=True)
        yield scratch
        swap_folders(scratch, target)
    except OSError as error:
        raise BuildError(f"{error.filename or target}: cannot be written ({error.strerror})") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _folded(bundle: Bundle, board: Board, clock_hz: float, options: Options) -> tuple[Plan, Fit]:
    """The plan and its folding. Where nobody says how many pixels are to come abreast, no more than it takes, or as
    many as the units of a folding by hand are for."""
    cycles = None if options.target_fps is None else int(clock_hz * options.instances / options.target_fps)

    def hardware(pixels: int) -> Plan:
        return plan(bundle.network, bundle.codec.bits, board.link_width, decoding_of(bundle), pixels=pixels)

    share, choices = board.shared(options.instances), PIXELS if options.pixels is None else (options.pixels,)
    if options.folding is None:
        return find_plan(hardware, choices, share, margin=options.margin, cycles=cycles)
    return match_plan(hardware, choices, share, options.folding)


def _digest(bundle: Bundle, board: Board, clock_hz: float, fit: Fit) -> str:
    decides = {
        "network": bundle.manifest.files[NETWORK].sha256,
        "bits": bundle.codec.bits,
        "codec": bundle.codec.to_dict() if bundle.codec.compressed else None,
        "board": repr(board),
        "clock_hz": clock_hz,
        "foldings": fit.foldings,
        "pixels": fit.pixels,
        "finn": _finn(),
        "sources": _sources(),
    }
    text = json.dumps(decides, sort_keys=True, default=dict)
    return f"{bundle.name}-{board.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _finn() -> str:
    try:
        return version("finn-plus")
    except PackageNotFoundError:
        raise DependencyError("building needs FINN; install it with: pip install 'bitswath[hw]'") from None


@cache
def _sources() -> str:
    """Digest of all of the package that decides what is generated or how it is sized."""
    digests = [(str(path.relative_to(root)), sha256_of(path)) for root, paths in _deciding().items() for path in paths]
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def _deciding() -> dict[Path, list[Path]]:
    """By folder: this room's sources, and of the host's the network, the design and what simulates it."""
    room, host = Path(hw.__file__).parent, Path(bitswath.__file__).parent
    return {
        room: _code(room),
        host: sorted([*(host / name for name in _HOST_SOURCES), *_code(host / _SIMULATION)]),
    }


def _code(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in _CODE)


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[Path | None]:
    """A scratch folder that becomes `folder` if all goes well; None if `folder` is there already."""
    if folder.exists():
        yield None
        return
    scratch = folder.with_name(f"{folder.name}.partial")
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        yield scratch
        scratch.rename(folder)
    except OSError as error:
        raise BuildError(f"{error.filename or folder}: cannot be written ({error.strerror})") from error


def _plain(sizing: QueueSizing) -> dict[str, object]:
    return {name: value for name, value in vars(sizing).items() if name != "design"}


def _sizing(folder: Path) -> QueueSizing:
    values = json.loads((folder / SIZING).read_text())
    return QueueSizing(design=read_design(folder), **{**values, "queue_bits": tuple(values["queue_bits"])})


def _check(bundle: Bundle, board: Board, folder: Path) -> Statistics:
    """Random frames through the RTL and the emulator, which must agree; what the RTL measured.

    A build that fails is kept in the bundle for `bitswath verify`, which finds the first stage that differs.
    """
    frames = _random_frames(bundle, read_design(folder).input.frame_bytes)
    network = bundle.manifest.files[NETWORK].sha256
    with EmulatorBackend(bundle.network, bundle.codec.bits, unpack=bundle.unpacking) as emulator:
        expected = emulator.collect(emulator.submit(frames))
    with RtlBackend(folder, output_shape=bundle.network.output.shape, network=network) as rtl:
        actual = rtl.collect(rtl.submit(frames))
        measured = rtl.statistics()
    wrong = np.argwhere(expected != actual)
    if len(wrong):
        first = tuple(map(int, wrong[0]))
        kept = _keep_failed(bundle, board, folder, frames)
        command = shlex.join(["bitswath", "verify", str(bundle.path), "--to", "rtl", "--fast", "--board", kept.name])
        raise VerificationError(
            f"RTL and emulator differ in {len(wrong)} of {expected.size} integers, first at {list(first)}:"
            f" {expected[first]} against {actual[first]}; to find the stage run: {command}"
        )
    return measured


def _random_frames(bundle: Bundle, most: int) -> NDArray[np.uint8]:
    """Of any codes, or compressed ones of what its codec is tried on, up to `most` bytes."""
    rng, entry, codec = np.random.default_rng(0), bundle.manifest.input, bundle.codec
    if codec.compressed:
        frames = codec.encode_packed(codec.samples(rng, 4 * CHECKED_FRAMES, entry.patch_shape))
        fitting = np.flatnonzero(codec.frame_lengths(frames) <= most)
        chosen: NDArray[np.uint8] = frames[fitting[np.linspace(0, len(fitting) - 1, CHECKED_FRAMES).astype(int)]]
        return chosen
    return pack(rng.integers(0, 2**entry.bits, (CHECKED_FRAMES, *entry.code_shape), np.uint8), entry.bits)


def _usual_frames(bundle: Bundle, count: int) -> NDArray[np.uint8]:
    """Compressed frames of smooth patches, with which nothing waits for the decoder."""
    patches = bundle.codec.samples(np.random.default_rng(0), 2 * count, bundle.manifest.input.patch_shape)
    return bundle.codec.encode_packed(patches[:count])
