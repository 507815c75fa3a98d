"""Thresholds as a line, ``(gain * x + offset) >> shift``, and what the line must be put right by: proved to count the
same."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["Lines", "fit_lines"]

_MOST_SHIFT = 40
_SUM_BITS = 61
"""Of what is computed here: twice a product, in 64 bits."""
_MULTIPLIER_BITS = 17
"""Of a gain that a DSP block takes beside a number of 25 bits."""

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Lines:
    """Counts of `thresholds` (channels, count) by channel, each threshold at most one off its line.

    ``q = clip((gain * x + offset) >> shift, 0, count)``; q is one too many where x is the line's first to reach q but
    not yet the threshold's, one too few where x is the last before the line's next but reaches that threshold.
    """

    thresholds: Integers
    gains: Integers
    offsets: Integers
    shift: int

    @property
    def gain_bits(self) -> int:
        return max(int(self.gains.max()).bit_length(), 1)

    @property
    def offset_bits(self) -> int:
        """Of two's complement."""
        return max(int(np.abs(self.offsets).max()).bit_length() + 1, 2)

    @cached_property
    def exceptions(self) -> NDArray[np.uint8]:
        """(channels, count + 1) by q: 1 where it may be one too many, 2 where it may be one too few."""
        count = self.thresholds.shape[1]
        steps = np.arange(1, count + 1) << self.shift
        gains = np.maximum(self.gains, 1)[:, np.newaxis]
        reached = -(-(steps - self.offsets[:, np.newaxis]) // gains)  # the least x
        late, early = self.thresholds > reached, self.thresholds < reached
        none = np.zeros((len(late), 1), bool)
        flat = (self.gains > 0)[:, np.newaxis]
        many, few = np.hstack([none, late & flat]), np.hstack([early & flat, none])
        return many.astype(np.uint8) + 2 * few.astype(np.uint8)

    def __call__(self, x: Integers) -> Integers:
        """Counts for x (..., channels)."""
        count = self.thresholds.shape[1]
        sums = self.gains * x + self.offsets
        rest, q = sums & ((1 << self.shift) - 1), sums >> self.shift
        inside = np.clip(q, 0, count)
        exceptions = np.take_along_axis(self.exceptions.T, inside.reshape(-1, x.shape[-1]), 0).reshape(x.shape)
        many = (exceptions & 1 > 0) & (rest < self.gains) & (q == inside)
        few = (exceptions & 2 > 0) & (rest + self.gains >= 1 << self.shift) & (q == inside)
        counts: Integers = inside + few - many
        return counts


def fit_lines(rows: Integers, lo: Integers, hi: Integers) -> Lines | None:
    """Lines that count thresholds (channels, count) for every x of each channel's lo..hi; None if a channel has none.

    Lines that need no putting right, if small gains do, else lines one threshold off at most: those of a float
    reference, which rounds ties to even numbers and sums to 24 bits, are rarely all on one.
    """
    exact = _fit(rows, lo, hi, 0)
    near = None if exact is not None and exact.gain_bits <= _MULTIPLIER_BITS else _fit(rows, lo, hi, 1)
    return next((lines for lines in (near, exact) if lines is not None and _counts(lines, lo, hi)), None)


def _fit(rows: Integers, lo: Integers, hi: Integers, off: int) -> Lines | None:
    """A line meets, for k thresholds, ``gain * (t + off) + offset >= k << shift`` and ``gain * (t - 1 - off) + offset <
    k << shift``. For one shift and gain these bound the offset from both sides, and how far apart the bounds are is
    concave in the gain. A line for one shift is one for the next, with twice the gain."""
    reach = max(int(np.abs(ends).max()) for ends in (rows, lo, hi, np.array(rows.shape[1])))
    most = min(_MOST_SHIFT, _SUM_BITS - (reach + 1 + off).bit_length())
    bounds = [_bounds(*channel, off) for channel in zip(rows, lo.tolist(), hi.tolist())]
    shift = 1
    for channel in bounds:
        found = next((s for s in range(shift, most + 1) if channel.line(s) is not None), None)
        if found is None:
            return None
        shift = found
    gains, offsets = np.array([channel.line(shift) for channel in bounds], np.int64).T
    return Lines(rows, gains, offsets, shift)


def _counts(lines: Lines, lo: Integers, hi: Integers) -> bool:
    """Whether the counts are right at every x where they or the lines' change, and so everywhere."""
    near = (lines.thresholds[..., np.newaxis] + np.arange(-3, 4)).reshape(len(lines.thresholds), -1)
    for channel, row in enumerate(lines.thresholds):
        one = Lines(row[np.newaxis], lines.gains[[channel]], lines.offsets[[channel]], lines.shift)
        ends = lo[channel], hi[channel]
        x = np.append(np.clip(near[channel], *ends), ends)
        if (one(x[:, np.newaxis])[:, 0] != np.searchsorted(row, x, side="right")).any():
            return False
    return True


@dataclass(frozen=True, eq=False)
class _Bounds:
    """x at which so many thresholds must be counted at least, and where not yet so many."""

    least: Integers
    least_at: Integers
    fewer: Integers
    fewer_at: Integers

    def line(self, shift: int) -> tuple[int, int] | None:
        """Gain and offset."""
        if not len(self.least) or not len(self.fewer):
            return 0, int(self.least.max(initial=0)) << shift
        low, high = 0, (1 << shift) - 1
        while low < high:
            middle = (low + high) // 2
            rises = self._room(middle + 1, shift) > self._room(middle, shift)
            low, high = (middle + 1, high) if rises else (low, middle)
        offset = int(((self.least << shift) - low * self.least_at).max())
        return (low, offset) if self._room(low, shift) > 0 else None

    def _room(self, gain: int, shift: int) -> int:
        """Offsets that are possible, if above 0."""
        highest = ((self.fewer << shift) - gain * self.fewer_at).min()
        return int(highest - ((self.least << shift) - gain * self.least_at).max())


def _bounds(row: Integers, lo: int, hi: int, off: int) -> _Bounds:
    """Counts are clipped at 0 and at all thresholds, so only what is between them must be right."""
    always, reachable = int((row <= lo).sum()), row[(row > lo) & (row <= hi)]
    counts = np.arange(always + 1, always + 1 + len(reachable))
    least, least_at, fewer, fewer_at = counts, reachable + off, counts, reachable - 1 - off
    if always:
        least, least_at = np.append(always, least), np.append(lo, least_at)
    if always + len(reachable) < len(row):
        fewer, fewer_at = np.append(fewer, always + len(reachable) + 1), np.append(fewer_at, hi)
    return _Bounds(least, least_at, fewer, fewer_at)
