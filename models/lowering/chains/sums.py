"""Sums of two tensors whose scales are unrelated, as integers.

A sum of two narrow integer tensors has few pairs of values: at most 65,536 for 8 bits. At the quantizer behind it
the graph's own arithmetic is done for every pair, and two multipliers are found with which ``m1 * a + m2 * b`` puts
the pairs of each level above all those of lower levels. The level is then a step function of that integer, by
exhaustion exactly the graph's. Which ratios ``m1 / m2`` do is an open interval: each pair (a, b) of a level at least k
and each (a', b') below k ask for ``m1 * (a - a') > m2 * (b' - b)``. The simplest fraction in it (Stern and Brocot's)
has the smallest multipliers. Where no ratio does (ties that float32 breaks this way and that, scales that differ by
channel), each tensor's integers are looked up in a table first, whose entries stand for its reals.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.models.lowering.chains.chain import Grid, Link, evaluate, run_chain
from bitswath.models.lowering.chains.links import on_grid
from bitswath.models.lowering.chains.thresholds import Steps, StepsError
from bitswath.models.lowering.chains.values import Node, Value

__all__ = ["MOST_PAIRS", "Arithmetic", "Found", "Sum", "find_sum", "simplest"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Multipliers = tuple[int, int]
MOST_PAIRS = 1 << 18
"""Values of one tensor times values of the other; more are not tried."""
LARGEST_MULTIPLIER = 1 << 16
LARGEST_GIVEN = 1 << 10
"""Multiplier of the graph's own ratio that is kept; the simplest ratio that orders 256 x 256 pairs has smaller ones."""
WIDEST = 30
"""Bits of a table's integers."""
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


@dataclass(frozen=True, eq=False)
class Found:
    """Levels as steps over ``m1 * f(a) + m2 * g(b)``; `tables` are f and g (channels or 1, values), None where one
    leaves the integers as they are."""

    multipliers: Multipliers
    tables: tuple[Integers | None, Integers | None]
    steps: Steps


def find_sum(sum_: Sum, node: Node, links: Sequence[Link], grid: Grid) -> Found:
    """Steps over an integer sum of the two tensors to levels on `grid` of the chain `links`.

    Raises `StepsError` if the levels both rise and fall with one of the tensors, or need integers of over 31 bits.
    """
    levels, reals = _levels(sum_, node, links, grid)
    signs = (_direction(levels, 1), _direction(levels, 2))
    levels = levels[:, :: signs[0], :: signs[1]]
    base, top = int(levels.min()), int(levels.max())
    first = np.stack([_first(row, base, top) for row in levels])
    ratio = _ratio(first, levels.shape[2], sum_.multipliers)
    if ratio is None or max(ratio.numerator, ratio.denominator) > LARGEST_MULTIPLIER:
        turned = [real[:, ::sign] for real, sign in zip(reals, signs)]
        f, g, thresholds = _tables(first, turned[0], turned[1], sum_.multipliers)
        tables = f[:, :: signs[0]], g[:, :: signs[1]]
        return Found((1, 1), tables, Steps(thresholds, np.ones(len(first), np.int8), base))
    factors = ratio.numerator * signs[0], ratio.denominator * signs[1]
    ends = [factor * end[::sign][0] for factor, end, sign in zip(factors, sum_.ranges, signs)]
    a, b = (end + abs(f) * np.arange(n)[None] for end, f, n in zip(ends, factors, levels.shape[1:]))
    thresholds, _ = _bounds(first, a, b)
    direction = 1
    if sum_.multipliers == (-factors[0], -factors[1]):
        factors, direction = sum_.multipliers, -1
    return Found(factors, (None, None), Steps(thresholds, np.full(len(first), direction, np.int8), base))


def _bounds(first: Integers, a: Integers, b: Integers) -> tuple[Integers, Integers]:
    """The smallest sum (channels, levels) of a pair that reaches each level, and the largest of one that does not."""
    columns = b.shape[1]
    beyond, below = int(a.max() + b.max()) + 1, int(a.min() + b.min()) - 1
    b = np.broadcast_to(b, (len(first), columns))
    place = first.reshape(len(first), -1)

    def sums(at: Integers) -> Integers:
        return a[:, None] + np.take_along_axis(b, np.clip(at, 0, columns - 1), axis=1).reshape(first.shape)

    upper = np.where(first < columns, sums(place), beyond).min(axis=2, initial=beyond)
    lower = np.where(first > 0, sums(place - 1), below).max(axis=2, initial=below)
    return upper, lower


def _tables(first: Integers, a: Floats, b: Floats, given: Multipliers | None) -> tuple[Integers, Integers, Integers]:
    """Integers for the reals (channels or 1, values) of both tensors, as coarse as the levels allow, and thresholds.

    What a chain gives rises or falls with the exact sum of the two reals, however that was rounded.
    """
    rising = (a[:, -1] - a[:, 0]).sum() + (b[:, -1] - b[:, 0]).sum() >= 0
    a, b = (np.asarray(v if rising else -v, np.float64) for v in (a, b))
    for f, g in (*_scaled(a, b), *(() if given is None else _with_noise(a, b, given))):
        upper, lower = _bounds(first, f, g)
        if (upper > lower).all():
            return f, g, upper
    raise StepsError("its levels lie in no order of a sum of integers")


def _scaled(a: Floats, b: Floats) -> Iterator[tuple[Integers, Integers]]:
    """The reals in ever smaller units."""
    size = max(np.abs(a).max(), np.abs(b).max(), np.finfo(float).tiny)
    for bits in range(8, WIDEST):
        yield _rounded(a, (1 << bits) / size), _rounded(b, (1 << bits) / size)


def _with_noise(a: Floats, b: Floats, given: Multipliers) -> Iterator[tuple[Integers, Integers]]:
    """Multiples of the integers that ties are between, and ever more of what float32's rounding put on them."""
    m, n = np.abs(given)
    step = (a[:, -1:] - a[:, :1]) / (m * max(a.shape[1] - 1, 1))
    counts = m * np.arange(a.shape[1]), n * np.arange(b.shape[1])
    noise = [v - v[:, :1] - step * count for v, count in zip((a, b), counts)]
    size = max(np.abs(noise[0]).max(), np.abs(noise[1]).max(), np.finfo(float).tiny)
    bits = 1
    while (int(counts[0][-1]) + int(counts[1][-1])) << bits + 2 < 1 << WIDEST:
        f, g = (count * (4 << bits) + _rounded(v, (1 << bits) / size) for count, v in zip(counts, noise))
        yield f, g
        bits += 1


def _rounded(reals: Floats, factor: float) -> Integers:
    return np.asarray(np.rint(reals * factor), np.int64)


class Arithmetic:
    """The graph's own arithmetic of a sum: the chains before it, the sum, the chain behind it to its quantizer."""

    def __init__(self, sum_: Sum, node: Node, links: Sequence[Link], grid: Grid) -> None:
        self.node, self.links, self.grid = node, links, grid
        self.values = sum_.values
        self.signs = (1, sum_.sign)
        self.chains = [[link for link in value.chain if isinstance(link, Link)] for value in sum_.values]
        sizes = [size for v in sum_.values for size in (v.scale.size, v.offset.size)]
        widths = [link.width for chain in (*self.chains, links) for link in chain]
        self.width = max(*sizes, grid.scale.size, grid.offset.size, *widths, 1)

    def reals(self, which: int, integers: Integers, channels: Integers) -> NDArray[Any]:
        """What the summand gives for integers (channels, L) of these channels."""
        value, chain = self.values[which], self._taken(self.chains[which], channels)
        scale, offset = (_rows(v, channels) for v in (value.scale, value.offset))
        return self.signs[which] * evaluate(chain, scale, offset, integers)

    def levels(self, total: NDArray[Any], channels: Integers) -> Integers:
        """Levels of sums (channels, L)."""
        own = replace(self.grid, scale=_rows(self.grid.scale, channels), offset=_rows(self.grid.offset, channels))
        return on_grid(self.node, own, run_chain(self._taken(self.links, channels), total[None])[0])

    def _taken(self, links: Sequence[Link], channels: Integers) -> Sequence[Link]:
        return [link.taken(channels) for link in links] if self.width > 1 else links


def _rows(values: Floats, channels: Integers) -> Floats:
    return values if values.size == 1 else values[channels]


def _levels(sum_: Sum, node: Node, links: Sequence[Link], grid: Grid) -> tuple[Integers, list[Floats]]:
    """Levels (channels or 1, A, B) of all pairs, and the reals (channels or 1, A) and (channels or 1, B) of the two."""
    graph = Arithmetic(sum_, node, links, grid)
    parts, summands = [], []
    step = max(AT_ONCE // sum_.pairs, 1)
    for start in range(0, graph.width, step):
        channels = np.arange(start, min(start + step, graph.width))
        ranges = [np.broadcast_to(np.arange(lo, hi + 1), (len(channels), hi - lo + 1)) for lo, hi in sum_.ranges]
        a, b = (graph.reals(i, q, channels) for i, q in enumerate(ranges))
        total = a[:, :, None] + b[:, None, :]
        summands.append((a, b))
        parts.append(graph.levels(total.reshape(len(channels), -1), channels).reshape(total.shape))
    return np.concatenate(parts), [np.concatenate(part) for part in zip(*summands)]


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


def _ratio(first: Integers, columns: int, given: Multipliers | None) -> Fraction | None:
    """The simplest ratio of multipliers that orders all levels (channels, levels, A), or the given one if that is
    small and does.

    None if there is no such ratio.
    """
    low, high = Fraction(0), None
    distance = np.arange(first.shape[2])[:, None] - np.arange(first.shape[2])
    for row in np.unique(first.reshape(-1, first.shape[2]), axis=0):
        above, below = row < columns, row > 0  # whether a pair of this a reaches the level, whether one does not
        room = row[:, None] - row[None] + 1
        both = above[:, None] & below[None]
        low = max(low, _extreme(-room, distance, both & (distance > 0)) or low)
        found = _extreme(-room, -distance, both & (distance < 0))
        high = high if found is None else -found if high is None else min(high, -found)
        if high is not None and low >= high:
            return None
    wanted = None if given is None or max(map(abs, given)) > LARGEST_GIVEN else abs(Fraction(*given))
    return wanted if wanted is not None and low < wanted and (high is None or wanted < high) else simplest(low, high)


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
