"""Maps as cloud-optimized GeoTIFFs, written row by row and put in place whole.

Rows go into a plain file, those of overviews of classes beside it into files that GDAL knows by their name, .ovr behind
that of the level below; of these GDAL makes the cloud-optimized one.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from bitswath.basics.files import scratch_path, sync_folder, write_atomic
from bitswath.errors import BitswathError, SceneError
from bitswath.scenes.gdal import rasterio_module
from bitswath.scenes.grid import Grid
from bitswath.scenes.products.colours import Colour
from bitswath.scenes.products.overviews import halved, level_shapes

__all__ = ["Look", "Writer", "cog_writers", "names_beside"]

_TILE = 512


@dataclass(frozen=True)
class Look:
    """What a map says about itself: `dtype` and `nodata` of its bands, their names, whether they hold `classes`, whose
    overviews are made by majority, or numbers, by average; `colours` of a class band, `scale` of numbers, and `tags`.
    """

    dtype: str
    nodata: int
    bands: tuple[str, ...]
    classes: bool
    colours: tuple[Colour, ...] = ()
    scale: float = 1.0
    tags: Mapping[str, str] = field(default_factory=dict)
    band_tags: Mapping[str, str] = field(default_factory=dict)


class Writer:
    """Rows from top to bottom, in whole rows of tiles; `overview` takes those of the level above."""

    def __init__(self, dataset: Any, nodata: int, overview: Writer | None = None) -> None:
        self._dataset, self._nodata, self._overview = dataset, nodata, overview
        self._top, self._held = 0, 0
        self._rows = np.empty((dataset.count, _TILE, dataset.width), dataset.dtypes[0])

    def write(self, rows: NDArray[Any]) -> None:
        """Rows (lines, columns), or (bands, lines, columns), below those before."""
        given = rows.reshape(-1, *rows.shape[-2:])
        while given.shape[1]:
            part, given = np.split(given, [_TILE - self._held], axis=1)
            self._rows[:, self._held : self._held + part.shape[1]] = part
            self._held += part.shape[1]
            if self._held == _TILE:
                self._flush()

    def finish(self) -> None:
        if self._held:
            self._flush()
        if self._overview is not None:
            self._overview.finish()

    def _flush(self) -> None:
        rows = self._rows[:, : self._held]
        window = rasterio_module().windows.Window(0, self._top, self._dataset.width, self._held)
        self._dataset.write(rows, window=window)
        if self._overview is not None:
            self._overview.write(halved(rows, self._nodata))
        self._top, self._held = self._top + self._held, 0


@contextlib.contextmanager
def cog_writers(looks: Mapping[Path, Look], grid: Grid, work: Path) -> Iterator[dict[Path, Writer]]:
    """A writer for each raster; all are there when the block ends well, and else none is.

    `work`: a folder for what is written before. Raises `SceneError` where they cannot be written.
    """
    rasterio = rasterio_module()
    plain = {path: work / f"{number}.rows.tif" for number, path in enumerate(looks)}
    scratch = {
        path: work / f"{number}.tif" if path.parent == work.parent else scratch_path(path)
        for number, path in enumerate(looks)
    }
    _remove(*plain.values(), *scratch.values())  # of a run that was killed
    try:
        with contextlib.ExitStack() as stack:
            writers = {path: stack.enter_context(_rows_file(plain[path], grid, look)) for path, look in looks.items()}
            yield writers
        for path, look in looks.items():
            _to_cog(plain[path], scratch[path], look)
        for path in looks:
            scratch[path].replace(path)
            sync_folder(path.parent)
    except (rasterio.errors.RasterioError, rasterio._err.CPLE_BaseError, OSError) as error:
        if isinstance(error, BitswathError):
            raise
        cause = " ".join(str(error.__cause__ or error).split())
        raise SceneError(f"{next(iter(looks))}: cannot be written ({cause}); is the disk full?") from error
    finally:
        _remove(*plain.values(), *scratch.values())


def _remove(*paths: Path) -> None:
    """Files, and those that GDAL has beside them."""
    for path in paths:
        for each in path.parent.iterdir():
            if each.name.startswith(path.name):
                each.unlink(missing_ok=True)


@contextlib.contextmanager
def _rows_file(path: Path, grid: Grid, look: Look) -> Iterator[Writer]:
    layout = {"tiled": True, "blockxsize": _TILE, "blockysize": _TILE, "compress": "packbits", "interleave": "band"}
    profile = {"count": len(look.bands), "dtype": look.dtype, "nodata": look.nodata, **layout}
    places = [grid.profile]
    if look.classes:
        places += [{"height": height, "width": width} for height, width in level_shapes(*grid.shape, _TILE)]
    with contextlib.ExitStack() as stack:
        *lower, highest = (
            stack.enter_context(_created(f"{path}{'.ovr' * level}", {**profile, **place}))
            for level, place in enumerate(places)
        )
        writer = Writer(highest, look.nodata)
        for dataset in reversed(lower):
            writer = Writer(dataset, look.nodata, writer)
        _describe([*lower, highest][0], grid, look)
        yield writer
        writer.finish()


def _created(name: str, profile: Mapping[str, Any]) -> Any:
    rasterio = rasterio_module()
    with warnings.catch_warnings():  # overviews have no place of their own
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        return rasterio.open(name, "w", driver="GTiff", bigtiff="if_safer", **profile)


def _to_cog(rows: Path, output: Path, look: Look) -> None:
    rasterio = rasterio_module()
    settings = {"compress": "deflate", "blocksize": _TILE, "bigtiff": "if_safer", "num_threads": "all_cpus"}
    overviews = "force_use_existing" if look.classes else "ignore_existing"
    rasterio.shutil.copy(rows, output, driver="COG", overviews=overviews, overview_resampling="average", **settings)
    with rasterio.open(output) as dataset:  # GDAL does not tell of every write that failed
        dataset.read(dataset.count, window=rasterio.windows.Window(dataset.width - 1, dataset.height - 1, 1, 1))
    with output.open("rb") as file:
        os.fsync(file.fileno())


def names_beside(output: Path, classes: Sequence[str], colours: Sequence[Colour]) -> None:
    """Names of classes as GDAL and QGIS read them: in `output` with .aux.xml behind it."""
    root = ElementTree.Element("PAMDataset")
    band = ElementTree.SubElement(root, "PAMRasterBand", band="1")
    names = ElementTree.SubElement(band, "CategoryNames")
    table = ElementTree.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    columns = (("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8))
    for index, (title, kind, usage) in enumerate(columns):
        field_definition = ElementTree.SubElement(table, "FieldDefn", index=str(index))
        for tag, text in (("Name", title), ("Type", kind), ("Usage", usage)):
            ElementTree.SubElement(field_definition, tag).text = str(text)
    for index, (name, colour) in enumerate(zip(classes, colours)):
        ElementTree.SubElement(names, "Category").text = name
        row = ElementTree.SubElement(table, "Row", index=str(index))
        for value in (index, name, *colour):
            ElementTree.SubElement(row, "F").text = str(value)
    ElementTree.indent(root)
    write_atomic(output.with_name(f"{output.name}.aux.xml"), ElementTree.tostring(root, "utf-8") + b"\n")


def _describe(dataset: Any, grid: Grid, look: Look) -> None:
    rasterio = rasterio_module()
    if grid.gcps:
        points = [rasterio.control.GroundControlPoint(row, col, x, y, z) for row, col, x, y, z in grid.gcps]
        dataset.gcps = points, rasterio.crs.CRS.from_wkt(grid.crs) if grid.crs else None
    if look.colours:
        dataset.write_colormap(1, {index: (*colour, 255) for index, colour in enumerate(look.colours)})
    for band, name in enumerate(look.bands, 1):
        dataset.set_band_description(band, name)
        if look.scale != 1.0:
            dataset.scales = [look.scale] * len(look.bands)
    dataset.update_tags(**look.tags)
    if look.band_tags:
        dataset.update_tags(1, **look.band_tags)
