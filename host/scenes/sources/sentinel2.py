"""Sentinel-2 products as they are downloaded: a SAFE folder, or a zip of one.

Bands are found by the names of their files (Sentinel-2 Products Specification Document, section 4.9): levels 1C and 2A,
of each band the finest resolution there is, and the true-colour image, which is the one of 8 bits. Samples 0 are
nodata. Since baseline 04.00 the product's metadata state an offset for each band.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from bitswath.errors import SceneError
from bitswath.scenes.gdal import opened, reading
from bitswath.scenes.sources.channels import Channel, channels_of

__all__ = ["COMMON", "Product", "is_product", "product_at"]

COMMON = {
    "B01": "coastal",
    "B02": "blue",
    "B03": "green",
    "B04": "red",
    "B05": "rededge071",
    "B06": "rededge075",
    "B07": "rededge078",
    "B08": "nir",
    "B8A": "nir08",
    "B09": "nir09",
    "B10": "cirrus",
    "B11": "swir16",
    "B12": "swir22",
}
"""STAC's common names of its bands (EO extension)."""

_BANDS = tuple(COMMON)
"""In the order of the products' band_id."""

_FILE = re.compile(r"_(B\d[0-9A]|TCI|SCL)(?:_(\d\d)m)?\.(?:jp2|tif)$", re.IGNORECASE)
_METADATA = re.compile(r"MTD_MSIL(?:1C|2A)\.xml$", re.IGNORECASE)
_OFFSET = re.compile(r"<(?:RADIO_ADD_OFFSET|BOA_ADD_OFFSET)\s+band_id=\"(\d+)\">\s*(-?\d+)\s*<")
_DATE = re.compile(r"<PRODUCT_START_TIME>\s*([^<\s]+)\s*<")
_MOST_METADATA_BYTES = 4 << 20


@dataclass(frozen=True)
class Product:
    """`files`: by band the path of its finest resolution; `offsets`: by band, of its samples; `taken`: ISO 8601."""

    name: str
    files: Mapping[str, str]
    offsets: Mapping[str, float]
    taken: str | None = None

    def channels(self, sample_type: str) -> list[Channel]:
        """Of the true-colour image for 8-bit samples, else of all bands, the finest first."""
        if sample_type == "uint8":
            if "TCI" not in self.files:
                raise SceneError(f"{self.name}: has no true-colour image, which is what it has of 8 bits")
            with opened(self.files["TCI"]) as dataset, reading(self.name):
                found = channels_of(dataset)
            names = ("red", "green", "blue")
            return [replace(each, names=(name,), nodata=0.0) for each, name in zip(found, names)]
        return [self._channel(band) for band in _BANDS if band in self.files]

    def _channel(self, band: str) -> Channel:
        with opened(self.files[band]) as dataset, reading(self.name):
            (found, *_) = channels_of(dataset, (band, COMMON[band]))
        return replace(found, names=(band, COMMON[band]), nodata=0.0, declared=(1.0, self.offsets.get(band, 0.0)))


def is_product(path: Path) -> bool:
    """Whether it is a SAFE folder or a zip of one, by its name or what is in it."""
    if path.suffix.lower() == ".zip":
        return zipfile.is_zipfile(path) and any(_METADATA.search(name) for name in _zipped(path))
    if not path.is_dir():
        return False
    return any(_METADATA.search(each.name) for each in path.iterdir()) or any(path.glob("*/MTD_MSIL*.xml"))


def product_at(path: Path) -> Product:
    """Raises `SceneError` where there are no bands."""
    if path.is_dir():
        listed = {each.relative_to(path).as_posix(): str(each) for each in sorted(path.rglob("*")) if each.is_file()}
    else:
        listed = {name: f"/vsizip/{path.absolute().as_posix()}/{name}" for name in _zipped(path)}
    files: dict[str, tuple[int, str]] = {}
    for name, place in listed.items():
        match = _FILE.search(name)
        if match is None or "QI_DATA" in PurePosixPath(name).parts:
            continue
        band, resolution = match[1].upper(), int(match[2] or 0)
        files[band] = min(files.get(band, (resolution, place)), (resolution, place))
    if not set(files) & {*_BANDS, "TCI"}:
        raise SceneError(f"{path}: holds no bands of a Sentinel-2 product (files that end in _B02.jp2, _TCI_10m.jp2)")
    text = _metadata(path, listed)
    offsets = {_BANDS[int(number)]: float(offset) for number, offset in _OFFSET.findall(text) if int(number) < 13}
    taken = _DATE.search(text)
    name = path.name.removesuffix(".zip").removesuffix(".SAFE")
    return Product(name, {band: place for band, (_, place) in files.items()}, offsets, taken[1] if taken else None)


def _metadata(path: Path, listed: Mapping[str, str]) -> str:
    name = next((each for each in listed if _METADATA.search(each)), None)
    if name is None:
        return ""
    if path.is_dir():
        with Path(listed[name]).open("rb") as file:
            return file.read(_MOST_METADATA_BYTES).decode(errors="replace")
    with zipfile.ZipFile(path) as archive, archive.open(name) as member:
        return member.read(_MOST_METADATA_BYTES).decode(errors="replace")


def _zipped(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise SceneError(f"{path}: is no zip that can be read ({error})") from error
