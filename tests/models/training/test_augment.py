"""Augmentation moves pixels, never changes them."""

import numpy as np
import pytest
from PIL import Image

from bitswath.models.nets.config import AugmentConfig
from bitswath.models.training.augment import augment

NOTHING = AugmentConfig(flips=False, rotations=False, shift=0)


def patches(count: int = 64, height: int = 12, width: int = 12, bands: int = 3) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 65536, (count, height, width, bands)).astype(np.uint16)


def test_nothing_asked_nothing_changed() -> None:
    assert np.array_equal(augment(patches(), NOTHING, np.random.default_rng(0)), patches())


def test_flips_and_rotations_are_the_eight_symmetries_of_the_square() -> None:
    source = np.broadcast_to(patches(1), (256, 12, 12, 3))
    changed = augment(source, AugmentConfig(flips=True, rotations=True, shift=0), np.random.default_rng(0))
    symmetries = {np.rot90(image, turns).tobytes() for image in (source[0], source[0][:, ::-1]) for turns in range(4)}
    assert {image.tobytes() for image in changed} == symmetries


def test_patches_that_are_not_square_are_not_rotated() -> None:
    source = patches(height=8, width=12)
    changed = augment(source, AugmentConfig(flips=True, rotations=True, shift=0), np.random.default_rng(0))
    for before, after in zip(source, changed):
        assert any(np.array_equal(after, flip) for flip in (before, before[::-1], before[:, ::-1], before[::-1, ::-1]))


def test_a_shift_repeats_the_border_by_reflection() -> None:
    source = patches()
    changed = augment(source, AugmentConfig(flips=False, rotations=False, shift=3), np.random.default_rng(0))
    padded = np.pad(source, ((0, 0), (3, 3), (3, 3), (0, 0)), "reflect")
    offsets = [
        {(y, x) for y in range(7) for x in range(7) if np.array_equal(padded[i, y : y + 12, x : x + 12], changed[i])}
        for i in range(len(source))
    ]
    assert all(offsets)
    assert len(set.union(*offsets)) > 20


def test_a_zoom_is_a_window_resized_to_the_whole() -> None:
    source = patches(48)
    zooming = AugmentConfig(flips=False, rotations=False, shift=0, zoom=1.0)
    changed = augment(source, zooming, np.random.default_rng(0))
    sizes = []
    for before, after in zip(source, changed):
        windows = [
            (size, before[y : y + size, x : x + size])
            for size in range(6, 13)
            for y in range(13 - size)
            for x in range(13 - size)
        ]
        fitting = [size for size, window in windows if np.abs(resized(window) - after).max() <= 0.51]
        assert fitting
        sizes.append(fitting[0])
    assert set(sizes) == set(range(6, 13))
    assert np.array_equal(augment(source, zooming, np.random.default_rng(0)), changed)


def resized(window: np.ndarray) -> np.ndarray:
    bands = [Image.fromarray(band.astype(np.float32)) for band in window.transpose(2, 0, 1)]
    larger = [np.asarray(band.resize((12, 12), Image.Resampling.BILINEAR)) for band in bands]
    return np.stack(larger, -1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_dtype_and_source_stay(dtype: type) -> None:
    source = patches().astype(dtype)
    before = source.copy()
    assert augment(source, AugmentConfig(), np.random.default_rng(0)).dtype == dtype
    assert np.array_equal(source, before)
