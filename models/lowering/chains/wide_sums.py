"""Sums of an accumulator and a narrow tensor of unrelated scales, as integers.

An accumulator has too many values for all pairs with the other tensor, and a convolution's float32 sums are not told
apart to the last bit anyway. What a value of the narrow tensor is worth in parts of the accumulator's unit is looked
up, in parts so small that the sum has at least the 24 bits of a float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitswath.models.lowering.chains.sums import Sum
from bitswath.models.lowering.chains.values import Value

__all__ = ["MOST_NARROW", "WideSum", "wide_sum"]

Floats = NDArray[np.float64]
MOST_NARROW = 1 << 9
"""Values of the narrow tensor."""
BITS = 24
"""Of the sum, at least: a float32's."""


@dataclass(frozen=True, eq=False)
class WideSum:
    """``factor * accumulator + table[narrow]``, whose unit is `scale`, at `offset` (1,) or (C,)."""

    wide: int
    factor: int
    table: NDArray[np.int64]
    scale: Floats
    offset: Floats


def wide_sum(sum_: Sum) -> WideSum:
    """The integers of a sum whose values are plain: scale times integers plus offset."""
    sizes = [hi - lo + 1 for lo, hi in sum_.ranges]
    wide = int(np.argmax(sizes))
    signs = (1, sum_.sign)
    unit, step = (signs[i] * sum_.values[i].scale for i in (wide, 1 - wide))
    factor = 1 << max(BITS - (sizes[wide] - 1).bit_length(), 0)
    low, high = sum_.ranges[1 - wide]
    table = np.rint((factor * step / unit)[:, None] * np.arange(low, high + 1)).astype(np.int64)
    return WideSum(wide, factor, table, unit / factor, _offset(sum_.values, sum_.sign))


def _offset(values: tuple[Value, Value], sign: int) -> Floats:
    return values[0].offset + sign * values[1].offset
