"""Codes are what the definitions say for every sample, keep local means when dithered, and round-trip."""

from __future__ import annotations

import io
import json
import math
import pickle
import zipfile
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from sklearn.cluster import KMeans, MiniBatchKMeans
from threadpoolctl import threadpool_limits

import bitswath._native as _native
from bitswath import codebooks
from bitswath.codecs import (
    Codec,
    CodecSpec,
    CompandedCodec,
    PaletteCodec,
    UniformCodec,
    codec_from_dict,
    fit_codec,
    parse_codec,
)
from bitswath.dither import DITHERS, Dither, count_thresholds, dither_named, positions
from bitswath.errors import CodecError, PackingError
from bitswath.packing import pack

KNOWN_CODES = {
    "uniform": "001000011100110111111122122212122222322233322233",
    "companded": "000000011111111122221222222222233323333333333333",
    "palette": "0001112222233333",
}

EUROSAT = Path(__file__).parents[2].parent / "shared" / "data" / "eurosat_rgb.zip"

KERNELS = _native.codec_kernels()

NEAREST = np.zeros((1, 1, 1), np.uint8)
"""Ranks of no dither."""

seeds = st.integers(0, 2**32 - 1)
bit_widths = st.integers(1, 8)
sample_types = st.sampled_from([np.uint8, np.uint16])
dithers = st.sampled_from([None, *(dither.name for dither in DITHERS)])


def land(seed: int, shape: tuple[int, ...] = (6, 16, 16, 3), dtype: type = np.uint8) -> NDArray[np.uint8 | np.uint16]:
    """Dark, skewed, band-correlated samples, as land is."""
    rng = np.random.default_rng(seed)
    brightness = rng.gamma(3.0, 18.0, (*shape[:-1], 1)) + rng.normal(0, 8, shape)
    scale = 1 if dtype is np.uint8 else 40
    return (brightness * scale).clip(0, np.iinfo(dtype).max).astype(dtype)


def every_sample(dtype: type, bands: int, side: int = 8) -> NDArray[np.uint8 | np.uint16]:
    """Each sample value at each of the mask's positions: (values, side, side, bands)."""
    values = np.iinfo(dtype).max + 1
    samples = np.arange(values, dtype=dtype)[:, None, None, None]
    return np.ascontiguousarray(np.broadcast_to(samples, (values, side, side, bands)))


def random_codec(seed: int, kind: str, bits: int, dither: str | None, dtype: type, bands: int) -> Codec:
    rng, depth, values = np.random.default_rng(seed), np.iinfo(dtype).bits, np.iinfo(dtype).max + 1
    if kind == "companded":
        levels = [np.sort(rng.choice(values, 1 << bits, replace=False)).tolist() for _ in range(bands)]
        return CompandedCodec(bits, dither, depth, levels=levels)
    if kind == "palette":
        return PaletteCodec(bits, dither, depth, colours=rng.integers(0, values, (1 << bits, bands)).tolist())
    return UniformCodec(bits, dither, depth)


def fitted(kind: str, bits: int, dither: str | None = None, dtype: type = np.uint8, bands: int = 3) -> Codec:
    return fit_codec(CodecSpec(kind, bits, dither), land(bits, (6, 16, 16, bands), dtype))


def block_means(patches: NDArray[np.integer]) -> NDArray[np.float64]:
    n, height, width, bands = patches.shape
    blocks = patches.reshape(n, height // 8, 8, width // 8, 8, bands)
    return np.asarray(blocks.mean(axis=(2, 4)))


def squared_error(codec: Codec, patches: NDArray[np.uint8 | np.uint16]) -> float:
    return float(np.square(codec.decode(codec.encode(patches)).astype(float) - patches).mean())


# ---- uniform ----


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


# ---- companded ----


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


# ---- palette ----


def nearest_by_definition(pixels: NDArray[np.integer], colours: NDArray[np.integer]) -> NDArray[np.intp]:
    differences = pixels[:, None].astype(np.int64) - colours.astype(np.int64)
    return np.square(differences).sum(axis=2).argmin(axis=1)


def mixture_by_definition(
    pixels: NDArray[np.int64], colours: NDArray[np.integer], count: int, top: int
) -> NDArray[np.intp]:
    """The sorted codes of `count` colours that are mixed for each pixel (n, C): (n, count)."""
    codes, left_over = [], np.zeros_like(pixels)
    for _ in range(count):
        codes.append(nearest_by_definition((pixels + left_over).clip(0, top), colours))
        left_over += pixels - colours[codes[-1]]
    return np.sort(np.stack(codes, axis=1), axis=1)


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


# ---- kernels, threads, packing ----


def encoded_by(codec: Codec, batch: NDArray[np.uint8 | np.uint16], kernels: str) -> NDArray[np.uint8]:
    out = np.full((len(batch), math.prod(codec.code_shape(batch.shape[1:]))), 255, np.uint8)
    if isinstance(codec, PaletteCodec):
        _native.encode_palette(batch, codec._colours, codec._ranks, out, 0, 1, kernels)
    elif isinstance(codec, UniformCodec) and codec.dither is None:
        _native.encode_shifts(batch, codec.depth - codec.bits, out, 0, 1, kernels)
    else:
        positions = np.broadcast_to(codec._positions, (batch.shape[-1], codec._positions.shape[1]))
        thresholds = count_thresholds(positions, codec.bits, dither_named(codec.dither))
        _native.encode_counts(batch, thresholds, out, 0, 1, kernels)
    return out


def by_definition(codec: Codec, batch: NDArray[np.uint8 | np.uint16]) -> NDArray[np.integer]:
    """Codes from the formulas of `bitswath.dither`, in numpy."""
    samples, dither = batch.astype(np.int64), dither_named(codec.dither)
    period, steps, bands = dither.period, dither.steps, batch.shape[-1]
    rows, columns = np.arange(batch.shape[1])[:, None] % period, np.arange(batch.shape[2]) % period
    mask = dither.mask(bands)[rows, columns].astype(np.int64)
    if isinstance(codec, PaletteCodec):
        count = min(steps, 16)
        mixed = mixture_by_definition(samples.reshape(-1, bands), codec.values[0], count, np.iinfo(batch.dtype).max)
        chosen = np.broadcast_to(mask[..., 0] * count // steps, batch.shape[:3]).ravel()
        return mixed[np.arange(len(mixed)), chosen].reshape(*batch.shape[:3], 1)
    if codec.dither is None:
        if isinstance(codec, UniformCodec):
            return samples >> (codec.depth - codec.bits)
        return (samples[..., None] >= codec.thresholds).sum(axis=-1)
    if isinstance(codec, CompandedCodec):
        exact = np.stack([positions(samples[..., c], row, steps) for c, row in enumerate(np.array(codec.levels))], -1)
    else:
        exact = np.floor(steps * ((1 << codec.bits) - 1) * samples / ((1 << codec.depth) - 1) + 0.5).astype(np.int64)
    return (exact + mask) // steps


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


@pytest.mark.parametrize("kernels", KERNELS)
def test_a_colour_seen_again_is_mixed_as_before(kernels: str) -> None:
    """Among more colours than the encoder keeps mixtures of."""
    rng = np.random.default_rng(4)
    colours = rng.integers(0, 256, (70_000, 3), np.uint8)
    batch = colours[rng.integers(0, len(colours), (2, 300, 300))]
    codec = PaletteCodec(2, "ordered4", colours=rng.integers(0, 256, (4, 3)).tolist())
    codes = encoded_by(codec, batch, kernels).reshape(2, 300, 300, 1)
    np.testing.assert_array_equal(codes, by_definition(codec, batch))


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


def test_native_code_refuses_other_ranks() -> None:
    batch, out, colours = np.zeros((1, 2, 2, 1), np.uint8), np.zeros((1, 4), np.uint8), np.zeros((2, 1), np.int64)
    for ranks, reason in ((np.full((4, 4, 1), 16, np.uint8), "ranks below 16"), (np.zeros((3, 3, 1), np.uint8), "P a")):
        with pytest.raises(ValueError, match=reason):
            _native.encode_palette(batch, colours, ranks, out, 0)


# ---- every codec ----


@pytest.mark.parametrize("kind", ["uniform", "companded", "palette"])
@given(seed=seeds, bits=bit_widths, dither=dithers, dtype=sample_types, bands=st.integers(1, 5))
@settings(max_examples=12, deadline=None)
def test_codecs_round_trip_through_json(
    seed: int, kind: str, bits: int, dither: str | None, dtype: type, bands: int
) -> None:
    codec = random_codec(seed, kind, bits, dither, dtype, bands)
    twin = codec_from_dict(json.loads(json.dumps(codec.to_dict())))
    assert twin == codec
    assert hash(twin) == hash(codec)
    patches = land(9, (2, 9, 9, bands), dtype)
    codes = codec.encode(patches)
    assert codes.max() < 1 << bits
    np.testing.assert_array_equal(twin.encode(patches), codes)
    assert codes.shape == (2, *codec.code_shape((9, 9, bands)))
    decoded = codec.decode(codes)
    assert decoded.dtype == patches.dtype
    assert decoded.shape == patches.shape
    if codec.values is not None:
        looked_up = codec.values[np.arange(codes.shape[-1]), codes].reshape(patches.shape)
        np.testing.assert_array_equal(looked_up, decoded)


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


def test_known_patch_has_known_codes() -> None:
    """The same on every machine: written down once."""
    patch = (np.arange(48, dtype=np.uint8) * 5).reshape(4, 4, 3)
    levels = ((10, 50, 120, 200),) * 3
    colours = ((0, 0, 0), (60, 60, 60), (120, 120, 120), (220, 220, 220))
    got = {
        kind: "".join(map(str, codec.encode(patch).ravel()))
        for kind, codec in {
            "uniform": UniformCodec(2, "ordered"),
            "companded": CompandedCodec(2, "ordered", levels=levels),
            "palette": PaletteCodec(2, "ordered", colours=colours),
        }.items()
    }
    assert got == KNOWN_CODES


@pytest.mark.parametrize("kind", ["uniform", "companded", "palette"])
@pytest.mark.parametrize(
    ("patches", "reason"),
    [
        (np.full((1, 8, 8, 3), np.nan, np.float32), "got float32"),
        (np.zeros((1, 8, 8, 3), np.int64), "got int64"),
        (np.zeros((1, 8, 8, 3), np.uint16), "expected uint8 patches for a 8-bit codec, got uint16"),
        (np.zeros((8, 8), np.uint8), r"got shape \(8, 8\)"),
        (np.zeros((0, 8, 8, 3), np.uint8), "none empty"),
        (np.zeros((1, 8, 0, 3), np.uint8), "none empty"),
    ],
    ids=["nan", "int64", "uint16", "flat", "no patches", "no pixels"],
)
def test_patches_that_do_not_fit_are_refused(kind: str, patches: NDArray[np.uint8], reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        fitted(kind, 4).encode(patches)


@pytest.mark.parametrize("kind", ["companded", "palette"])
def test_another_band_count_is_refused(kind: str) -> None:
    with pytest.raises(CodecError, match="expected patches of 3 bands, got 4"):
        fitted(kind, 4).encode(np.zeros((8, 8, 4), np.uint8))
    with pytest.raises(CodecError, match="expected patches of 3 bands, got 1"):
        fitted(kind, 4).code_shape((8, 8, 1))
    with pytest.raises(CodecError, match="codes"):
        fitted(kind, 4).decode(np.zeros((8, 8, 2), np.uint8))


def test_samples_above_the_depth_are_refused() -> None:
    with pytest.raises(CodecError, match=r"below 4096 \(depth 12\), got 4096"):
        UniformCodec(4, depth=12).encode(np.full((1, 1, 1), 4096, np.uint16))


def test_codes_out_of_range_are_refused() -> None:
    with pytest.raises(CodecError, match="below 4 for 2 bit, got 4"):
        fitted("palette", 2).decode(np.full((1, 1, 1), 4, np.uint8))
    with pytest.raises(CodecError, match="expected uint8 codes"):
        fitted("uniform", 2).decode(np.zeros((1, 1, 1), np.int32))


@pytest.mark.parametrize("fit", [CompandedCodec.fit, PaletteCodec.fit])
def test_fits_refuse_what_no_codec_takes(fit: type) -> None:
    for patches in (np.zeros((0, 8, 8, 3), np.uint8), np.zeros((1, 8, 8, 3)), np.zeros(8, np.uint8)):
        with pytest.raises(CodecError, match="patches"):
            fit(patches, 4)
    for bits in (0, 9, True, 2.0):
        with pytest.raises(CodecError, match="1 to 8 bits"):
            fit(np.zeros((1, 8, 8, 3), np.uint8), bits)
    with pytest.raises(CodecError, match="dither"):
        fit(np.zeros((1, 8, 8, 3), np.uint8), 4, "floyd")


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "vector"},
        {"bits": 3},
        {"bits": "2"},
        {"bits": None},
        {"dither": "noise"},
        {"depth": 7},
        {"depth": 17},
        {"levels": [[1, 2, 3, 256]]},
        {"levels": [[1, 2, 3, -4]]},
        {"levels": [[1, 3, 2, 4]]},
        {"levels": [[1, 2, 2, 4]]},
        {"levels": [[1, 2, 3.0, 4]]},
        {"levels": [[1, 2, 3, True]]},
        {"levels": [[1, 2, 3, 4], [1, 2, 3]]},
        {"levels": []},
        {"levels": [[]]},
        {"levels": 5},
        {"levels": "1234"},
        {"label": 1},
    ],
    ids=str,
)
def test_descriptions_that_make_no_codec_are_refused(change: dict[str, object]) -> None:
    good = {"kind": "companded", "bits": 2, "dither": None, "depth": 8, "levels": [[1, 2, 3, 4]]}
    assert codec_from_dict(good).bands == 1
    with pytest.raises(CodecError):
        codec_from_dict(good | change)


@pytest.mark.parametrize("data", [None, [], {}, {"kind": ["uniform"]}, {"kind": "uniform", "bits": 2}], ids=str)
def test_other_data_make_no_codec(data: dict[str, object]) -> None:
    with pytest.raises(CodecError):
        codec_from_dict(data)


@pytest.mark.parametrize("colours", [((1, 2),) * 3, ((1, 2), (3,)), ((1, 2), (3, 256))])
def test_palettes_that_are_none_are_refused(colours: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(CodecError):
        PaletteCodec(1, colours=colours)


@pytest.mark.parametrize(
    "text",
    ["uniform:4", "palette:8", *(f"companded:2:{dither.name}" for dither in DITHERS), "palette:1:blue16-aligned"],
)
def test_specs_are_written_as_they_are_read(text: str) -> None:
    assert str(parse_codec(text)) == text


def test_the_mask_of_eight_pixels_is_called_ordered() -> None:
    assert str(parse_codec("uniform:2:ordered8")) == "uniform:2:ordered"
    assert str(parse_codec("uniform:2:ordered8-aligned")) == "uniform:2:ordered-aligned"
    assert UniformCodec(2, "ordered8").to_dict() == UniformCodec(2, "ordered").to_dict()


def test_specs_are_read() -> None:
    assert parse_codec("companded:2:ordered") == CodecSpec("companded", 2, "ordered")
    assert isinstance(fit_codec(parse_codec("palette:1"), land(0)), PaletteCodec)
    assert fit_codec(parse_codec("uniform:3"), land(0, dtype=np.uint16)) == UniformCodec(3, depth=16)


@pytest.mark.parametrize(
    "text",
    ["", "uniform", "uniform:", "uniform:0", "uniform:9", "vq:4", "uniform:04", "uniform:4:ordered:aligned"],
)
def test_other_specs_are_refused(text: str) -> None:
    with pytest.raises(CodecError, match="with 1 to 8 bits and optionally :DITHER"):
        parse_codec(text)


@pytest.mark.parametrize("dither", ["", "x", "none", "ordered3", "ordered32", "blue", "blue64", "aligned", "blue8-"])
def test_other_dithers_are_refused(dither: str) -> None:
    with pytest.raises(CodecError, match=r"expected a dither of ordered2, .*, blue32, each also with -aligned, got"):
        parse_codec(f"uniform:4:{dither}")


# ---- real imagery ----


@pytest.fixture(scope="module")
def eurosat() -> NDArray[np.uint8]:
    if not EUROSAT.exists():
        pytest.skip(f"EuroSAT is not at {EUROSAT.name} beside the checkout")
    with zipfile.ZipFile(EUROSAT) as archive:
        names = sorted(name for name in archive.namelist() if "train/" in name and name.endswith(".jpg"))[::400]
        return np.stack([np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names])


def test_codecs_are_ordered_on_real_imagery(eurosat: NDArray[np.uint8]) -> None:
    fit, held_out = eurosat[::2], eurosat[1::2]
    previous = dict.fromkeys(("uniform", "companded", "palette"), np.inf)
    for bits in (1, 3):
        error = {kind: squared_error(fit_codec(CodecSpec(kind, bits), fit), held_out) for kind in previous}
        assert error["companded"] < error["uniform"]
        assert error["companded"] < error["palette"]  # three codes a pixel against one
        assert all(error[kind] < previous[kind] for kind in previous)
        previous = error


@pytest.mark.parametrize("kind", ["uniform", "companded", "palette"])
def test_dither_brings_local_means_of_real_imagery_closer(eurosat: NDArray[np.uint8], kind: str) -> None:
    fit, held_out = eurosat[::2], eurosat[1::2]
    errors = []
    for dither in (None, "ordered"):
        codec = fit_codec(CodecSpec(kind, 2, dither), fit)
        errors.append(np.square(block_means(codec.decode(codec.encode(held_out))) - block_means(held_out)).mean())
    assert errors[1] < errors[0] * (
        0.5 if kind == "palette" else 0.1
    )  # a palette's dither stays inside its colours' hull
