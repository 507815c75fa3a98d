"""Scenes that nobody took: land cover of any size from a seed, with the truth for every pixel.

Seas and lakes, rivers, roads, towns, forests and fields, laid out by smooth noise on lattices of hashed integers. A
pixel depends on the seed and on its place alone, so a scene is made strip by strip, of any size in little memory, and
is the same on every machine. What a class looks like is cut from patches that are given, or is a colour and noise.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import InputError
from bitswath.scenes.gdal import limit_cache, rasterio_module
from bitswath.scenes.products.colours import class_colours

__all__ = ["Land", "write_synthetic"]

_STRIP = 512
_ALIKE = 8
"""Patches side by side that a texture is repeated for."""
_ROLES = (
    ("river", "river|stream|canal"),
    ("road", "highway|road|street|rail"),
    ("water", "water|sea|lake|ocean"),
    ("town", "resid|indust|urban|built|town|commerc"),
    ("field", "crop|pasture|field|grass|meadow|farm"),
)

Labels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Land:
    """`classes` are told apart by what their names say: rivers, roads, waters, towns, fields, and all others cover what
    is left. `textures`: patches (classes, n, H, W, bands) of each, which `dtype` and bands are then those of;
    `feature`: pixels across a field, about; `holes`: whether there is nodata, 0, beside a slanting edge and in spots.
    """

    height: int
    width: int
    classes: tuple[str, ...]
    seed: int = 0
    textures: NDArray[Any] | None = None
    bands: int = 3
    dtype: str = "uint8"
    feature: int = 160
    holes: bool = True
    crs: str = "EPSG:32633"
    gsd_m: float = 10.0
    corner: tuple[float, float] = (500_000.0, 5_300_000.0)

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.feature) < 8 or not 1 <= len(self.classes) <= 255:
            raise InputError("expected at least 8 pixels a side and 1 to 255 classes of a synthetic scene")
        if self.textures is not None and (self.textures.ndim != 5 or len(self.textures) != len(self.classes)):
            raise InputError(f"expected textures (classes, n, H, W, bands), got {self.textures.shape}")

    def truth(self, top: int, lines: int) -> Labels:
        """Classes (lines, width) of rows from `top` on, beneath nodata too."""
        y, x = np.arange(top, top + lines)[:, None], np.arange(self.width)[None]
        size = self.feature
        labels = self._parcels(y, x, size)
        wild, town = self._noise(1, y, x, 4 * size), self._noise(2, y, x, 5 * size)
        self._lay(labels, wild > 0.54, "other", self._noise(3, y, x, 3 * size))
        self._lay(labels, town > 0.68, "town", self._noise(4, y, x, 2 * size))
        self._lay(labels, abs(self._noise(5, y, x, 6 * size) - 0.5) < 0.012, "road")
        self._lay(labels, abs(self._noise(6, y, x, 8 * size) - 0.5) < 0.014, "river")
        self._lay(labels, self._noise(7, y, x, 7 * size) < 0.27, "water")
        return labels

    def valid(self, top: int, lines: int) -> NDArray[np.bool_]:
        """Where the sensor saw something (lines, width)."""
        y, x = np.arange(top, top + lines)[:, None], np.arange(self.width)[None]
        if not self.holes:
            return np.ones((lines, self.width), bool)
        edge = 4 * x + y > self.height // 2
        return edge & (self._noise(8, y, x, 2 * self.feature) < 0.9)

    def strip(self, top: int, lines: int) -> tuple[NDArray[Any], Labels]:
        """Samples (lines, width, bands), 0 where nothing was seen and nowhere else, and the truth (lines, width)."""
        labels, valid = self.truth(top, lines), self.valid(top, lines)
        y, x = np.arange(top, top + lines)[:, None], np.arange(self.width)[None]
        if self.textures is None:
            seen = self._plain(labels, y, x)
        else:
            _, count, high, wide, _ = self.textures.shape
            number = _hashed(self.seed + 9, y // (_ALIKE * high), x // (_ALIKE * wide)) % np.uint32(count)
            seen = self.textures[labels, number, _to_and_fro(y, high), _to_and_fro(x, wide)]
        np.maximum(seen, 1, out=seen)
        seen[~valid] = 0
        return seen, labels

    @cached_property
    def roles(self) -> dict[str, list[int]]:
        """By role the numbers of its classes."""
        found: dict[str, list[int]] = {}
        for number, name in enumerate(self.classes):
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
            role = next((role for role, pattern in _ROLES if re.search(pattern, words)), "other")
            found.setdefault(role, []).append(number)
        return found

    def _lay(self, labels: Labels, where: NDArray[np.bool_], role: str, kind: NDArray[Any] | None = None) -> None:
        """Classes of a role where they lie, which of several by `kind`, 0 to 1."""
        numbers = np.array(self.roles.get(role, ()), np.uint8)
        if not len(numbers):
            return
        which = 0 if kind is None else np.clip(((kind - 0.2) / 0.6 * len(numbers)).astype(int), 0, len(numbers) - 1)
        np.copyto(labels, numbers[which], where=where)

    def _parcels(self, y: NDArray[Any], x: NDArray[Any], size: int) -> Labels:
        """Fields: cells of a bent grid, of classes by lot."""
        bent_x = x.astype(np.int32) + ((self._noise(10, y, x, 3 * size) - 0.5) * size).astype(np.int32)
        bent_y = y.astype(np.int32) + ((self._noise(11, y, x, 3 * size) - 0.5) * size).astype(np.int32)
        column = (bent_x + size * 64) // size
        row = (bent_y + size * 64 + (column % 3) * (size // 3)) // (size + size // 4)
        numbers = np.array(self.roles.get("field") or self.roles.get("other") or range(len(self.classes)), np.uint8)
        return np.asarray(numbers[_hashed(self.seed + 12, row, column) % np.uint32(len(numbers))])

    def _noise(self, layer: int, y: NDArray[Any], x: NDArray[Any], size: int) -> NDArray[np.float32]:
        """Smooth, 0 to 1, with features of so many pixels: two octaves of values on a lattice."""
        coarse = _smooth(self.seed * 64 + layer, y, x, size)
        coarse *= np.float32(0.75)
        coarse += _smooth(self.seed * 64 + layer + 32, y, x, max(size // 4, 2)) * np.float32(0.25)
        return coarse

    def _plain(self, labels: Labels, y: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
        colours = np.array(class_colours(self.classes), np.int64)[:, np.arange(self.bands) % 3]
        noise = (_hashed(self.seed + 13, y, x)[..., None] >> np.arange(self.bands, dtype=np.uint32) % 24) & 31
        scale = 1 if self.dtype == "uint8" else 20
        seen = (colours[labels] * 3 // 4 + noise.astype(np.int64)) * scale
        return seen.clip(1, np.iinfo(self.dtype).max).astype(self.dtype)


def write_synthetic(path: Path, land: Land, *, truth: Path | None = None, tile: int = 512) -> None:
    """A scene as a tiled GeoTIFF, nodata 0 if it has holes; `truth`: another of its classes, 255 where there is
    nodata."""
    rasterio = rasterio_module()
    limit_cache()
    transform = rasterio.transform.from_origin(*land.corner, land.gsd_m, land.gsd_m)
    common = {"height": land.height, "width": land.width, "crs": land.crs, "transform": transform, "driver": "GTiff"}
    common |= {"tiled": True, "blockxsize": tile, "blockysize": tile, "compress": "deflate", "zlevel": 1}
    first, _ = land.strip(0, 1)
    samples = {"count": first.shape[2], "dtype": first.dtype, "nodata": 0 if land.holes else None}
    with contextlib.ExitStack() as stack:
        scene = stack.enter_context(
            rasterio.open(path, "w", **samples, **common, interleave="pixel", bigtiff="if_safer")
        )
        known = truth and stack.enter_context(rasterio.open(truth, "w", count=1, dtype="uint8", nodata=255, **common))
        for top in range(0, land.height, _STRIP):
            lines = min(_STRIP, land.height - top)
            window = rasterio.windows.Window(0, top, land.width, lines)
            seen, labels = land.strip(top, lines)
            scene.write(seen.transpose(2, 0, 1), window=window)
            if known:
                labels[~land.valid(top, lines)] = 255
                known.write(labels, 1, window=window)


def _to_and_fro(place: NDArray[Any], size: int) -> NDArray[Any]:
    """0, 1, ..., size - 1, size - 1, ..., 0, 0, 1, ...: a texture beside its mirror image has no seam."""
    inside = place % (2 * size)
    return np.asarray(np.minimum(inside, 2 * size - 1 - inside))


def _smooth(seed: int, y: NDArray[Any], x: NDArray[Any], size: int) -> NDArray[np.float32]:
    """Of rows y (lines, 1) and columns x (1, width): values of a lattice `size` wide, blended by 3 t^2 - 2 t^3."""
    row, column = y[:, 0] // size, x[0] // size
    rows, columns = np.arange(row[0], row[-1] + 2)[:, None], np.arange(column[0], column[-1] + 2)[None]
    lattice = (_hashed(seed, rows, columns) >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    column = column - column[0]
    along = lattice[:, column] + (lattice[:, column + 1] - lattice[:, column]) * _eased(x % size, size)
    row = row - row[0]
    values: NDArray[np.float32] = along[row + 1]
    values -= along[row]
    values *= _eased(y % size, size)
    values += along[row]
    return values


def _eased(place: NDArray[Any], size: int) -> NDArray[np.float32]:
    t = (place.astype(np.float32) + np.float32(0.5)) / np.float32(size)
    return np.asarray(t * t * (np.float32(3) - np.float32(2) * t), np.float32)


def _hashed(seed: int, rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[np.uint32]:
    """Integers that look random, of two coordinates and a seed: two rounds of Murmur3's finalizer."""
    with np.errstate(over="ignore"):
        value = rows.astype(np.uint32) * np.uint32(0x9E3779B1) ^ np.uint32(seed * 0x85EBCA6B & 0xFFFFFFFF)
        value = _mixed(value) ^ columns.astype(np.uint32) * np.uint32(0xC2B2AE35)
        return _mixed(value)


def _mixed(value: NDArray[np.uint32]) -> NDArray[np.uint32]:
    value = (value ^ value >> np.uint32(16)) * np.uint32(0x7FEB352D)
    value = (value ^ value >> np.uint32(15)) * np.uint32(0x846CA68B)
    return np.asarray(value ^ value >> np.uint32(16))
