"""Fitting, rates and data of transform codecs."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from bitswath.codecs.kinds import CodecSpec, codec_from_dict, fit_codec, parse_codec
from bitswath.codecs.transform import TransformCodec
from bitswath.codecs.transform.codec import LONGEST_FRAME
from bitswath.codecs.transform.huffman import code_lengths
from bitswath.errors import CodecError, PackingError
from tests.host.codecs.transform.cases import psnr, random_pair, smooth
from tests.paths import DATA

SHAPE = (48, 40, 3)
TRAINING = smooth(1, (40, *SHAPE))
HELD_OUT = smooth(2, (12, *SHAPE))
EUROSAT = DATA / "eurosat_rgb.zip"


@pytest.fixture(scope="module")
def fitted() -> TransformCodec:
    return TransformCodec.fit(TRAINING, quality=32)


# rates


def test_a_finer_quality_takes_more_bytes_and_comes_closer(fitted: TransformCodec) -> None:
    sizes, errors = [], []
    for quality in (1, 8, 16, 24, 32, 40, 48, 56, 64):
        codec = replace(fitted, quality=quality)
        frames = codec.encode_packed(HELD_OUT)
        sizes.append(codec.frame_lengths(frames).mean())
        errors.append(-psnr(codec.unpack(frames, SHAPE), HELD_OUT))
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)
    assert sizes[-1] > 5 * sizes[0]
    assert -errors[-1] > 46  # a step of one grey level
    assert -errors[3] > 33  # of 32


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    kind=st.sampled_from(["noise", "flat", "slope", "checks", "half"]),
    beyond=st.integers(0, 1500),
    quality=st.integers(1, 64),
)
@settings(max_examples=120, deadline=None)
def test_no_frame_is_longer_than_its_budget(
    fitted: TransformCodec, seed: int, shape: tuple[int, int], kind: str, beyond: int, quality: int
) -> None:
    random = np.random.default_rng(seed)
    patches = patches_of(random, kind, (3, *shape, 3))
    blocks = -(-shape[0] // 16) * -(-shape[1] // 16)
    bits = fitted._least_bits(0) + 2 * fitted._least_bits(1)
    least = max(6, 5 + -(-blocks * bits // 8))
    codec = replace(fitted, budget=least + beyond, quality=quality)
    frames = codec.encode_packed(patches)
    lengths = codec.frame_lengths(frames)
    assert lengths.max() <= least + beyond == codec.frame_bytes(patches.shape[1:])
    assert frames.shape[1] == -(-lengths.max() // 8) * 8
    codec.unpack(frames, patches.shape[1:])
    free = replace(codec, budget=None)
    unlimited = free.encode_packed(patches)
    fit = free.frame_lengths(unlimited) <= least + beyond
    np.testing.assert_array_equal(lengths[fit], free.frame_lengths(unlimited)[fit])
    with pytest.raises(CodecError, match=f"expected a budget of at least {least} bytes, .* for patches"):
        if least > 6:
            replace(fitted, budget=least - 1).encode_packed(patches)
        raise CodecError(f"expected a budget of at least {least} bytes, none for patches")


def patches_of(random: np.random.Generator, kind: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    y, x = np.arange(shape[1])[:, None, None], np.arange(shape[2])[:, None]
    if kind == "noise":
        return random.integers(0, 256, shape, np.uint8)
    if kind == "checks":
        return np.broadcast_to(((x + y) % 2 * 255).astype(np.uint8), shape)
    if kind == "half":
        return np.where(random.random(shape[:-1])[..., None] < 0.5, 255, random.integers(0, 99, shape)).astype(np.uint8)
    slope = random.integers(-5, 6, (2, shape[0], 1, 1, 1)) * (kind == "slope")
    return (
        (random.integers(0, 256, (shape[0], 1, 1, shape[3])) + slope[0] * x + slope[1] * y)
        .clip(0, 255)
        .astype(np.uint8)
    )


def test_a_budget_cuts_positions_off_last() -> None:
    codec = TransformCodec.fit(TRAINING, budget=60)
    noise = np.random.default_rng(0).integers(0, 256, (4, *SHAPE), np.uint8)
    frames = codec.encode_packed(noise)
    assert (frames[:, 2] & 63 == 63).all()
    assert 40 < codec.frame_lengths(frames).min() <= codec.frame_lengths(frames).max() <= 60


def test_frames_of_large_patches_stay_below_what_a_length_can_say(fitted: TransformCodec) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, 400, 400, 3), np.uint8)
    codec = replace(fitted, quality=64)
    frames = codec.encode_packed(noise)
    assert 60_000 < codec.frame_lengths(frames)[0] <= LONGEST_FRAME
    assert psnr(codec.unpack(frames, noise.shape[1:]), noise) > 8
    with pytest.raises(CodecError, match=r"expected a budget of at least .* bytes, at most 65535, for patches 9000 x"):
        codec.frame_bytes((9000, 9000, 3))


# fits


def test_a_fit_is_deterministic_and_its_data_make_it_again(fitted: TransformCodec) -> None:
    assert TransformCodec.fit(TRAINING.copy(), quality=32) == fitted
    twin = codec_from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert twin == fitted and hash(twin) == hash(fitted) and twin.seed == fitted.seed
    for other in (twin, pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(other.encode_packed(HELD_OUT), fitted.encode_packed(HELD_OUT))
    assert TransformCodec.fit(TRAINING[::-1], quality=32).matrix == fitted.matrix


def test_a_fit_beats_the_tables_of_other_data(fitted: TransformCodec) -> None:
    other = TransformCodec.fit(255 - smooth(9, (40, *SHAPE))[..., ::-1] // 3, quality=32)
    wanted, given = (c.frame_lengths(c.encode_packed(HELD_OUT)).mean() for c in (fitted, other))
    assert wanted < given


@pytest.mark.parametrize("bands", [1, 2, 4, 13])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bands_and_sample_types(bands: int, dtype: type) -> None:
    patches, held_out = (smooth(seed, (12, 33, 20, bands), dtype) for seed in (3, 4))
    codec = TransformCodec.fit(patches, quality=56)
    decoded = codec.decode(codec.encode(held_out))
    assert decoded.dtype == dtype and decoded.shape == held_out.shape
    assert psnr(decoded, held_out, np.iinfo(dtype).max) > 36
    budget = TransformCodec.fit(patches[:6], budget=150 * bands)
    assert budget.frame_lengths(budget.encode_packed(held_out)).max() <= 150 * bands
    assert codec_from_dict(json.loads(json.dumps(budget.to_dict()))) == budget


def test_samples_of_16_bits_are_stretched_and_back() -> None:
    codec, _ = random_pair(np.random.default_rng(0), 2, depth=16, lows=(100, 0), highs=(5000, 65535))
    every = np.arange(65536).reshape(1, 256, 256, 1).repeat(2, axis=3).astype(np.uint16)
    given = codec._samples(every).astype(int)
    for band, (low, high) in enumerate(((100, 5000), (0, 65535))):
        exact = 255 * (np.clip(every[..., band].astype(float), low, high) - low) / (high - low)
        np.testing.assert_array_equal(given[..., band], np.floor(exact + 0.5))
        codes = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(2, axis=2)
        back = low + codes[..., band].astype(float) * (high - low) / 255
        np.testing.assert_array_equal(codec.decode(codes)[..., band], np.floor(back + 0.5))
    twelve, _ = random_pair(np.random.default_rng(0), 1, depth=12, lows=(0,), highs=(4095,))
    with pytest.raises(CodecError, match=r"below 4096 \(depth 12\), got 4096"):
        twelve.encode(np.full((1, 4, 4, 1), 4096, np.uint16))


def test_eurosat_at_two_rates() -> None:
    if not EUROSAT.exists():
        pytest.skip(f"EuroSAT is not at {EUROSAT.name} beside the checkout")
    with zipfile.ZipFile(EUROSAT) as archive:
        names = sorted(name for name in archive.namelist() if "train/" in name and name.endswith(".jpg"))[::80]
        patches = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names])
    fit, held_out = patches[::2], patches[1::2]
    fine, coarse = (TransformCodec.fit(fit, quality=quality) for quality in (36, 24))
    for codec, most, least in ((fine, 950, 35), (coarse, 380, 31)):
        frames = codec.encode_packed(held_out)
        assert codec.frame_lengths(frames).mean() < most
        assert psnr(codec.unpack(frames, (64, 64, 3)), held_out) > least


def test_code_lengths_are_the_best_of_limited_ones() -> None:
    random = np.random.default_rng(6)
    for _ in range(30):
        weights = dict(enumerate(random.geometric(0.1, 6).astype(float) ** 3))
        lengths = code_lengths(weights, 3)
        assert max(lengths.values()) <= 3 and sum(2.0**-length for length in lengths.values()) == 1
        every = [given for given in np.ndindex(*[4] * 6) if min(given) and sum(2.0 ** -np.array(given)) <= 1]
        best = min(np.dot(list(weights.values()), given) for given in every)
        assert sum(weights[s] * length for s, length in lengths.items()) == pytest.approx(best)


# packing as others do


def test_frames_go_where_they_are_asked_to(fitted: TransformCodec) -> None:
    frames = fitted.encode_packed(HELD_OUT)
    alone = fitted.encode_packed(HELD_OUT[3])
    np.testing.assert_array_equal(alone, frames[3][: len(alone)])
    assert not frames[3][len(alone) :].any()
    out = np.full((len(frames), 3000), 7, np.uint8)
    assert fitted.encode_packed(HELD_OUT, out=out) is out
    np.testing.assert_array_equal(out[:, : frames.shape[1]], frames)
    assert not out[:, frames.shape[1] :].any()
    np.testing.assert_array_equal(fitted.unpack(out, SHAPE), fitted.encode(HELD_OUT, threads=2))
    assert fitted.encode(HELD_OUT[0]).shape == SHAPE
    for wrong in (out[:, :8].copy(), out[:3], np.zeros(3, np.uint8), [1]):
        with pytest.raises(PackingError, match="expected out"):
            fitted.encode_packed(HELD_OUT, out=wrong)
    with pytest.raises(PackingError, match="threads"):
        fitted.encode_packed(HELD_OUT, threads=0)


# what is refused


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("transform:25", CodecSpec("transform", 8, None, 25)),
        ("transform:B=300", CodecSpec("transform", 8, None, None, 300)),
        ("transform:40:B=300", CodecSpec("transform", 8, None, 40, 300)),
    ],
)
def test_specs_are_read_and_fitted(text: str, spec: CodecSpec) -> None:
    assert parse_codec(text) == spec and str(spec) == text
    codec = fit_codec(spec, TRAINING[:10])
    assert isinstance(codec, TransformCodec)
    assert codec.budget == spec.budget and spec.quality in (None, codec.quality)


@pytest.mark.parametrize("rate", ["", ":", ":0", ":65", ":B=", ":B=3x", ":4:ordered", ":B=300:40", ":B=123456"])
def test_other_specs_are_refused(rate: str) -> None:
    with pytest.raises(CodecError, match="expected transform:QUALITY of 1 to 64, transform:B=BYTES, or both"):
        parse_codec(f"transform{rate}")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "got neither"),
        ({"quality": 0}, "quality of 1 to 64, got 0"),
        ({"quality": True}, "got True"),
        ({"budget": 5}, "budget of 6 to 65535 bytes, of which the header takes 5, got 5"),
        ({"budget": 65536}, "got 65536"),
        ({"budget": 300.0}, "got 300.0"),
        ({"budget": 11}, "budget of at least .* bytes, .*, for patches 48 x 40 x 3, got 11"),
    ],
)
def test_rates_that_cannot_be_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(CodecError, match=reason) as caught:
        TransformCodec.fit(TRAINING, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("patches", "reason"),
    [
        (np.zeros((1, *SHAPE), np.uint16), "expected uint8 patches for a 8-bit codec, got uint16"),
        (np.zeros((1, 48, 40, 4), np.uint8), "expected patches of 3 bands, got 4"),
        (np.zeros((0, *SHAPE), np.uint8), "none empty"),
        (np.zeros((48, 40), np.uint8), r"got shape \(48, 40\)"),
        (np.zeros((1, *SHAPE)), "got float64"),
    ],
)
def test_patches_that_do_not_fit_are_refused(fitted: TransformCodec, patches: NDArray[Any], reason: str) -> None:
    for encode in (fitted.encode, fitted.encode_packed):
        with pytest.raises(CodecError, match=reason):
            encode(patches)


def changed(fitted: TransformCodec, **changes: Any) -> dict[str, Any]:
    return json.loads(json.dumps(fitted.to_dict())) | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"quality": 65},
        {"quality": "32"},
        {"budget": 0},
        {"budget": "300"},
        {"bits": 4},
        {"dither": "ordered"},
        {"depth": 7},
        {"lows": [0, 0]},
        {"lows": [0, 0, 1]},
        {"highs": [255, 255, 256]},
        {"matrix": [[4096, 0, 0]]},
        {"matrix": [[4096, 0], [0, 4096]]},
        {"matrix": [[40000, 0, 0], [0, 4096, 0], [0, 0, 4096]]},
        {"matrix": [[4096.0, 0, 0], [0, 4096, 0], [0, 0, 4096]]},
        {"matrix": []},
        {"deltas": [0, 0]},
        {"deltas": [0, 0, 32]},
        {"deltas": [0, -32, 0]},
        {"contexts": [0] * 55},
        {"contexts": [7] * 56, "ac_counts": [[2] + [0] * 11], "ac_symbols": [[0, 15]]},
        {"ac_counts": [[2] + [0] * 11], "ac_symbols": [[0, 15], [0, 15]], "contexts": [0] * 56},
        {"ac_counts": [[1] + [0] * 11], "ac_symbols": [[0]], "contexts": [0] * 56},
        {"ac_counts": [[3] + [0] * 11], "ac_symbols": [[0, 15, 17]], "contexts": [0] * 56},
        {"ac_counts": [[1, 1] + [0] * 10], "ac_symbols": [[0, 15]], "contexts": [0] * 56},
        {"ac_counts": [[2] + [0] * 11], "ac_symbols": [[0, 0]], "contexts": [0] * 56},
        {"ac_counts": [[2] + [0] * 11], "ac_symbols": [[0, 17]], "contexts": [0] * 56},
        {"ac_counts": [[1, 2] + [0] * 10], "ac_symbols": [[0, 15, 16]], "contexts": [0] * 56},
        {"ac_counts": [[2] + [0] * 10], "ac_symbols": [[0, 15]], "contexts": [0] * 56},
        {"ac_symbols": 3},
        {"dc_symbols": [[0] * 15] * 2},
        {"dc_counts": [[0] * 12] * 2},
        {"surprise": 1},
    ],
    ids=str,
)
def test_descriptions_that_make_no_codec_are_refused(fitted: TransformCodec, changes: dict[str, Any]) -> None:
    assert codec_from_dict(changed(fitted)) == fitted
    with pytest.raises(CodecError) as caught:
        codec_from_dict(changed(fitted, **changes))
    assert "\n" not in str(caught.value)
