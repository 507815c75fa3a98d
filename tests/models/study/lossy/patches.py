"""Smooth patches with an edge and some noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def land(seed: int, count: int, size: int = 48) -> NDArray[np.uint8]:
    """Patches uint8 (count, size, size, 3)."""
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 1, size)[:, None]
    y = x[:, None]
    across, down, step, tilt = rng.uniform(-90, 90, (4, count, 1, 1, 3))
    clean = 120 + across * x + down * y + np.where(tilt * x > step * y, step, 0)
    return (clean + rng.normal(0, 4, clean.shape)).clip(0, 255).astype(np.uint8)


__all__ = ["land"]
