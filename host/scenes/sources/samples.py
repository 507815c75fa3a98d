"""A file's samples as a bundle takes them.

The sample x of a file becomes ``scale * x + offset``, rounded half to even and kept within the bundle's type; samples
of up to 16 bits by a table of all there are. Where nothing is asked for, an offset that a product declares in its own
unit (offset / scale, the -1,000 of Sentinel-2 since baseline 04.00) is added, and nothing is scaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import SceneError
from bitswath.scenes.settings import SceneSettings
from bitswath.scenes.sources.channels import Channel

__all__ = ["Conversion", "conversion_of"]

_LARGEST_OFFSET = 1 << 16
_PIECE = 1 << 20


@dataclass(frozen=True)
class Conversion:
    """Of one channel: from `source` to `target` type. None where samples stay as they are."""

    source: str
    target: str
    scale: float
    offset: float

    def __call__(self, samples: NDArray[Any], out: NDArray[Any]) -> None:
        """Converts `samples` into `out` of the same shape."""
        source = np.dtype(self.source)
        if source.itemsize <= 2 and source.kind in "iu":
            unsigned = samples.view(f"u{source.itemsize}") if source.kind == "i" else samples
            out[...] = self._table(source)[unsigned]
            return
        for start in range(0, len(samples), max(1, _PIECE // max(samples[:1].size, 1))):
            part = slice(start, start + max(1, _PIECE // max(samples[:1].size, 1)))
            out[part] = self._converted(samples[part])

    def _table(self, source: np.dtype[Any]) -> NDArray[Any]:
        patterns = np.arange(1 << 8 * source.itemsize, dtype=f"u{source.itemsize}").view(source)
        return self._converted(patterns)

    def _converted(self, samples: NDArray[Any]) -> NDArray[Any]:
        real = samples.astype(np.float64) * self.scale + self.offset
        target = np.dtype(self.target)
        if target.kind == "f":
            return np.asarray(real, target)
        limits = np.iinfo(target)
        return np.asarray(np.clip(np.nan_to_num(np.rint(real)), limits.min, limits.max), target)


def conversion_of(channel: Channel, target: np.dtype[Any], settings: SceneSettings, name: str) -> Conversion | None:
    """Raises `SceneError` where types differ and nobody says what a sample means."""
    if settings.value_range is not None:
        low, high = settings.value_range
        bottom, top = (0.0, 1.0) if target.kind == "f" else (float(v) for v in _limits(target))
        scale = (top - bottom) / (high - low)
        return Conversion(channel.dtype, str(target), scale, bottom - scale * low)
    if settings.scale is not None or settings.offset is not None:
        scale, offset = settings.scale if settings.scale is not None else 1.0, settings.offset or 0.0
        same = channel.dtype == str(target) and (scale, offset) == (1.0, 0.0)
        return None if same else Conversion(channel.dtype, str(target), scale, offset)
    if channel.dtype != str(target):
        raise SceneError(
            f"{name}: band {channel.title} holds {channel.dtype}, the bundle takes {target}; say with --range LOW HIGH "
            "which samples become the lowest and highest of its, or with --scale and --offset"
        )
    declared = declared_offset(channel)
    return Conversion(channel.dtype, str(target), 1.0, declared) if declared else None


def declared_offset(channel: Channel) -> float:
    """What is to be added to a channel's samples, in their own unit, by its file or product; 0 if nothing."""
    scale, offset = channel.declared
    steps = offset / scale if scale else 0.0
    whole = steps == steps and abs(steps) <= _LARGEST_OFFSET and abs(steps - round(steps)) < 1e-6
    return float(round(steps)) if whole and np.dtype(channel.dtype).kind in "iu" else 0.0


def _limits(target: np.dtype[Any]) -> tuple[int, int]:
    return np.iinfo(target).min, np.iinfo(target).max
