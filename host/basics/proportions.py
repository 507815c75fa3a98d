"""Confidence intervals of proportions and of their differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitswath.errors import InputError

__all__ = ["difference_interval", "paired_difference_interval", "span", "wilson_interval"]

_Z_95 = 1.959963984540054


def wilson_interval(correct: int, total: int, z: float = _Z_95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (E. B. Wilson, JASA 22, 1927), by default at 95 %.

    Raises `InputError` unless ``0 <= correct <= total`` and ``total >= 1``.
    """
    if not 0 <= correct <= total or total < 1:
        raise InputError(f"expected 0 <= correct <= total and at least one, got {correct} of {total}")
    share = correct / total
    spread = z * z / total
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    low = 0.0 if correct == 0 else max(0.0, centre - half)
    high = 1.0 if correct == total else min(1.0, centre + half)
    return low, high


def difference_interval(first: tuple[int, int], second: tuple[int, int], z: float = _Z_95) -> tuple[float, float]:
    """Interval of the first share minus the second, each (correct, total) of patches of its own.

    R. G. Newcombe, Interval estimation for the difference between independent proportions, Statistics in Medicine 17
    (1998) 873-890, method 10: the square-and-add of two Wilson intervals. Raises `InputError` as `wilson_interval`.
    """
    return _square_and_add(first, second, 0.0, z)


def paired_difference_interval(first: ArrayLike, second: ArrayLike, z: float = _Z_95) -> tuple[float, float]:
    """Interval of the first share minus the second, of hits (N,), booleans or 0 and 1, on the same patches in order.

    R. G. Newcombe, Improved confidence intervals for the difference between binomial proportions based on paired data,
    Statistics in Medicine 17 (1998) 2635-2650, method 10. Raises `InputError` unless both are of one length, not empty.
    """
    one, other = np.asarray(first).reshape(-1), np.asarray(second).reshape(-1)
    if one.shape != other.shape or not one.size:
        raise InputError(f"expected hits on the same patches, at least one, got {one.size} and {other.size}")
    for hits in (one, other):
        if not np.isin(hits, (0, 1)).all():
            raise InputError(f"expected hits of 0 and 1, got {span(hits)}")
    total, one, other = one.size, one.astype(bool), other.astype(bool)
    both, neither = int((one & other).sum()), int((~one & ~other).sum())
    only_one, only_other = int((one & ~other).sum()), int((~one & other).sum())
    margins = math.prod(map(int, (one.sum(), total - one.sum(), other.sum(), total - other.sum())))
    excess = both * neither - only_one * only_other
    corrected = max(excess - total / 2, 0.0) if excess > 0 else excess
    correlation = corrected / math.sqrt(margins) if margins else 0.0
    return _square_and_add((int(one.sum()), total), (int(other.sum()), total), correlation, z)


def _square_and_add(
    first: tuple[int, int], second: tuple[int, int], correlation: float, z: float
) -> tuple[float, float]:
    share, other = first[0] / max(first[1], 1), second[0] / max(second[1], 1)
    low, high = wilson_interval(*first, z)
    other_low, other_high = wilson_interval(*second, z)
    below, other_above = share - low, other_high - other
    above, other_below = high - share, other - other_low
    down = below**2 - 2 * correlation * below * other_above + other_above**2
    up = above**2 - 2 * correlation * above * other_below + other_below**2
    return share - other - math.sqrt(max(down, 0.0)), share - other + math.sqrt(max(up, 0.0))


def span(values: NDArray[Any]) -> str:
    """Type and range of values, for an error's text."""
    return f"{values.dtype} {values.min()}..{values.max()}" if values.dtype.kind in "iuf" else str(values.dtype)
