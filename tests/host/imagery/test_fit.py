"""`resize` against Pillow's own bilinear resampling, which also widens its triangle when it shrinks."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bitswath.models.data.resize import resize


@pytest.mark.parametrize(("height", "width", "size"), [(64, 64, 16), (60, 41, 23), (30, 30, 64), (16, 16, 17)])
def test_each_band_is_what_pillow_gives(height: int, width: int, size: int) -> None:
    patches = np.random.default_rng(height).integers(0, 10_000, (2, height, width, 5), dtype=np.uint16)
    resized = resize(patches, size)
    assert resized.shape == (2, size, size, 5)
    assert resized.dtype == np.uint16
    for patch, ours in zip(patches, resized):
        for band in range(5):
            image = Image.fromarray(patch[..., band].astype(np.float32))
            theirs = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
            assert np.abs(ours[..., band] - theirs).max() <= 0.51


def test_the_same_size_changes_nothing() -> None:
    patches = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 2), dtype=np.uint8)
    np.testing.assert_array_equal(resize(patches, 8), patches)


@pytest.mark.parametrize("value", [0, 255])
def test_the_ends_of_the_range_stay(value: int) -> None:
    assert (resize(np.full((1, 37, 19, 3), value, np.uint8), 11) == value).all()
