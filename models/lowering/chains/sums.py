"""Sums of two tensors whose scales are unrelated, as integers.

A sum of two narrow integer tensors has few pairs of values: at most 65,536 for 8 bits. At the quantizer behind it
the graph's own arithmetic is done for every pair, and two multipliers are found with which ``m1 * a + m2 * b`` puts
the pairs of each level above all those of lower levels. The level is then a step function of that integer, by
exhaustion exactly the graph's. Which ratios ``m1 / m2`` do is an open interval: each pair (a, b) of a level at least k
and each (a', b') below k ask for ``m1 * (a - a') > m2 * (b' - b)``. The simplest fraction in it (Stern and Brocot's)
has the smallest multipliers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from bitswath.models.lowering.chains.chain import Grid, Link, evaluate, run_chain
from bitswath.models.lowering.chains.links import on_grid
from bitswath.models.lowering.chains.thresholds import Steps, StepsError
from bitswath.models.lowering.chains.values import Node, Value

__all__ = ["MOST_PAIRS", "Sum", "find_sum", "simplest"]

Integers = NDArray[np.int64]
Multipliers = tuple[int, int]
MOST_PAIRS = 1 << 18
"""Values of one tensor times values of the other; more are not tried."""
LARGEST_MULTIPLIER = 1 << 16
AT_ONCE = 1 << 22
"""Pairs that are evaluated in one go."""


@dataclass(frozen=True, eq=False)
class Sum:
    """``values[0] + sign * values[1]`` of the Add or Sub `node`, not yet a stage, which waits for its quantizer.

    Their chains hold links only. `ranges`: lowest and highest integer of each. `multipliers`: what does without a
    quantizer, if the scales are in a small ratio, else None, and `refusal` says so.
    """

    node: Node
    values: tuple[Value, Value]
    ranges: tuple[tuple[int, int], tuple[int, int]]
    sign: int
    multipliers: Multipliers | None
    refusal: str

    @property
    def pairs(self) -> int:
        """How many pairs of values there are."""
        return math.prod(hi - lo + 1 for lo, hi in self.ranges)


def find_sum(sum_: Sum, node: Node, links: Sequence[Link], grid: Grid) -> tuple[Multipliers, Steps]:
    """Multipliers of the two tensors, and the steps over their sum to levels on `grid` of the chain `links`.

    Raises `StepsError` if the level is no step function of any such sum.
    """
    levels = _levels(sum_, node, links, grid)
    signs = (_direction(levels, 1), _direction(levels, 2))
    levels = levels[:, :: signs[0], :: signs[1]]
    base, top = int(levels.min()), int(levels.max())
    first = np.stack([_first(row, base, top) for row in levels])
    given = None if sum_.multipliers is None else Fraction(*map(abs, sum_.multipliers))
    ratio = _ratio(first, levels.shape[2], given)
    factors = ratio.numerator * signs[0], ratio.denominator * signs[1]
    if max(map(abs, factors)) > LARGEST_MULTIPLIER:
        raise StepsError(f"the tensors would need the multipliers {factors}, at most {LARGEST_MULTIPLIER} are allowed")
    ends = [range_ if sign > 0 else range_[::-1] for range_, sign in zip(sum_.ranges, signs)]
    a = factors[0] * ends[0][0] + ratio.numerator * np.arange(levels.shape[1])
    b = factors[1] * ends[1][0] + ratio.denominator * np.arange(levels.shape[2] + 1)
    reached = np.where(first < levels.shape[2], a + b[first], a[-1] + b[-1])
    thresholds = reached.min(axis=2, initial=int(a[-1] + b[-1]))
    direction = 1
    if sum_.multipliers == (-factors[0], -factors[1]):
        factors, direction = sum_.multipliers, -1
    return factors, Steps(thresholds, np.full(len(thresholds), direction, np.int8), base)


def _levels(sum_: Sum, node: Node, links: Sequence[Link], grid: Grid) -> Integers:
    """Levels (channels or 1, A, B) of all pairs."""
    sizes = [size for value in sum_.values for size in _widths(value, value.chain)]
    width = max(*sizes, grid.scale.size, grid.offset.size, *(link.width for link in links), 1)
    q = [np.arange(lo, hi + 1)[None] for lo, hi in sum_.ranges]
    parts = []
    step = max(AT_ONCE // (q[0].size * q[1].size), 1)
    for start in range(0, width, step):
        channels = np.arange(start, min(start + step, width))
        reals = []
        for value, integers in zip(sum_.values, q):
            chain = _taken([link for link in value.chain if isinstance(link, Link)], channels, width)
            scale, offset = (_rows(v, channels) for v in (value.scale, value.offset))
            rows = np.broadcast_to(integers, (len(channels), integers.size))
            reals.append(evaluate(chain, scale, offset, rows))
        total = reals[0][:, :, None] + sum_.sign * reals[1][:, None, :]
        own = replace(grid, scale=_rows(grid.scale, channels), offset=_rows(grid.offset, channels))
        real = run_chain(_taken(links, channels, width), total.reshape(1, len(channels), -1))[0]
        parts.append(on_grid(node, own, real).reshape(total.shape))
    return np.concatenate(parts)


def _taken(links: Sequence[Link], channels: Integers, width: int) -> Sequence[Link]:
    return [link.taken(channels) for link in links] if width > 1 else links


def _widths(value: Value, chain: Sequence[object]) -> list[int]:
    return [value.scale.size, value.offset.size, *(link.width for link in chain if isinstance(link, Link))]


def _rows(values: NDArray[np.float64], channels: Integers) -> NDArray[np.float64]:
    return values if values.size == 1 else values[channels]


def _direction(levels: Integers, axis: int) -> int:
    """1 if the levels rise along the axis, -1 if they fall."""
    steps = np.diff(levels, axis=axis)
    rises, falls = bool((steps > 0).any()), bool((steps < 0).any())
    if rises and falls:
        raise StepsError("it both rises and falls")
    return -1 if falls else 1


def _first(levels: Integers, base: int, top: int) -> Integers:
    """For each level above the base and each a the first place of b that reaches it: (top - base, A)."""
    rows = len(levels)
    size = top - base + 1
    cells = np.arange(rows)[:, None] * size + (levels - base)
    counts = np.bincount(cells.reshape(-1), minlength=rows * size).reshape(rows, size)
    return np.cumsum(counts, axis=1)[:, :-1].T


def _ratio(first: Integers, columns: int, given: Fraction | None) -> Fraction:
    """The simplest ratio of multipliers that orders all levels (channels, levels, A), or the given one if it does."""
    low, high = Fraction(0), None
    distance = np.arange(first.shape[2])[:, None] - np.arange(first.shape[2])
    for row in np.unique(first.reshape(-1, first.shape[2]), axis=0):
        above, below = row < columns, row > 0  # whether a pair of this a reaches the level, whether one does not
        room = row[:, None] - row[None] + 1
        both = above[:, None] & below[None]
        low = max(low, _extreme(-room, distance, both & (distance > 0)) or low)
        found = _extreme(-room, -distance, both & (distance < 0))
        bound = None if found is None else -found
        high = bound if high is None or (bound is not None and bound < high) else high
    if high is not None and low >= high:
        raise StepsError("its levels lie in no order of any weighted sum")
    if given is not None and low < given and (high is None or given < high):
        return given
    return simplest(low, high)


def _extreme(numerators: Integers, denominators: Integers, where: NDArray[np.bool_]) -> Fraction | None:
    """The largest quotient; float64 tells any two of such small integers apart."""
    if not where.any():
        return None
    quotients = np.where(where, numerators / np.where(where, denominators, 1), -np.inf)
    place = int(quotients.argmax())
    return Fraction(int(numerators.flat[place]), int(denominators.flat[place]))


def simplest(low: Fraction, high: Fraction | None) -> Fraction:
    """The fraction of smallest terms between two (None: infinity), neither of them itself."""
    whole = low.numerator // low.denominator
    if high is None or whole + 1 < high:
        return Fraction(whole + 1)
    rest = low - whole
    return whole + 1 / simplest(1 / (high - whole), 1 / rest if rest else None)
