"""Strips of scores to rows of a map, from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bitswath.scenes.plan import Plan
from bitswath.scenes.scores import FULL, Sums, across, down, largest, sum_type
from bitswath.scenes.strips import Strip
from bitswath.scenes.windows import Cover, Mode

_Kind = TypeVar("_Kind", bound=np.generic)

__all__ = ["NO_SCORE", "SCORE_STEPS", "Rows", "assemble", "label_type"]

SCORE_STEPS = 254
"""Of a score in a map: 0 for never, this for certain."""

NO_SCORE = 255

_LINES = 32
"""Of pixels that are worked on at once, about."""

_SUMS = 1 << 17
"""At once: so many stay in a processor's cache."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Whole rows of a map from `top` on: `labels` (rows, columns); `scores` uint8 (classes, rows, columns), each
    ``SCORE_STEPS * sum(weight * score) / (sum(weight) * FULL)`` rounded half up, or None where nobody asks for them;
    `confidence` uint8 (rows, columns), the score of the label, likewise. Nodata is the largest number of each type."""

    top: int
    labels: NDArray[np.unsignedinteger]
    scores: NDArray[np.uint8] | None
    confidence: NDArray[np.uint8] | None


def label_type(classes: int) -> np.dtype[np.unsignedinteger]:
    """The smallest that has room for the classes and for nodata."""
    return np.dtype(np.uint8 if classes < 256 else np.uint16)


def assemble(
    plan: Plan, get: Callable[[int], Strip], mode: Mode, *, scores: bool = False, confidence: bool = False
) -> Iterator[Rows]:
    """The rows of the map from the strips that `get` gives by number."""
    all_rows, columns = plan.rows.cover(mode), plan.columns.cover(mode)
    weight = int(all_rows.weights.sum(axis=1).max() * columns.weights.sum(axis=1).max())
    held = _Held(plan, columns, sum_type(plan.classes, weight))
    most = max(1, _SUMS // ((plan.classes + 1) * len(columns.lengths)))
    for number in range(len(plan.strips)):
        top, bottom = plan.lines(number)
        rows = all_rows.clipped(top, bottom)
        strip = get(number)
        held.add(number, strip)
        valid = np.unpackbits(strip.valid, axis=1, count=plan.columns.end).view(bool)
        done = 0
        for runs in _pieces(rows, most):
            lines = int(rows.lengths[runs].sum())
            sums = held.sums(rows.cells[runs], rows.weights[runs])
            spread = partial(_spread, rows=rows.lengths[runs], columns=columns.lengths)
            yield _rows(top + done, sums, valid[done : done + lines], spread, scores, confidence)
            done += lines


def _pieces(rows: Cover, most: int) -> Iterator[NDArray[np.int64]]:
    """Numbers of runs that together have some lines, `most` at once."""
    numbers = np.arange(len(rows.lengths))
    ends = np.cumsum(rows.lengths) // _LINES
    return iter(np.split(numbers, np.flatnonzero(np.diff(ends) + np.diff(numbers // most)) + 1))


def _rows(
    top: int,
    sums: Sums,
    valid: NDArray[np.bool_],
    spread: Callable[[NDArray[Any]], NDArray[Any]],
    scores: bool,
    confidence: bool,
) -> Rows:
    """Of sums (classes + 1, rows, columns) of runs, which `spread` makes pixels of."""
    label, best = largest(sums)
    weight = sums[-1]
    silent = ~(valid & spread(weight > 0))

    def shown(values: NDArray[Any]) -> NDArray[Any]:
        pixels = spread(values)
        pixels[..., silent] = np.iinfo(values.dtype).max
        return pixels

    def scaled(sums: Sums) -> NDArray[np.uint8]:
        whole = 2 * FULL * np.maximum(weight, 1).astype(np.int64)
        steps = (2 * SCORE_STEPS * sums.astype(np.int64) + whole // 2) // whole
        return np.asarray(np.minimum(steps, SCORE_STEPS), np.uint8)

    return Rows(
        top,
        shown(label.astype(label_type(len(sums) - 1))),
        shown(scaled(sums[:-1])) if scores else None,
        shown(scaled(best)) if confidence else None,
    )


def _spread(values: NDArray[_Kind], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[_Kind]:
    """From runs to pixels."""
    for lengths, axis in ((columns, -1), (rows, -2)):
        if (lengths != 1).any():
            values = np.repeat(values, lengths, axis=axis)
    return values


class _Held:
    """The strips that the rows at hand need, and the sums along their rows of cells."""

    def __init__(self, plan: Plan, columns: Cover, kind: np.dtype[np.integer[Any]]) -> None:
        self._plan, self._columns, self._kind = plan, columns, kind
        self._strips: dict[int, Strip] = {}
        self._across: dict[int, Sums] = {}
        self._sums = self._scratch = np.empty(0, kind)

    def add(self, number: int, strip: Strip) -> None:
        self._strips[number] = strip

    def sums(self, cells: NDArray[np.int64], weights: NDArray[np.int64]) -> Sums:
        """Of runs of rows, (classes + 1, runs, columns), whose cells do not lie above those of runs before; to be used
        before the next."""
        shape = (self._plan.classes + 1, len(cells), len(self._columns.lengths))
        if self._sums.shape != shape:
            self._sums, self._scratch = np.empty(shape, self._kind), np.empty((shape[0], shape[2]), self._kind)
        for run in range(len(cells)):
            self._sum(cells[run], weights[run], self._sums[:, run])
        return self._sums

    def _sum(self, cells: NDArray[np.int64], weights: NDArray[np.int64], out: Sums) -> None:
        used = [(int(cell), int(weight)) for cell, weight in zip(cells, weights) if weight]
        first = min(cell for cell, _ in used)
        for cell in [cell for cell in self._across if cell < first]:
            del self._across[cell]
        for number in [each for each in self._strips if self._plan.strips[each][1] * self._plan.per_window[0] <= first]:
            del self._strips[number]
        down([self._row(cell) for cell, _ in used], [weight for _, weight in used], out, self._scratch)

    def _row(self, cell: int) -> Sums:
        if cell not in self._across:
            high, wide = self._plan.per_window
            window = cell // high
            strips = self._plan.strips
            number = next(each for each in self._strips if strips[each][0] <= window < strips[each][1])
            strip, first = self._strips[number], strips[number][0]
            spoken = strip.spoken[window - first].repeat(wide)
            self._across[cell] = across(strip.scores[cell - first * high], spoken, self._columns, self._kind)
        return self._across[cell]
