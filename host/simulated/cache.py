"""Device memory as the host sees it through a write-back cache."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["CachedMemory"]

_LINE = 64


class CachedMemory:
    """`device`: uint8 memory, `host`: the cached copy of it, noise at first.

    A line that the host wrote and did not flush may be written back at any time before it is invalidated. Here that
    happens as late as it can, right before the invalidation: over what the device wrote.
    """

    def __init__(self, device: NDArray[np.uint8], rng: np.random.Generator) -> None:
        self.device = device
        self.host = rng.integers(0, 256, device.nbytes, np.uint8)
        self._clean = self.host.copy()

    def flush(self) -> None:
        """Host to device, all of it."""
        self.device[:] = self.host
        self._clean[:] = self.host

    def invalidate(self) -> None:
        """Write dirty lines back, then device to host."""
        starts = np.arange(0, self.host.size, _LINE)
        dirty = np.repeat(np.logical_or.reduceat(self.host != self._clean, starts), _LINE)[: self.host.size]
        self.device[dirty] = self.host[dirty]
        self.host[:] = self.device
        self._clean[:] = self.host
