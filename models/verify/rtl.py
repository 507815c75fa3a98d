"""Proof that a bundle's built hardware computes the emulator's integers, in simulation."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.emulator import run
from bitswath.backends.rtl.backend import RtlBackend
from bitswath.basics.machine import cores
from bitswath.builds.folder import CHECKED, build_folder
from bitswath.bundle.bundle import NETWORK, Bundle
from bitswath.errors import BundleError, InputError, VerificationError
from bitswath.models.verify.compare import Comparison, Difference, compare
from bitswath.network.network import INPUT

__all__ = ["verify_rtl"]

_LEAST_FRAMES = 4
"""Of one simulation: fewer would mostly fill and drain the pipeline, with no frame close behind another."""


class _Ends(TypedDict):
    stall: float
    seed: int
    exact: bool


def verify_rtl(
    bundle: Bundle,
    frames: NDArray[np.uint8],
    *,
    board: str | None = None,
    stall: float = 0.0,
    seed: int = 0,
    exact: bool = True,
    simulations: int | None = None,
) -> tuple[Comparison, str]:
    """Every output integer of the build for `board` against the emulator's, and a line on how it was run.

    `frames`: of the codec, uint8 (N, W); a build that failed is run on those it failed for. They are shared out over
    `simulations` side by side, one for each core by default and for at least four frames, and in each all are in flight
    at once, one behind the other. `stall`: share of cycles in which both ends pause at random, from `seed`. `exact`:
    every module is the one synthesis takes, see `RtlBackend`. On a difference the comparison's `first` is of the first
    stream whose integers differ, in the first frame that does.
    Raises `BackendError`, `BackendTimeoutError`, `BundleError`, `CodecError`, `InputError`.
    """
    if len(frames) == 0:
        raise InputError("expected at least one frame to verify on, got none")
    folder = build_folder(bundle.path, board)
    if (failed := folder / CHECKED).exists():
        frames = _read_frames(failed, bundle)
    codes = _as_input(bundle, frames)
    digest = bundle.manifest.files[NETWORK].sha256
    shape = bundle.network.output.shape
    parts = np.array_split(frames, max(1, min(simulations or cores(), len(frames) // _LEAST_FRAMES)))
    ends: list[_Ends] = [{"stall": stall, "seed": seed + part, "exact": exact} for part in range(len(parts))]
    with ExitStack() as opened:
        backends = [
            opened.enter_context(
                RtlBackend(folder, output_shape=shape, network=digest, frames_in_flight=len(part), **how)
            )
            for part, how in zip(parts, ends)
        ]
        tickets = [backend.submit(part) for backend, part in zip(backends, parts)]
        answers = [backend.collect(ticket).astype(np.int64) for backend, ticket in zip(backends, tickets)]
        measured = [backend.statistics() for backend in backends]
    name = bundle.network.stages[-1].name
    expected = run(bundle.network, codes).astype(np.int64)
    found = compare("emulator", {name: expected}, "RTL", {name: np.concatenate(answers)}, 0)
    if found.first is not None:
        frame = found.first.index[0]
        starts = np.cumsum([0, *map(len, parts)])
        part = int(np.searchsorted(starts, frame, side="right")) - 1
        before = frames[starts[part] : frame + 1]
        first = _first_stream(bundle, folder, before, ends[part], frame) or found.first
        found = Comparison(found.left, found.right, found.tensors, found.values, found.differing, first)
    interval = f", one in {measured[0].interval:.0f} cycles" if measured[0].interval else ""
    apart = f" of {len(parts)} simulations" if len(parts) > 1 else ""
    models = "" if exact else ", with fast models of FINN's kernels"
    paused = f", both ends pausing {stall:.0%} of the cycles (seed {seed})" if stall else ""
    which = "frames of the build's check" if failed.exists() else "frames"
    cycles = sum(statistics.cycles for statistics in measured)
    board = backends[0].design.board
    ran = f"RTL for {board}: {len(frames)} {which} in {cycles} cycles{apart}{interval}{paused}{models}"
    return found, ran


def _first_stream(
    bundle: Bundle, folder: Path, frames: NDArray[np.uint8], ends: _Ends, frame: int
) -> Difference | None:
    """The first stream whose integers differ in the last of these frames, which is number `frame` of all, or None if
    only the output does."""
    from bitswath.backends.rtl.taps import last_frame_streams

    last = _as_input(bundle, frames[-1:])
    tensors = {INPUT: last, **run(bundle.network, last, taps=True)}
    for stream, actual in last_frame_streams(folder, frames, **ends):
        expected = tensors.get(stream.tensor or "")
        if expected is None or expected.size != (stream.beats or 0) * stream.elements:
            raise VerificationError(f"stream {stream.name}: does not fit tensor {stream.tensor!r} of the network")
        if (stream.bits, stream.signed, bundle.network.tensors[str(stream.tensor)].lo) == (1, False, -1):
            actual = 2 * actual - 1  # the bits 0 and 1 stand for -1 and +1
        flat = expected.reshape(-1).astype(np.int64)
        wrong = np.flatnonzero(flat[: len(actual)] != actual)
        if len(wrong):
            index = tuple(int(i) for i in np.unravel_index(wrong[0], expected.shape[1:]))
            return Difference(f"stream {stream.name}", (frame, *index), int(flat[wrong[0]]), int(actual[wrong[0]]))
    return None


def _as_input(bundle: Bundle, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Codes of frames, in the shape of the network's input, which may be flat."""
    codes = bundle.codec.unpack(frames, bundle.manifest.input.patch_shape)
    return codes.reshape(len(codes), *bundle.network.input.shape)


def _read_frames(path: Path, bundle: Bundle) -> NDArray[np.uint8]:
    """Frames uint8 (N, W) that a build left for which it failed."""
    try:
        frames: NDArray[np.uint8] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BundleError(f"{path}: cannot be read ({error}); build again") from None
    most = bundle.manifest.input.frame_bytes
    fits = frames.ndim == 2 and (bundle.codec.compressed or frames.shape[1] == most)
    if frames.dtype != np.uint8 or not fits or not len(frames):
        raise BundleError(f"{path}: expected uint8 frames (N, {most}), got {frames.dtype} {frames.shape}; build again")
    return frames
