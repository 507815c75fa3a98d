"""SAFE folders and zips, made here as ESA lays them out, with JPEG 2000 files that lose nothing."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.transform import from_origin
from rasterio.vrt import WarpedVRT

from bitswath.bundle.manifest import Sensor
from bitswath.errors import SceneError
from bitswath.scenes.settings import SceneSettings
from bitswath.scenes.sources.listing import sources_at
from bitswath.scenes.sources.opening import CLOUDS, Source, open_scene
from tests.host.scenes.cases import land
from tests.host.scenes.test_sources import entry, whole

NAME = "S2A_MSIL2A_20240607T100031_N0510_R122_T33UWP_20240607T160000.SAFE"
RESOLUTION = {"B02": 10, "B03": 10, "B04": 10, "B08": 10, "B05": 20, "B8A": 20, "B11": 20, "B01": 60, "B09": 60}
METADATA = """<n1:Level-2A_User_Product><PRODUCT_START_TIME>2024-06-07T10:00:31.024Z</PRODUCT_START_TIME>
<BOA_ADD_OFFSET_VALUES_LIST>{}</BOA_ADD_OFFSET_VALUES_LIST></n1:Level-2A_User_Product>"""
SIDE = 120


def jp2(path: Path, values: NDArray[Any], metres: int) -> None:
    lossless = {"QUALITY": "100", "REVERSIBLE": "YES", "YCBCR420": "NO"}
    bands, height, width = values.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    place = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_000_000, metres, metres)}
    with rasterio.open(
        path,
        "w",
        driver="JP2OpenJPEG",
        count=bands,
        height=height,
        width=width,
        dtype=values.dtype,
        **place,
        **lossless,
    ) as file:
        file.write(values)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, NDArray[Any]]]:
    rng = np.random.default_rng(1)
    safe = tmp_path_factory.mktemp("s2") / NAME
    inside, made = safe / "GRANULE" / "L2A_T33UWP_A046801" / "IMG_DATA", {}
    for band, metres in RESOLUTION.items():
        side = SIDE * 10 // metres
        made[band] = land(rng, side, side, 1, "uint16")[0] + np.uint16(900)
        made[band][: side // 4] = 0
        jp2(inside / f"R{metres}m" / f"T33UWP_20240607T100031_{band}_{metres}m.jp2", made[band][None], metres)
        if metres == 10:  # coarser copies, as products have them
            jp2(inside / "R60m" / f"T33UWP_20240607T100031_{band}_60m.jp2", made[band][None, ::6, ::6], 60)
    made["TCI"] = land(rng, SIDE, SIDE)
    jp2(inside / "R10m" / "T33UWP_20240607T100031_TCI_10m.jp2", made["TCI"], 10)
    made["SCL"] = rng.integers(2, 12, (SIDE // 2, SIDE // 2)).astype(np.uint8)
    jp2(inside / "R20m" / "T33UWP_20240607T100031_SCL_20m.jp2", made["SCL"][None], 20)
    offsets = "".join(f'<BOA_ADD_OFFSET band_id="{number}">-1000</BOA_ADD_OFFSET>' for number in range(13))
    (safe / "MTD_MSIL2A.xml").write_text(METADATA.format(offsets))
    return safe, made


@pytest.fixture(params=["folder", "zip"])
def place(request: pytest.FixtureRequest, product: tuple[Path, Any], tmp_path: Path) -> Path:
    safe, _ = product
    if request.param == "folder":
        return safe
    archive = tmp_path / f"{NAME}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for path in sorted(safe.rglob("*")):
            file.write(path, Path(NAME) / path.relative_to(safe))
    return archive


def test_bands_of_all_resolutions_on_one_grid_with_the_offset_taken_off(place: Path, product: tuple[Path, Any]) -> None:
    made, names = product[1], ("B02", "B05", "B8A", "B09")
    (source,) = sources_at([str(place)])
    about = entry("uint16", 4, sensor=Sensor(bands=names, gsd_m=10.0))
    block = whole(source, about)
    scene = open_scene(source, about, SceneSettings())
    assert scene.taken == "2024-06-07T10:00:31.024Z"
    assert any("-1000 to B02" in note for note in scene.notes)
    assert scene.grid.shape == (SIDE, SIDE)
    assert not block.valid[: SIDE // 4 - 6].any()
    assert block.valid[SIDE // 4 + 6 :].all()
    fine = np.maximum(made["B02"].astype(int) - 1000, 0)
    np.testing.assert_array_equal(block.samples[..., 0], np.where(block.valid, fine, 0))
    for index, (band, metres) in enumerate((("B05", 20), ("B8A", 20), ("B09", 60)), 1):
        with (
            rasterio.open(next(product[0].rglob(f"*_{band}_{metres}m.jp2"))) as file,
            WarpedVRT(
                file, resampling=Resampling.bilinear, width=SIDE, height=SIDE, transform=scene.grid.affine,
                crs=file.crs, src_nodata=0, nodata=0,
            ) as vrt,
        ):  # fmt: skip
            seen = np.maximum(vrt.read(1).astype(int) - 1000, 0)
        np.testing.assert_array_equal(block.samples[..., index], np.where(block.valid, seen, 0))


def test_a_bundle_of_eight_bits_gets_the_true_colour_image(place: Path, product: tuple[Path, Any]) -> None:
    about = entry(sensor=Sensor(bands=("red", "green", "blue"), gsd_m=10.0))
    block = whole(Source((str(place),)), about)
    np.testing.assert_array_equal(block.samples, product[1]["TCI"].transpose(1, 2, 0))


def test_common_names_and_the_clouds(place: Path, product: tuple[Path, Any]) -> None:
    about = entry("uint16", 3)
    block = whole(Source((str(place),)), about, bands=("red", "nir", "swir16"), mask="scl", offset=0.0)
    np.testing.assert_array_equal(block.samples[block.valid][:, 0], product[1]["B04"][block.valid])
    clear = ~np.isin(product[1]["SCL"].repeat(2, 0).repeat(2, 1), CLOUDS)
    rows = np.s_[SIDE // 4 + 6 :]
    np.testing.assert_array_equal(block.valid[rows], clear[rows])


def test_what_a_product_does_not_have(product: tuple[Path, Any], tmp_path: Path) -> None:
    about = entry("uint16", 2, sensor=Sensor(bands=("B02", "B12")))
    with pytest.raises(SceneError, match=r"takes B02, B12, the scene has 1 \(B01\)"):
        whole(Source((str(product[0]),)), about)
    empty = tmp_path / "S2A_EMPTY.SAFE"
    empty.mkdir()
    (empty / "MTD_MSIL2A.xml").write_text("<x/>")
    with pytest.raises(SceneError, match="holds no bands of a Sentinel-2 product"):
        whole(Source((str(empty),)), about)
