"""Compressed frames read as docs/transform.md says, in plain Python: what the native decoder is compared with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bitswath.codecs.transform.codec import TransformCodec
from bitswath.errors import VerificationError

__all__ = ["decoded"]

Integers = NDArray[np.int64]

SIDE = 16
HEADER_BYTES = 5
MANTISSAS = (256, 279, 304, 332, 362, 395, 431, 470)
ZONES = (1, 3, 6, 15, 36, 90)
EVEN_ROWS = {2: (89, 75, 50, 18), 4: (83, 36), 8: (64,)}
ODD_ROW = (90, 87, 80, 70, 57, 43, 25, 9)


def decoded(codec: TransformCodec, frames: NDArray[np.uint8], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Codes (N, H, W, C) of frames (N, W) of patches of `shape`.

    Raises `VerificationError` for a frame that the format does not allow.
    """
    return np.stack([_patch(codec, bytes(frame), shape) for frame in frames])


def _patch(codec: TransformCodec, row: bytes, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    length, step = int.from_bytes(row[:2], "little"), row[2] & 63
    if not HEADER_BYTES <= length <= len(row) or row[2] >> 6 != 1 or any(row[length:]):
        raise VerificationError(
            f"a frame of {length} bytes in a row of {len(row)}: its header is not as the format says"
        )
    if _check(row[:3] + row[HEADER_BYTES:length], codec.seed) != int.from_bytes(row[3:5], "little"):
        raise VerificationError("a frame's check is not as the format says")
    height, width, bands = shape
    down, across = -(-height // SIDE), -(-width // SIDE)
    levels = _levels(codec, row[HEADER_BYTES:length], down, across)
    headroom = 0 if bands <= 15 else 1 if bands <= 63 else 2
    components = _inverse(_magnitudes(codec, levels, step, headroom), headroom)
    mixed = np.tensordot(components, np.array(codec.matrix), (2, 0))
    pixels: NDArray[np.uint8] = np.clip(128 + ((mixed + 2048) >> 12), 0, 255).astype(np.uint8)
    return pixels.transpose(0, 2, 1, 3, 4).reshape(down * SIDE, across * SIDE, bands)[:height, :width]


def _check(data: bytes, seed: int) -> int:
    """CRC-16 of polynomial 0x1021."""
    value = seed
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ (0x1021 if value & 0x8000 else 0)) & 0xFFFF
    return value


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._left = iter("".join(f"{byte:08b}" for byte in data))

    def take(self, count: int) -> int:
        try:
            return int("0" + "".join(next(self._left) for _ in range(count)), 2)
        except RuntimeError as error:  # a generator's StopIteration
            raise VerificationError("a frame's bits end too early") from error

    def symbol(self, codes: dict[str, int]) -> int:
        prefix = ""
        while prefix not in codes:
            prefix += str(self.take(1))
        return codes[prefix]

    def level(self, size: int) -> int:
        sign = -1 if self.take(1) else 1
        return sign * (1 << (size - 1) | self.take(size - 1))

    @property
    def rest(self) -> str:
        return "".join(self._left)


def _codes(counts: tuple[int, ...], symbols: tuple[int, ...]) -> dict[str, int]:
    """Symbols by their canonical codes."""
    found: dict[str, int] = {}
    code, left = 0, iter(symbols)
    for length, count in enumerate(counts, 1):
        for _ in range(count):
            found[f"{code:0{length}b}"] = next(left)
            code += 1
        code <<= 1
    return found


def _scan() -> Iterator[tuple[int, int]]:
    places = ((u, v) for u in range(SIDE) for v in range(SIDE))
    return iter(sorted(places, key=lambda p: (sum(p), p[sum(p) % 2 == 0])))


def _levels(codec: TransformCodec, payload: bytes, down: int, across: int) -> Integers:
    """(down, across, C, 16, 16), rows are vertical frequencies."""
    bits = _Bits(payload)
    dc = [_codes(*table) for table in zip(codec.dc_counts, codec.dc_symbols)]
    ac = [_codes(*table) for table in zip(codec.ac_counts, codec.ac_symbols)]
    scan = list(_scan())
    levels = np.zeros((down, across, codec.bands, SIDE, SIDE), np.int64)
    for y, x, c in np.ndindex(down, across, codec.bands):
        size = bits.symbol(dc[c > 0])
        left, above = (levels[y, x - 1, c, 0, 0] if x else None), (levels[y - 1, x, c, 0, 0] if y else None)
        known = [int(level) for level in (left, above) if level is not None]
        block = levels[y, x, c]
        block[0, 0] = (bits.level(size) if size else 0) + (sum(known) >> (len(known) - 1) if known else 0)
        position = before = 0
        while symbol := bits.symbol(ac[codec.contexts[_context(c, position, before)]]):
            run, size = (bits.take(8), bits.take(4)) if symbol == 0xF else (symbol >> 4, symbol & 0xF)
            position += run + 1
            block[scan[position]] = level = bits.level(size)
            before = abs(level)
    if len(rest := bits.rest) >= 8 or "1" in rest:
        raise VerificationError(f"{len(rest)} bits are left of a frame")
    return levels


def _context(component: int, position: int, before: int) -> int:
    zone = sum(position >= start for start in ZONES)
    return (component > 0) * 28 + zone * 4 + min(before, 3)


def _magnitudes(codec: TransformCodec, levels: Integers, step: int, headroom: int) -> Integers:
    """Levels to coefficients."""
    size = np.abs(levels)
    delta = np.array([0, *codec.deltas])[np.minimum(size, 3)]
    delta[..., 0, 0] = 0
    shift = 11 - (step >> 3) + headroom
    scaled = (32 * size - delta) * MANTISSAS[step & 7]
    values: Integers = np.sign(levels) * np.minimum((scaled + (1 << (shift - 1))) >> shift, 32767)
    return values


def _dct() -> Integers:
    """HEVC's matrix, from its numbers and the symmetries of cosines."""
    sizes = {(2 * i + 1): value for i, value in enumerate(ODD_ROW)}
    sizes |= {first * (2 * i + 1): value for first, row in EVEN_ROWS.items() for i, value in enumerate(row)}
    rows = [[_cosine(u * (2 * y + 1), sizes) for y in range(SIDE)] for u in range(SIDE)]
    return np.array(rows)


def _cosine(angle: int, sizes: dict[int, int]) -> int:
    """256 / sqrt(8) times the cosine of `angle` thirty-seconds of pi, as the standard rounds it."""
    angle %= 64
    angle = min(angle, 64 - angle)
    if angle > 16:
        return -_cosine(32 - angle, sizes)
    return 64 if angle == 0 else sizes.get(angle, 0)


def _inverse(coefficients: Integers, headroom: int) -> Integers:
    """Blocks of coefficients (..., 16, 16) to components in -2048..2047."""
    matrix = _dct()
    columns = np.einsum("uy,...uv->...yv", matrix, coefficients)
    lines = np.clip((columns + 32) >> 6, -32768, 32767)
    shift = 12 - headroom
    sums = np.einsum("vx,...yv->...yx", matrix, lines)
    values: Integers = np.clip((sums + (1 << (shift - 1))) >> shift, -2048, 2047)
    return values
