"""Native code gives the codes of the definition: every kernel, mask, number of threads, alone and into frames."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bitswath._native as _native
from bitswath.codecs.base import Codec
from bitswath.codecs.dither import DITHERS, Dither
from bitswath.codecs.packing import pack
from bitswath.codecs.palette import PaletteCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import CodecError, PackingError
from tests.host.codec_cases import (
    bit_widths,
    by_definition,
    dithers,
    encoded_by,
    fitted,
    land,
    nearest_by_definition,
    random_codec,
    sample_types,
    seeds,
)

KERNELS = _native.codec_kernels()

NEAREST = np.zeros((1, 1, 1), np.uint8)
"""Ranks of no dither."""


@pytest.mark.parametrize("kernels", KERNELS)
@given(
    seed=seeds,
    dtype=sample_types,
    bands=st.integers(1, 13),
    count=st.sampled_from([1, 2, 3, 16, 64, 200, 256]),
    crowded=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_nearest_colour_is_exact_and_ties_go_to_the_lowest(
    kernels: str, seed: int, dtype: type, bands: int, count: int, crowded: bool
) -> None:
    rng = np.random.default_rng(seed)
    top = 3 if crowded else np.iinfo(dtype).max  # crowded: many ties and equal colours
    pixels = rng.integers(0, top, (131, bands), dtype=dtype, endpoint=True)
    colours = rng.integers(0, top, (count, bands), dtype=dtype, endpoint=True).astype(np.int64)
    pixels[0], pixels[1] = 0, np.iinfo(dtype).max
    codes = np.empty((1, len(pixels)), np.uint8)
    _native.encode_palette(pixels[None, :, None], colours, NEAREST, codes, 0, 1, kernels)
    np.testing.assert_array_equal(codes[0], nearest_by_definition(pixels, colours))


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colours_left_out_of_smooth_blocks_are_never_nearest(dtype: type, kernels: str) -> None:
    rng = np.random.default_rng(11)
    smooth = land(3, (1, 16, 16, 3), dtype).repeat(8, axis=1).repeat(8, axis=2)
    pixels = (smooth // 8 * 8 + rng.integers(0, 8, smooth.shape, dtype)).reshape(-1, 3)
    colours = pixels[rng.choice(len(pixels), 256)].astype(np.int64)
    codes = np.empty((1, len(pixels)), np.uint8)
    _native.encode_palette(pixels[None, None], colours, NEAREST, codes, 0, 1, kernels)
    np.testing.assert_array_equal(codes[0], nearest_by_definition(pixels, colours))


@pytest.mark.parametrize("kind", ["uniform", "companded", "palette"])
@given(
    seed=seeds,
    bits=bit_widths,
    dither=dithers,
    dtype=sample_types,
    shape=st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 40), st.integers(1, 5)),
    kernels=st.sampled_from(KERNELS),
)
@settings(max_examples=60, deadline=None)
def test_every_kernel_gives_the_codes_of_the_definition(
    seed: int, kind: str, bits: int, dither: str | None, dtype: type, shape: tuple[int, ...], kernels: str
) -> None:
    codec = random_codec(seed, kind, bits, dither, dtype, shape[-1])
    batch = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    expected = by_definition(codec, batch)
    np.testing.assert_array_equal(encoded_by(codec, batch, kernels), expected.reshape(len(batch), -1))
    codes = codec.encode(batch)
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(codec.encode_packed(batch), pack(codes, bits))


@pytest.mark.parametrize("dither", DITHERS, ids=lambda dither: dither.name)
@pytest.mark.parametrize("kind", ["uniform", "companded", "palette"])
@pytest.mark.parametrize(
    ("bits", "dtype", "bands"), [(1, np.uint8, 3), (5, np.uint16, 1), (6, np.uint8, 5), (8, np.uint16, 2)]
)
def test_every_mask_repeats_over_odd_patches(kind: str, dither: Dither, bits: int, dtype: type, bands: int) -> None:
    codec = random_codec(bits, kind, bits, dither.name, dtype, bands)
    batch = np.random.default_rng(bits).integers(0, np.iinfo(dtype).max, (2, 67, 35, bands), dtype, endpoint=True)
    expected = by_definition(codec, batch)
    np.testing.assert_array_equal(codec.encode(batch), expected)
    for kernels in KERNELS:
        np.testing.assert_array_equal(encoded_by(codec, batch, kernels), expected.reshape(2, -1))


@pytest.mark.parametrize(
    ("side", "steps", "reason"),
    [(3, 64, "P a power of two up to 32"), (64, 64, "up to 32"), (8, 48, "steps"), (8, 512, "steps")],
)
def test_native_code_refuses_other_masks(side: int, steps: int, reason: str) -> None:
    batch, out, mask = np.zeros((1, 2, 2, 1), np.uint8), np.zeros((1, 4), np.uint8), np.zeros((side, side, 1), np.uint8)
    with pytest.raises(ValueError, match=reason):
        _native.encode_positions(batch, np.zeros((1, 256), np.uint16), steps, mask, out, 0, 1)


@pytest.mark.parametrize("kind", ["uniform", "companded", "palette"])
@pytest.mark.parametrize("dither", [None, "ordered", "blue32"])
@pytest.mark.parametrize("bits", [1, 3, 4, 6, 8])
def test_codes_and_frames_do_not_depend_on_threads(kind: str, dither: str | None, bits: int) -> None:
    for dtype, shape in ((np.uint8, (3, 70, 61, 3)), (np.uint16, (2, 33, 129, 2)), (np.uint8, (1, 150, 151, 1))):
        codec = random_codec(bits, kind, bits, dither, dtype, shape[-1])
        batch = land(bits, shape, dtype)
        codes = codec.encode(batch, threads=1)
        frames = pack(codes, bits)
        for threads in (None, 2, 5):
            np.testing.assert_array_equal(codec.encode(batch, threads=threads), codes)
            np.testing.assert_array_equal(codec.encode_packed(batch, threads=threads), frames)


def test_one_patch_packs_to_one_frame_and_outputs_are_filled() -> None:
    patches = land(0, (4, 9, 7, 3))
    codec = fitted("companded", 3)
    frames = codec.encode_packed(patches)
    np.testing.assert_array_equal(codec.encode_packed(patches[1]), frames[1])
    out = np.empty_like(frames)
    assert codec.encode_packed(patches, out=out) is out
    np.testing.assert_array_equal(out, frames)
    strided = land(0, (8, 9, 7, 3))[::2]
    np.testing.assert_array_equal(codec.encode_packed(strided), pack(codec.encode(strided), 3))
    with pytest.raises(PackingError, match="expected out"):
        codec.encode_packed(patches, out=out[:, :-1])
    with pytest.raises(PackingError, match="threads"):
        codec.encode(patches, threads=0)


@pytest.mark.parametrize(
    "codec", [UniformCodec(4, depth=12), UniformCodec(3, "ordered", 12), UniformCodec(6, "ordered", 12)]
)
def test_packing_refuses_samples_above_the_depth(codec: Codec) -> None:
    patches = np.zeros((2, 40, 41, 3), np.uint16)
    patches[1, 30, 17, 2] = 4096
    with pytest.raises(CodecError, match=r"below 4096 \(depth 12\), got 4096"):
        codec.encode_packed(patches)


@pytest.mark.parametrize("kernels", KERNELS)
def test_a_colour_seen_again_is_mixed_as_before(kernels: str) -> None:
    """Among more colours than the encoder keeps mixtures of."""
    rng = np.random.default_rng(4)
    colours = rng.integers(0, 256, (70_000, 3), np.uint8)
    batch = colours[rng.integers(0, len(colours), (2, 300, 300))]
    codec = PaletteCodec(2, "ordered4", colours=rng.integers(0, 256, (4, 3)).tolist())
    codes = encoded_by(codec, batch, kernels).reshape(2, 300, 300, 1)
    np.testing.assert_array_equal(codes, by_definition(codec, batch))


def test_native_code_refuses_other_ranks() -> None:
    batch, out, colours = np.zeros((1, 2, 2, 1), np.uint8), np.zeros((1, 4), np.uint8), np.zeros((2, 1), np.int64)
    for ranks, reason in ((np.full((4, 4, 1), 16, np.uint8), "ranks below 16"), (np.zeros((3, 3, 1), np.uint8), "P a")):
        with pytest.raises(ValueError, match=reason):
            _native.encode_palette(batch, colours, ranks, out, 0)


@pytest.mark.parametrize("dither", [None, "ordered"])
@pytest.mark.parametrize("kind", ["uniform", "companded", "palette"])
def test_a_patch_encodes_alone_as_in_a_batch(kind: str, dither: str | None) -> None:
    codec = fitted(kind, 3, dither)
    patches = land(1, (3, 10, 12, 3))
    batch = codec.encode(patches)
    for patch, codes in zip(patches, batch):
        np.testing.assert_array_equal(codec.encode(patch), codes)
    np.testing.assert_array_equal(codec.encode(patches[:, ::-1]), codec.encode(patches[:, ::-1].copy()))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(codec)).encode(patches), batch)
