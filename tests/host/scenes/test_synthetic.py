"""Synthetic land: the same however it is cut, with its truth, and maps that find it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

import bitswath as bs
from bitswath.errors import InputError
from bitswath.models.data.synthetic import CLASSES, synthetic_patches
from bitswath.scenes.synthetic import Land, write_synthetic
from tests.host.scenes.cases import read


def test_strips_of_any_height_make_one_scene() -> None:
    land = Land(300, 200, ("water", "river", "road", "town", "field", "forest"), seed=4, feature=40)
    whole, truth = land.strip(0, 300)
    parts = [land.strip(top, 37) for top in range(0, 259, 37)]
    np.testing.assert_array_equal(np.concatenate([part for part, _ in parts]), whole[:259])
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in parts]), truth[:259])
    np.testing.assert_array_equal((whole != 0).any(axis=2), land.valid(0, 300))


def test_every_kind_of_land_is_there_and_seeds_differ() -> None:
    land = Land(1200, 1200, CLASSES, seed=1, feature=60)
    truth = land.truth(0, 1200)
    shares = np.bincount(truth.reshape(-1), minlength=10) / truth.size
    assert shares.min() > 0.005
    assert shares.max() < 0.5
    assert (truth != Land(1200, 1200, CLASSES, seed=2, feature=60).truth(0, 1200)).mean() > 0.3
    assert 0.0 < (~land.valid(0, 1200)).mean() < 0.2
    assert Land(64, 64, CLASSES, holes=False).valid(0, 64).all()


def test_it_is_the_same_on_every_machine() -> None:
    """Sums of what was written once."""
    land = Land(257, 131, CLASSES, seed=7, feature=30)
    assert (int(land.truth(0, 257).sum()), int(land.valid(0, 257).sum())) == (131972, 31522)


def test_a_map_of_it_is_mostly_right(tmp_path: Path) -> None:
    patches, labels = synthetic_patches(range(120), "test")
    textures = np.stack([patches[labels == label] for label in range(10)])
    place: dict[str, Any] = {"crs": "EPSG:4326", "gsd_m": 0.0001, "corner": (8, 50)}
    land = Land(1024, 1024, CLASSES, seed=3, textures=textures, feature=320, **place)
    write_synthetic(tmp_path / "scene.tif", land, truth=tmp_path / "truth.tif")
    with rasterio.open(tmp_path / "scene.tif") as file:
        assert file.crs.to_epsg() == 4326
        assert file.nodata == 0
    truth = read(tmp_path / "truth.tif")[0]
    assert (truth == 255).any()
    with bs.open("zoo:synthetic-u4-w4a4") as accelerator:
        accelerator.map(tmp_path / "scene.tif", tmp_path / "map.tif")
    found = read(tmp_path / "map.tif")[0]
    both = (found != 255) & (truth != 255)
    assert both.mean() > 0.9
    assert (found == truth)[both].mean() > 0.6


def test_what_is_no_land() -> None:
    with pytest.raises(InputError, match="8 pixels"):
        Land(4, 100, CLASSES)
    with pytest.raises(InputError, match="textures"):
        Land(100, 100, CLASSES, textures=np.zeros((3, 2, 8, 8, 3), np.uint8))
