"""From what a user names to a scene that fits a bundle: bands chosen, grids and samples checked."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from bitswath.bundle.manifest import InputInfo
from bitswath.errors import SceneError
from bitswath.scenes.gdal import opened, reading
from bitswath.scenes.grid import Grid, grid_of
from bitswath.scenes.settings import SceneSettings
from bitswath.scenes.sources.channels import Channel, channels_of, chosen
from bitswath.scenes.sources.samples import conversion_of, declared_offset
from bitswath.scenes.sources.scene import Mask, Scene, SceneReader
from bitswath.scenes.sources.sentinel2 import is_product, product_at

__all__ = ["Source", "open_scene"]

CLOUDS = (1, 3, 8, 9, 10)
"""Classes of a scene classification (SCL) left out: saturated, cloud shadow, clouds of medium and high probability,
cirrus."""

_TOLERANCE = 0.1
_LOOKS, _LOOK = 3, 64
"""Places along each side that are looked at for the range of samples, and their size in pixels."""

_LEAST_USED = 0.02
"""Of a range, where all samples lie below: then they are of another unit."""


@dataclass(frozen=True)
class Source:
    """What is one scene: a raster, a SAFE folder or its zip, or several rasters of its bands, a file each.

    `names`: of the bands of each file, where they are known; `title`: for outputs and errors, by default the first
    path's; `taken`: when, ISO 8601.
    """

    paths: tuple[str, ...]
    names: tuple[tuple[str, ...], ...] = ()
    title: str = ""
    taken: str | None = None

    @property
    def name(self) -> str:
        return self.title or self.paths[0]


def open_scene(source: Source, entry: InputInfo, settings: SceneSettings) -> Scene:
    """Raises `SceneError` where the scene cannot be read or does not fit the bundle's input."""
    if entry.layout != "image":
        raise SceneError(f"{source.name}: the bundle takes {entry.described}, no images; scenes are made of those")
    channels, taken, scl = _channels(source, entry.patch_dtype)
    wanted = entry.sensor.bands if entry.sensor else None
    picked = chosen(channels, entry.patch_shape[2], wanted, settings.bands, source.name)
    grid, tile = _finest(picked)
    notes = [] if grid.placed else [_unplaced(grid, source.name)]
    gsd_m = entry.sensor.gsd_m if entry.sensor else None
    grid, told = _of_resolution(grid, gsd_m, settings.resample, source.name)
    target = np.dtype(entry.patch_dtype)
    conversions = tuple(conversion_of(channel, target, settings, source.name) for channel in picked)
    scene = Scene(
        source.name,
        grid,
        entry.patch_dtype,
        picked,
        conversions,
        settings.resampling,
        settings.nodata,
        _masks(settings, scl, source.name),
        tile,
        (*notes, *told, *_declared(picked, settings)),
        source.taken or taken,
    )
    height, width = entry.patch_shape[:2]
    if scene.grid.width < width or scene.grid.height < height:
        there = f"{scene.grid.width} x {scene.grid.height} pixels"
        raise SceneError(f"{source.name}: has {there}, less than a patch of {width} x {height}")
    if entry.sensor and entry.sensor.value_range and settings.value_range is None and settings.scale is None:
        _check_range(scene, entry.sensor.value_range)
    return scene


def _channels(source: Source, sample_type: str) -> tuple[list[Channel], str | None, str | None]:
    """The bands there are, when they were taken, and the path of a scene classification."""
    path = Path(source.paths[0])
    if len(source.paths) == 1 and path.exists() and is_product(path):
        found_product = product_at(path)
        return found_product.channels(sample_type), found_product.taken, found_product.files.get("SCL")
    found: list[Channel] = []
    for index, each in enumerate(source.paths):
        names = source.names[index] if source.names else ()
        with opened(each) as dataset, reading(each):
            here = channels_of(dataset, names)
        if len(source.paths) > 1 and len(here) == 1 and not here[0].names:
            here = [replace(here[0], names=(Path(each).stem,))]
        found += here
    return found, None, None


def _finest(channels: Sequence[Channel]) -> tuple[Grid, tuple[int, int]]:
    """The grid of the channel of the smallest pixels, which all are brought to, and the tiles of its file."""
    grids: dict[str, tuple[Grid, tuple[int, int]]] = {}
    for channel in channels:
        if channel.path not in grids:
            with opened(channel.path) as dataset, reading(channel.path):
                grids[channel.path] = grid_of(dataset), tuple(dataset.block_shapes[channel.band - 1])
    found = list(grids.values())
    least = min(found, key=lambda each: abs(each[0].transform[0] * each[0].transform[4]) or 1.0)
    for path, (grid, _) in grids.items():
        if grid.shape != least[0].shape and not (grid.placed and least[0].placed):
            raise SceneError(f"{path}: has {grid.width} x {grid.height} pixels and no place on Earth, others differ")
    return least


def _of_resolution(grid: Grid, wanted_m: float | None, resample: bool, name: str) -> tuple[Grid, list[str]]:
    """The grid in the bundle's resolution, within a tenth; and what is to be told."""
    found_m = grid.gsd_m
    if wanted_m is None or found_m is None:
        unknown = wanted_m is not None
        return grid, [f"{name}: its resolution is not known, the bundle's is {wanted_m:g} m"] if unknown else []
    if abs(found_m / wanted_m - 1) <= _TOLERANCE:
        return grid, []
    if not resample:
        found = f"{name}: has pixels of {found_m:.4g} m"
        raise SceneError(f"{found}, the bundle was made for {wanted_m:g} m; --resample brings them to it")
    return grid.resampled(wanted_m / found_m), [f"{name}: resampled from {found_m:.4g} m to {wanted_m:g} m"]


def _check_range(scene: Scene, wanted: tuple[float, float]) -> None:
    """Refuse samples of another range, by a look at some places: a tenth of them outside, or all in a corner of it."""
    seen = []
    with SceneReader(scene) as reader:
        height, width = (min(size, _LOOK) for size in scene.grid.shape)
        for down, along in product(range(_LOOKS), repeat=2):
            top, left = (scene.grid.height - height) * down, (scene.grid.width - width) * along
            with contextlib.suppress(SceneError):  # damage is told where it is met
                block = reader.read(top // (_LOOKS - 1), left // (_LOOKS - 1), height, width)
                seen.append(block.samples[block.valid])
    samples = np.concatenate(seen) if seen else np.zeros((0, 1))
    if not samples.size:
        return
    low, high = wanted
    outside = float(((samples < low) | (samples > high)).mean())
    unused = float(samples.max()) < low + _LEAST_USED * (high - low)
    if outside > _TOLERANCE or unused:
        raise SceneError(
            f"{scene.name}: has samples of {samples.min():g} to {samples.max():g}, the bundle was made for {low:g} to "
            f"{high:g}; --range, or --scale and --offset, say what they mean"
        )


def _masks(settings: SceneSettings, scl: str | None, name: str) -> tuple[Mask, ...]:
    if settings.mask is None:
        return ()
    if settings.mask.lower() != "scl":
        with opened(settings.mask):
            return (Mask(settings.mask, settings.mask_values),)
    if scl is None:
        raise SceneError(f"{name}: has no scene classification (SCL), which products of level 2A have; give a raster")
    return (Mask(scl, settings.mask_values or CLOUDS),)


def _unplaced(grid: Grid, name: str) -> str:
    if grid.gcps:
        return f"{name}: is placed by ground control points, which the map gets too; areas are in pixels"
    return f"{name}: has no coordinate reference system, nor has the map; areas are in pixels"


def _declared(channels: Sequence[Channel], settings: SceneSettings) -> list[str]:
    if settings.scale is not None or settings.offset is not None or settings.value_range is not None:
        return []
    found = {channel.title: declared_offset(channel) for channel in channels}
    told = ", ".join(f"{offset:+g} to {title}" for title, offset in found.items() if offset)
    return (
        [f"offsets that the product declares are added: {told}; --offset 0 takes samples as they are"] if told else []
    )
