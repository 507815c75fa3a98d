"""Integer thresholds of a monotone step function, found by evaluating it.

The function maps integers to levels. With ``d = direction * x`` it rises with d, and threshold i is
the smallest d whose level is at least ``base + 1 + i``, so that counting thresholds ``<= d``
reproduces the function on every reachable integer: whichever way ties of the float reference fall is
in the integers already.

Exhaustive evaluation also proves that the function is monotone. Bisection is as exact for functions
known to be monotone: each elementary IEEE operation (product or sum with a constant, maximum,
rounding to an integer, clipping) is monotone after rounding, because rounding itself is, and so is a
composition of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["EXHAUSTIVE_LIMIT", "Steps", "StepsError", "find_steps"]

EXHAUSTIVE_LIMIT = 1 << 26
"""Evaluations (channels x reachable integers) up to which every one is made."""

MAX_STEPS = 1 << 16
CHUNK = 1 << 20

Integers = NDArray[np.int64]
Levels = Callable[[Integers], Integers]


class StepsError(ValueError):
    """The function has no list of thresholds: it rises and falls, or has too many steps."""


@dataclass(frozen=True, eq=False)
class Steps:
    """``level = base + #{i : direction[c] * x >= thresholds[c, i]}`` on the searched range."""

    thresholds: Integers
    directions: NDArray[np.int8]
    base: int


def find_steps(levels: Levels, lo: Integers, hi: Integers, *, exact: bool, limit: int = EXHAUSTIVE_LIMIT) -> Steps:
    """Steps of `levels`, which maps integers (C, L) to levels (C, L), on ``lo[c]..hi[c]``.

    `exact` allows bisection above `limit` evaluations. Raises `StepsError` if the function
    is not monotone or has more than 65536 steps.
    """
    ends = levels(np.stack([lo, hi], axis=1))
    base, top = int(ends.min()), int(ends.max())
    if top - base > MAX_STEPS:
        raise StepsError(f"{top - base} thresholds would be needed, at most {MAX_STEPS} are allowed")
    directions = np.where(ends[:, 1] < ends[:, 0], -1, 1)
    below = _count_all if not exact or int((hi - lo + 1).max()) * len(lo) <= limit else _count_by_bisection
    first = np.where(directions > 0, lo, -hi)
    counts = below(levels, lo, hi, directions, base, top)
    return Steps(first[:, None] + counts, directions.astype(np.int8), base)


def _count_all(levels: Levels, lo: Integers, hi: Integers, directions: Integers, base: int, top: int) -> Integers:
    """How many integers lie below each step (C, top - base), from all of them in chunks."""
    rows, size = len(lo), top - base + 1
    histogram = np.zeros(rows * size, np.int64)
    last = levels(lo[:, None])
    length, stride = int((hi - lo).max()) + 1, max(CHUNK // rows, 1)
    for start in range(0, length, stride):
        x = lo[:, None] + np.arange(start, min(start + stride, length))
        reachable = x <= hi[:, None]
        level = levels(np.minimum(x, hi[:, None]))
        rises = np.diff(level, axis=1, prepend=last) * directions[:, None]
        if (rises < 0).any():
            raise StepsError(f"channel {int(np.argmax((rises < 0).any(axis=1)))} both rises and falls")
        cells = np.arange(rows)[:, None] * size + (level - base)
        histogram += np.bincount(cells[reachable], minlength=len(histogram))
        last = level[:, -1:]
    return histogram.reshape(rows, size).cumsum(axis=1)[:, :-1]


def _count_by_bisection(
    levels: Levels, lo: Integers, hi: Integers, directions: Integers, base: int, top: int
) -> Integers:
    """The same counts for a function known to be monotone."""
    wanted = base + 1 + np.arange(top - base)
    length = (hi - lo + 1)[:, None]
    low = np.zeros((len(lo), len(wanted)), np.int64)
    high = np.broadcast_to(length, low.shape).copy()
    while (low < high).any():
        middle = (low + high) // 2
        position = np.minimum(middle, length - 1)
        x = np.where(directions[:, None] > 0, lo[:, None] + position, hi[:, None] - position)
        reached = (levels(x) >= wanted) | (low >= high)
        low, high = np.where(reached, low, middle + 1), np.where(reached & (low < high), middle, high)
    return low
