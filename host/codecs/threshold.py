"""The codec that computes a model's own input quantizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import bitswath._native as _native
from bitswath.codecs.base import Codes, Patches, PointwiseCodec, Rows, checked_rows, rows_of_one_length
from bitswath.errors import CodecError

__all__ = ["BEYOND_FLOATS", "NUMBERS", "ThresholdCodec"]

NUMBERS = ("unsigned", "signed", "float")

BEYOND_FLOATS = 2.0**128
"""A threshold that no float32 reaches; its negative is below them all."""

_LARGEST = float(np.finfo(np.float32).max)
_MOST_TABLE = 1 << 21
"""Entries of the table of all samples (4 MB: 32 bands of 16 bits); with more, thresholds are searched."""
_AT_ONCE = 1 << 15


@dataclass(frozen=True)
class ThresholdCodec(PointwiseCodec):
    """A code is the count of its band's thresholds <= x: what the quantizer that a network begins with computes.

    `numbers`: "unsigned" or "signed" integers of `depth` bits, 8 to 16, or "float" at a depth of 32: any finite
    float32. `thresholds`: not falling, (C, 2^bits - 1) or one row for all bands, in the samples' range and up to the
    number behind it, which no sample reaches: 2^depth, 2^(depth - 1), or 2^128. For floats they are float32, compared
    as such, or -2^128, which every sample reaches.
    """

    thresholds: Rows | tuple[tuple[float, ...], ...] = field(kw_only=True)
    numbers: str = field(default="unsigned", kw_only=True)

    kind: ClassVar[str] = "threshold"
    added: ClassVar[tuple[str, ...]] = ("numbers",)

    def __post_init__(self) -> None:
        if self.numbers not in NUMBERS:
            raise CodecError(f"expected numbers that are {', '.join(NUMBERS)}, got {self.numbers!r:.40}")
        super().__post_init__()
        if self.dither is not None:
            raise CodecError(f"expected no dither, which thresholds do not take, got {self.dither!r}")
        object.__setattr__(self, "thresholds", self._checked_thresholds())
        for row in self.thresholds:
            if len(row) != (1 << self.bits) - 1 or any(a > b for a, b in pairwise(row)):
                raise CodecError(f"expected {(1 << self.bits) - 1} thresholds that do not fall for {self.bits} bit")

    @property
    def bands(self) -> int | None:
        return len(self.thresholds) if len(self.thresholds) > 1 else None

    @property
    def dtype(self) -> np.dtype[Any]:
        if self._floats:
            return np.dtype(np.float32)
        return np.dtype(f"{'int' if self.numbers == 'signed' else 'uint'}{8 if self.depth == 8 else 16}")

    @property
    def summary(self) -> str:
        reached = sorted({t for row in self.thresholds for t in row if self._ends[0] < t < self._ends[1]})
        shown = [f"{t:.6g}" if self._floats else str(t) for t in reached]
        changes = ", ".join(shown if len(shown) < 8 else [*shown[:3], "...", shown[-1]])
        return f"{self.bits}-bit codes of the model's own input quantizer, which change at {changes or 'no sample'}"

    def samples(self, rng: np.random.Generator, count: int, shape: Sequence[int]) -> Patches:
        """`count` patches of `shape`: values at a threshold, next below or above one, and between two."""
        size = (count, *shape)
        row = np.arange(shape[-1]) if len(self._rows) > 1 else 0
        thresholds = self._rows[row, rng.integers(0, self._rows.shape[1], size)]
        at, between = self._within(thresholds), self._middles[row, rng.integers(0, 1 << self.bits, size)]
        chosen: Patches = np.choose(rng.integers(0, 4, size), [self._below(thresholds), at, self._above(at), between])
        return chosen

    @property
    def _floats(self) -> bool:
        return self.numbers == "float"

    @property
    def _depths(self) -> range:
        return range(32, 33) if self._floats else super()._depths

    @property
    def _ends(self) -> tuple[int, int] | tuple[float, float]:
        """What every sample reaches, and what none does."""
        if self._floats:
            return -BEYOND_FLOATS, BEYOND_FLOATS
        return (-1 << self.depth - 1, 1 << self.depth - 1) if self.numbers == "signed" else (0, 1 << self.depth)

    def _checked_thresholds(self) -> tuple[tuple[Any, ...], ...]:
        if not self._floats:
            first, last = map(int, self._ends)
            return checked_rows(self.thresholds, "thresholds", last + 1, first)
        rows = rows_of_one_length(self.thresholds, "thresholds")
        for value in (value for row in rows for value in row):
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not (abs(value) == BEYOND_FLOATS or _is_float32(value)):
                raise CodecError(f"expected thresholds as float32 numbers or 2^128, got {value!r}")
        return tuple(tuple(map(float, row)) for row in rows)

    def _fill(self, batch: Patches, out: Codes, pack_bits: int, threads: int) -> int:
        if self._floats:
            self._refuse_infinite(batch)
        else:
            first, last = self._ends
            if self.numbers == "signed" and (batch.min() < first or batch.max() >= last):
                raise CodecError(f"expected samples {first}..{last - 1}, got {batch.min()}..{batch.max()}")
            if len(self._rows) << 8 * self.dtype.itemsize <= _MOST_TABLE:
                unsigned = batch.view(f"u{self.dtype.itemsize}")
                seen = self._fill_positions(unsigned, self._positions, out, pack_bits, threads)
                return 0 if self.numbers == "signed" else seen
        codes = self._searched(batch).reshape(len(batch), -1)
        if pack_bits:
            _native.pack(codes, pack_bits, False, out, threads)
        else:
            out[...] = codes
        return int(batch.max()) if self.numbers == "unsigned" else 0

    def _refuse_infinite(self, batch: Patches) -> None:
        finite = np.isfinite(batch)
        if not finite.all():
            where = tuple(int(i) for i in np.unravel_index(int(finite.argmin()), batch.shape))
            raise CodecError(f"expected finite samples, got {batch[where]} at index {where}; fill or leave out such")

    def _searched(self, batch: Patches) -> Codes:
        """Codes by bisection of each sample's row, some thousand samples at once."""
        rows = _as_float32(self._rows) if self._floats else self._rows.astype(np.int32)
        table, start = rows.reshape(-1), np.arange(len(rows), dtype=np.int32) * rows.shape[1]
        codes = np.empty(batch.shape, np.uint8)
        count = max(1, _AT_ONCE // batch[0].size)
        for first in range(0, len(batch), count):
            part = batch[first : first + count]
            place = np.broadcast_to(start, part.shape).copy()
            for half in (1 << bit for bit in reversed(range(self.bits))):
                place += (table[place + (half - 1)] <= part) * np.int32(half)
            codes[first : first + count] = place - start
        return codes

    def _decode(self, codes: Codes) -> Patches:
        """The middle of the samples that have the code, or of where they would lie."""
        if self.bands not in (None, codes.shape[-1]):
            raise CodecError(f"expected codes of {self.bands} bands, got {codes.shape[-1]}")
        middles: Patches = self._middles[np.arange(codes.shape[-1]) if self.bands else 0, codes]
        return middles

    @cached_property
    def _rows(self) -> NDArray[Any]:
        return np.array(self.thresholds, np.float64 if self._floats else np.int64)

    @cached_property
    def _middles(self) -> NDArray[Any]:
        """The sample (rows, codes) that stands for a code."""
        first, last = self._ends
        ends = np.pad(self._rows, ((0, 0), (1, 1)), constant_values=((0, 0), (first, last)))
        if not self._floats:
            return self._within((ends[:, :-1] + ends[:, 1:] - 1) >> 1)
        low, high = ends[:, :-1], ends[:, 1:]
        step = np.array([_usual_step(row[np.abs(row) < last]) for row in self._rows])[:, None]
        above = np.where(high == last, low + step, (low + high) / 2)
        middle = np.where(low == first, np.where(high == last, 0.0, high - step), above)
        lowest = self._within(low)
        return np.asarray(np.clip(self._within(middle), lowest, np.maximum(self._below(high), lowest)), self.dtype)

    def _within(self, values: NDArray[Any]) -> NDArray[Any]:
        """The nearest samples."""
        first, last = (-_LARGEST, _LARGEST) if self._floats else (self._ends[0], self._ends[1] - 1)
        return np.asarray(values.clip(first, last), self.dtype)

    def _below(self, thresholds: NDArray[Any]) -> NDArray[Any]:
        """The largest samples that do not reach them."""
        if not self._floats:
            return self._within(thresholds.astype(np.int64) - 1)
        return self._within(np.nextafter(_as_float32(thresholds), np.float32(-np.inf)))

    def _above(self, samples: NDArray[Any]) -> NDArray[Any]:
        if not self._floats:
            return self._within(samples.astype(np.int64) + 1)
        above: NDArray[Any] = np.nextafter(samples, np.float32(_LARGEST))
        return above

    @cached_property
    def _positions(self) -> NDArray[np.uint16]:
        samples = np.arange(1 << 8 * self.dtype.itemsize, dtype=f"u{self.dtype.itemsize}").view(self.dtype)
        return np.array([np.searchsorted(row, samples.astype(np.int64), side="right") for row in self._rows], np.uint16)


def _usual_step(thresholds: NDArray[np.float64]) -> float:
    distinct = np.unique(thresholds)
    return float(np.median(np.diff(distinct))) if len(distinct) > 1 else 1.0


def _as_float32(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The same, and what lies beyond float32 as infinite."""
    beyond = np.copysign(np.inf, thresholds)
    return np.where(np.abs(thresholds) < BEYOND_FLOATS, thresholds, beyond).astype(np.float32)


def _is_float32(value: float) -> bool:
    return abs(value) <= _LARGEST and float(np.float32(value)) == value
