"""Patches of another size: `resize` against the sums that define it, `crop` against numpy's indices."""

from __future__ import annotations

import numpy as np
import pytest

from bitswath.errors import ImageError
from bitswath.imagery.fit import AS_THEY_ARE, Fit, crop, parse_size, resize


def weights(length: int, size: int) -> np.ndarray:
    """Of each of `length` pixels in each of `size`: a triangle around its centre, as wide as the step if that is above
    one; float64 (size, length)."""
    step = length / size
    centres = (np.arange(size) + 0.5) * step - 0.5
    triangles = np.maximum(1 - np.abs(np.arange(length) - centres[:, None]) / max(step, 1), 0)
    return triangles / triangles.sum(axis=1, keepdims=True)


def defined(patch: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    vertical, horizontal = weights(patch.shape[0], size[0]), weights(patch.shape[1], size[1])
    return np.einsum("yh,hwc,xw->yxc", vertical, patch.astype(float), horizontal)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
@pytest.mark.parametrize(
    ("shape", "size"), [((64, 64), (16, 16)), ((60, 41), (23, 23)), ((30, 30), (64, 50)), ((247, 250), (256, 256))]
)
def test_integers_are_the_rounded_sums(shape: tuple[int, int], size: tuple[int, int], dtype: type) -> None:
    patch = np.random.default_rng(shape[0]).integers(0, np.iinfo(dtype).max, (*shape, 5)).astype(dtype)
    resized = resize(patch, size)
    assert resized.shape == (*size, 5)
    assert resized.dtype == dtype
    assert np.abs(resized - defined(patch, size)).max() <= 0.5 + 0.01


def test_reals_are_not_rounded() -> None:
    patch = np.random.default_rng(1).random((20, 30, 2), np.float32)
    np.testing.assert_allclose(resize(patch, (15, 12)), defined(patch, (15, 12)), atol=1e-6)


def test_the_same_size_changes_nothing() -> None:
    patch = np.random.default_rng(0).integers(0, 256, (8, 9, 2), dtype=np.uint8)
    np.testing.assert_array_equal(resize(patch, (8, 9)), patch)
    np.testing.assert_array_equal(crop(patch, (8, 9)), patch)
    assert AS_THEY_ARE(patch) is patch


@pytest.mark.parametrize("value", [0, 255])
def test_the_ends_of_the_range_stay(value: int) -> None:
    assert (resize(np.full((37, 19, 3), value, np.uint8), (11, 11)) == value).all()


def test_the_middle_is_cut_out() -> None:
    patch = np.arange(7 * 6).reshape(7, 6, 1)
    np.testing.assert_array_equal(crop(patch, (4, 4)), patch[1:5, 1:5])
    np.testing.assert_array_equal(Fit(resize=None, crop=(3, 6))(patch), patch[2:5])


def test_a_patch_smaller_than_the_crop_is_refused() -> None:
    with pytest.raises(ImageError, match="is 7 x 6, too small to crop to 4 x 8; resize it"):
        crop(np.zeros((7, 6, 1), np.uint8), (4, 8))


def test_sizes_as_text() -> None:
    assert parse_size("256") == (256, 256)
    assert parse_size("200x300") == (200, 300)
    for wrong in ("", "0", "-1", "2x", "x2", "1x2x3", "1.5", "0x3", "9999999"):
        with pytest.raises(ImageError, match="expected a size in pixels"):
            parse_size(wrong)
