"""GDAL through rasterio: brought in when it is needed, and its errors told in ours."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

from bitswath.errors import DependencyError, SceneError

__all__ = ["CACHE_BYTES", "limit_cache", "opened", "rasterio_module", "reading", "scene_extra"]

CACHE_BYTES = 64 << 20
"""GDAL's cache of decoded tiles: by itself it takes a share of the machine's memory."""


def scene_extra(module: str) -> Any:
    """A package that the extra ``scene`` brings. Raises `DependencyError` where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise DependencyError(f"scenes need {name}: pip install 'bitswath[scene]' ({error})") from error


@cache
def rasterio_module() -> Any:
    """rasterio with the parts that are used. Raises `DependencyError` where it is not installed."""
    rasterio = scene_extra("rasterio")
    for part in ("control", "crs", "enums", "env", "errors", "features", "shutil", "vrt", "warp", "windows"):
        scene_extra(f"rasterio.{part}")
    return rasterio


@contextlib.contextmanager
def reading(name: str) -> Iterator[None]:
    """What GDAL or rasterio refuses to read as a `SceneError` of one line that names the file."""
    rasterio = rasterio_module()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            yield
    except (rasterio.errors.RasterioError, rasterio._err.CPLE_BaseError, OSError, ValueError, MemoryError) as error:
        if isinstance(error, SceneError):
            raise
        cause = error.__cause__ or error
        raise SceneError(f"{name}: cannot be read ({' '.join(str(cause).split()) or type(cause).__name__})") from error


def opened(path: str) -> Any:
    """An open raster. Raises `SceneError` if it cannot be opened, or has no bands."""
    with reading(path):
        dataset = rasterio_module().open(path)
    if not dataset.count:
        inside = ", ".join(dataset.subdatasets[:3])
        dataset.close()
        raise SceneError(f"{path}: has no bands{f'; name one of {inside}' if inside else ''}")
    return dataset


def limit_cache(most: int = CACHE_BYTES) -> None:
    """For the process: GDAL keeps so many bytes of decoded tiles at most."""
    rasterio_module().env.set_gdal_config("GDAL_CACHEMAX", most)
