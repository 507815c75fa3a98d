"""Strips of scores to rows of a map, from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bitswath.scenes.plan import Plan
from bitswath.scenes.scores import FULL, blend
from bitswath.scenes.strips import Strip
from bitswath.scenes.windows import Cover, Mode

_Kind = TypeVar("_Kind", bound=np.generic)

__all__ = ["NO_SCORE", "SCORE_STEPS", "Rows", "assemble", "label_type"]

SCORE_STEPS = 254
"""Of a score in a map: 0 for never, this for certain."""

NO_SCORE = 255

_PIECE = 1 << 19
"""Sums that are worked on at once."""


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
    columns = plan.columns.cover(mode, 0, plan.columns.end)
    held = _Held(plan, get)
    for number in range(len(plan.strips)):
        top, bottom = plan.lines(number)
        rows = plan.rows.cover(mode, top, bottom)
        cells, spoken, first = held.upto(number, int(rows.cells[rows.weights > 0].min()))
        valid = np.unpackbits(held.strip(number).valid, axis=1, count=plan.columns.end).view(bool)
        done = 0
        for piece in _pieces(rows, first, max(1, _PIECE // (len(columns.cells) * (plan.classes + 1)))):
            lines = int(piece.lengths.sum())
            yield _rows(top + done, cells, spoken, piece, columns, valid[done : done + lines], scores, confidence)
            done += lines


def _pieces(rows: Cover, first: int, size: int) -> Iterator[Cover]:
    """The same cover, so many runs at once, its cells counted from `first`."""
    for start in range(0, len(rows.cells), size):
        part = slice(start, start + size)
        yield Cover(np.maximum(rows.cells[part] - first, 0), rows.weights[part], rows.lengths[part])


def _rows(
    top: int,
    cells: NDArray[np.uint16],
    spoken: NDArray[np.bool_],
    rows: Cover,
    columns: Cover,
    valid: NDArray[np.bool_],
    scores: bool,
    confidence: bool,
) -> Rows:
    found = blend(cells, spoken, rows, columns)
    label = found.sums.argmax(axis=0)
    told = found.weights > 0
    silent = ~(valid & _spread(told, rows, columns))

    def shown(values: NDArray[Any]) -> NDArray[Any]:
        spread = _spread(values, rows, columns)
        spread[..., silent] = np.iinfo(values.dtype).max
        return spread

    whole = 2 * FULL * np.maximum(found.weights, 1)

    def scaled(sums: NDArray[np.int64]) -> NDArray[np.uint8]:
        steps = (2 * SCORE_STEPS * sums + whole // 2) // whole
        return np.asarray(np.minimum(steps, SCORE_STEPS), np.uint8)

    best = np.take_along_axis(found.sums, label[None], axis=0)[0]
    return Rows(
        top,
        shown(label.astype(label_type(len(found.sums)))),
        shown(scaled(found.sums)) if scores else None,
        shown(scaled(best)) if confidence else None,
    )


def _spread(values: NDArray[_Kind], rows: Cover, columns: Cover) -> NDArray[_Kind]:
    """From runs to pixels."""
    return np.repeat(np.repeat(values, columns.lengths, axis=-1), rows.lengths, axis=-2)


class _Held:
    """The strips that the rows at hand need, and no others."""

    def __init__(self, plan: Plan, get: Callable[[int], Strip]) -> None:
        self._plan, self._get = plan, get
        self._strips: dict[int, Strip] = {}

    def strip(self, number: int) -> Strip:
        return self._strips[number]

    def upto(self, number: int, cell: int) -> tuple[NDArray[np.uint16], NDArray[np.bool_], int]:
        """Scores, and which are spoken, of all cells from the window row of `cell` to the strip's last; and the first
        cell's number."""
        self._strips[number] = self._get(number)
        needed = cell // self._plan.rows.per_window
        for old in [each for each in self._strips if self._plan.strips[each][1] <= needed]:
            del self._strips[old]
        kept = sorted(self._strips)
        high, wide = self._plan.per_window
        scores = np.concatenate([self._strips[each].scores for each in kept])
        spoken = np.concatenate([self._strips[each].spoken for each in kept])
        return scores, spoken.repeat(high, axis=0).repeat(wide, axis=1), self._plan.strips[kept[0]][0] * high
