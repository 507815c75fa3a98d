"""Palette codes take the nearest of the fitted colours, and mix them when dithered."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

from bitswath.codecs.palette import PaletteCodec
from bitswath.errors import CodecError
from tests.host.codec_cases import (
    block_means,
    land,
    nearest_by_definition,
    squared_error,
)


@pytest.mark.parametrize(
    ("bits", "dtype", "bands"), [(1, np.uint8, 1), (4, np.uint8, 3), (8, np.uint8, 4), (5, np.uint16, 13)]
)
def test_palette_encodes_to_the_nearest_colour(bits: int, dtype: type, bands: int) -> None:
    patches = land(bits, (3, 16, 16, bands), dtype)
    codec = PaletteCodec.fit(patches, bits)
    codes = codec.encode(patches)
    assert codes.shape == (3, 16, 16, 1)
    expected = nearest_by_definition(patches.reshape(-1, bands), np.array(codec.colours))
    np.testing.assert_array_equal(codes.ravel(), expected)
    np.testing.assert_array_equal(codec.decode(codes), np.array(codec.colours)[codes[..., 0]])


def test_palette_ascends_by_mean() -> None:
    sums = np.array(PaletteCodec.fit(land(0), 5).colours).sum(axis=1)
    assert (np.diff(sums) >= 0).all()


def test_palette_of_few_colours_is_exact() -> None:
    patches = np.array([[[[9, 9, 9], [1, 2, 3]]]], np.uint8)
    codec = PaletteCodec.fit(patches, 3)
    assert codec.colours == ((1, 2, 3), *[(9, 9, 9)] * 7)
    assert codec.encode(patches).ravel().tolist() == [1, 0]
    np.testing.assert_array_equal(codec.decode(codec.encode(patches)), patches)


def test_palette_fit_repeats_itself() -> None:
    assert PaletteCodec.fit(land(0), 4, seed=3) == PaletteCodec.fit(land(0), 4, seed=3)


@pytest.mark.parametrize(("bits", "dtype", "bands"), [(4, np.uint8, 3), (6, np.uint8, 3), (4, np.uint16, 13)])
def test_palette_is_better_than_minibatch_kmeans(bits: int, dtype: type, bands: int) -> None:
    patches = land(5, (12, 16, 16, bands), dtype)
    with threadpool_limits(1):
        peer = MiniBatchKMeans(1 << bits, random_state=0, n_init=3).fit(patches.reshape(-1, bands).astype(float))
    own_inertia = squared_error(PaletteCodec.fit(patches, bits), patches) * patches.size
    assert own_inertia < peer.inertia_


@pytest.mark.parametrize(("bits", "side"), [(3, 2), (6, 4)])
def test_dithered_palette_keeps_the_mean_inside_a_regular_palette(bits: int, side: int) -> None:
    steps = np.linspace(0, 240, side).astype(int).tolist()
    codec = PaletteCodec(bits, "ordered", colours=tuple((r, g, b) for r in steps for g in steps for b in steps))
    samples = np.random.default_rng(0).integers(0, 240, (500, 1, 1, 3), dtype=np.uint8, endpoint=True)
    means = codec.decode(codec.encode(np.ascontiguousarray(np.broadcast_to(samples, (500, 8, 8, 3))))).mean(axis=(1, 2))
    np.testing.assert_allclose(means, samples[:, 0, 0], atol=240 / (side - 1) / 32)


def test_dithered_palette_mixes_what_is_left_over() -> None:
    codec = PaletteCodec(2, "ordered2", colours=((0, 0), (60, 0), (60, 60), (200, 200)))
    grey = np.broadcast_to(np.array([45, 15], np.uint8), (2, 2, 2))
    assert codec.encode(grey)[..., 0].tolist() == [[0, 1], [2, 1]]  # 45 = (0 + 60 + 60 + 60) / 4, 15 = 60 / 4


def test_fit_for_a_dither_leaves_less_bias_than_the_nearest_colours() -> None:
    patches = land(7, (8, 16, 16, 3)).repeat(8, axis=1).repeat(8, axis=2)
    plain, fitted_for_it = PaletteCodec.fit(patches, 4), PaletteCodec.fit(patches, 4, "ordered4")
    mixing = PaletteCodec(4, "ordered4", colours=plain.colours)
    errors = [
        np.square(block_means(codec.decode(codec.encode(patches))) - block_means(patches)).mean()
        for codec in (plain, mixing, fitted_for_it)
    ]
    assert errors[2] < errors[1] < errors[0]
    assert fitted_for_it == PaletteCodec.fit(patches, 4, "ordered4")


@pytest.mark.parametrize("colours", [((1, 2),) * 3, ((1, 2), (3,)), ((1, 2), (3, 256))])
def test_palettes_that_are_none_are_refused(colours: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(CodecError):
        PaletteCodec(1, colours=colours)
