"""Overviews of classes: each from the one below it, by the majority of 2 x 2 pixels.

A pixel is the class that most of its four pixels have; of classes that are equally many the one that gets there first
when the four are counted row by row, left to right. Nodata does not count, unless all four are nodata. Where an extent
is odd the last pixel stands for what there is of its four. For even extents that is GDAL's resampling `mode`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["halved", "level_shapes"]

_Classes = NDArray[np.unsignedinteger[Any]]


def level_shapes(height: int, width: int, most: int) -> Iterator[tuple[int, int]]:
    """Of overviews, each half as large as the one below, rounded up, down to one of at most `most` pixels a side."""
    while max(height, width) > most:
        height, width = -(-height // 2), -(-width // 2)
        yield height, width


def halved(classes: _Classes, nodata: int) -> _Classes:
    """Classes (..., H, W) to those of the overview (..., ceil(H / 2), ceil(W / 2)); see the module for the rule."""
    odd = [(0, 0)] * (classes.ndim - 2) + [(0, extent % 2) for extent in classes.shape[-2:]]
    if any(after for _, after in odd):
        classes = np.pad(classes, odd, constant_values=nodata)
    quads = [classes[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]
    a, b, c, d = (np.ascontiguousarray(quad).reshape(-1) for quad in quads)
    mixed = np.flatnonzero((a != b) | (c != d) | (a != c))
    if len(mixed):  # in maps few are
        a[mixed] = _majority(a[mixed], b[mixed], c[mixed], d[mixed], nodata)
    return a.reshape(quads[0].shape)


def _majority(a: _Classes, b: _Classes, c: _Classes, d: _Classes, nodata: int) -> _Classes:
    """Of four pixels (n,) each, in the order in which they are counted."""
    first, second, third = (pixel != nodata for pixel in (a, b, c))
    alone = np.where(first, a, np.where(second, b, np.where(third, c, d)))
    first &= (a == b) | (a == c)
    second &= (b == c) | (b == d)
    third &= c == d
    return np.where(first, a, np.where(second, b, np.where(third, c, alone)))
