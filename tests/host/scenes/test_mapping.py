"""Maps against a plain loop over windows: every label and score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bitswath as bs
from bitswath.scenes import MapSettings, Outputs, SceneSettings, map_scene
from tests.host.scenes.cases import bundle_of, dense_network, land, nodata_of, read, reference, write_scene

CASES = [
    # mode, stride, height, width, nodata, extent
    ("mean", 4, 40, 56, "none", "scene"),
    ("mean", 3, 33, 29, "holes", "scene"),
    ("mean", 8, 24, 43, "edge", "scene"),
    ("mean", 5, 31, 23, "edge", "windows"),
    ("nearest", 4, 30, 27, "holes", "scene"),
    ("nearest", 8, 25, 17, "none", "scene"),
    ("nearest", 3, 23, 31, "edge", "windows"),
    ("smooth", 4, 29, 37, "edge", "scene"),
    ("smooth", 5, 26, 22, "holes", "scene"),
    ("smooth", 1, 12, 11, "none", "scene"),
    ("mean", 2, 8, 8, "none", "scene"),
    ("mean", 4, 20, 20, "corner", "scene"),
    ("smooth", 4, 20, 20, "nothing", "scene"),
]


@pytest.mark.parametrize("dense", [False, True], ids=["patches", "pixels"])
@pytest.mark.parametrize(("mode", "stride", "height", "width", "nodata", "extent"), CASES)
def test_every_label_and_score_is_that_of_the_loop(
    tmp_path: Path, mode: str, stride: int, height: int, width: int, nodata: str, extent: str, dense: bool
) -> None:
    seed = abs(hash((mode, stride, height, width))) % 1000
    print("seed", seed)
    rng = np.random.default_rng(seed)
    bundle = bundle_of(tmp_path / "b.bsw", dense_network() if dense else None)
    values, valid = land(rng, height, width), nodata_of(rng, nodata, height, width)
    scene = write_scene(tmp_path / "scene.tif", values * valid, nodata=0)
    outputs = Outputs(tmp_path / "map.tif", tmp_path / "scores.tif", tmp_path / "confidence.tif")
    settings = MapSettings.model_validate({"stride": stride, "mode": mode, "extent": extent})
    with bs.open(bundle) as accelerator:
        made = map_scene(accelerator, scene, outputs, settings=settings)
    labels, scores, confidence = reference(
        bundle, values.transpose(1, 2, 0), valid, stride, mode, whole=extent == "scene"
    )
    np.testing.assert_array_equal(read(outputs.labels)[0], labels)
    np.testing.assert_array_equal(read(tmp_path / "scores.tif"), scores)
    np.testing.assert_array_equal(read(tmp_path / "confidence.tif")[0], confidence)
    counted = np.bincount(np.where(labels == 255, 5, labels).reshape(-1), minlength=6)
    np.testing.assert_array_equal(made.counts.sum(axis=0), counted)


def test_windows_that_do_not_overlap_get_the_labels_of_classify(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    bundle = bundle_of(tmp_path / "b.bsw")
    values = land(rng, 80, 96)
    scene = write_scene(tmp_path / "scene.tif", values)
    with bs.open(bundle) as accelerator:
        map_scene(accelerator, scene, tmp_path / "map.tif", settings=MapSettings(stride=8))
        tiles = values.transpose(1, 2, 0).reshape(10, 8, 12, 8, 3).swapaxes(1, 2).reshape(-1, 8, 8, 3)
        labels = accelerator.classify(tiles).labels.reshape(10, 12)
    np.testing.assert_array_equal(read(tmp_path / "map.tif")[0], labels.repeat(8, 0).repeat(8, 1))


@pytest.mark.parametrize("share", [0.0, 0.25, 0.9])
def test_windows_with_too_little_in_them_do_not_speak(tmp_path: Path, share: float) -> None:
    rng = np.random.default_rng(6)
    bundle = bundle_of(tmp_path / "b.bsw")
    values, valid = land(rng, 30, 30), nodata_of(rng, "edge", 30, 30)
    scene = write_scene(tmp_path / "scene.tif", values, mask=valid)
    with bs.open(bundle) as accelerator:
        map_scene(accelerator, scene, tmp_path / "map.tif", settings=MapSettings(most_nodata=share))
    labels, _, _ = reference(bundle, values.transpose(1, 2, 0), valid, 4, "mean", most_nodata=share)
    np.testing.assert_array_equal(read(tmp_path / "map.tif")[0], labels)


def test_two_accelerators_make_the_same_map(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path / "b.bsw")
    scene = write_scene(tmp_path / "scene.tif", land(np.random.default_rng(7), 90, 70))
    with bs.open(bundle) as one, bs.open(bundle, "emulator") as other:
        map_scene(one, scene, tmp_path / "one.tif")
        map_scene(one, scene, tmp_path / "both.tif", also=[other])
    assert read(tmp_path / "one.tif").tobytes() == read(tmp_path / "both.tif").tobytes()


def test_sixteen_bits_and_thirteen_bands(tmp_path: Path) -> None:
    from tests.host.scenes.cases import small_network

    rng = np.random.default_rng(8)
    bundle = bundle_of(tmp_path / "b.bsw", small_network(13), depth=16)
    values = land(rng, 40, 50, 13, "uint16")
    scene = write_scene(tmp_path / "scene.tif", values, interleave="band", tiled=True, blockxsize=16, blockysize=16)
    with bs.open(bundle) as accelerator:
        map_scene(accelerator, scene, tmp_path / "map.tif", scene=SceneSettings())
    labels, _, _ = reference(bundle, values.transpose(1, 2, 0), np.ones((40, 50), bool), 4, "mean")
    np.testing.assert_array_equal(read(tmp_path / "map.tif")[0], labels)
