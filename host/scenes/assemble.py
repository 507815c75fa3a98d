"""Strips of scores to rows of a map, from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bitswath.scenes.plan import Plan
from bitswath.scenes.scores import FULL, Sums, across, down, largest
from bitswath.scenes.strips import Strip
from bitswath.scenes.windows import Cover, Mode

_Kind = TypeVar("_Kind", bound=np.generic)

__all__ = ["NO_SCORE", "SCORE_STEPS", "Rows", "assemble", "label_type"]

SCORE_STEPS = 254
"""Of a score in a map: 0 for never, this for certain."""

NO_SCORE = 255

_LINES = 32
"""Of pixels that are worked on at once, about."""


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
    columns = plan.columns.cover(mode)
    held = _Held(plan, columns)
    for number in range(len(plan.strips)):
        top, bottom = plan.lines(number)
        rows = plan.rows.cover(mode, top, bottom)
        strip = get(number)
        held.add(number, strip)
        valid = np.unpackbits(strip.valid, axis=1, count=plan.columns.end).view(bool)
        done = 0
        for runs in _pieces(rows):
            lines = int(rows.lengths[runs].sum())
            sums = np.stack([held.sums(rows.cells[run], rows.weights[run]) for run in runs], axis=1)
            spread = partial(_spread, rows=rows.lengths[runs], columns=columns.lengths)
            yield _rows(top + done, sums, valid[done : done + lines], spread, scores, confidence)
            done += lines


def _pieces(rows: Cover) -> Iterator[NDArray[np.int64]]:
    """Numbers of runs that together have some lines."""
    ends = np.cumsum(rows.lengths)
    return iter(np.split(np.arange(len(ends)), np.flatnonzero(np.diff(ends // _LINES)) + 1))


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
    silent = ~(valid & spread(sums[-1] > 0))

    def shown(values: NDArray[Any]) -> NDArray[Any]:
        pixels = spread(values)
        pixels[..., silent] = np.iinfo(values.dtype).max
        return pixels

    whole = 2 * FULL * np.maximum(sums[-1], 1)

    def scaled(sums: Sums) -> NDArray[np.uint8]:
        steps = (2 * SCORE_STEPS * sums + whole // 2) // whole
        return np.asarray(np.minimum(steps, SCORE_STEPS), np.uint8)

    return Rows(
        top,
        shown(label.astype(label_type(len(sums) - 1))),
        shown(scaled(sums[:-1])) if scores else None,
        shown(scaled(best)) if confidence else None,
    )


def _spread(values: NDArray[_Kind], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[_Kind]:
    """From runs to pixels."""
    return np.repeat(np.repeat(values, columns, axis=-1), rows, axis=-2)


class _Held:
    """The strips that the rows at hand need, and the sums along their rows of cells."""

    def __init__(self, plan: Plan, columns: Cover) -> None:
        self._plan, self._columns = plan, columns
        self._strips: dict[int, Strip] = {}
        self._across: dict[int, Sums] = {}

    def add(self, number: int, strip: Strip) -> None:
        self._strips[number] = strip

    def sums(self, cells: NDArray[np.int64], weights: NDArray[np.int64]) -> Sums:
        """Of a row of pixels, whose cells do not lie above those of rows before."""
        used = [(int(cell), int(weight)) for cell, weight in zip(cells, weights) if weight]
        first = min(cell for cell, _ in used)
        for cell in [cell for cell in self._across if cell < first]:
            del self._across[cell]
        for number in [each for each in self._strips if self._plan.strips[each][1] * self._plan.per_window[0] <= first]:
            del self._strips[number]
        return down([self._row(cell) for cell, _ in used], [weight for _, weight in used])

    def _row(self, cell: int) -> Sums:
        if cell not in self._across:
            high, wide = self._plan.per_window
            window = cell // high
            strips = self._plan.strips
            number = next(each for each in self._strips if strips[each][0] <= window < strips[each][1])
            strip, first = self._strips[number], strips[number][0]
            spoken = strip.spoken[window - first].repeat(wide)
            self._across[cell] = across(strip.scores[cell - first * high], spoken, self._columns)
        return self._across[cell]
