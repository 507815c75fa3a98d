"""From a bundle to a proved build of it for a board: compiled, queues sized, simulated, counted, reported.

Each step's result is kept in the cache under a digest of all that decides it, so a build that was stopped, or that
differs only in later steps, goes on where it can. The bundle changes only at the end, in one step.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from bitswath.backends.emulator import EmulatorBackend
from bitswath.backends.rtl import RtlBackend, Statistics
from bitswath.bundle import HARDWARE, Bundle
from bitswath.cache import cache_folder, locked
from bitswath.design import Design
from bitswath.errors import BuildError, DependencyError, VerificationError
from bitswath.files import scratch_path, sha256_of, write_atomic
from bitswath.hw.boards import Board
from bitswath.hw.compile import compile_design, load_design
from bitswath.hw.fifos import QueueSizing, size_queues
from bitswath.hw.folding import Fit, evaluate, find_folding
from bitswath.hw.plan import plan
from bitswath.hw.synthesis import Synthesis, synthesize
from bitswath.hw.units import Folding
from bitswath.packing import pack

__all__ = ["Built", "Options", "build"]

MARGIN = 0.1
"""Share of each of a board's resources that is left over."""

CHECKED_FRAMES = 4

Step = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """`target_fps`: frames a second at the clock, or None for as many as fit. `folding`: by hand, by unit.

    `clock_hz`: None for the board's own. `margin`: share of each resource to leave. `whole`: synthesize the design
    in one piece, too. `jobs`: programs that run at a time.
    """

    target_fps: float | None = None
    folding: Mapping[str, Folding] | None = None
    clock_hz: float | None = None
    margin: float = MARGIN
    whole: bool = True
    jobs: int = 2


@dataclass(frozen=True)
class Built:
    """What a build found out. `folder`: where it lies in the cache; `checked`: integers equal to the emulator's."""

    bundle: Bundle
    board: Board
    fit: Fit
    sizing: QueueSizing
    measured: Statistics
    checked: int
    synthesis: Synthesis
    folder: Path

    @property
    def design(self) -> Design:
        return self.sizing.design


def build(bundle: Bundle, board: Board, options: Options, on_step: Step = lambda name: None) -> Built:
    """Build `bundle` for `board` in the cache. Raises `BuildError`, `BackendError`, `VerificationError`."""
    clock_hz = options.clock_hz or board.clock_hz
    on_step("folding")
    fit = _fit(bundle, board, clock_hz, options)
    home = cache_folder("build") / _digest(bundle, board, clock_hz, fit)
    home.mkdir(exist_ok=True)
    with locked(home / "lock", timeout_s=3600.0):
        compiled = home / "compiled"
        with _made(compiled) as folder:
            if folder:
                compile_design(
                    bundle, board, clock_hz, fit.foldings, folder, on_step=lambda s: on_step(f"compile: {s}")
                )
        sized = home / "sized"
        with _made(sized) as folder:
            if folder:
                shutil.copytree(compiled / "rtl", folder / "rtl")
                shutil.copyfile(compiled / "design.json", folder / "design.json")
                sizing = size_queues(load_design(folder), folder, on_step=lambda s: on_step(f"queues: {s}"))
                write_atomic(folder / "sizing.json", json.dumps(_plain(sizing), indent=1).encode())
        sizing = _sizing(sized)
        on_step("simulation")
        measured, checked = _check(bundle, sized)
        on_step("synthesis")
        synthesis = synthesize(sizing.design, sized, board, jobs=options.jobs, whole=options.whole)
    return Built(bundle, board, fit, sizing, measured, checked, synthesis, sized)


def publish(built: Built, extra: Mapping[str, bytes]) -> Path:
    """Put a build with the files `extra` into its bundle, whole or not at all; returns the folder there."""
    target = built.bundle.path / HARDWARE / built.board.name
    try:
        target.parent.mkdir(exist_ok=True)
        scratch = scratch_path(target)
        try:
            shutil.copytree(built.folder / "rtl", scratch / "rtl")
            shutil.copyfile(built.folder / "design.json", scratch / "design.json")
            for name, content in extra.items():
                (scratch / name).write_bytes(content)
            _swap(scratch, target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise BuildError(f"{error.filename or target}: cannot be written ({error.strerror})") from error
    return target


def _swap(scratch: Path, target: Path) -> None:
    old = scratch_path(target)
    if target.exists():
        target.rename(old)
    try:
        scratch.rename(target)
    except BaseException:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _fit(bundle: Bundle, board: Board, clock_hz: float, options: Options) -> Fit:
    hardware = plan(bundle.network, bundle.codec.bits, board.link_width)
    if options.folding is not None:
        return evaluate(hardware, board, options.folding)
    cycles = None if options.target_fps is None else int(clock_hz / options.target_fps)
    return find_folding(hardware, board, margin=options.margin, cycles=cycles)


def _digest(bundle: Bundle, board: Board, clock_hz: float, fit: Fit) -> str:
    decides = {
        "network": bundle.manifest.files["network.safetensors"].sha256,
        "bits": bundle.codec.bits,
        "board": repr(board),
        "clock_hz": clock_hz,
        "foldings": fit.foldings,
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
    """Digest of everything in this room: it decides what is generated."""
    root = Path(__file__).parent
    files = sorted(path for path in root.rglob("*") if path.suffix in (".py", ".sv", ".json"))
    return hashlib.sha256("".join(sha256_of(path) for path in files).encode()).hexdigest()


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
    values = json.loads((folder / "sizing.json").read_text())
    return QueueSizing(design=load_design(folder), **{**values, "queue_bits": tuple(values["queue_bits"])})


def _check(bundle: Bundle, folder: Path) -> tuple[Statistics, int]:
    """Random frames through the RTL and the emulator; what the RTL measured, and how many integers agreed."""
    entry = bundle.manifest.input
    codes = np.random.default_rng(0).integers(0, 2**entry.bits, (CHECKED_FRAMES, *entry.code_shape), np.uint8)
    frames = pack(codes, entry.bits)
    network = bundle.manifest.files["network.safetensors"].sha256
    with EmulatorBackend(bundle.network, entry.bits) as emulator:
        expected = emulator.collect(emulator.submit(frames))
    with RtlBackend(folder, output_shape=bundle.network.output.shape, network=network) as rtl:
        actual = rtl.collect(rtl.submit(frames))
        measured = rtl.statistics()
    wrong = np.argwhere(expected != actual)
    if len(wrong):
        first = tuple(map(int, wrong[0]))
        raise VerificationError(
            f"RTL and emulator differ in {len(wrong)} of {expected.size} integers, first at {list(first)}:"
            f" {expected[first]} against {actual[first]}; 'bitswath verify --to rtl' finds the stage; see {folder}"
        )
    return measured, expected.size
