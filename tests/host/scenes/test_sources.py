"""What is read of rasters of every kind, against rasterio; what does not fit a bundle, in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.transform import from_origin
from rasterio.vrt import WarpedVRT

from bitswath.bundle.manifest import InputInfo, Sensor
from bitswath.errors import InputError, SceneError
from bitswath.scenes.settings import SceneSettings
from bitswath.scenes.sources.opening import Source, open_scene
from bitswath.scenes.sources.scene import Block, SceneReader
from bitswath.scenes.work import limit_cache
from tests.host.scenes.cases import PLACE, land, nodata_of, write_scene
from tests.paths import DATA

SCENES = DATA / "scenes"
RGB = ("red", "green", "blue")


def entry(dtype: str = "uint8", bands: int = 3, *, patch: int = 8, sensor: Sensor | None = None) -> InputInfo:
    return InputInfo(
        patch_shape=(patch, patch, bands),
        patch_dtype=dtype,  # type: ignore[arg-type]
        codec={},
        code_shape=(patch, patch, bands),
        bits=4,
        frame_bytes=1,
        sensor=sensor,
    )


def whole(path: Path | Source, about: InputInfo, **settings: Any) -> Block:
    """All of a scene, read in pieces that do not fit its tiles."""
    source = path if isinstance(path, Source) else Source((str(path),))
    scene = open_scene(source, about, SceneSettings.model_validate(settings))
    height, width = scene.grid.shape
    samples, valid = [], []
    with SceneReader(scene) as reader:
        for top in range(0, height, 37):
            row = [reader.read(top, left, min(37, height - top), min(53, width - left)) for left in range(0, width, 53)]
            samples.append(np.concatenate([each.samples for each in row], axis=1))
            valid.append(np.concatenate([each.valid for each in row], axis=1))
    return Block(np.concatenate(samples), np.concatenate(valid))


LAYOUTS: dict[str, dict[str, Any]] = {
    "strips": {},
    "planar": {"interleave": "band", "compress": "lzw"},
    "tiled": {"tiled": True, "blockxsize": 32, "blockysize": 16, "compress": "deflate", "predictor": 2},
    "pixel": {"interleave": "pixel", "compress": "zstd"},
    "bigtiff": {"bigtiff": "yes", "compress": "packbits"},
    "cog": {"driver": "COG", "compress": "lzw"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_layout_gives_what_rasterio_gives(tmp_path: Path, layout: str, dtype: str) -> None:
    values = land(np.random.default_rng(1), 90, 130, 3, dtype)
    path = write_scene(tmp_path / "s.tif", values, **LAYOUTS[layout])
    block = whole(path, entry(dtype))
    np.testing.assert_array_equal(block.samples, values.transpose(1, 2, 0))
    assert block.valid.all()


@pytest.mark.parametrize("shape", ["edge", "holes", "nothing"])
@pytest.mark.parametrize("kind", ["value", "mask", "alpha", "other value"])
def test_nodata_is_where_rasterio_sees_it(tmp_path: Path, kind: str, shape: str) -> None:
    rng = np.random.default_rng(2)
    values, valid = land(rng, 60, 70), nodata_of(rng, shape, 60, 70)
    values[0, ::7] = 0  # of one band alone, which is something
    settings: dict[str, Any] = {}
    if kind == "value":
        path = write_scene(tmp_path / "s.tif", np.where(valid, values, 0), nodata=0)
    elif kind == "other value":
        path = write_scene(tmp_path / "s.tif", np.where(valid, np.minimum(values, 254), 255))
        settings["nodata"] = 255.0
    elif kind == "mask":
        path = write_scene(tmp_path / "s.tif", values, mask=valid)
    else:
        alpha = np.where(valid, 255, 0).astype(np.uint8)[None]
        path = write_scene(tmp_path / "s.tif", np.concatenate([values, alpha]), photometric="rgb", alpha="yes")
    block = whole(path, entry(), **settings)
    with rasterio.open(path) as file:
        seen = file.dataset_mask() > 0 if kind != "other value" else (file.read() != 255).any(axis=0)
    np.testing.assert_array_equal(block.valid, seen)
    np.testing.assert_array_equal(block.valid, valid)
    assert not block.samples[~valid].any()


def test_no_number_is_nodata(tmp_path: Path) -> None:
    values = np.random.default_rng(3).normal(0, 1, (2, 40, 50)).astype(np.float32)
    values[0, 3, 4] = values[1, 5, 6] = np.nan
    values[:, 7, 8] = -9999
    path = write_scene(tmp_path / "s.tif", values, nodata=-9999)
    block = whole(path, entry("float32", 2))
    expected = np.isfinite(values).all(axis=0) & (values != -9999).all(axis=0)
    np.testing.assert_array_equal(block.valid, expected)
    assert np.isfinite(block.samples).all()


def test_bands_are_chosen_by_name_or_number(tmp_path: Path) -> None:
    values = land(np.random.default_rng(4), 30, 40, 4)
    path = write_scene(tmp_path / "s.tif", values, names=["B02", "B03", "B04", "B08"], photometric="minisblack")
    named = entry(sensor=Sensor(bands=("B4", "B3", "B2")))
    np.testing.assert_array_equal(whole(path, named).samples, values[[2, 1, 0]].transpose(1, 2, 0))
    for bands in (("B08", "B04", "B03"), ("4", "3", "2"), ("b8", "band 4", "B3")):
        np.testing.assert_array_equal(whole(path, entry(), bands=bands).samples, values[[3, 2, 1]].transpose(1, 2, 0))
    for about, settings, message in (
        (entry(), {}, r"takes 3 bands, the scene has 4 bands: 1 \(B02\).*--bands"),
        (entry(sensor=Sensor(bands=RGB)), {}, r"takes red, green, blue, the scene has 1 \(B02\).*--bands"),
        (entry(), {"bands": ("B04", "B03")}, r"expected 3 bands .*gives 2"),
        (entry(), {"bands": ("B04", "B03", "B11")}, r"has no band 'B11', there are 1 \(B02\)"),
        (entry(), {"bands": ("1", "2", "5")}, r"has no band '5'"),
        (named, {"bands": ("B02", "B03", "B04")}, r"gives 'B2' at place 1, where the bundle takes 'B4'"),
    ):
        with pytest.raises(SceneError, match=message):
            whole(path, about, **settings)


def test_colours_of_a_file_are_names(tmp_path: Path) -> None:
    values = land(np.random.default_rng(5), 20, 20)
    path = write_scene(tmp_path / "s.tif", values, photometric="rgb")
    swapped = whole(path, entry(sensor=Sensor(bands=("blue", "green", "red"))))
    np.testing.assert_array_equal(swapped.samples, values[::-1].transpose(1, 2, 0))


def test_a_file_for_each_band(tmp_path: Path) -> None:
    values = land(np.random.default_rng(6), 50, 60, 3, "uint16")
    paths = [
        str(write_scene(tmp_path / f"{name}.tif", values[index : index + 1]))
        for index, name in enumerate(("a", "b", "c"))
    ]
    stacked = Source(tuple(paths))
    np.testing.assert_array_equal(whole(stacked, entry("uint16")).samples, values.transpose(1, 2, 0))
    by_name = entry("uint16", sensor=Sensor(bands=("c", "a", "b")))
    np.testing.assert_array_equal(whole(stacked, by_name).samples, values[[2, 0, 1]].transpose(1, 2, 0))


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic"])
def test_bands_of_several_resolutions_come_to_the_finest(tmp_path: Path, resampling: str) -> None:
    rng = np.random.default_rng(7)
    fine, coarse = land(rng, 120, 160, 1, "uint16"), land(rng, 60, 80, 1, "uint16")
    transform = from_origin(500_000, 5_000_000, 20, 20)
    paths = (write_scene(tmp_path / "f.tif", fine), write_scene(tmp_path / "c.tif", coarse, transform=transform))
    block = whole(Source(tuple(map(str, paths))), entry("uint16", 2), resampling=resampling)
    np.testing.assert_array_equal(block.samples[..., 0], fine[0])
    with (
        rasterio.open(paths[1]) as file,
        WarpedVRT(file, resampling=Resampling[resampling], width=160, height=120, **PLACE) as vrt,
    ):
        np.testing.assert_array_equal(block.samples[..., 1], vrt.read(1))
    assert block.valid.all()


def test_another_resolution_is_refused_or_resampled(tmp_path: Path) -> None:
    values = land(np.random.default_rng(8), 80, 100)
    path = write_scene(tmp_path / "s.tif", values)
    about = entry(sensor=Sensor(gsd_m=20.0))
    with pytest.raises(SceneError, match=r"has pixels of 10 m, the bundle was made for 20 m; --resample"):
        whole(path, about)
    scene = open_scene(Source((str(path),)), about, SceneSettings(resample=True))
    assert scene.grid.shape == (40, 50)
    assert scene.grid.transform == (20.0, 0.0, 500_000.0, 0.0, -20.0, 5_000_000.0)
    assert any("resampled from 10 m to 20 m" in note for note in scene.notes)
    assert whole(path, entry(sensor=Sensor(gsd_m=10.9))).samples.shape == (80, 100, 3)


def test_degrees_have_a_resolution_too(tmp_path: Path) -> None:
    """10 m at 60 degrees north are twice as many degrees of longitude as of latitude."""
    step = 10 / 111319.49
    place = {"crs": "EPSG:4326", "transform": from_origin(10, 60, 2 * step, step)}
    path = write_scene(tmp_path / "s.tif", land(np.random.default_rng(9), 40, 40), **place)
    assert open_scene(Source((str(path),)), entry(), SceneSettings()).grid.gsd_m == pytest.approx(10, rel=1e-3)
    with pytest.raises(SceneError, match="pixels of 10 m, the bundle was made for 3"):
        whole(path, entry(sensor=Sensor(gsd_m=30.0)))


def test_samples_become_the_bundles(tmp_path: Path) -> None:
    rng = np.random.default_rng(10)
    values = rng.integers(0, 12_000, (3, 40, 50)).astype(np.uint16)
    path = write_scene(tmp_path / "s.tif", values)
    seen = values.transpose(1, 2, 0).astype(np.float64)
    with pytest.raises(SceneError, match=r"band 1 holds uint16, the bundle takes uint8; say with --range LOW HIGH"):
        whole(path, entry())
    stretched = whole(path, entry(), value_range=(500.0, 3000.0)).samples
    np.testing.assert_array_equal(stretched, np.clip(np.rint((seen - 500) * 255 / 2500), 0, 255))
    lower = whole(path, entry("uint16"), offset=-1000.0).samples
    np.testing.assert_array_equal(lower, np.maximum(seen - 1000, 0))
    scaled = whole(path, entry("float32"), scale=0.0001, offset=-0.1).samples
    np.testing.assert_array_equal(scaled, (seen * 0.0001 - 0.1).astype(np.float32))


def test_samples_of_another_range_are_refused(tmp_path: Path) -> None:
    values = np.random.default_rng(15).integers(200, 4000, (3, 90, 80)).astype(np.uint16)
    path = write_scene(tmp_path / "s.tif", values)
    for span, fits in (((0.0, 10_000.0), True), ((0.0, 1000.0), False), ((5000.0, 10_000.0), False)):
        about = entry("uint16", sensor=Sensor(value_range=span))
        if fits:
            assert whole(path, about).valid.all()
            continue
        with pytest.raises(
            SceneError, match=r"has samples of 2\d\d to 3\d\d\d, the bundle was made for \d+ to 10*; --range"
        ):
            whole(path, about)
        assert whole(path, about, scale=1.0).valid.all()
    small = write_scene(tmp_path / "small.tif", values // 400)
    with pytest.raises(SceneError, match="has samples of 0 to 9, the bundle was made for 0 to 10000"):
        whole(small, entry("uint16", sensor=Sensor(value_range=(0.0, 10_000.0))))


def test_negative_samples_and_declared_offsets(tmp_path: Path) -> None:
    values = np.random.default_rng(11).integers(-300, 5000, (2, 30, 40)).astype(np.int16)
    path = write_scene(tmp_path / "s.tif", values, nodata=-300)
    block = whole(path, entry("uint16", 2), offset=0.0)
    np.testing.assert_array_equal(
        block.samples, np.where(block.valid[..., None], np.maximum(values, 0).transpose(1, 2, 0), 0)
    )
    raw = np.maximum(values, 1).astype(np.uint16)
    path = write_scene(tmp_path / "declared.tif", raw)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (0.0001, 0.0001), (-0.1, -0.1)
    np.testing.assert_array_equal(
        whole(path, entry("uint16", 2)).samples, np.maximum(raw.astype(int) - 1000, 0).transpose(1, 2, 0)
    )
    scene = open_scene(Source((str(path),)), entry("uint16", 2), SceneSettings())
    assert any("-1000 to 1" in note for note in scene.notes)
    np.testing.assert_array_equal(whole(path, entry("uint16", 2), offset=0.0).samples, raw.transpose(1, 2, 0))


def test_a_mask_of_another_resolution_leaves_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    values, clouds = land(rng, 60, 80), rng.integers(0, 4, (1, 30, 40)).astype(np.uint8)
    path = write_scene(tmp_path / "s.tif", values)
    mask = write_scene(tmp_path / "m.tif", clouds, transform=from_origin(500_000, 5_000_000, 20, 20))
    large = clouds[0].repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(whole(path, entry(), mask=str(mask)).valid, large == 0)
    some = whole(path, entry(), mask=str(mask), mask_values=(1, 3))
    np.testing.assert_array_equal(some.valid, (large != 1) & (large != 3))


def test_a_vrt_and_a_file_without_a_place(tmp_path: Path) -> None:
    values = land(np.random.default_rng(13), 30, 40)
    path = write_scene(tmp_path / "s.tif", values)
    rasterio.shutil.copy(path, tmp_path / "s.vrt", driver="VRT")
    np.testing.assert_array_equal(whole(tmp_path / "s.vrt", entry()).samples, values.transpose(1, 2, 0))
    bare = write_scene(tmp_path / "bare.tif", values, crs=None, transform=None)
    scene = open_scene(Source((str(bare),)), entry(sensor=Sensor(gsd_m=10.0)), SceneSettings())
    assert any("no coordinate reference system" in note for note in scene.notes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"value_range": (3.0, 3.0)}, "expected a lower and a higher"),
        ({"value_range": (0.0, 3.0), "scale": 2.0}, "give this, or scale and offset"),
        ({"mask_values": (1,)}, "of which mask"),
    ],
)
def test_settings_that_contradict(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SceneSettings.model_validate(settings)


@pytest.mark.skipif(not SCENES.is_dir(), reason="the scenes beside the project are not here")
@pytest.mark.parametrize(
    ("name", "bands", "settings"),
    [
        ("rasterio__RGB.byte.tif", 3, {}),
        ("rasterio__cogeo.tif", 3, {}),
        ("rio-tiler__cog_nodata_nan.tif", 1, {}),
        ("rio-tiler__cog_gcps.tif", 1, {}),
        ("rio-tiler__cog_rgb_mask.tif", 3, {}),
        ("rio-tiler__mosaic_cog1.tif", 3, {}),
        ("rio-tiler__mosaic_cog3.tif", 3, {}),
        ("rio-cogeo__image_nan.tif", 1, {"scale": 1.0}),
        ("titiler__TCI.tif", 3, {}),
        ("open-geo-tutorial__LE70220491999322EDC01_stack.gtif", 8, {"offset": 0.0}),
        ("xcube__sample.jp2", 3, {}),
        ("rasterframes__L8-B4_3_2-Elkton-VA.tiff", 3, {}),
        ("eotdl__Boadella_2020-01-13.tif", 12, {"offset": 0.0}),
    ],
)
def test_real_scenes(name: str, bands: int, settings: dict[str, Any]) -> None:
    limit_cache()
    with rasterio.open(SCENES / name) as file:
        expected, mask, dtype = file.read(), file.dataset_mask() > 0, file.dtypes[0]
    target = {"int16": "uint16", "float64": "float32"}.get(dtype, dtype)
    block = whole(SCENES / name, entry(target, bands), **settings)
    numbers = np.isfinite(expected).all(axis=0)
    np.testing.assert_array_equal(block.valid, mask & numbers)
    seen = np.where(block.valid, np.nan_to_num(expected), 0)
    seen = np.maximum(seen, 0) if target == "uint16" else seen
    np.testing.assert_array_equal(block.samples, seen.transpose(1, 2, 0).astype(target))


@pytest.mark.skipif(not SCENES.is_dir(), reason="the scenes beside the project are not here")
def test_real_scenes_that_are_damaged_or_of_other_bands() -> None:
    with pytest.raises(SceneError, match=r"corrupt\.tif: cannot be read"):
        whole(SCENES / "rasterio__corrupt.tif", entry())
    with pytest.raises(SceneError, match="takes 3 bands, the scene has 31 bands"):
        whole(SCENES / "titiler__above_cog.tif", entry())


def test_bundles_of_signals_make_no_maps(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "s.tif", land(np.random.default_rng(14), 20, 20))
    signals = InputInfo(
        patch_shape=(1, 8, 3),
        patch_dtype="uint8",
        layout="sequence",
        codec={},
        code_shape=(1, 8, 3),
        bits=4,
        frame_bytes=1,
    )
    with pytest.raises(SceneError, match="no images"):
        whole(path, signals)
    assert issubclass(SceneError, ValueError)
    assert not issubclass(SceneError, InputError)
