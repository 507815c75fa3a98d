"""The synthetic land-cover set: the same everywhere, of every shape, neither trivial nor hopeless."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from bitswath.errors import DatasetError
from bitswath.models.data.canvas import Canvas, Draw, off_line, wave, wavelengths_nm
from bitswath.models.data.synthetic import CLASSES, synthetic_patches


def digest(**options: Any) -> str:
    patches, _ = synthetic_patches(range(20), **options)
    return hashlib.sha256(patches.astype(patches.dtype.newbyteorder("<")).tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "2c1cf272e8c90e9d"),
        ({"split": "test", "seed": 3}, "d4940bf6918d3c7a"),
        ({"size": 32, "bands": 1}, "59c312727463dec8"),
        ({"size": 47, "bands": 13, "depth": 16}, "44cd69429a8428ce"),
    ],
)
def test_patches_are_these_on_every_machine_and_numpy(options: dict[str, Any], expected: str) -> None:
    assert digest(**options) == expected


@given(st.lists(st.integers(0, 10**6), max_size=4), st.sampled_from(["train", "val", "test"]), st.integers(0, 2**40))
@settings(max_examples=25, deadline=None)
def test_a_patch_does_not_depend_on_what_else_is_drawn(indices: list[int], split: str, seed: int) -> None:
    patches, labels = synthetic_patches(indices, split, size=16, seed=seed)
    assert patches.shape == (len(indices), 16, 16, 3)
    for patch, label, index in zip(patches, labels, indices):
        assert label == index % 10
        np.testing.assert_array_equal(patch, synthetic_patches([index], split, size=16, seed=seed)[0][0])


@given(st.integers(8, 96), st.integers(1, 16), st.sampled_from([8, 16]))
@settings(max_examples=20, deadline=None)
def test_every_size_band_count_and_depth_is_drawn(size: int, bands: int, depth: int) -> None:
    patches, _ = synthetic_patches(range(10), size=size, bands=bands, depth=depth)
    assert patches.shape == (10, size, size, bands)
    assert patches.dtype == (np.uint8 if depth == 8 else np.uint16)
    assert (patches.reshape(10, -1, bands).std(axis=1) > 0).all()


def test_no_two_patches_splits_or_seeds_share_an_image() -> None:
    drawn = [
        synthetic_patches(range(40), split, size=16, seed=seed)[0]
        for split in ("train", "val", "test")
        for seed in (0, 1)
    ]
    flat = np.concatenate(drawn).reshape(240, -1)
    assert len(np.unique(flat, axis=0)) == 240


def test_sixteen_bits_show_the_same_reflectance_as_eight() -> None:
    eight, sixteen = (synthetic_patches(range(20), depth=depth)[0].astype(float) for depth in (8, 16))
    rescaled = np.minimum(sixteen * (255 / 3200), 255)
    assert np.abs(eight - rescaled).max() < 0.6


def test_a_scene_stays_the_same_at_another_size() -> None:
    small, _ = synthetic_patches(range(50), size=64, bands=1)
    large, _ = synthetic_patches(range(50), size=128, bands=1)
    halved = large.reshape(50, 64, 2, 64, 2).mean(axis=(2, 4))
    likeness = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(small, halved)]
    assert np.median(likeness) > 0.9


def test_plants_are_bright_and_water_is_dark_in_the_near_infrared() -> None:
    patches, labels = synthetic_patches(range(100), bands=4, depth=16)
    red, infrared = (patches[..., band].mean(axis=(1, 2)) for band in (0, 3))
    assert (infrared > 1.5 * red)[labels == CLASSES.index("forest")].all()
    assert (infrared < red)[labels == CLASSES.index("water")].mean() > 0.6


def band_means(patches: NDArray[Any]) -> NDArray[np.float64]:
    return patches.reshape(len(patches), -1, patches.shape[-1]).mean(axis=1)


def textures(patches: NDArray[Any]) -> NDArray[np.float64]:
    """Band means and deviations, and log energies in rings of the grey spectrum."""
    grey = patches.mean(axis=-1)
    energy = np.abs(np.fft.fft2(grey - grey.mean(axis=(1, 2), keepdims=True))) ** 2
    frequency = np.fft.fftfreq(grey.shape[1])
    ring = np.minimum(np.hypot(frequency[:, None], frequency) * 32, 15).astype(int)
    rings = np.stack([energy[:, ring == r].mean(axis=1) for r in range(16)], axis=1)
    peaks = np.stack([energy[:, ring == r].max(axis=1) for r in range(16)], axis=1)
    deviations = patches.reshape(len(patches), -1, patches.shape[-1]).std(axis=1)
    return np.concatenate([band_means(patches), deviations, np.log(rings + 1), np.log(peaks + 1)], axis=1)


def accuracy(features: Any) -> float:
    patches, labels = synthetic_patches(range(800))
    unseen, truth = synthetic_patches(range(400), "val")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1, max_iter=1000))
    with threadpool_limits(1):  # threads cost more than they bring at this size
        return float(model.fit(features(patches), labels).score(features(unseen), truth))


def test_mean_colours_do_not_give_the_class_away() -> None:
    assert 0.25 < accuracy(band_means) < 0.55


def test_texture_tells_most_classes_apart() -> None:
    assert accuracy(textures) > 0.7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "dev"}, "expected one of train, val, test, not 'dev'"),
        ({"size": 4}, "size: expected 8 to 4096 pixels, not 4"),
        ({"bands": 0}, "bands: expected 1 to 64, not 0"),
        ({"depth": 12}, "depth: expected 8 or 16 bits, not 12"),
        ({"seed": -1}, "seed: expected a number >= 0, not -1"),
        ({"indices": [3, -2]}, "indices: expected numbers >= 0"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        synthetic_patches(**{"indices": [0], **options})


def test_it_needs_numpy_alone() -> None:
    code = "import sys, bitswath.models.data.synthetic; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "numpy" in loaded
    assert not {"tensorflow", "torch", "PIL", "rich", "sklearn", "scipy", "pydantic"} & set(loaded)


def test_texture_is_a_spline_of_its_lattice() -> None:
    surface = Canvas(Draw(1), 256, 1).texture(4)
    assert surface.shape == (256, 256)
    assert 0.3 < np.abs(surface).max() <= 1.5
    assert np.abs(np.diff(surface, axis=0)).max() < 0.05
    assert np.abs(np.diff(surface, axis=1)).max() < 0.05


def test_noise_has_zero_mean_and_unit_deviation() -> None:
    noise = Draw(5).noise(400, 400)
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 1) < 0.01


def test_wave_and_lines_are_periodic() -> None:
    place = np.linspace(-20, 20, 401, dtype=np.float32)
    np.testing.assert_allclose(wave(place, 5.0), np.sin(2 * np.pi * place / 5), atol=0.06)
    np.testing.assert_allclose(np.abs(off_line(place, 4.0)), np.abs(place - 4 * np.round(place / 4)), atol=1e-5)


def test_bands_have_wavelengths() -> None:
    assert wavelengths_nm(3) == (665, 560, 490)
    assert len(wavelengths_nm(13)) == 13
    assert wavelengths_nm(6)[0] == 443
    assert wavelengths_nm(6)[-1] == 2190
