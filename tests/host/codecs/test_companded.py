"""Companded codes take the nearest of the best levels, and keep means when dithered."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from bitswath.codecs import codebooks
from bitswath.codecs.companded import CompandedCodec
from bitswath.codecs.dither import positions
from bitswath.codecs.uniform import UniformCodec
from tests.host.codec_cases import (
    block_means,
    every_sample,
    land,
    seeds,
    squared_error,
)


@pytest.mark.parametrize(
    ("bits", "dtype"), [*((bits, np.uint8) for bits in range(1, 9)), (1, np.uint16), (4, np.uint16), (8, np.uint16)]
)
def test_companded_takes_the_nearest_level_of_every_sample(bits: int, dtype: type) -> None:
    codec = CompandedCodec.fit(land(bits, (2, 8, 8, 2), dtype), bits)
    samples = np.arange(np.iinfo(dtype).max + 1)
    codes = codec.encode(np.stack([samples.astype(dtype)] * 2, axis=-1)[None])[0]
    for band, levels in enumerate(np.array(codec.levels)):
        code = codes[:, band].astype(int)
        distance = np.abs(samples - levels[code])
        assert (distance <= np.abs(samples - levels[np.maximum(code - 1, 0)])).all()
        upper = np.minimum(code + 1, len(levels) - 1)
        assert ((distance < np.abs(samples - levels[upper])) | (code == upper)).all()
        below = np.bincount(codec.thresholds[band], minlength=len(samples)).cumsum()
        np.testing.assert_array_equal(code, below)


@given(seed=seeds, bits=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_lloyd_max_levels_are_the_best_there_are(seed: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.arange(12)
    counts = rng.integers(0, 50, 12) * rng.integers(0, 2, 12)

    def error(levels: NDArray[np.integer]) -> float:
        return float(counts @ np.square(values[:, None] - levels).min(axis=1))

    best = min(error(np.array(levels)) for levels in combinations(range(12), 1 << bits))
    found = codebooks.lloyd_max(counts, 1 << bits)
    assert (np.diff(found) > 0).all()
    assert error(found) == best


@pytest.mark.parametrize("bits", range(1, 8))
def test_companded_beats_uniform_and_scikit_learn_cannot_beat_it(bits: int) -> None:
    patches = land(3)
    codec = CompandedCodec.fit(patches, bits)
    assert squared_error(codec, patches) < squared_error(UniformCodec(bits), patches)
    if bits > 4:
        return
    band = patches[..., 0].reshape(-1, 1).astype(float)
    with threadpool_limits(1):
        peer = KMeans(1 << bits, n_init=3, random_state=0).fit(band).cluster_centers_
    peer_error = np.square(band - np.sort(peer.ravel())).min(axis=1).mean()
    own_error = np.square(band - np.array(codec.levels[0])).min(axis=1).mean()
    assert own_error <= peer_error + 0.1  # integer levels cost at most 1/12


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_band_of_few_values_is_kept_exactly(dtype: type) -> None:
    patches = np.zeros((1, 4, 4, 2), dtype)
    patches[..., 1] = np.array([3, 90, 91, 250], dtype)
    codec = CompandedCodec.fit(patches, 2)
    np.testing.assert_array_equal(codec.decode(codec.encode(patches)), patches)


def test_eight_bit_companding_of_bytes_loses_nothing() -> None:
    patches = every_sample(np.uint8, 1)
    for dither in (None, "ordered"):
        codec = CompandedCodec.fit(land(0, (1, 8, 8, 1)), 8, dither)
        np.testing.assert_array_equal(codec.decode(codec.encode(patches)), patches)


@pytest.mark.parametrize("bits", [1, 2, 4, 6])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_dithered_companding_keeps_the_mean_between_its_levels(dtype: type, bits: int) -> None:
    codec = CompandedCodec.fit(land(2, dtype=dtype), bits, "ordered")
    samples = np.random.default_rng(bits).integers(0, np.iinfo(dtype).max, 3000, dtype=dtype, endpoint=True)
    blocks = np.ascontiguousarray(np.broadcast_to(samples[:, None, None, None], (3000, 8, 8, 3)))
    means = codec.decode(codec.encode(blocks)).mean(axis=(1, 2))
    for band, levels in enumerate(np.array(codec.levels)):
        grain = np.diff(levels).max() / 128
        np.testing.assert_allclose(means[:, band], samples.clip(levels[0], levels[-1]), atol=grain + 1e-9)


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_dithered_levels_leave_less_bias_than_nearest_levels(bits: int) -> None:
    patches = land(4, (20, 4, 4, 3)).repeat(8, axis=1).repeat(8, axis=2)
    means = block_means(patches)
    plain, dithered = CompandedCodec.fit(patches, bits), CompandedCodec.fit(patches, bits, "ordered")
    errors = [np.square(block_means(c.decode(c.encode(patches))) - means).mean() for c in (plain, dithered)]
    assert errors[1] < errors[0]


@pytest.mark.parametrize("bits", [1, 2])
def test_levels_of_a_small_mask_spread_less(bits: int) -> None:
    patches = land(4, (20, 32, 32, 1))
    spread = {
        name: np.ptp(CompandedCodec.fit(patches, bits, name).levels) for name in ("ordered2", "ordered4", "ordered")
    }
    assert spread["ordered2"] == spread["ordered4"] < spread["ordered"]
    assert CompandedCodec.fit(patches, bits, "blue16").levels == CompandedCodec.fit(patches, bits, "ordered").levels


def test_dither_positions_interpolate_between_levels() -> None:
    levels = np.array([10, 20, 24, 100])
    samples = np.arange(256)
    exact = np.interp(samples, levels, [0, 64, 128, 192])
    np.testing.assert_array_equal(positions(samples, levels, 64), np.floor(exact + 0.5 + 1e-9))
