"""Procedural land cover: ten classes of satellite-like patches from a seed, with numpy alone.

A patch shows a scene of 64 x 64 units at any number of pixels: layers of materials with
reflectance spectra, then illumination, haze and sensor noise. Mean colours overlap between the
classes (a river runs through the same fields as a highway), so a classifier has to read texture
and shape. Patch `index` depends on (seed, split, index) only and is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import DatasetError
from bitswath.models.data.canvas import SCENE, Canvas, Draw, Plane, cells, clip, off_line, scatter, wave, wavelengths_nm

__all__ = ["CLASSES", "SPLIT_SIZES", "synthetic_patches"]

SPLIT_SIZES = {"train": 8000, "val": 1000, "test": 2000}
"""Patches in each split unless asked otherwise."""

_FULL_SCALE = {8: (255.0, 0.32), 16: (10000.0, 1.0)}
"""Depth in bits -> (digital number, at this reflectance): 8 bit as EuroSAT's RGB is stretched,
16 bit as Sentinel-2 quantifies."""


def synthetic_patches(
    indices: Iterable[int], split: str = "train", *, size: int = 64, bands: int = 3, depth: int = 8, seed: int = 0
) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], NDArray[np.int64]]:
    """Patches `indices` of a split; patch i shows class ``i % 10``.

    Returns patches (N, size, size, bands), uint8 for `depth` 8 and uint16 (reflectance x 10000)
    for 16, and labels int64 (N,). Raises `DatasetError` for a wrong option.
    """
    wanted = list(indices)
    _check(wanted, split, size, bands, depth, seed)
    numbers, reflectance = _FULL_SCALE[depth]
    dtype, most = (np.uint8, 255.0) if depth == 8 else (np.uint16, 65535.0)
    patches = np.empty((len(wanted), size, size, bands), dtype)
    for row, index in enumerate(wanted):
        image = _scene(index, list(SPLIT_SIZES).index(split), size, bands, seed)
        image *= numbers / reflectance
        image += 0.5
        patches[row] = clip(image, most).astype(dtype).transpose(1, 2, 0)
    return patches, np.array([index % len(CLASSES) for index in wanted], np.int64)


def _check(indices: list[int], split: str, size: int, bands: int, depth: int, seed: int) -> None:
    wrong = [
        (split not in SPLIT_SIZES, f"split: expected one of {', '.join(SPLIT_SIZES)}, not {split!r}"),
        (not 8 <= size <= 4096, f"size: expected 8 to 4096 pixels, not {size}"),
        (not 1 <= bands <= 64, f"bands: expected 1 to 64, not {bands}"),
        (depth not in _FULL_SCALE, f"depth: expected 8 or 16 bits, not {depth}"),
        (seed < 0, f"seed: expected a number >= 0, not {seed}"),
        (min(indices, default=0) < 0, "indices: expected numbers >= 0"),
    ]
    for is_wrong, message in wrong:
        if is_wrong:
            raise DatasetError(f"data set 'synthetic': {message}")


def _scene(index: int, split: int, size: int, bands: int, seed: int) -> Plane:
    """Reflectance at the sensor, float32 (bands, size, size)."""
    canvas = Canvas(Draw(seed, split, index), size, bands)
    _PAINTERS[CLASSES[index % len(CLASSES)]](canvas)
    _observe(canvas)
    return canvas.image


def _observe(canvas: Canvas) -> None:
    """Sun, haze (Rayleigh: wavelength^-4) and sensor noise."""
    draw = canvas.draw
    slope, _ = canvas.axes()
    canvas.image *= draw.uniform(0.75, 1.25) + (draw.uniform(0.0, 0.12) / SCENE) * slope
    haze = draw.uniform(0.012, 0.05)
    squares = [(550.0 / nm) * (550.0 / nm) for nm in wavelengths_nm(canvas.bands)]
    canvas.image += np.array([haze * square * square for square in squares], np.float32).reshape(-1, 1, 1)
    canvas.image += draw.noise(*canvas.image.shape) * draw.uniform(0.001, 0.005)


def _water(canvas: Canvas) -> None:
    draw = canvas.draw
    canvas.fill(canvas.mix("water", draw.choice("water", "green water", "silt water")))
    canvas.shade(canvas.texture(3), draw.uniform(0.02, 0.15))
    if draw.chance(0.5):
        canvas.paint(canvas.texture(4) * 0.25 + 0.25, canvas.mix("green water", "silt water"))
    along, across = canvas.axes()
    canvas.shade(wave(along + 2.0 * canvas.texture(5), draw.uniform(3, 7)), draw.uniform(0.0, 0.04))
    if draw.chance(0.3):
        land = canvas.coverage(across - draw.uniform(14, 30) + 5.0 * canvas.texture(5))
        canvas.paint(land, canvas.mix("sand", "shrub", "grass", "conifer"))


def _forest(canvas: Canvas) -> None:
    draw = canvas.draw
    canvas.fill(canvas.mix("conifer", "deciduous"))
    stands = clip(canvas.texture(5) * 3.0 + draw.uniform(-1.5, 1.5))
    canvas.paint(stands, canvas.mix("conifer", "deciduous", draw.choice("conifer", "shrub")))
    if draw.chance(0.35):
        clearing = canvas.coverage(6.0 * (canvas.texture(4) - draw.uniform(0.35, 0.7)))
        canvas.paint(clearing, canvas.mix("shrub", "grass", "soil"))
    canvas.shade(canvas.texture(26), draw.uniform(0.12, 0.3))
    canvas.shade(canvas.texture(40), draw.uniform(0.08, 0.2))


def _parcels(canvas: Canvas, mixes: list[tuple[str, ...]], low: float, high: float) -> tuple[Plane, Plane]:
    """Rectangular fields, each of one of eight colours; returns the fields' axes."""
    draw = canvas.draw
    along, across = canvas.axes()
    column, _ = cells(along, draw.uniform(low, high), draw.uniform())
    shift = (column % 3).astype(np.float32) * draw.uniform(0.2, 0.45)
    row, _ = cells(across + shift * SCENE, draw.uniform(low, high) * 1.6, draw.uniform())
    colours = [canvas.mix(*mixes[int(draw.uniform() * len(mixes))]) for _ in range(8)]
    canvas.image = np.concatenate(colours, axis=1)[:, :, 0].take(scatter(column, row, 8), axis=1)
    return along, across


def _annual_crop(canvas: Canvas) -> None:
    draw = canvas.draw
    mixes = [("soil", "dark soil"), ("soil", "green crop"), ("green crop",), ("ripe crop", "soil"), ("ripe crop",)]
    _, across = _parcels(canvas, mixes, 16, 44)
    canvas.shade(wave(across, draw.uniform(2.5, 5), draw.uniform()), draw.uniform(0.0, 0.07))
    canvas.shade(canvas.texture(8), draw.uniform(0.03, 0.1))


def _permanent_crop(canvas: Canvas) -> None:
    draw = canvas.draw
    along, across = _parcels(canvas, [("soil", "dry grass"), ("soil", "grass"), ("dark soil", "soil")], 18, 50)
    period = draw.uniform(3.6, 7.5)
    rows = wave(across + canvas.texture(3), period, draw.uniform())
    if draw.chance(0.6):
        rows = 0.5 * (rows + wave(along, period * draw.uniform(0.8, 1.3), draw.uniform()))
    planted = clip(canvas.texture(4) * 4.0 + draw.uniform(1.5, 4.0))
    trees = clip(rows * 1.8 + draw.uniform(-0.1, 0.5)) * planted
    canvas.paint(trees * draw.uniform(0.45, 0.95), canvas.mix("deciduous", "shrub", "conifer"))
    canvas.shade(canvas.texture(20), draw.uniform(0.04, 0.12))


def _pasture(canvas: Canvas) -> None:
    draw = canvas.draw
    mixes = [("grass",), ("grass", "dry grass"), ("grass", "green crop")]
    along, across = _parcels(canvas, mixes, 24, 60)
    canvas.shade(canvas.texture(5), draw.uniform(0.03, 0.12))
    if draw.chance(0.6):
        _hedges(canvas, along, across)
    trees = canvas.coverage(5.0 * (canvas.texture(16) - draw.uniform(0.6, 0.95)))
    canvas.paint(trees, canvas.mix("deciduous", "conifer"))
    canvas.shade(canvas.texture(24), draw.uniform(0.02, 0.07))


def _hedges(canvas: Canvas, along: Plane, across: Plane) -> None:
    draw = canvas.draw
    bent = along + 3.0 * canvas.texture(4)
    hedge = canvas.mix("deciduous", "conifer", "shrub")
    for coordinate in (bent, across):
        distance = np.abs(off_line(coordinate, draw.uniform(26, 60), draw.uniform()))
        canvas.paint(canvas.coverage(draw.uniform(0.5, 1.3) - distance) * 0.8, hedge)


def _heath(canvas: Canvas) -> None:
    draw = canvas.draw
    canvas.fill(canvas.mix("grass", "dry grass", "shrub"))
    for materials in (("shrub", "conifer"), ("dry grass", "soil"), ("shrub", "grass")):
        blotches = canvas.texture(int(draw.uniform(4, 9))) + 0.6 * canvas.texture(int(draw.uniform(12, 22)))
        canvas.paint(clip(blotches * 2.5 + draw.uniform(-0.8, 0.4)) * 0.85, canvas.mix(*materials))
    canvas.shade(canvas.texture(30), draw.uniform(0.04, 0.14))


def _countryside(canvas: Canvas) -> None:
    _PAINTERS[canvas.draw.choice("annual crop", "annual crop", "pasture", "heath", "forest", "permanent crop")](canvas)


def _highway(canvas: Canvas) -> None:
    draw = canvas.draw
    _countryside(canvas)
    along, across = canvas.axes()
    bend = draw.uniform(-0.004, 0.004)
    distance = np.abs(across - draw.uniform(-16, 16) + bend * along * along)
    half_width = draw.uniform(0.9, 2.0)
    if draw.chance(0.4):
        canvas.paint(canvas.coverage(half_width + draw.uniform(1, 3) - distance), canvas.mix("grass", "soil", "shrub"))
    road = canvas.mix("asphalt", draw.choice("asphalt", "concrete", "grey roof"))
    canvas.paint(canvas.coverage(half_width - distance), road)
    if half_width > 1.4:
        canvas.paint(canvas.coverage(0.3 - distance) * 0.6, canvas.mix("grass", "soil"))
    if draw.chance(0.45):
        other, _ = canvas.axes()
        offset = draw.uniform(-20, 20)
        canvas.paint(canvas.coverage(draw.uniform(0.5, 1.2) - np.abs(other - offset)), road)


def _river(canvas: Canvas) -> None:
    draw = canvas.draw
    _countryside(canvas)
    along, across = canvas.axes()
    meander = draw.uniform(1, 9) * wave(along, draw.uniform(40, 110), draw.uniform())
    distance = np.abs(across - draw.uniform(-14, 14) + meander + draw.uniform(1, 5) * canvas.texture(4))
    half_width = draw.uniform(1.2, 6.5) + draw.uniform(0, 1.2) * canvas.texture(5)
    if draw.chance(0.6):
        bank = canvas.mix("deciduous", "shrub", draw.choice("sand", "conifer"))
        canvas.paint(canvas.coverage(half_width + draw.uniform(0.5, 3.5) - distance) * 0.9, bank)
    water = canvas.mix("water", draw.choice("green water", "silt water", "silt water"))
    canvas.paint(canvas.coverage(half_width - distance), water)


def _blocks(
    canvas: Canvas, axes: tuple[Plane, Plane], period: float, fill: tuple[float, float], roofs: list[str]
) -> None:
    """One roof in each cell of a grid, of random presence and colour."""
    draw = canvas.draw
    column, x = cells(axes[0], period, draw.uniform())
    depth = period * draw.uniform(0.8, 1.5)
    row, y = cells(axes[1], depth, draw.uniform())
    index = scatter(column, row, 64)
    extent = draw.plane(2, 64) * (fill[1] - fill[0]) + fill[0]
    inside = np.minimum(
        (extent[0].take(index) * 0.5 - np.abs(x)) * period,
        (extent[1].take(index) * 0.5 - np.abs(y)) * depth,
    )
    kind = (draw.plane(64) * (len(roofs) / draw.uniform(0.6, 0.95))).astype(np.int32).take(index)
    mask = canvas.coverage(inside) * (kind < len(roofs))
    colours = np.concatenate([canvas.mix(roof) for roof in roofs], axis=1)[:, :, 0]
    canvas.image += mask * (colours.take(np.minimum(kind, len(roofs) - 1), axis=1) - canvas.image)


def _residential(canvas: Canvas) -> None:
    draw = canvas.draw
    canvas.fill(canvas.mix("grass", "soil", "shrub", "asphalt"))
    greenery = clip(canvas.texture(18) * 2.0 + draw.uniform(-0.6, 0.6))
    canvas.paint(greenery * 0.8, canvas.mix("deciduous", "shrub", "grass"))
    along, across = canvas.axes()
    bent = across + draw.uniform(0, 3) * canvas.texture(3)
    period = draw.uniform(3.6, 6.0)
    roofs = [draw.choice("tile roof", "grey roof"), "tile roof", draw.choice("grey roof", "dark roof", "concrete")]
    _blocks(canvas, (along, bent), period, (0.45, 0.8), roofs)
    street = canvas.mix("asphalt", "concrete")
    for coordinate, every in ((along, period * 5), (bent, period * 3)):
        distance = np.abs(off_line(coordinate, every, draw.uniform()))
        canvas.paint(canvas.coverage(draw.uniform(0.5, 0.9) - distance), street)


def _industrial(canvas: Canvas) -> None:
    draw = canvas.draw
    canvas.fill(canvas.mix("asphalt", "concrete", draw.choice("soil", "grass", "asphalt")))
    lots = canvas.coverage(5.0 * (canvas.texture(4) - draw.uniform(0.0, 0.5)))
    canvas.paint(lots, canvas.mix("grass", "soil", "dry grass"))
    along, across = canvas.axes()
    period = draw.uniform(9, 20)
    roofs = ["white roof", "grey roof", "concrete", draw.choice("blue roof", "dark roof", "tile roof")]
    _blocks(canvas, (along, across), period, (0.5, 0.92), roofs)
    if draw.chance(0.5):
        _blocks(canvas, (along, across), period * 0.9, (0.15, 0.4), ["grey roof", "white roof", "dark roof"])
    canvas.shade(wave(along, draw.uniform(3, 6)), draw.uniform(0.0, 0.06))


_PAINTERS: dict[str, Callable[[Canvas], None]] = {
    "annual crop": _annual_crop,
    "forest": _forest,
    "heath": _heath,
    "highway": _highway,
    "industrial": _industrial,
    "pasture": _pasture,
    "permanent crop": _permanent_crop,
    "residential": _residential,
    "river": _river,
    "water": _water,
}

CLASSES = tuple(_PAINTERS)
"""The ten classes, in the order of their labels."""
