"""Uniform codes are what the definition says for every sample, and keep means when dithered."""

from __future__ import annotations

import numpy as np
import pytest

from bitswath.codecs.dither import DITHERS, Dither, dither_named
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import CodecError
from tests.host.codec_cases import (
    every_sample,
    land,
)


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize(("dtype", "depth"), [(np.uint8, 8), (np.uint16, 12), (np.uint16, 16)])
def test_uniform_drops_the_low_bits_of_every_sample(dtype: type, depth: int, bits: int) -> None:
    samples = np.arange(1 << depth, dtype=dtype).reshape(1, -1, 64, 1)
    codes = UniformCodec(bits, depth=depth).encode(samples)
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal(codes, samples // 2 ** (depth - bits))


@pytest.mark.parametrize("bits", range(1, 9))
def test_uniform_decodes_to_the_middle_of_a_step(bits: int) -> None:
    codec = UniformCodec(bits)
    samples = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    error = samples.astype(int) - codec.decode(codec.encode(samples))
    step = 2 ** (8 - bits)
    assert error.min() == -(step // 2)
    assert error.max() == (step - 1) // 2


@pytest.mark.parametrize("dither", DITHERS, ids=lambda dither: dither.name)
@pytest.mark.parametrize("bits", [1, 2, 5, 7])
def test_dithered_uniform_keeps_the_mean_of_every_sample(bits: int, dither: Dither) -> None:
    samples = every_sample(np.uint8, 3, dither.period)
    codes = UniformCodec(bits, dither.name).encode(samples)
    exact = samples[:, 0, 0].astype(float) * (2**bits - 1) / 255
    np.testing.assert_allclose(codes.mean(axis=(1, 2)), exact, atol=0.5 / dither.steps + 1e-9)
    assert (np.abs(codes - exact[:, None, None]) < 1).all()


def test_dithered_uniform_is_the_documented_formula() -> None:
    patches = land(1, (2, 11, 13, 5), np.uint16)
    codec = UniformCodec(3, "ordered", depth=16)
    position = np.floor(64 * 7 * patches.astype(np.int64) / 65535 + 0.5).astype(int)
    rows, columns = np.arange(11)[:, None] % 8, np.arange(13) % 8
    expected = (position + dither_named("ordered").mask(5)[rows, columns]) >> 6
    np.testing.assert_array_equal(codec.encode(patches), expected)


def test_samples_above_the_depth_are_refused() -> None:
    with pytest.raises(CodecError, match=r"below 4096 \(depth 12\), got 4096"):
        UniformCodec(4, depth=12).encode(np.full((1, 1, 1), 4096, np.uint16))
