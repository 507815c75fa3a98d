"""From a bundle to a design that was simulated: folded, compiled, its queues sized, its results those of the emulator.

Each step's result is kept in the cache under a digest of all that decides it, so that a build that was stopped, or that
differs only in later steps, goes on where it can.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import bitswath
from bitswath import hw
from bitswath.backends.emulator import EmulatorBackend
from bitswath.backends.rtl.backend import RtlBackend, Statistics
from bitswath.basics.cache import cache_folder, locked
from bitswath.basics.files import sha256_of, write_atomic
from bitswath.builds.design import Design
from bitswath.builds.folder import read_design
from bitswath.bundle.bundle import NETWORK, Bundle
from bitswath.codecs.packing import pack
from bitswath.errors import BuildError, DependencyError, VerificationError
from bitswath.hw.building.folder import copy_design, keep_failed
from bitswath.hw.building.options import Options
from bitswath.hw.counting.queues import QueueSizing, size_queues
from bitswath.hw.generating.compile import compile_design, save_design
from bitswath.hw.planning.boards import Board
from bitswath.hw.planning.folding import PIXELS, Fit, find_plan, match_plan
from bitswath.hw.planning.plan import Plan, plan
from bitswath.hw.units import decoding_of

__all__ = ["CHECKED_FRAMES", "Simulated", "Step", "finn_version", "locked_home", "simulate"]

CHECKED_FRAMES = 20
"""So many that the rate is no longer the one with which queues fill up."""

SIZING = "sizing.json"

_TRIES = 3
"""Foldings, at most, for a rate that was asked for."""

_CODE = {".py", ".sv", ".json", ".cpp", ".hpp"}
_HOST_SOURCES = ("builds/design.py", "builds/words.py", "network/network.py", "network/file.py")
_SIMULATION = "backends/rtl"

Step = Callable[[str], None]


@dataclass(frozen=True)
class Simulated:
    """A design in `folder`, below its `home` in the cache, as `plan` and `fit` decide it. `measured`: of
    `CHECKED_FRAMES`, whose integers were the emulator's."""

    plan: Plan
    fit: Fit
    home: Path
    folder: Path
    measured: Statistics
    high_water: dict[str, int]

    @property
    def design(self) -> Design:
        return read_design(self.folder)

    @property
    def interval(self) -> float:
        """Cycles a frame of one instance, infinite if too few were seen."""
        return self.measured.interval or float("inf")


def simulate(bundle: Bundle, board: Board, clock_hz: float, options: Options, on_step: Step) -> Simulated:
    """A design of `options.target_fps` or more by simulation, where a folding of it fits, else the nearest.

    Between frames units wait for each other, which the folding's cycles do not count: a design that is slower than was
    asked for is folded again for as much more. Raises `BuildError`, `BackendError`, `VerificationError`.
    """
    asked = None if options.target_fps is None else int(clock_hz * options.instances / options.target_fps)
    found: list[Simulated] = []
    cycles = asked
    while not found or (len(found) < _TRIES and asked is not None and found[-1].interval > asked):
        on_step("folding")
        try:
            hardware, fit = _folded(bundle, board, options, cycles)
        except BuildError:
            if not found:
                raise
            break
        found.append(_simulated(bundle, board, clock_hz, options, hardware, fit, on_step))
        if options.folding is not None or asked is None:
            break
        cycles = int(asked * fit.cycles / found[-1].interval)
    return min(found, key=lambda each: each.interval)


@contextlib.contextmanager
def locked_home(home: Path) -> Iterator[None]:
    """No other build works on this design meanwhile."""
    with locked(home / "lock", timeout_s=3600.0):
        yield


def _simulated(
    bundle: Bundle, board: Board, clock_hz: float, options: Options, hardware: Plan, fit: Fit, on_step: Step
) -> Simulated:
    home = cache_folder("build") / _digest(bundle, board, clock_hz, fit)
    home.mkdir(exist_ok=True)
    with locked_home(home):
        folder = _shared(_sized(bundle, board, clock_hz, fit, home, on_step), options.instances, home)
        on_step("simulation")
        return Simulated(hardware, fit, home, folder, _check(bundle, board, folder), _high_water(folder))


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
            copy_design(compiled, folder)
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
            copy_design(sized, folder)
            save_design(read_design(folder).model_copy(update={"instances": instances}), folder)
            shutil.copyfile(sized / SIZING, folder / SIZING)
    return shared


def _folded(bundle: Bundle, board: Board, options: Options, cycles: int | None) -> tuple[Plan, Fit]:
    """The plan and its folding. Where nobody says how many pixels are to come abreast, no more than it takes, or as
    many as the units of a folding by hand are for."""

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
        "finn": finn_version(),
        "sources": _sources(),
    }
    text = json.dumps(decides, sort_keys=True, default=dict)
    return f"{bundle.name}-{board.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def finn_version() -> str:
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


def _high_water(folder: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads((folder / SIZING).read_text())["high_water"]
    return found


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
        kept = keep_failed(bundle, board, folder, frames)
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
