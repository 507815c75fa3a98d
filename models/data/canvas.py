"""What synthetic scenes are painted with: a portable random stream, textures and materials.

Everything here is the same to the last bit on every machine. Random numbers come from PCG64's
raw stream, which numpy keeps fixed (its distributions may change, NEP 19); arithmetic is
elementwise +, -, *, / and rounding, which IEEE 754 defines exactly (a sine or the
order of a sum would differ between machines).
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.random import PCG64, SeedSequence
from numpy.typing import NDArray

__all__ = ["SCENE", "Canvas", "Draw", "Plane", "cells", "clip", "off_line", "scatter", "wave", "wavelengths_nm"]

SCENE = 64.0
"""Side of a scene in units; at 64 x 64 pixels a unit is a pixel."""

Plane = NDArray[np.floating[Any]]

_ANCHORS_NM = (443, 490, 560, 665, 705, 783, 865, 1610, 2190)
_SPECTRA = {  # surface reflectance in 1/1000 at the anchors
    "water": (38, 42, 40, 22, 16, 10, 8, 4, 3),
    "silt water": (60, 72, 92, 86, 70, 40, 32, 12, 8),
    "green water": (40, 48, 66, 44, 36, 18, 14, 7, 5),
    "conifer": (20, 22, 36, 24, 58, 180, 210, 100, 45),
    "deciduous": (24, 28, 52, 30, 90, 300, 340, 160, 70),
    "shrub": (36, 42, 68, 60, 105, 210, 240, 190, 110),
    "grass": (34, 40, 76, 52, 120, 320, 360, 210, 105),
    "dry grass": (58, 74, 106, 124, 160, 240, 270, 300, 200),
    "green crop": (32, 38, 72, 44, 110, 380, 430, 200, 90),
    "ripe crop": (72, 92, 132, 164, 196, 260, 290, 330, 240),
    "soil": (70, 86, 112, 144, 160, 188, 206, 280, 250),
    "dark soil": (48, 56, 70, 88, 98, 116, 128, 180, 165),
    "sand": (110, 136, 172, 206, 220, 246, 262, 340, 310),
    "asphalt": (84, 92, 100, 106, 110, 118, 122, 140, 134),
    "concrete": (138, 158, 178, 192, 198, 208, 214, 250, 230),
    "tile roof": (76, 88, 110, 168, 186, 212, 226, 250, 220),
    "grey roof": (100, 112, 124, 130, 134, 142, 146, 168, 160),
    "white roof": (230, 260, 286, 300, 304, 310, 312, 300, 270),
    "blue roof": (130, 150, 140, 112, 108, 118, 126, 150, 140),
    "dark roof": (56, 60, 64, 68, 70, 78, 82, 98, 94),
}
_NAMED_BANDS_NM: dict[int, tuple[float, ...]] = {
    1: (600,),
    3: (665, 560, 490),
    4: (665, 560, 490, 842),
    13: (443, 490, 560, 665, 705, 740, 783, 842, 945, 1375, 1610, 2190, 865),
}


def wavelengths_nm(bands: int) -> tuple[float, ...]:
    """Centre of each band in nm.

    1: panchromatic; 3: red, green, blue; 4: these and near infrared; 13: Sentinel-2's in the
    order of EuroSAT's TIFF files (B8A last); any other count: evenly from 443 to 2190.
    """
    if bands in _NAMED_BANDS_NM:
        return _NAMED_BANDS_NM[bands]
    low, high = _ANCHORS_NM[0], _ANCHORS_NM[-1]
    return tuple(low + (high - low) * band / (bands - 1) for band in range(bands))


class Draw:
    """Uniform random numbers of one patch."""

    def __init__(self, seed: int, *key: int) -> None:
        self._bits = PCG64(SeedSequence(seed, spawn_key=key))
        self._scalars: list[float] = []

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        if not self._scalars:
            self._scalars = ((self._bits.random_raw(64) >> np.uint64(11)) * 2.0**-53).tolist()
        return low + (high - low) * self._scalars.pop()

    def chance(self, probability: float) -> bool:
        return self.uniform() < probability

    def choice(self, *options: str) -> str:
        return options[int(self.uniform() * len(options))]

    def plane(self, *shape: int) -> Plane:
        """float32 in [0, 1) in steps of 2^-16."""
        count = prod(shape)
        return (self._raw(2 * count).view("<u2")[:count] * np.float32(2.0**-16)).reshape(shape)

    def noise(self, *shape: int) -> Plane:
        """float32 of zero mean and unit deviation, triangular: the sum of two bytes."""
        bytes_ = self._raw(2 * prod(shape))[: 2 * prod(shape)].view(np.int8).reshape(2, *shape)
        total: Plane = np.add(bytes_[0], bytes_[1], dtype=np.int16).astype(np.float32)
        total += 1.0
        total *= 1 / 104.5
        return total

    def _raw(self, count: int) -> NDArray[np.uint8]:
        words = np.asarray(self._bits.random_raw(-(-count // 8)), "<u8")
        return words.view(np.uint8)


class Canvas:
    """A scene being painted: reflectance, float32 (bands, size, size)."""

    def __init__(self, draw: Draw, size: int, bands: int) -> None:
        self.draw = draw
        self.size = size
        self.bands = bands
        self.image = np.zeros((bands, size, size), np.float32)
        self._season = draw.uniform(-1.0, 1.0)

    def mix(self, *materials: str) -> Plane:
        """Colour (bands, 1, 1) of a random blend of materials, each lighter or darker and in season."""
        weights = [self.draw.uniform(0.05, 1.0) for _ in materials]
        total = sum(weights)
        blend = [0.0] * self.bands
        for material, weight in zip(materials, weights):
            gain = self.draw.uniform(0.78, 1.22) * (weight / total)
            tilt = 0.12 * self._season + self.draw.uniform(-0.08, 0.08)
            for band, (value, slope) in enumerate(_spectrum(material, self.bands)):
                blend[band] += value * (1.0 + tilt * slope) * gain
        return np.array(blend, np.float32).reshape(-1, 1, 1)

    def fill(self, colour: Plane) -> None:
        self.image[:] = colour

    def paint(self, mask: Plane, colour: Plane) -> None:
        """Blend a colour in where `mask` (size, size) is towards 1."""
        self.image += mask * (colour - self.image)

    def shade(self, relief: Plane, strength: float) -> None:
        """Lighten and darken all bands by `relief` (about -1..1) times `strength`."""
        self.image *= 1.0 + strength * relief

    def coverage(self, distance: Plane) -> Plane:
        """Share of a pixel inside an outline at signed `distance` (units, positive inside)."""
        return clip(distance * (self.size / SCENE) + 0.5)

    def texture(self, grain: int) -> Plane:
        """Smooth noise, about [-1, 1]: a quadratic B-spline over `grain` random values along a side.

        Values of 7 bits and weights of 8 bits make every product and sum an integer below 2^24,
        exact in float32 in any order, so the matrix products too are the same everywhere.
        """
        lattice = (self.draw.plane(grain + 2, grain + 2) * 255.0).astype(np.int32).astype(np.float32) - 127.0
        weights = _spline(self.size, grain)
        return (weights @ lattice @ weights.T) * (1.5 / (127 * 256 * 256))

    def axes(self) -> tuple[Plane, Plane]:
        """Coordinates (units, around the centre) along and across a random direction."""
        along = _coordinates(self.size)
        # The rational form of (cos, sin), nearly uniform within an octant.
        half = self.draw.uniform(-0.4142, 0.4142)
        cosine, sine = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)
        if self.draw.chance(0.5):
            cosine, sine = -sine, cosine
        straight, turned = along * cosine, along * sine
        return straight + turned[:, None], straight[:, None] - turned


def clip(values: Plane, most: float = 1.0) -> Plane:
    """Values clipped to 0..most, in place."""
    np.maximum(values, 0.0, out=values)
    np.minimum(values, most, out=values)
    return values


def cells(coordinate: Plane, width: float, offset: float = 0.0) -> tuple[NDArray[np.int32], Plane]:
    """Number (>= 0) of the cell of `width` units that a coordinate is in, and its place there, -0.5..0.5."""
    scaled = coordinate * (1.0 / width)
    scaled += 256.0 + offset
    number = scaled.astype(np.int32)
    scaled -= number.astype(np.float32)
    scaled -= 0.5
    return number, scaled


def off_line(coordinate: Plane, spacing: float, phase: float = 0.0) -> Plane:
    """Signed distance (units) to the nearest of parallel lines `spacing` units apart."""
    scaled = coordinate * (1.0 / spacing)
    scaled += phase
    scaled -= np.rint(scaled)
    scaled *= spacing
    return scaled


def wave(coordinate: Plane, period: float, phase: float = 0.0) -> Plane:
    """A sine-like wave in [-1, 1] made of parabolas."""
    place = off_line(coordinate, period, phase)
    return place * (8.0 / period - np.abs(place) * (16.0 / (period * period)))


def scatter(column: NDArray[np.int32], row: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """One of `count` (a power of two) table entries for each cell of a grid."""
    mixed = column * 7
    mixed += row * 13
    mixed += column ^ row
    mixed &= count - 1
    return mixed


@lru_cache(maxsize=64)
def _spectrum(material: str, bands: int) -> tuple[tuple[float, float], ...]:
    """Reflectance in each band, and how far the band is to the red: -1 at 443 nm to 1 from 900 nm on."""
    return tuple(
        (_interpolate(nm, _SPECTRA[material]) / 1000.0, min((nm - 443.0) / 228.5 - 1.0, 1.0))
        for nm in wavelengths_nm(bands)
    )


def _interpolate(nm: float, values: tuple[float, ...]) -> float:
    for left, right, start, end in zip(_ANCHORS_NM, _ANCHORS_NM[1:], values, values[1:]):
        if nm <= right:
            return start + (end - start) * ((nm - left) / (right - left))
    return values[-1]


@lru_cache(maxsize=16)
def _coordinates(size: int) -> Plane:
    return ((np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(SCENE / size)) - np.float32(SCENE / 2)


@lru_cache(maxsize=128)
def _spline(size: int, count: int) -> Plane:
    """Weight of each lattice value in each pixel of a line: integers of 1/256, float32 (size, count + 2)."""
    position = (_coordinates(size) + np.float32(SCENE / 2)) * np.float32(count / SCENE)
    index = position.astype(np.intp)
    place = position - index.astype(np.float32)
    first, last = (np.rint(128.0 * side * side) for side in (1.0 - place, place))
    weights = np.zeros((size, count + 2), np.float32)
    for step, values in enumerate((first, 256.0 - first - last, last)):
        weights[np.arange(size), index + step] = values
    return weights
