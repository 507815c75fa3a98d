"""A scene: bands on one grid, and reading parts of it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.scenes.gdal import opened, rasterio_module, reading
from bitswath.scenes.grid import Grid, grid_of
from bitswath.scenes.sources.channels import Channel
from bitswath.scenes.sources.samples import Conversion

__all__ = ["Block", "Mask", "Scene", "SceneReader"]


@dataclass(frozen=True)
class Mask:
    """Band 1 of a raster whose `values` are left out; None: all but 0."""

    path: str
    values: tuple[int, ...] | None = None

    def left_out(self, samples: NDArray[Any]) -> NDArray[np.bool_]:
        return samples != 0 if self.values is None else np.isin(samples, self.values)


@dataclass(frozen=True)
class Scene:
    """What is read, as plain data that goes to other processes: `channels` in the bundle's order with what each one's
    samples become, on `grid`; `nodata` for those that say none; `masks`; `tile`: (rows, columns) of the file's blocks;
    `notes`: what a user should know, a line each."""

    name: str
    grid: Grid
    dtype: str
    channels: tuple[Channel, ...]
    conversions: tuple[Conversion | None, ...]
    resampling: str = "bilinear"
    nodata: float | None = None
    masks: tuple[Mask, ...] = ()
    tile: tuple[int, int] = (1, 1)
    notes: tuple[str, ...] = ()
    taken: str | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """Of every file, each once."""
        return tuple(dict.fromkeys([each.path for each in self.channels] + [each.path for each in self.masks]))


@dataclass(frozen=True, eq=False)
class Block:
    """`samples` (H, W, C) of the bundle's type, 0 where not `valid` (H, W)."""

    samples: NDArray[Any]
    valid: NDArray[np.bool_]

    @classmethod
    def empty(cls, scene: Scene, height: int, width: int) -> Block:
        """One to be filled."""
        shape = (height, width, len(scene.channels))
        return cls(np.empty(shape, scene.dtype), np.empty(shape[:2], bool))


class SceneReader:
    """Reads parts of a scene; used by one thread at a time, to be closed."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._open = contextlib.ExitStack()
        self._datasets: dict[str, Any] = {}

    def read(self, top: int, left: int, height: int, width: int, into: Block | None = None) -> Block:
        """Fills `into`, by default a new one. Raises `SceneError` if the file is damaged there."""
        scene = self.scene
        with reading(scene.name):
            window = rasterio_module().windows.Window(left, top, width, height)
            block = into or Block.empty(scene, height, width)
            samples, valid = block.samples, block.valid
            valid[...] = False
            numbers = np.ones((height, width), bool) if self._floats else None
            for group in self._groups:
                self._read_group(group, window, samples, valid, numbers)
            if numbers is not None:
                valid &= numbers
            for mask in scene.masks:
                shown = self._dataset(mask.path, "nearest").read(1, window=window)
                valid &= ~mask.left_out(shown)
            if not valid.all():
                samples[~valid] = 0
        return block

    def decimated(self, extent: tuple[int, int], shape: tuple[int, int], places: Sequence[int]) -> NDArray[Any]:
        """Channels at some places, of the upper left `extent` of the scene, as the file holds them, brought to `shape`:
        (*shape, places); for pictures."""
        window = rasterio_module().windows.Window(0, 0, extent[1], extent[0])
        bands = []
        with reading(self.scene.name):
            for channel in (self.scene.channels[place] for place in places):
                dataset = self._dataset(channel.path, self.scene.resampling)
                bands.append(dataset.read(channel.band, window=window, out_shape=shape))
        return np.stack(bands, axis=-1)

    def close(self) -> None:
        self._datasets.clear()
        self._open.close()

    def __enter__(self) -> SceneReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def _floats(self) -> bool:
        return any(np.dtype(channel.dtype).kind == "f" for channel in self.scene.channels)

    @cached_property
    def _groups(self) -> list[list[int]]:
        """Places of channels that are read at once: those of one file."""
        groups: dict[tuple[str, str], list[int]] = {}
        for place, channel in enumerate(self.scene.channels):
            groups.setdefault((channel.path, channel.dtype), []).append(place)
        return list(groups.values())

    def _read_group(
        self,
        group: Sequence[int],
        window: Any,
        samples: NDArray[Any],
        valid: NDArray[np.bool_],
        numbers: NDArray[np.bool_] | None,
    ) -> None:
        """Fill `samples`; set `valid` where any band holds data, clear `numbers` where any is no number."""
        scene = self.scene
        channels = [scene.channels[place] for place in group]
        nodata = [scene.nodata if scene.nodata is not None else channel.nodata for channel in channels]
        dataset = self._dataset(channels[0].path, scene.resampling, nodata[0])
        whole = len(group) == samples.shape[2] and not any(scene.conversions)
        raw = samples if whole else np.empty((*samples.shape[:2], len(group)), channels[0].dtype)
        dataset.read([channel.band for channel in channels], window=window, out=raw.transpose(2, 0, 1))
        masked = nodata[0] is None and _has_mask(dataset)
        if masked:
            valid |= dataset.read_masks(channels[0].band, window=window) > 0
        elif any(none is None or none != none for none in nodata):
            valid[...] = True
        for index, place in enumerate(group):
            band = raw[:, :, index]
            if numbers is not None and band.dtype.kind == "f":
                numbers &= np.isfinite(band)
            none = nodata[index]
            if not masked and none is not None and none == none:
                valid |= band != none
            if not whole:
                convert = scene.conversions[place]
                if convert is None:
                    samples[:, :, place] = band
                else:
                    convert(band, samples[:, :, place])

    def _dataset(self, path: str, resampling: str, nodata: float | None = None) -> Any:
        """The raster at a path, on the scene's grid; where that is another, what is not there is 0, or `nodata`."""
        if path not in self._datasets:
            dataset = self._open.enter_context(opened(path))
            grid = self.scene.grid
            if not _on(grid_of(dataset), grid):
                rasterio = rasterio_module()
                dataset = self._open.enter_context(
                    rasterio.vrt.WarpedVRT(
                        dataset,
                        resampling=rasterio.enums.Resampling[resampling],
                        add_alpha=nodata is None and not _has_mask(dataset),
                        **({} if nodata is None else {"src_nodata": nodata, "nodata": nodata}),
                        **grid.profile,
                    )
                )
            self._datasets[path] = dataset
        return self._datasets[path]


def _has_mask(dataset: Any) -> bool:
    flags = {getattr(flag, "name", "") for each in dataset.mask_flag_enums for flag in each}
    return bool(flags & {"per_dataset", "alpha"})


def _on(own: Grid, wanted: Grid) -> bool:
    """Whether a raster lies on the grid already, within a hundredth of a pixel at its corners."""
    if own.shape != wanted.shape:
        return False
    near = 0.01 * max(map(abs, (*wanted.transform[:2], *wanted.transform[3:5])))
    ends = []
    for grid in (own, wanted):
        a, b, c, d, e, f = grid.transform
        ends.append([a * x + b * y + c for x, y in _corners(grid)] + [d * x + e * y + f for x, y in _corners(grid)])
    return all(abs(one - other) <= near for one, other in zip(*ends))


def _corners(grid: Grid) -> tuple[tuple[int, int], ...]:
    return (0, 0), (grid.width, 0), (0, grid.height), (grid.width, grid.height)
