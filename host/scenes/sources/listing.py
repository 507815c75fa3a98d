"""What a user names to scenes: rasters, products, folders of them, STAC items and collections of items."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlparse

from bitswath.errors import SceneError
from bitswath.scenes.sources.opening import Source
from bitswath.scenes.sources.sentinel2 import is_product

__all__ = ["sources_at"]

_RASTERS = {".tif", ".tiff", ".gtif", ".vrt", ".jp2", ".img", ".nc", ".zip"}
_WHOLE = ("visual", "data", "image", "analytic", "B01")
"""Assets that are a scene by themselves, where a bundle names no bands."""

_MOST_JSON_BYTES = 64 << 20


def sources_at(named: Iterable[str], wanted: tuple[str, ...] | None = None) -> list[Source]:
    """`wanted`: names of bands that are looked for among a STAC item's assets. Raises `SceneError` where there is no
    scene."""
    found = [source for each in named for source in _sources(each, wanted)]
    if not found:
        raise SceneError("expected a scene, got none")
    return found


def _sources(named: str, wanted: tuple[str, ...] | None) -> list[Source]:
    path = Path(named)
    if path.suffix.lower() in (".json", ".geojson") and path.is_file():
        return _items(path, wanted)
    if path.is_dir() and not is_product(path):
        inside = [each for each in sorted(path.iterdir()) if not each.name.startswith(".")]
        scenes = [each for each in inside if each.suffix.lower() in _RASTERS or is_product(each)]
        if not scenes:
            raise SceneError(f"{path}: holds no scenes ({', '.join(sorted(_RASTERS))}, SAFE folders)")
        return [Source((str(each),), title=str(each)) for each in scenes]
    return [Source((named,), title=named)]


def _items(path: Path, wanted: tuple[str, ...] | None) -> list[Source]:
    """Of a STAC item, or a collection of items, as a search gives it."""
    if path.stat().st_size > _MOST_JSON_BYTES:
        raise SceneError(f"{path}: expected at most {_MOST_JSON_BYTES} bytes of items")
    try:
        content = json.loads(path.read_bytes())
        features = content["features"] if content["type"] == "FeatureCollection" else [content]
        return [_source(item, path, wanted) for item in features]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, SceneError):
            raise
        raise SceneError(f"{path}: is no STAC item, nor a collection of items ({error!r})") from error


def _source(item: dict[str, Any], path: Path, wanted: tuple[str, ...] | None) -> Source:
    name = str(item["id"])
    rasters = {key: asset for key, asset in item["assets"].items() if _is_raster(asset)}
    if wanted and len(chosen := [_asset_of(band, rasters) for band in wanted]) == len([c for c in chosen if c]):
        keys = [key for key in chosen if key]
        distinct = list(dict.fromkeys(keys))
        names = tuple((band,) for band in wanted) if len(distinct) == len(keys) else ()
        return _made(name, [rasters[key] for key in distinct], path, names, item)
    for key in (*_WHOLE, *rasters):
        if key in rasters:
            return _made(name, [rasters[key]], path, (), item)
    raise SceneError(f"{path}: item {name!r} has no raster among its assets {', '.join(item['assets'])}")


def _made(
    name: str, assets: list[dict[str, Any]], path: Path, names: tuple[tuple[str, ...], ...], item: dict[str, Any]
) -> Source:
    taken = item.get("properties", {}).get("datetime")
    return Source(tuple(_place(str(asset["href"]), path) for asset in assets), names, name, taken)


def _place(href: str, path: Path) -> str:
    """Addresses as they are; files as their item's folder says."""
    parsed = urlparse(href)
    if parsed.scheme == "file":
        return parsed.path
    if parsed.scheme and len(parsed.scheme) > 1:
        return href
    return str((path.parent / href).resolve()) if not PurePosixPath(href).is_absolute() else href


def _is_raster(asset: dict[str, Any]) -> bool:
    kind, href = str(asset.get("type", "")), str(asset["href"])
    return kind.startswith(("image/tiff", "image/jp2", "image/vnd.stac.geotiff")) or (
        PurePosixPath(urlparse(href).path).suffix.lower() in _RASTERS - {".zip"}
    )


def _asset_of(band: str, assets: dict[str, dict[str, Any]]) -> str | None:
    """The asset that is, or holds, a band: by its key, or by the names that the extension EO, or STAC 1.1, gives."""
    for key, asset in assets.items():
        bands = [*asset.get("eo:bands", ()), *asset.get("bands", ())]
        names = {
            key,
            *(str(each.get(word, "")) for each in bands for word in ("name", "common_name", "eo:common_name")),
        }
        if band.lower() in {name.lower() for name in names}:
            return key
    return None
