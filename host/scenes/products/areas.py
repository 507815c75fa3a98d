"""How much ground each class covers.

In degrees, and in Web Mercator, a pixel's area is that of the ellipsoid between its edges (Snyder, Map Projections: A
Working Manual, USGS Professional Paper 1395, formula 3-12); in other projections it is that of the plane, which for UTM
is right within 0.1 %.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitswath.scenes.gdal import rasterio_module
from bitswath.scenes.grid import Grid
from bitswath.scenes.products.made import Map

__all__ = ["Area", "areas", "areas_csv", "row_areas_m2"]

_AXIS_M = 6378137.0
_FLATTENING = 1 / 298.257223563


@dataclass(frozen=True)
class Area:
    """Of one class: its pixels, their `share` of all that have a class, and hectares, None where they are not known."""

    name: str
    pixels: int
    share: float
    hectares: float | None


def areas(made: Map) -> list[Area]:
    """Of each class, in the bundle's order."""
    per_row = row_areas_m2(made.grid)
    pixels = made.counts[:, :-1].sum(axis=0)
    known = None if per_row is None else (made.counts[:, :-1] * per_row[:, None]).sum(axis=0) / 1e4
    return [
        Area(name, int(count), int(count) / max(made.seen, 1), None if known is None else float(known[index]))
        for index, (name, count) in enumerate(zip(made.classes, pixels))
    ]


def areas_csv(made: Map) -> str:
    """``class,pixels,share,hectares``, a line a class."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["class", "pixels", "share", "hectares"])
    for area in areas(made):
        hectares = "" if area.hectares is None else f"{area.hectares:.4f}"
        writer.writerow([area.name, area.pixels, f"{area.share:.6f}", hectares])
    return text.getvalue()


def row_areas_m2(grid: Grid) -> NDArray[np.float64] | None:
    """Square metres of a pixel in each row (rows,); None where nobody knows."""
    if not grid.placed:
        return None
    a, b, _, d, e, f = grid.transform
    crs = rasterio_module().crs.CRS.from_wkt(grid.crs)
    edges = f + e * np.arange(grid.height + 1)
    if crs.is_geographic and b == d == 0:
        return _between(np.radians(np.clip(edges, -90, 90)), math.radians(abs(a)))
    if crs.to_epsg() == 3857 and b == d == 0:
        return _between(np.arctan(np.sinh(edges / _AXIS_M)), abs(a) / _AXIS_M)
    if not crs.is_projected:
        return None
    unit = float(crs.linear_units_factor[1])
    return np.full(grid.height, abs(a * e - b * d) * unit * unit)


def _between(latitudes: NDArray[np.float64], longitude: float) -> NDArray[np.float64]:
    """Square metres of the ellipsoid WGS 84 between each two latitudes, `longitude` wide; radians."""
    squared = _FLATTENING * (2 - _FLATTENING)
    eccentricity, sine = math.sqrt(squared), np.sin(latitudes)
    logarithm = np.log((1 - eccentricity * sine) / (1 + eccentricity * sine)) / (2 * eccentricity)
    q = (1 - squared) * (sine / (1 - squared * sine * sine) - logarithm)
    return np.asarray(_AXIS_M**2 * longitude / 2 * abs(np.diff(q)), np.float64)
