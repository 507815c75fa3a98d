"""How much of a label a palette gives away: a rule that looks at nothing but colours.

A patch is given to the class whose palette, fitted to that class's training patches, lies nearest to its pixels.
On patches in the colours of one shared codebook this is a poor classifier; on patches in the colours of their own
class's palette it is a good one, though nothing was learned of what they show. The difference is the leak.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.codecs.palette import PaletteCodec
from bitswath.errors import InputError

__all__ = ["nearest_palette"]

BLOCK = 1 << 14
"""Colours at once, so that distances fit the cache."""


def nearest_palette(patches: NDArray[Any], palettes: Sequence[PaletteCodec]) -> NDArray[np.int64]:
    """The palette (N,) at the least mean distance of a patch's pixels to their nearest colours; ties to the first.

    Patches uint8 or uint16 (N, H, W, C); the distance is Euclidean.
    """
    if not palettes or patches.ndim != 4:
        raise InputError(f"expected palettes and patches (N, H, W, C), got {len(palettes)} and {patches.shape}")
    colours = [np.array(palette.colours, np.float32) for palette in palettes]
    return np.array([_nearest(patch, colours) for patch in patches], np.int64)


def _nearest(patch: NDArray[Any], palettes: list[NDArray[np.float32]]) -> int:
    pixels, counts = np.unique(patch.reshape(-1, patch.shape[-1]), axis=0, return_counts=True)
    totals = [float(_distances(pixels.astype(np.float32), palette) @ counts) for palette in palettes]
    return int(np.argmin(totals))


def _distances(pixels: NDArray[np.float32], palette: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance of each pixel (n, C) to its nearest colour. In float32 squares of 8-bit samples are exact; the nearest
    is found by them, then measured."""
    nearest = np.empty(len(pixels), np.int64)
    squares = np.square(palette).sum(axis=1)
    for start in range(0, len(pixels), BLOCK):
        part = slice(start, start + BLOCK)
        nearest[part] = (squares - 2 * pixels[part] @ palette.T).argmin(axis=1)
    return np.asarray(np.sqrt(np.square(pixels - palette[nearest]).sum(axis=1)))
