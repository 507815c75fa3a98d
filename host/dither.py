"""Ordered dithering: the mask, and how codecs use it. Integers only.

`bayer_mask` holds 0..63 for (h % 8, w % 8, band). Uniform and companded codecs place a sample x
between codes in 64ths, ``p(x) = 64 k + round(64 (x - v[k]) / (v[k+1] - v[k]))`` for v[k] <= x <
v[k+1], where v[k] and v[k+1] are the values that codes k and k + 1 stand for (half rounds up; outside
the values p saturates), and add the mask before the fraction is dropped::

    code = (p(x) + mask[h % 8, w % 8, band]) >> 6

so that over every 8 x 8 block of equal samples the mean code is p / 64. A palette codec adds
``((2 mask - 63) * s + 64) >> 7`` to each band, where s is the mean distance of a colour to its
nearest other, saturates at the sample type's ends, and takes the nearest colour.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["STEPS", "bayer_mask", "count_thresholds", "palette_offsets", "positions", "rounded_quotient"]

MASK_SIDE = 8

STEPS = MASK_SIDE * MASK_SIDE
"""Values of the mask, and positions from one code to the next."""

COUNT_OVERHANG = 64
"""Lanes that the native code may read on from a place in the period."""


@lru_cache(maxsize=16)
def bayer_mask(bands: int) -> NDArray[np.uint8]:
    """The mask (8, 8, bands), read-only: Bayer's 8 x 8 matrix of 0..63 (Bayer 1973), for band c moved up by
    c // 2 and left by c, since without a shift all bands would rise together."""
    mask = np.zeros((1, 1), np.uint8)
    while len(mask) < MASK_SIDE:
        mask = np.block([[4 * mask, 4 * mask + 2], [4 * mask + 3, 4 * mask + 1]])
    shifted = np.stack([np.roll(mask, (-(band // 2), -band), (0, 1)) for band in range(bands)], axis=-1)
    shifted.flags.writeable = False
    return shifted


def positions(samples: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions p(x) of samples between the ascending `values` of codes 0, 1, ..., in 64ths of a code."""
    inside = samples.clip(values[0], values[-1])
    below = (np.searchsorted(values, inside, side="right") - 1).clip(0, len(values) - 2)
    return STEPS * below + rounded_quotient(STEPS * (inside - values[below]), values[below + 1] - values[below])


def count_thresholds(positions: NDArray[np.uint16], bits: int, dither: bool) -> NDArray[np.uint8 | np.uint16]:
    """The smallest sample of each code above 0, (8 or 1, 2^bits - 1, period + 64), for positions (C, 2^depth).

    So ``code = #{t : x >= thresholds[h % rows, t, i % period]}`` for sample x, number i of its line; one
    row and a period of C without dither, else 8 and 8 C. The last 64 repeat the first.
    """
    bands, samples = positions.shape
    mask = bayer_mask(bands) if dither else np.zeros((1, 1, bands), np.uint8)
    needed = STEPS * np.arange(1, 1 << bits)[:, None, None] - mask[:, None].astype(np.int64)
    found = np.stack([np.searchsorted(positions[c], needed[..., c]) for c in range(bands)], axis=-1)
    period = found.shape[2] * bands
    lines = found.reshape(len(mask), -1, period)[..., np.arange(period + COUNT_OVERHANG) % period]
    return np.ascontiguousarray(lines.astype(np.uint8 if samples == 1 << 8 else np.uint16))


def palette_offsets(colours: NDArray[np.int64]) -> NDArray[np.int32]:
    """What a palette (colours, C) adds to samples at (h % 8, w % 8, band): int32 (8, 8, C)."""
    distinct = np.unique(colours, axis=0)
    spacing = 0
    if len(distinct) > 1:
        squares = [np.square(distinct - colour).sum(axis=1) for colour in distinct]
        spacing = sum(math.isqrt(int(np.sort(row)[1])) for row in squares) // len(distinct)
    centred = 2 * bayer_mask(colours.shape[1]).astype(np.int64) - (STEPS - 1)
    return ((centred * spacing + STEPS) >> 7).astype(np.int32)


def rounded_quotient(numerators: NDArray[np.int64], denominator: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """Quotients of non-negative integers, half rounded up."""
    return (2 * numerators + denominator) // (2 * denominator)
