"""The grid of a scene or map: extent, how pixels lie on the ground, how large they are."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from bitswath.errors import SceneError
from bitswath.scenes.gdal import rasterio_module

__all__ = ["LARGEST", "WHOLE", "Grid", "grid_of"]

LARGEST = 1 << 20
"""Pixels along a side at most."""

WHOLE = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""The transform of a raster that has none."""

_METRES_PER_DEGREE = math.pi * 6378137.0 / 180

Transform = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class Grid:
    """`transform`: (a, b, c, d, e, f), x = a column + b row + c, y = d column + e row + f, of a pixel's upper left
    corner; `crs`: WKT, "" where it is not known; `gcps`: ground control points (row, column, x, y, z) and their CRS,
    where those are what a raster has."""

    width: int
    height: int
    transform: Transform = WHOLE
    crs: str = ""
    gcps: tuple[tuple[float, ...], ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def placed(self) -> bool:
        """Whether it is known where on Earth it lies."""
        return bool(self.crs) and not self.gcps and self.transform != WHOLE

    @property
    def gsd_m(self) -> float | None:
        """Metres from pixel to pixel, the mean of both axes, in degrees at the middle; None where that is not known."""
        if not self.placed:
            return None
        a, b, _, d, e, f = self.transform
        crs = rasterio_module().crs.CRS.from_wkt(self.crs)
        if crs.is_geographic:
            latitude = f + d * self.width / 2 + e * self.height / 2
            east = _METRES_PER_DEGREE * math.cos(math.radians(min(max(latitude, -90), 90)))
            sides = math.hypot(a * east, d * _METRES_PER_DEGREE), math.hypot(b * east, e * _METRES_PER_DEGREE)
        else:
            unit = float(crs.linear_units_factor[1]) if crs.is_projected else 1.0
            sides = unit * math.hypot(a, d), unit * math.hypot(b, e)
        return math.sqrt(sides[0] * sides[1])

    def resampled(self, factor: float) -> Grid:
        """The same ground with pixels so many times as large."""
        a, b, c, d, e, f = self.transform
        width, height = (max(1, round(size / factor)) for size in (self.width, self.height))
        wide, high = self.width / width, self.height / height
        return replace(self, width=width, height=height, transform=(a * wide, b * high, c, d * wide, e * high, f))

    def cropped(self, width: int, height: int) -> Grid:
        """Its upper left part."""
        return replace(self, width=width, height=height)

    @property
    def affine(self) -> Any:
        return rasterio_module().Affine(*self.transform)

    @property
    def profile(self) -> dict[str, Any]:
        """What rasterio writes of it; ground control points are set on the open file."""
        given: dict[str, Any] = {"width": self.width, "height": self.height}
        if self.crs and not self.gcps:
            given["crs"] = rasterio_module().crs.CRS.from_wkt(self.crs)
        if self.transform != WHOLE:
            given["transform"] = self.affine
        return given


def grid_of(dataset: Any) -> Grid:
    """Of an open raster. Raises `SceneError` for one whose place is no number, or which is too large to be one."""
    width, height = int(dataset.width), int(dataset.height)
    if not 1 <= width <= LARGEST or not 1 <= height <= LARGEST:
        raise SceneError(f"{dataset.name}: declares {width} x {height} pixels, expected 1 to {LARGEST} a side")
    a, b, c, d, e, f = (float(number) for number in tuple(dataset.transform)[:6])
    if not all(map(math.isfinite, (a, b, c, d, e, f))) or a * e - b * d == 0:
        raise SceneError(
            f"{dataset.name}: its transform {(a, b, c, d, e, f)} places no pixels; set it with 'gdal_edit.py -a_ullr'"
        )
    points, crs = dataset.gcps
    known = (a, b, c, d, e, f) != WHOLE
    placed = () if known else tuple((p.row, p.col, p.x, p.y, p.z or 0.0) for p in points)
    found = (crs if placed else dataset.crs) or dataset.crs
    return Grid(width, height, (a, b, c, d, e, f), found.to_wkt() if found else "", placed)
