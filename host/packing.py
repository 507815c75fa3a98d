"""Codes to bytes on the link and back.

Dense packing: a frame's codes lie back to back in C order as a little-endian bit stream (code i
fills bits ``i * bits`` to ``(i + 1) * bits - 1``, bit j of the stream is bit ``j % 8`` of byte
``j // 8``); each frame starts on a byte and its last byte is filled up with zeros.

Folded packing: the layout of FINN's bitstreams. The innermost axis is cut into groups of PE or
SIMD elements; each group is such a bit stream of its own, element 0 in the low bits, and starts
on a byte.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

import bitswath._native as _native
from bitswath.errors import PackingError

__all__ = ["folded_frame_bytes", "frame_bytes", "pack", "pack_folded", "unpack", "unpack_folded"]

MAX_FOLDED_BITS = 32
"""FINN's accumulators on the output side are wider than codes."""


def frame_bytes(shape: Sequence[int], bits: int) -> int:
    """Bytes of one densely packed frame of `shape` (without the batch axis)."""
    _check_bits(bits, 8)
    return (_elements(shape) * bits + 7) // 8


def pack(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Codes uint8 (N, ...) below ``2**bits`` to frames uint8 (N, frame_bytes), 1 <= bits <= 8.

    Raises `PackingError` for another dtype and names the first code that is too large.
    """
    codes = np.asarray(codes)
    if codes.dtype != np.uint8 or codes.ndim < 1:
        raise PackingError(f"expected uint8 codes (N, ...), got {codes.dtype} {codes.shape}")
    rows = np.ascontiguousarray(codes).reshape(len(codes), _elements(codes.shape[1:]))
    frames = np.empty((len(codes), frame_bytes(codes.shape[1:], bits)), np.uint8)
    bad = _native.pack_dense(rows, bits, frames)
    if bad >= 0:
        raise PackingError(_out_of_range(codes, bad, f"codes below {1 << bits} for {bits} bit"))
    return frames


def unpack(frames: NDArray[np.uint8], shape: Sequence[int], bits: int) -> NDArray[np.uint8]:
    """Frames uint8 (N, frame_bytes) to codes uint8 (N, \\*shape); the fill bits are not looked at.

    Raises `PackingError` if the frames are not uint8 or not as long as `shape` and `bits` say.
    """
    frames = _checked_frames(frames, frame_bytes(shape, bits), f"shape {tuple(shape)} at {bits} bit")
    codes = np.empty((len(frames), _elements(shape)), np.uint8)
    _native.unpack_dense(frames, bits, codes)
    return codes.reshape(len(frames), *shape)


def folded_frame_bytes(shape: Sequence[int], bits: int, group: int) -> int:
    """Bytes of one frame of `shape` in FINN's layout with `group` (PE or SIMD) elements a word."""
    _check_bits(bits, MAX_FOLDED_BITS)
    if not isinstance(group, int) or group < 1 or (shape[-1] if shape else 1) % group:
        raise PackingError(f"expected a group size that divides the innermost axis of {tuple(shape)}, got {group!r}")
    return _elements(shape) // group * ((group * bits + 7) // 8)


def pack_folded(values: NDArray[np.integer], bits: int, signed: bool, group: int) -> NDArray[np.uint8]:
    """Integers (N, ...) to frames uint8 (N, folded_frame_bytes) in FINN's layout, 1 <= bits <= 32.

    `signed` values are two's complement; at one bit they are FINN's BIPOLAR, -1 or +1. `group`
    divides the innermost axis. Raises `PackingError` and names the first value out of range.
    """
    values = np.asarray(values)
    if values.dtype.kind not in "iu" or values.dtype == np.uint64 or values.ndim < 1:
        raise PackingError(f"expected integers (N, ...) of at most int64, got {values.dtype} {values.shape}")
    size = folded_frame_bytes(values.shape[1:], bits, group)
    native = values.astype(values.dtype.newbyteorder("="), order="C", copy=False)
    groups = np.empty((values.size // group, (group * bits + 7) // 8), np.uint8)
    bad = _native.pack_folded(native.reshape(-1, group), bits, signed, groups)
    if bad >= 0:
        raise PackingError(_out_of_range(values, bad, f"{_folded_type(bits, signed)} values"))
    return groups.reshape(len(values), size)


def unpack_folded(
    frames: NDArray[np.uint8], shape: Sequence[int], bits: int, signed: bool, group: int
) -> NDArray[np.int32] | NDArray[np.int64]:
    """Frames uint8 (N, folded_frame_bytes) to int32 (N, \\*shape); int64 for unsigned 32-bit values.

    Raises `PackingError` if the frames are not uint8 or not as long as the other arguments say.
    """
    size = folded_frame_bytes(shape, bits, group)
    frames = _checked_frames(frames, size, f"shape {tuple(shape)} at {bits} bit in groups of {group}")
    wide = bits == MAX_FOLDED_BITS and not signed
    groups = frames.reshape(-1, (group * bits + 7) // 8)
    values = np.empty((len(groups), group), np.int64 if wide else np.int32)
    _native.unpack_folded(groups, bits, signed, values)
    return values.reshape(len(frames), *shape)


def _check_bits(bits: int, most: int) -> None:
    if not isinstance(bits, int) or not 1 <= bits <= most:
        raise PackingError(f"expected a width of 1..{most} bit, got {bits!r}")


def _elements(shape: Sequence[int]) -> int:
    if any(extent < 0 for extent in shape):
        raise PackingError(f"expected a shape without negative extents, got {tuple(shape)}")
    return math.prod(shape)


def _checked_frames(frames: NDArray[np.uint8], size: int, what: str) -> NDArray[np.uint8]:
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 2 or frames.shape[1] != size:
        raise PackingError(f"expected uint8 frames (N, {size}) for {what}, got {frames.dtype} {frames.shape}")
    return np.ascontiguousarray(frames)


def _folded_type(bits: int, signed: bool) -> str:
    if signed and bits == 1:
        return "BIPOLAR (-1 or +1)"
    return f"{'INT' if signed else 'UINT'}{bits}"


def _out_of_range(values: NDArray[np.integer], flat: int, expected: str) -> str:
    index = tuple(int(i) for i in np.unravel_index(flat, values.shape))
    return f"expected {expected}, got {values[index]} at index {index}"
