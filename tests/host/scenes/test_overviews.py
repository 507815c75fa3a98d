"""Overviews of classes against a loop over pixels, and against GDAL's."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling

from bitswath.scenes.products.overviews import halved, level_shapes
from tests.host.scenes.cases import PLACE

NODATA = 255


def classes_of(rng: np.random.Generator, height: int, width: int, dtype: str = "uint8") -> NDArray[Any]:
    """Fields with noise, and nodata here and there."""
    fields = rng.integers(0, 4, (-(-height // 3), -(-width // 3))).repeat(3, 0).repeat(3, 1)[:height, :width]
    noisy = np.where(rng.random(fields.shape) < 0.4, rng.integers(0, 4, fields.shape), fields)
    return np.where(rng.random(fields.shape) < 0.2, NODATA, noisy).astype(dtype)


def looped(classes: NDArray[Any]) -> NDArray[Any]:
    height, width = classes.shape
    half = np.empty((-(-height // 2), -(-width // 2)), classes.dtype)
    for row, column in np.ndindex(half.shape):
        seen: Counter[int] = Counter()
        half[row, column], most = NODATA, 0
        for value in classes[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].reshape(-1):
            seen[value] += 1
            if value != NODATA and seen[value] > most:
                half[row, column], most = value, seen[value]
    return half


@pytest.mark.parametrize("shape", [(64, 48), (33, 50), (50, 33), (31, 31), (1, 1), (1, 6), (2, 2)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_they_are_the_loops(shape: tuple[int, int], dtype: str) -> None:
    seed = shape[0] * 100 + shape[1]
    print("seed", seed)
    classes = classes_of(np.random.default_rng(seed), *shape, dtype)
    before = classes.copy()
    found = halved(classes, NODATA)
    np.testing.assert_array_equal(found, looped(classes))
    np.testing.assert_array_equal(classes, before)
    assert found.dtype == classes.dtype
    np.testing.assert_array_equal(halved(np.stack([classes] * 3), NODATA), np.stack([found] * 3))


def test_every_four_pixels_are_counted_right() -> None:
    values = np.array([0, 1, 2, NODATA], np.uint8)
    fours = np.stack(np.meshgrid(values, values, values, values, indexing="ij"), axis=-1).reshape(-1, 2, 2)
    for four in fours:
        assert halved(four, NODATA)[0, 0] == looped(four)[0, 0], four


def test_of_even_extents_they_are_gdals(tmp_path: Path) -> None:
    classes = classes_of(np.random.default_rng(3), 512, 256)
    path = tmp_path / "classes.tif"
    profile = {"driver": "GTiff", "width": 256, "height": 512, "count": 1, "dtype": "uint8", "nodata": NODATA}
    with rasterio.open(path, "w", **profile, **PLACE) as file:
        file.write(classes, 1)
        file.build_overviews([2, 4, 8], Resampling.mode)
    for level in range(3):
        classes = halved(classes, NODATA)
        with rasterio.open(path, overview_level=level) as file:
            np.testing.assert_array_equal(file.read(1), classes)


def test_levels_go_down_to_one_tile() -> None:
    assert [*level_shapes(512, 512, 512)] == []
    assert [*level_shapes(513, 2049, 512)] == [(257, 1025), (129, 513), (65, 257)]
