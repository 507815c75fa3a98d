"""Random flips, right-angle rotations, small shifts and zooms of training patches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bitswath.imagery.fit import resize
from bitswath.models.nets.config import AugmentConfig

__all__ = ["augment"]


def augment(patches: NDArray[np.generic], config: AugmentConfig, rng: np.random.Generator) -> NDArray[np.generic]:
    """A changed copy of patches (N, H, W, C); each patch draws its own change.

    Rotations by 90 degrees need square patches and are left out where they are not; a shift
    repeats the border by reflection; a zoom resizes a window of random size and place to the whole.
    """
    count, height, width = patches.shape[:3]
    changed = np.empty_like(patches)
    flips = rng.integers(0, 4 if config.flips else 1, count)
    turns = rng.integers(0, 2 if config.rotations and height == width else 1, count)
    for kind in range(8):
        chosen = np.flatnonzero((flips + 4 * turns) == kind)
        if not len(chosen):
            continue
        part = patches[chosen]
        if kind & 1:
            part = part[:, ::-1]
        if kind & 2:
            part = part[:, :, ::-1]
        if kind & 4:
            part = part.transpose(0, 2, 1, 3)
        changed[chosen] = part
    reach = min(config.shift, height - 1, width - 1)
    if reach:
        padded = np.pad(changed, ((0, 0), (reach, reach), (reach, reach), (0, 0)), "reflect")
        for index, (dy, dx) in enumerate(rng.integers(0, 2 * reach + 1, (count, 2))):
            changed[index] = padded[index, dy : dy + height, dx : dx + width]
    if config.zoom:
        for index, draws in enumerate(rng.random((count, 3))):
            changed[index] = _zoomed(changed[index], 1 + config.zoom * draws[0], draws[1:])
    return changed


def _zoomed(patch: NDArray[np.generic], factor: float, place: NDArray[np.float64]) -> NDArray[np.generic]:
    """The window of 1 / `factor` of a patch (H, W, C) at a place, (0, 0) to (1, 1), resized to (H, W, C)."""
    size = patch.shape[0], patch.shape[1]
    high, wide = (max(1, round(length / factor)) for length in size)
    top, left = (int(share * (length - part + 1)) for share, length, part in zip(place, size, (high, wide)))
    return resize(patch[top : top + high, left : left + wide], size)
