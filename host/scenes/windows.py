"""Where windows lie along an axis of a scene, and which of them speak for a pixel, with what weight.

Windows lie on a grid, so all that concerns them is said for rows and for columns apart: a pixel's weights are products
of those of its row and of its column. Weights are integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import InputError

__all__ = ["MODES", "Cover", "Mode", "Windows"]

Mode = Literal["nearest", "mean", "smooth"]
"""How windows that overlap are brought together: the one whose centre is nearest alone (of equally near ones the
first), all alike, or each with a weight that falls linearly from its centre to its edges."""

MODES: tuple[Mode, ...] = get_args(Mode)

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Cover:
    """What of an axis' score cells speaks for runs of its pixels: `cells` and `weights`, (runs, n), weight 0 where
    there are fewer than n; `lengths` (runs,): pixels of each run, which are all alike."""

    cells: Integers
    weights: Integers
    lengths: Integers

    def clipped(self, first: int, last: int) -> Cover:
        """The same of pixels first .. last - 1 alone."""
        ends = np.cumsum(self.lengths)
        begins = ends - self.lengths
        kept = (ends > first) & (begins < last)
        lengths = np.minimum(ends, last) - np.maximum(begins, first)
        return Cover(self.cells[kept], self.weights[kept], lengths[kept])


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows along one axis: `size` pixels, `patch` pixels a window, `starts` (n,) ascending, `per_window` score cells
    in each: 1, or more where a network answers for parts of a patch.

    Raises `InputError` where a window does not fit.
    """

    size: int
    patch: int
    starts: Integers
    per_window: int = 1

    @classmethod
    def of(cls, size: int, patch: int, stride: int, *, whole: bool = True, per_window: int = 1) -> Windows:
        """One every `stride` pixels from 0 on; `whole`: and one more that ends with the axis where they leave a rest.

        Raises `InputError` unless 1 <= stride <= patch <= size and a window divides into its cells.
        """
        if not 1 <= stride <= patch:
            raise InputError(f"expected a stride of 1 to {patch} pixels, the size of a patch, got {stride}")
        if size < patch:
            raise InputError(f"expected at least the {patch} pixels of a patch, got {size}")
        if patch % per_window:
            raise InputError(f"expected answers that divide a patch of {patch} pixels evenly, got {per_window}")
        starts = np.arange(0, size - patch + 1, stride, dtype=np.int64)
        if whole and starts[-1] + patch < size:
            starts = np.append(starts, size - patch)
        return cls(size, patch, starts, per_window)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def end(self) -> int:
        """Pixels up to the last window's end."""
        return int(self.starts[-1]) + self.patch

    def cover(self, mode: Mode, first: int = 0, last: int | None = None) -> Cover:
        """For pixels first .. last - 1, none behind the last window."""
        pixels = np.arange(first, self.end if last is None else last, dtype=np.int64)
        low = np.searchsorted(self.starts, pixels - self.patch, side="right")
        high = np.searchsorted(self.starts, pixels, side="right")
        offered = low[:, None] + np.arange(int((high - low).max()))
        there = offered < high[:, None]
        window = np.minimum(offered, len(self) - 1)
        weights = np.where(there, self._weights(mode, pixels[:, None] - self.starts[window], there), 0)
        inside = (pixels[:, None] - self.starts[window]) * self.per_window // self.patch
        cells = np.where(weights > 0, window * self.per_window + inside, 0)
        return _in_runs(cells, weights)

    def _weights(self, mode: Mode, offsets: Integers, there: NDArray[np.bool_]) -> Integers:
        """Of pixels so far into a window; see `Mode`."""
        if mode == "mean":
            return np.ones_like(offsets)
        if mode == "smooth":
            return np.minimum(offsets + 1, self.patch - offsets)
        far = np.where(there, abs(2 * offsets + 1 - self.patch), 2 * self.patch)
        nearest: Integers = (np.arange(offsets.shape[1]) == far.argmin(axis=1)[:, None]).astype(np.int64)
        return nearest


def _in_runs(cells: Integers, weights: Integers) -> Cover:
    changed = (np.diff(cells, axis=0) != 0).any(axis=1) | (np.diff(weights, axis=0) != 0).any(axis=1)
    begins = np.concatenate([[0], np.flatnonzero(changed) + 1]).astype(np.int64)
    return Cover(cells[begins], weights[begins], np.diff(np.append(begins, len(cells))))
