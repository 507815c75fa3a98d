"""Codes are what the definitions say for every sample, keep local means when dithered, and round-trip."""

from __future__ import annotations

import io
import json
import zipfile
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from sklearn.cluster import KMeans, MiniBatchKMeans
from threadpoolctl import threadpool_limits

from bitswath.codecs import codebooks
from bitswath.codecs.companded import CompandedCodec
from bitswath.codecs.dither import DITHERS, Dither, dither_named, positions
from bitswath.codecs.kinds import CodecSpec, codec_from_dict, fit_codec, parse_codec
from bitswath.codecs.palette import PaletteCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import CodecError
from tests.host.codec_cases import (
    bit_widths,
    block_means,
    dithers,
    every_sample,
    fitted,
    land,
    nearest_by_definition,
    random_codec,
    sample_types,
    seeds,
    squared_error,
)
from tests.paths import DATA

KNOWN_CODES = {
    "uniform": "001000011100110111111122122212122222322233322233",
    "companded": "000000011111111122221222222222233323333333333333",
    "palette": "0001112222233333",
}

EUROSAT = DATA / "eurosat_rgb.zip"


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
