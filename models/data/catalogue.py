"""The published data sets that are known by name: what they hold, and where they are to be had."""

from __future__ import annotations

from dataclasses import dataclass

from bitswath.bundle.manifest import Sensor

__all__ = ["CATALOGUE", "Download", "Published"]


@dataclass(frozen=True)
class Download:
    """A file that its publisher lets anyone fetch. `checksum`: ``"<algorithm>:<hex digest>"``."""

    url: str
    file: str
    size_bytes: int
    checksum: str


@dataclass(frozen=True)
class Published:
    """A data set as published: `bands` and `depth` (bits) of its images, number of `classes`.

    `names`: the files (without suffix) and folders it is known under, in any case; `home`: the
    publisher's page; `nested`: the class folders stand in folders of categories; `download`: None
    where the publisher has no address that a program can fetch; `sensor`: what its images were taken by.
    """

    title: str
    bands: int
    depth: int
    classes: int
    names: tuple[str, ...]
    home: str
    nested: bool = False
    download: Download | None = None
    sensor: Sensor | None = None


_ZENODO = "https://zenodo.org/records/7711810"

_SENTINEL_2 = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12", "B8A")
"""In the order of EuroSAT's files."""

CATALOGUE = {
    "eurosat": Published(
        title="EuroSAT RGB: 27,000 JPEGs of 64 x 64 (Helber et al. 2019, MIT licence)",
        bands=3,
        depth=8,
        classes=10,
        names=("eurosat_rgb", "eurosat", "2750"),
        home=_ZENODO,
        # MD5 as Zenodo states it for the record's files.
        download=Download(
            f"{_ZENODO}/files/EuroSAT_RGB.zip", "EuroSAT_RGB.zip", 94_658_721, "md5:f46e308c4d50d4bf32fedad2d3d62f3b"
        ),
        sensor=Sensor(bands=("red", "green", "blue"), gsd_m=10.0, value_range=(0.0, 255.0)),
    ),
    "eurosat_ms": Published(
        title="EuroSAT MS: 27,000 TIFFs of 64 x 64 with Sentinel-2's 13 bands (Helber et al. 2019, MIT licence)",
        bands=13,
        depth=16,
        classes=10,
        names=("eurosat_ms", "eurosatallbands"),
        home=_ZENODO,
        download=Download(
            f"{_ZENODO}/files/EuroSAT_MS.zip", "EuroSAT_MS.zip", 2_065_402_329, "md5:091174add3c8e680a49244acf185b9f0"
        ),
        sensor=Sensor(bands=_SENTINEL_2, gsd_m=10.0),
    ),
    "rsi_cb256": Published(
        title="RSI-CB256: 24,747 TIFFs of 256 x 256 (Li et al. 2020)",
        bands=3,
        depth=8,
        classes=35,
        names=("rsi-cb256", "rsi_cb256", "rsicb256"),
        home="https://github.com/lehaifeng/RSI-CB",
        nested=True,
    ),
    "aid": Published(
        title="AID: 10,000 JPEGs of 600 x 600 (Xia et al. 2017)",
        bands=3,
        depth=8,
        classes=30,
        names=("aid", "aid_dataset", "aid_150px"),
        home="https://captain-whu.github.io/AID/",
    ),
}
"""Data sets by name."""
