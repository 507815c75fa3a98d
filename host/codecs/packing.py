"""Codes to bytes on the link and back.

Dense packing: a frame's codes lie back to back in C order as a little-endian bit stream (code i
fills bits ``i * bits`` to ``(i + 1) * bits - 1``, bit j of the stream is bit ``j % 8`` of byte
``j // 8``); each frame starts on a byte and its last byte is filled up with zeros.

Folded packing: the layout of FINN's bitstreams. The innermost axis is cut into groups of PE or
SIMD elements; each group is such a bit stream of its own, element 0 in the low bits, and starts
on a byte.

Compressed frames differ in length and begin with it, uint16, little-endian. They travel as rows of one
width, each filled up with zeros (`filled_rows`), and lie in files back to back (`without_fill`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bitswath._native as _native
from bitswath.errors import PackingError

__all__ = [
    "ROW_UNIT",
    "filled_rows",
    "folded_frame_bytes",
    "frame_bytes",
    "pack",
    "pack_folded",
    "stated_lengths",
    "unpack",
    "unpack_folded",
    "without_fill",
]

Codes = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int8] | NDArray[np.float32]

_CODE_TYPES = tuple(np.dtype(code_type) for code_type in (np.uint8, np.uint16, np.int8, np.float32))
_CODE_NAMES = "uint8, uint16, int8 or float32"

MAX_THREADS = 1024

MAX_FOLDED_BITS = 32
"""FINN's accumulators on the output side are wider than codes."""

ROW_UNIT = 8
"""Rows of compressed frames are a multiple of so many bytes wide."""


def frame_bytes(shape: Sequence[int], bits: int) -> int:
    """Bytes of one densely packed frame of `shape` (without the batch axis)."""
    _check_bits(bits, 8)
    return (_elements(shape) * bits + 7) // 8


def pack(
    codes: Codes, bits: int, *, out: NDArray[np.uint8] | None = None, threads: int | None = None
) -> NDArray[np.uint8]:
    """Codes (N, ...) within 0..2^bits - 1 to frames uint8 (N, frame_bytes), 1 <= bits <= 8.

    `codes`: uint8, uint16, int8 or float32; codes have no sign, so a negative value is out of range as
    a too large one is, and so is a float that is no integer. `out`: contiguous frames to fill instead
    of new ones, which spares their page faults; not to overlap `codes`, undefined after an error.
    `threads`: by default as many as pay; the frames do not depend on it.

    Raises `PackingError` for another dtype or `out` and names the first value out of range.
    """
    values: NDArray[Any] = np.asarray(codes)
    if values.dtype.newbyteorder("=") not in _CODE_TYPES or values.ndim < 1:
        raise PackingError(f"expected codes of {_CODE_NAMES} (N, ...), got {values.dtype} {values.shape}")
    size = frame_bytes(values.shape[1:], bits)
    frames = output_array(out, (len(values), size), values)
    rows = _native_order(values).reshape(len(values), _elements(values.shape[1:]))
    bad = _native.pack(rows, bits, False, frames, native_threads(threads))
    if bad >= 0:
        raise PackingError(_out_of_range(values, bad, f"codes 0..{(1 << bits) - 1} for {bits} bit"))
    return frames


def unpack(
    frames: NDArray[np.uint8],
    shape: Sequence[int],
    bits: int,
    *,
    out: NDArray[np.uint8] | None = None,
    threads: int | None = None,
) -> NDArray[np.uint8]:
    """Frames uint8 (N, frame_bytes) to codes uint8 (N, \\*shape); the fill bits are not looked at.

    `out` and `threads` as for `pack`. Raises `PackingError` if the frames are not uint8 or not as long
    as `shape` and `bits` say.
    """
    frames = _checked_frames(frames, frame_bytes(shape, bits), f"shape {tuple(shape)} at {bits} bit")
    codes = output_array(out, (len(frames), *shape), frames)
    rows = codes.reshape(len(frames), _elements(shape))
    _native.unpack(frames, bits, False, rows, native_threads(threads))
    return codes


def folded_frame_bytes(shape: Sequence[int], bits: int, group: int) -> int:
    """Bytes of one frame of `shape` in FINN's layout with `group` (PE or SIMD) elements a word."""
    _check_bits(bits, MAX_FOLDED_BITS)
    if not isinstance(group, int) or group < 1 or (shape[-1] if shape else 1) % group:
        raise PackingError(f"expected a group size that divides the innermost axis of {tuple(shape)}, got {group!r}")
    return _elements(shape) // group * ((group * bits + 7) // 8)


def pack_folded(
    values: NDArray[np.integer],
    bits: int,
    signed: bool,
    group: int,
    *,
    out: NDArray[np.uint8] | None = None,
    threads: int | None = None,
) -> NDArray[np.uint8]:
    """Integers (N, ...) to frames uint8 (N, folded_frame_bytes) in FINN's layout, 1 <= bits <= 32.

    `signed` values are two's complement; at one bit they are FINN's BIPOLAR, -1 or +1. `group`
    divides the innermost axis; `out` and `threads` as for `pack`. Raises `PackingError` and names the
    first value out of range.
    """
    values = np.asarray(values)
    if values.dtype.kind not in "iu" or values.dtype == np.uint64 or values.ndim < 1:
        raise PackingError(f"expected integers (N, ...) of at most int64, got {values.dtype} {values.shape}")
    size = folded_frame_bytes(values.shape[1:], bits, group)
    frames = output_array(out, (len(values), size), values)
    groups = frames.reshape(-1, (group * bits + 7) // 8)
    bad = _native.pack(_native_order(values).reshape(-1, group), bits, signed, groups, native_threads(threads))
    if bad >= 0:
        raise PackingError(_out_of_range(values, bad, f"{_folded_type(bits, signed)} values"))
    return frames


def unpack_folded(
    frames: NDArray[np.uint8],
    shape: Sequence[int],
    bits: int,
    signed: bool,
    group: int,
    *,
    threads: int | None = None,
) -> NDArray[np.int32] | NDArray[np.int64]:
    """Frames uint8 (N, folded_frame_bytes) to int32 (N, \\*shape); int64 for unsigned 32-bit values.

    Raises `PackingError` if the frames are not uint8 or not as long as the other arguments say.
    """
    size = folded_frame_bytes(shape, bits, group)
    frames = _checked_frames(frames, size, f"shape {tuple(shape)} at {bits} bit in groups of {group}")
    wide = bits == MAX_FOLDED_BITS and not signed
    groups = frames.reshape(-1, (group * bits + 7) // 8)
    values = np.empty((len(groups), group), np.int64 if wide else np.int32)
    _native.unpack(groups, bits, signed, values, native_threads(threads))
    return values.reshape(len(frames), *shape)


def stated_lengths(rows: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Bytes (N,) that compressed frames (N, W) say they have; raises `PackingError` for rows without room for it."""
    rows = np.asarray(rows)
    if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] < 2:
        raise PackingError(f"expected uint8 frames (N, 2 or more bytes), got {rows.dtype} {rows.shape}")
    return rows[:, 0].astype(np.int64) | rows[:, 1].astype(np.int64) << 8


def filled_rows(data: NDArray[np.uint8], lengths: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Frames of these lengths (N,), back to back, as rows uint8 (N, W), filled up with zeros."""
    width = -(-int(lengths.max(initial=1)) // ROW_UNIT) * ROW_UNIT
    rows = np.zeros((len(lengths), width), np.uint8)
    rows[np.arange(width) < lengths[:, None]] = data
    return rows


def without_fill(rows: NDArray[np.uint8], lengths: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The first `lengths` (N,) bytes of each of the rows (N, W), back to back; raises `PackingError` if there are
    fewer, or others than zeros behind them."""
    inside = np.arange(rows.shape[1]) < lengths[:, None]
    bad = (lengths > rows.shape[1]) | (rows * ~inside).any(axis=1)
    if bad.any():
        where = int(bad.argmax())
        raise PackingError(f"frame {where}: says it has {lengths[where]} bytes, its row of {rows.shape[1]} has others")
    return rows[inside]


def _check_bits(bits: int, most: int) -> None:
    if not isinstance(bits, int) or not 1 <= bits <= most:
        raise PackingError(f"expected a width of 1..{most} bit, got {bits!r}")


def native_threads(threads: int | None) -> int:
    """As the native core counts them: 0 for as many as pay."""
    if threads is None:
        return 0
    if not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        raise PackingError(f"expected 1..{MAX_THREADS} threads or None, got {threads!r}")
    return threads


def output_array(out: NDArray[np.uint8] | None, shape: tuple[int, ...], source: NDArray[Any]) -> NDArray[np.uint8]:
    """Bytes to fill: a new array, or `out` if it is what is needed and lies apart from `source`."""
    if out is None:
        return np.empty(shape, np.uint8)
    usable = isinstance(out, np.ndarray) and out.flags.c_contiguous and out.flags.writeable
    if not usable or out.dtype != np.uint8 or out.shape != shape:
        what = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise PackingError(f"expected out as a contiguous, writeable uint8 array {shape}, got {what}")
    if np.may_share_memory(out, source):
        raise PackingError("expected out apart from what it is made of, got overlapping memory")
    return out


def _native_order(values: NDArray[Any]) -> NDArray[Any]:
    """Contiguous and in the machine's byte order."""
    return values.astype(values.dtype.newbyteorder("="), order="C", copy=False)


def _elements(shape: Sequence[int]) -> int:
    if min(shape, default=0) < 0:
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


def _out_of_range(values: NDArray[Any], flat: int, expected: str) -> str:
    index = tuple(int(i) for i in np.unravel_index(flat, values.shape))
    return f"expected {expected}, got {values[index]} at index {index}"
