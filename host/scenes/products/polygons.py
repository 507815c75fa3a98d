"""A map's areas of one class as polygons, in GeoPackage or GeoJSON."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bitswath.basics.files import scratch_path
from bitswath.errors import InputError, SceneError
from bitswath.scenes.gdal import opened, rasterio_module, reading, scene_extra
from bitswath.scenes.products.made import Map

__all__ = ["ENDINGS", "save_polygons"]

ENDINGS = (".gpkg", ".geojson", ".json")


def save_polygons(made: Map, path: Path) -> int:
    """Write them and say how many; each has `class` and `label`. GeoPackage keeps the map's CRS, GeoJSON is in degrees
    (RFC 7946) where the CRS is known. Raises `InputError` for another ending, `SceneError` if it cannot be written."""
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"{path}: expected polygons as {', '.join(ENDINGS)}")
    if made.grid.gcps:
        raise SceneError(f"{path}: the map is placed by control points, polygons would have no place; warp it first")
    scratch = scratch_path(path).with_suffix(path.suffix)
    write = _geopackage if path.suffix.lower() == ".gpkg" else _geojson
    try:
        count = write(made, scratch)
        scratch.replace(path)
    except OSError as error:
        raise SceneError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        scratch.unlink(missing_ok=True)
    return count


def _shapes(made: Map) -> Iterator[tuple[dict[str, Any], int]]:
    name = str(made.outputs.labels)
    with opened(name) as dataset, reading(name):
        rasterio = rasterio_module()
        for shape, label in rasterio.features.shapes(rasterio.band(dataset, 1), transform=dataset.transform):
            if int(label) < len(made.classes):
                yield shape, int(label)


def _geojson(made: Map, path: Path) -> int:
    warp = rasterio_module().warp
    count = 0
    with path.open("w") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for shape, label in _shapes(made):
            if made.grid.crs:
                shape = warp.transform_geom(made.grid.crs, "EPSG:4326", shape, precision=7)
            told = {"class": made.classes[label], "label": label}
            file.write(
                ("," if count else "") + "\n" + json.dumps({"type": "Feature", "properties": told, "geometry": shape})
            )
            count += 1
        file.write("\n]}\n")
    return count


def _geopackage(made: Map, path: Path) -> int:
    shapely = scene_extra("shapely.geometry")
    found = [(shapely.shape(shape).wkb, label) for shape, label in _shapes(made)]
    labels = np.array([label for _, label in found], np.int32)
    names = np.array([made.classes[label] for label in labels], object)
    geometry = np.array([wkb for wkb, _ in found], object)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one without a CRS is told of elsewhere
        scene_extra("pyogrio.raw").write(
            path, geometry, [names, labels], ["class", "label"], driver="GPKG", layer="landcover",
            geometry_type="Polygon", crs=made.grid.crs or None,
        )  # fmt: skip
    return len(found)
