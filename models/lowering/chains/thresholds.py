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

__all__ = ["EXHAUSTIVE_LIMIT", "BentError", "Steps", "StepsError", "find_bends", "find_steps"]

EXHAUSTIVE_LIMIT = 1 << 20
"""Evaluations (channels x reachable integers) up to which every one is made."""

MAX_STEPS = 1 << 16
MOST_THRESHOLDS = 1 << 22
"""Of all channels."""
MOST_BENT = 1 << 24
"""Evaluations of a function that is not monotone."""
CHUNK = 1 << 20

Integers = NDArray[np.int64]
Levels = Callable[[Integers], Integers]


class StepsError(ValueError):
    """The function has no list of thresholds: it rises and falls, or has too many steps."""


class BentError(StepsError):
    """The function rises and falls."""


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
    if (top - base) * len(lo) > MOST_THRESHOLDS:
        raise StepsError(f"{top - base} thresholds for each of {len(lo)} channels are more than can be searched for")
    directions = np.where(ends[:, 1] < ends[:, 0], -1, 1)
    below = _count_all if not exact or int((hi - lo + 1).max()) * len(lo) <= limit else _count_by_bisection
    first = np.where(directions > 0, lo, -hi)
    counts = below(levels, lo, hi, directions, base, top)
    return Steps(first[:, None] + counts, directions.astype(np.int8), base)


def find_bends(levels: Levels, lo: Integers, hi: Integers) -> tuple[Steps, Steps, int]:
    """Steps of two rising functions whose difference is `levels`, which rises and falls on ``lo[c]..hi[c]``, and how
    far that goes above the base of the first, its lowest level.

    Raises `StepsError` for more than 2^24 evaluations, all of which are made, or more than 65536 steps of a row.
    """
    length = int((hi - lo).max()) + 1
    if length * len(lo) > MOST_BENT:
        raise StepsError(f"it rises and falls over {length:,} integers, more than can be tried")
    level = levels(np.minimum(lo[:, None] + np.arange(length), hi[:, None]))
    base = int(level.min())
    moves = np.diff(level, axis=1, prepend=base)
    up, down = (_counted(np.maximum(sign * moves, 0), lo, hi) for sign in (1, -1))
    return (
        Steps(up, np.ones(len(lo), np.int8), base),
        Steps(down, np.ones(len(lo), np.int8), 0),
        int(level.max()) - base,
    )


def _counted(jumps: Integers, lo: Integers, hi: Integers) -> Integers:
    """Thresholds of functions that rise by `jumps` (C, L) at the integers from lo on; rows end in some beyond hi."""
    count = int(jumps.sum(axis=1).max(initial=0))
    if count > MAX_STEPS:
        raise StepsError(f"{count} thresholds would be needed, at most {MAX_STEPS} are allowed")
    rows = np.repeat((hi + 1)[:, None], max(count, 1), axis=1)
    for channel, row in enumerate(jumps):
        thresholds = np.repeat(lo[channel] + np.arange(len(row)), row)
        rows[channel, : len(thresholds)] = thresholds
    return rows


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
            raise BentError(f"channel {int(np.argmax((rises < 0).any(axis=1)))} both rises and falls")
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
