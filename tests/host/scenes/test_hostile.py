"""Rasters that are damaged, or made to harm: one typed line, quickly, and nothing written."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bitswath as bs
from bitswath.errors import BitswathError, InputError, SceneError
from bitswath.scenes import MapSettings, map_scene
from bitswath.scenes.gdal import rasterio_module
from bitswath.scenes.sources.listing import sources_at
from tests.host.scenes.cases import bundle_of, land, read, write_scene

Rng = np.random.Generator


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> bs.Bundle:
    return bundle_of(tmp_path_factory.mktemp("b") / "b.bsw")


def refused(bundle: bs.Bundle, scene: Path, **chosen: Any) -> str:
    output = scene.parent / "map.tif"
    with bs.open(bundle) as accelerator, pytest.raises(BitswathError) as caught:
        map_scene(accelerator, scene, output, **chosen)
    assert not output.exists()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


def test_a_scene_smaller_than_a_patch(bundle: bs.Bundle, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "s.tif", land(np.random.default_rng(1), 30, 7))
    assert "has 7 x 30 pixels, less than a patch of 8 x 8" in refused(bundle, scene)


@pytest.mark.parametrize("stride", [9, 64])
def test_a_stride_that_leaves_gaps(bundle: bs.Bundle, tmp_path: Path, stride: int) -> None:
    scene = write_scene(tmp_path / "s.tif", land(np.random.default_rng(1), 30, 30))
    assert "expected a stride of 1 to 8 pixels" in refused(bundle, scene, settings=MapSettings(stride=stride))


def test_what_is_no_raster(bundle: bs.Bundle, tmp_path: Path) -> None:
    assert "cannot be read" in refused(bundle, tmp_path / "none.tif")
    (tmp_path / "text.tif").write_text("II*\0 not really")
    assert "cannot be read" in refused(bundle, tmp_path / "text.tif")
    (tmp_path / "empty.tif").write_bytes(b"")
    assert "cannot be read" in refused(bundle, tmp_path / "empty.tif")


def test_truncated_files(bundle: bs.Bundle, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    scene = write_scene(tmp_path / "s.tif", land(rng, 300, 200), compress="deflate")
    content = scene.read_bytes()
    for kept in rng.integers(9, len(content) * 9 // 10, 12).tolist():
        scene.write_bytes(content[:kept])
        assert "cannot be read" in refused(bundle, scene)


def test_flipped_bytes_never_crash(bundle: bs.Bundle, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    scene = write_scene(tmp_path / "s.tif", land(rng, 60, 60), compress="lzw")
    content = np.frombuffer(scene.read_bytes(), np.uint8)
    with bs.open(bundle) as accelerator:
        for round_ in range(40):
            damaged = content.copy()
            damaged[rng.integers(0, 400, 3)] ^= rng.integers(1, 256, 3, np.uint8)
            scene.write_bytes(damaged.tobytes())
            try:
                map_scene(accelerator, scene, tmp_path / f"{round_}.tif", settings=MapSettings(stride=8))
            except BitswathError as error:
                assert "\n" not in str(error)
                assert not (tmp_path / f"{round_}.tif").exists()


def tag_of(content: bytearray, number: int) -> int:
    """Offset of a tag's value in the first directory of a little-endian classic TIFF."""
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    entries = [start + 2 + 12 * index for index in range(count)]
    return next(at + 8 for at in entries if struct.unpack_from("<H", content, at)[0] == number)


@pytest.mark.parametrize("side", [2**31 - 1, 2**30])
def test_a_huge_declared_size(bundle: bs.Bundle, tmp_path: Path, side: int) -> None:
    scene = write_scene(
        tmp_path / "s.tif", land(np.random.default_rng(4), 64, 64), tiled=True, blockxsize=64, blockysize=64
    )
    content = bytearray(scene.read_bytes())
    for tag in (256, 257):
        at = tag_of(content, tag)
        struct.pack_into("<H", content, at - 6, 4)  # of 32 bits
        struct.pack_into("<I", content, at, side)
    scene.write_bytes(content)
    assert any(text in refused(bundle, scene) for text in ("cannot be read", "declares"))


def test_a_transform_that_is_no_number(bundle: bs.Bundle, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "s.tif", land(np.random.default_rng(5), 40, 40))
    content = bytearray(scene.read_bytes())
    (place,) = struct.unpack_from("<I", content, tag_of(content, 33550))
    struct.pack_into("<d", content, place, float("nan"))
    scene.write_bytes(content)
    assert "places no pixels" in refused(bundle, scene)


def test_bands_of_mixed_types(bundle: bs.Bundle, tmp_path: Path) -> None:
    values = land(np.random.default_rng(6), 40, 40)
    write_scene(tmp_path / "a.tif", values[:1])
    write_scene(tmp_path / "b.tif", values[1:].astype(np.uint16))
    vrt = tmp_path / "mixed.vrt"
    parts = (("Byte", "a.tif", 1), ("UInt16", "b.tif", 1), ("UInt16", "b.tif", 2))
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{number}"><SimpleSource><SourceFilename relativeToVRT="1">{name}'
        f"</SourceFilename><SourceBand>{source}</SourceBand></SimpleSource></VRTRasterBand>"
        for number, (kind, name, source) in enumerate(parts, 1)
    )
    vrt.write_text(f'<VRTDataset rasterXSize="40" rasterYSize="40">{bands}</VRTDataset>')
    assert "band 2 holds uint16, the bundle takes uint8; say with --range" in refused(bundle, vrt)


def test_no_bands_at_all(bundle: bs.Bundle, tmp_path: Path) -> None:
    vrt = tmp_path / "none.vrt"
    vrt.write_text('<VRTDataset rasterXSize="40" rasterYSize="40"></VRTDataset>')
    assert "cannot be read" in refused(bundle, vrt)
    scene = write_scene(tmp_path / "s.tif", land(np.random.default_rng(9), 40, 40))
    content = bytearray(scene.read_bytes())
    struct.pack_into("<H", content, tag_of(content, 277), 0)
    scene.write_bytes(content)
    assert any(text in refused(bundle, scene) for text in ("has no bands", "cannot be read", "takes 3 bands"))


def test_no_reference_system_is_told_and_mapped(bundle: bs.Bundle, tmp_path: Path) -> None:
    values = land(np.random.default_rng(7), 40, 40)
    bare = write_scene(tmp_path / "bare.tif", values, crs=None, transform=None)
    placed = write_scene(tmp_path / "placed.tif", values)
    with bs.open(bundle) as accelerator:
        made = map_scene(accelerator, bare, tmp_path / "a.tif")
        map_scene(accelerator, placed, tmp_path / "b.tif")
    assert any("no coordinate reference system" in note for note in made.notes)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), read(tmp_path / "b.tif"))


def test_items_that_are_none(tmp_path: Path) -> None:
    wrong: list[Any] = [[], {}, {"type": "Feature"}, {"type": "FeatureCollection", "features": [3]}, "x"]
    wrong.append({"type": "Feature", "id": "a", "assets": {"note": {"href": "a.pdf"}}})
    for content in wrong:
        (tmp_path / "item.json").write_text(json.dumps(content))
        with pytest.raises(SceneError, match=r"no STAC item|has no raster"):
            sources_at([str(tmp_path / "item.json")])
    (tmp_path / "item.json").write_text("[" * 100_000)
    with pytest.raises(SceneError, match="no STAC item"):
        sources_at([str(tmp_path / "item.json")])
    with pytest.raises(SceneError, match="holds no scenes"):
        (tmp_path / "nothing").mkdir()
        sources_at([str(tmp_path / "nothing")])


def test_a_bundle_alone_maps_nothing(bundle: bs.Bundle, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "s.tif", land(np.random.default_rng(8), 20, 20))
    with pytest.raises(InputError, match="expected an accelerator"):
        map_scene(bundle, scene, tmp_path / "map.tif")


def test_without_the_extra_it_is_named(bundle: bs.Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = write_scene(tmp_path / "s.tif", land(np.random.default_rng(9), 20, 20))
    rasterio_module.cache_clear()
    monkeypatch.setitem(sys.modules, "rasterio", None)
    assert "scenes need rasterio: pip install 'bitswath[scene]'" in refused(bundle, scene)
    monkeypatch.undo()
    rasterio_module.cache_clear()
