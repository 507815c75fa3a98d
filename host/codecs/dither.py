"""Ordered dithering: the masks, and how codecs use them. Integers only.

A dither is named by its pattern and period P: ``ordered2``, ``ordered4``, ``ordered`` (P = 8) and ``ordered16`` are
Bayer's matrices; ``blue8``, ``blue16`` and ``blue32`` are blue noise. Without a shift all bands would rise together, so
that of band c is moved up by c // 2 and left by c, since in either pattern neighbours differ most; ``-aligned`` behind
a name leaves the shifts out.

A mask holds 0..S - 1, each equally often, for (h % P, w % P, band), where S = min(P^2, 256). Uniform and companded
codecs place a sample x between codes in S-ths, ``p(x) = S k + round(S (x - v[k]) / (v[k+1] - v[k]))`` for v[k] <= x <
v[k+1], where v[k] and v[k+1] are the values that codes k and k + 1 stand for (half rounds up; outside the values p
saturates), and add the mask before the fraction is dropped::

    code = (p(x) + mask[h % P, w % P, band]) // S

so that over every P x P block of equal samples the mean code is p / S.

A palette codec mixes colours, as Knoll's pattern dithering does (US patent 6,606,166): N = min(S, 16) times it
takes the colour nearest to ``clip(x + e)``, where e is what x minus the colour taken has added up to so far and clip
saturates at the sample type's ends. Of these N codes, sorted, a pixel gets number ``mask[h % P, w % P, 0] N // S``, so
that over a block of equal pixels the mean colour is x - e / N. A pixel has one code: shifts change nothing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import CodecError

__all__ = [
    "DITHERS",
    "NO_DITHER",
    "Dither",
    "count_thresholds",
    "dither_named",
    "mixture_ranks",
    "positions",
    "rounded_quotient",
    "void_and_cluster",
]

MOST_STEPS = 256
"""With more, positions of 8-bit codes would not fit 16 bits."""

MOST_MIXED = 16
"""Colours of a palette's mixture: as many as native code takes."""

PERIODS = {"ordered": (2, 4, 8, 16), "blue": (8, 16, 32)}
ALIGNED = "-aligned"

COUNT_OVERHANG = 64
"""Lanes that the native code may read on from a place in the period."""


@dataclass(frozen=True)
class Dither:
    """A mask of `period` x `period` pixels; `aligned`: the same in every band."""

    pattern: str
    period: int
    aligned: bool = False

    @property
    def name(self) -> str:
        """By which `dither_named` finds it: "ordered", "blue16-aligned"."""
        period = "" if (self.pattern, self.period) == ("ordered", 8) else str(self.period)
        return f"{self.pattern}{period}{ALIGNED * self.aligned}"

    @property
    def steps(self) -> int:
        """Values of the mask, and positions from one code to the next: a power of two."""
        return min(self.period**2, MOST_STEPS)

    def mask(self, bands: int) -> NDArray[np.uint8]:
        """The mask uint8 (period, period, bands), read-only."""
        return _mask(self, bands)


NO_DITHER = Dither("none", 1, aligned=True)
"""A mask of one 0."""

DITHERS = tuple(
    Dither(pattern, period, aligned)
    for pattern, periods in PERIODS.items()
    for period in periods
    for aligned in (False, True)
)
_NAMED = {dither.name: dither for dither in DITHERS} | {
    f"ordered8{ALIGNED * aligned}": Dither("ordered", 8, aligned) for aligned in (False, True)
}


def dither_named(name: str | None) -> Dither:
    """The dither of a name, `NO_DITHER` for None; "ordered8" also means "ordered". Raises `CodecError`."""
    if name is None:
        return NO_DITHER
    if not isinstance(name, str) or name not in _NAMED:
        patterns = ", ".join(dither.name for dither in DITHERS if not dither.aligned)
        raise CodecError(f"expected a dither of {patterns}, each also with {ALIGNED}, got {name!r:.40}")
    return _NAMED[name]


@lru_cache(maxsize=64)
def _mask(dither: Dither, bands: int) -> NDArray[np.uint8]:
    ranks = void_and_cluster(dither.period) if dither.pattern == "blue" else bayer(dither.period)
    mask = (ranks * dither.steps // dither.period**2).astype(np.uint8)
    moves = [0] * bands if dither.aligned else range(bands)
    shifted = np.stack([np.roll(mask, (-(move // 2), -move), (0, 1)) for move in moves], axis=-1)
    shifted.flags.writeable = False
    return shifted


def bayer(period: int) -> NDArray[np.int64]:
    """Bayer's matrix (period, period) of 0..period^2 - 1 (Bayer 1973); `period`: a power of two."""
    ranks = np.zeros((1, 1), np.int64)
    while len(ranks) < period:
        ranks = np.block([[4 * ranks, 4 * ranks + 2], [4 * ranks + 3, 4 * ranks + 1]])
    return ranks


@lru_cache(maxsize=8)
def void_and_cluster(period: int) -> NDArray[np.int64]:
    """Blue noise (period, period) of 0..period^2 - 1, the same on every machine, by Ulichney's method (1993).

    Pixels are taken one by one at the middle of the largest void: where a Gaussian filter (sigma 1.5, on the torus) of
    those already taken is least. Past one half, that is also the middle of the tightest cluster of those not yet
    taken, so the method's third phase is its second.
    """
    around = _gaussians(period)
    taken = _initial(around)
    ranks = np.zeros(len(around), np.int64)
    energy, left = around[taken].sum(axis=0), taken.copy()
    for rank in reversed(range(int(taken.sum()))):
        pixel = _cluster(energy, left)
        ranks[pixel], left[pixel] = rank, False
        energy -= around[pixel]
    energy = around[taken].sum(axis=0)
    for rank in range(int(taken.sum()), len(around)):
        pixel = _void(energy, taken)
        ranks[pixel], taken[pixel] = rank, True
        energy += around[pixel]
    return ranks.reshape(period, period)


def _gaussians(period: int) -> NDArray[np.int64]:
    """The filter around each pixel: (4/5)^(distance^2) in 2^-40, (period^2, period^2)."""
    across = np.minimum(np.arange(period), period - np.arange(period)).tolist()
    weights = np.array([[(1 << 40) * 4 ** (y * y + x * x) // 5 ** (y * y + x * x) for x in across] for y in across])
    places = (divmod(pixel, period) for pixel in range(period**2))
    return np.stack([np.roll(weights, place, (0, 1)).ravel() for place in places])


def _initial(around: NDArray[np.int64]) -> NDArray[np.bool_]:
    """A tenth of the pixels, moved from the tightest cluster to the largest void while that helps."""
    draw = random.Random(0).random  # whose sequence Python guarantees
    draws = [draw() for _ in around]
    taken = np.zeros(len(around), bool)
    taken[np.argsort(draws)[: len(around) // 10]] = True
    energy = around[taken].sum(axis=0)
    while True:
        cluster = _cluster(energy, taken)
        taken[cluster] = False
        energy -= around[cluster]
        void = _void(energy, taken)
        if energy[void] == energy[cluster]:
            taken[cluster] = True
            return taken
        taken[void] = True
        energy += around[void]


def _cluster(energy: NDArray[np.int64], taken: NDArray[np.bool_]) -> int:
    return int(np.where(taken, energy, -1).argmax())


def _void(energy: NDArray[np.int64], taken: NDArray[np.bool_]) -> int:
    return int(np.where(taken, np.iinfo(np.int64).max, energy).argmin())


def positions(samples: NDArray[np.int64], values: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
    """Positions p(x) of samples between the ascending `values` of codes 0, 1, ..., `steps` from one to the next."""
    inside = samples.clip(values[0], values[-1])
    below = (np.searchsorted(values, inside, side="right") - 1).clip(0, len(values) - 2)
    return steps * below + rounded_quotient(steps * (inside - values[below]), values[below + 1] - values[below])


def count_thresholds(positions: NDArray[np.uint16], bits: int, dither: Dither) -> NDArray[np.uint8 | np.uint16]:
    """The smallest sample of each code above 0, (P, 2^bits - 1, P C + 64), for positions (C, 2^depth).

    So ``code = #{t : x >= thresholds[h % P, t, i % (P C)]}`` for sample x, number i of its line, with the dither's
    period P. The last 64 repeat the first.
    """
    bands, samples = positions.shape
    mask = dither.mask(bands)
    needed = dither.steps * np.arange(1, 1 << bits)[:, None, None] - mask[:, None].astype(np.int64)
    found = np.stack([np.searchsorted(positions[c], needed[..., c]) for c in range(bands)], axis=-1)
    period = found.shape[2] * bands
    lines = found.reshape(len(mask), -1, period)[..., np.arange(period + COUNT_OVERHANG) % period]
    return np.ascontiguousarray(lines.astype(np.uint8 if samples == 1 << 8 else np.uint16))


def mixture_ranks(dither: Dither) -> NDArray[np.uint8]:
    """Which of the colours that a palette mixes stands at (h % P, w % P): uint8 (P, P, 1) below N."""
    mask = dither.mask(1).astype(np.int64)
    return (mask * min(dither.steps, MOST_MIXED) // dither.steps).astype(np.uint8)


def rounded_quotient(numerators: NDArray[np.int64], denominator: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """Quotients of non-negative integers, half rounded up."""
    return (2 * numerators + denominator) // (2 * denominator)
