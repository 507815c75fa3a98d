"""Frames with the header of compressed ones, around any payload."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["frame", "rows_of"]


def frame(payload: bytes | NDArray[np.uint8]) -> bytes:
    """Its check is the sum of the payload, which no decoder of ours takes for one."""
    inside = bytes(payload)
    return (5 + len(inside)).to_bytes(2, "little") + b"\x47" + (sum(inside) & 0xFFFF).to_bytes(2, "little") + inside


def rows_of(frames: Sequence[bytes], width: int = 0) -> NDArray[np.uint8]:
    """uint8 (N, W): filled up to the longest, or to `width`."""
    most = max([width, *map(len, frames)])
    return np.array([list(one.ljust(most, b"\0")) for one in frames], np.uint8)
