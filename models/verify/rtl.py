"""Proof that a bundle's built hardware computes the emulator's integers, in simulation."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.emulator import run
from bitswath.backends.rtl.backend import RtlBackend
from bitswath.builds.folder import CHECKED, build_folder
from bitswath.bundle.bundle import NETWORK, Bundle
from bitswath.codecs.packing import pack
from bitswath.errors import BundleError, InputError, VerificationError
from bitswath.models.verify.compare import Comparison, Difference, compare
from bitswath.network.network import INPUT

__all__ = ["verify_rtl"]


class _Ends(TypedDict):
    stall: float
    seed: int
    exact: bool


def verify_rtl(
    bundle: Bundle,
    codes: NDArray[np.uint8],
    *,
    board: str | None = None,
    stall: float = 0.0,
    seed: int = 0,
    exact: bool = True,
) -> tuple[Comparison, str]:
    """Every output integer of the build for `board` against the emulator's, and a line on how it was run.

    `codes`: uint8 (N, H, W, C); all frames are in flight at once, one behind the other; a build that failed is run on
    the codes it failed for. `stall`: share of cycles
    in which both ends pause at random, from `seed`. `exact`: every module is the one synthesis takes, see
    `RtlBackend`. On a difference the comparison's `first` is of the first
    stream whose integers differ, in the first frame that does.
    Raises `BackendError`, `BackendTimeoutError`, `BundleError`, `InputError`.
    """
    if len(codes) == 0:
        raise InputError("expected at least one frame to verify on, got none")
    folder = build_folder(bundle.path, board)
    if (failed := folder / CHECKED).exists():
        codes = _read_codes(failed, codes.shape[1:])
    frames = pack(codes, bundle.codec.bits)
    digest = bundle.manifest.files[NETWORK].sha256
    shape = bundle.network.output.shape
    ends: _Ends = {"stall": stall, "seed": seed, "exact": exact}
    with RtlBackend(folder, output_shape=shape, network=digest, frames_in_flight=len(codes), **ends) as backend:
        actual = backend.collect(backend.submit(frames)).astype(np.int64)
        measured = backend.statistics()
    name = bundle.network.stages[-1].name
    expected = run(bundle.network, _as_input(bundle, codes)).astype(np.int64)
    found = compare("emulator", {name: expected}, "RTL", {name: actual}, 0)
    if found.first is not None:
        frame = found.first.index[0]
        first = _first_stream(bundle, folder, codes[: frame + 1], ends) or found.first
        found = Comparison(found.left, found.right, found.tensors, found.values, found.differing, first)
    interval = f", one in {measured.interval:.0f} cycles" if measured.interval else ""
    models = "" if exact else ", with fast models of FINN's kernels"
    paused = f", both ends pausing {stall:.0%} of the cycles (seed {seed})" if stall else ""
    which = "frames of the build's check" if failed.exists() else "frames"
    ran = f"RTL for {backend.design.board}: {len(codes)} {which} in {measured.cycles} cycles{interval}{paused}{models}"
    return found, ran


def _first_stream(bundle: Bundle, folder: Path, codes: NDArray[np.uint8], ends: _Ends) -> Difference | None:
    """The first stream whose integers differ in the last of these frames, or None if only the output does."""
    from bitswath.backends.rtl.taps import last_frame_streams

    frame = len(codes) - 1
    last = _as_input(bundle, codes[-1:])
    tensors = {INPUT: last, **run(bundle.network, last, taps=True)}
    for stream, actual in last_frame_streams(folder, pack(codes, bundle.codec.bits), **ends):
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


def _as_input(bundle: Bundle, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Codes (N, H, W, C) in the shape of the network's input, which may be flat."""
    return codes.reshape(len(codes), *bundle.network.input.shape)


def _read_codes(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Codes uint8 (N, *shape) that a build left for which it failed."""
    try:
        codes: NDArray[np.uint8] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BundleError(f"{path}: cannot be read ({error}); build again") from None
    if codes.dtype != np.uint8 or codes.shape[1:] != shape or not len(codes):
        raise BundleError(f"{path}: expected uint8 codes {('N', *shape)}, got {codes.dtype} {codes.shape}; build again")
    return codes
