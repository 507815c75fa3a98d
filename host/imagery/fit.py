"""Patches of another size, with numpy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["resize"]


def resize(patches: NDArray[Any], size: int) -> NDArray[Any]:
    """Patches (N, H, W, C) of an integer type at (N, size, size, C), values rounded.

    Bilinear, with the triangle widened to the scale where it shrinks, so that every pixel counts.
    """
    count, height, width, bands = patches.shape
    if height == width == size:
        return patches
    vertical, horizontal = _triangles(height, size), _triangles(width, size)
    resized = np.empty((count, size, size, bands), patches.dtype)
    for patch, out in zip(patches, resized):
        rows = vertical @ patch.reshape(height, -1).astype(np.float32)
        out[:] = np.rint(horizontal @ rows.reshape(size, width, bands))
    return resized


def _triangles(length: int, size: int) -> NDArray[np.float32]:
    """Weight of each of `length` pixels in each of `size`, float32 (size, length); rows sum to 1."""
    scale = length / size
    centres = (np.arange(size) + 0.5) * scale - 0.5
    distance = np.abs(np.arange(length) - centres[:, None]) / max(scale, 1.0)
    weights = np.maximum(1.0 - distance, 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
