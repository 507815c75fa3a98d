"""A scene and its map small enough to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.scenes.gdal import opened, reading
from bitswath.scenes.products.made import Map
from bitswath.scenes.sources.scene import Scene, SceneReader

__all__ = ["Thumbnails", "thumbnails"]

_STRETCH = (2, 98)
_GAMMA = 1 / 1.4
_VISIBLE = (("red", "B04"), ("green", "B03"), ("blue", "B02"))


@dataclass(frozen=True, eq=False)
class Thumbnails:
    """`scene` uint8 (H, W, 3), stretched between its 2nd and 98th percentile; `labels` (H, W), nodata the largest
    number; `confidence` uint8 (H, W), or None."""

    scene: NDArray[np.uint8]
    labels: NDArray[Any]
    confidence: NDArray[np.uint8] | None


def thumbnails(made: Map, most: int, confidence: Path | None = None) -> Thumbnails:
    """At most `most` pixels a side, of whole pixels of the map where it is no larger."""
    height, width = made.grid.shape
    factor = max(1.0, max(height, width) / most)
    shape = max(1, round(height / factor)), max(1, round(width / factor))
    return Thumbnails(
        _scene(made, shape), _band(made.outputs.labels, shape), None if confidence is None else _band(confidence, shape)
    )


def _band(path: Path, shape: tuple[int, int]) -> NDArray[Any]:
    """The nearest pixels, of an overview where there is one."""
    with opened(str(path)) as dataset, reading(str(path)):
        pixels: NDArray[Any] = dataset.read(1, out_shape=shape)
    return pixels


def _scene(made: Map, shape: tuple[int, int]) -> NDArray[np.uint8]:
    with SceneReader(made.scene) as reader:
        seen = reader.decimated(made.grid.shape, shape, _visible(made.scene))
    picture = np.zeros((*shape, 3), np.uint8)
    for band in range(3):
        values = seen[..., band].astype(np.float64)
        there = np.isfinite(values) & (values != 0)
        low, high = np.percentile(values[there], _STRETCH) if there.any() else (0, 1)
        scaled = np.clip((values - low) / max(high - low, 1e-9), 0, 1) ** _GAMMA
        picture[..., band] = np.where(there, 1 + 254 * np.nan_to_num(scaled), 0)
    return picture


def _visible(scene: Scene) -> tuple[int, int, int]:
    """Places of the channels that are red, green and blue; where nobody says so the first three."""
    red, green, blue = (
        next((place for place, each in enumerate(scene.channels) if any(map(each.is_called, names))), None)
        for names in _VISIBLE
    )
    if red is None or green is None or blue is None:
        last = len(scene.channels) - 1
        return 0, min(1, last), min(2, last)
    return red, green, blue
