"""A threshold codec counts, for each band, the thresholds that a sample reaches."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bitswath as bs
from bitswath.codecs.kinds import codec_from_dict, parse_codec
from bitswath.codecs.threshold import BEYOND_FLOATS, ThresholdCodec
from bitswath.errors import CodecError

ROW = (0, 9, 26)


@given(bits=st.integers(1, 8), depth=st.sampled_from([8, 12, 16]), bands=st.integers(1, 13), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_codes_are_counts_in_any_depth_and_number_of_bands(bits: int, depth: int, bands: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.integers(0, (1 << depth) + 1, (bands, (1 << bits) - 1)), axis=1)
    codec = ThresholdCodec(bits, depth=depth, thresholds=tuple(tuple(row) for row in rows.tolist()))
    patches = rng.integers(0, 1 << depth, (2, 5, 7, bands)).astype(codec.dtype)
    patches.reshape(-1)[: rows.size] = np.minimum(rows.reshape(-1), (1 << depth) - 1)[: patches.size]  # the edges
    expected = (patches[..., None].astype(int) >= rows).sum(axis=-1)
    codes = codec.encode(patches)
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(codec.encode_packed(patches), bs.pack(codes, bits))
    assert codec_from_dict(json.loads(json.dumps(codec.to_dict()))) == codec
    reached = codec.encode(codec.decode(codes))
    np.testing.assert_array_equal(reached, codes)


@given(
    bits=st.integers(1, 8),
    depth=st.sampled_from([8, 11, 16]),
    bands=st.sampled_from([1, 3, 70]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_signed_samples_are_counted_from_the_lowest(bits: int, depth: int, bands: int, seed: int) -> None:
    """Also of more bands than a table of all samples may have."""
    rng, half = np.random.default_rng(seed), 1 << depth - 1
    rows = np.sort(rng.integers(-half, half + 1, (bands, (1 << bits) - 1)), axis=1)
    codec = ThresholdCodec(bits, depth=depth, numbers="signed", thresholds=tuple(map(tuple, rows.tolist())))
    assert codec.dtype == (np.int8 if depth == 8 else np.int16)
    patches = rng.integers(-half, half, (3, 5, 7, bands)).astype(codec.dtype)
    patches.reshape(-1)[: rows.size] = np.minimum(rows.reshape(-1), half - 1)[: patches.size]
    check_counts(codec, patches, rows)


@given(
    bits=st.integers(1, 8),
    rows=st.sampled_from([1, 3, 600]),
    width=st.sampled_from([1e-30, 1e-3, 1.0, 1e30]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_reals_are_compared_as_float32(bits: int, rows: int, width: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = np.sort((rng.normal(0, width, (rows, (1 << bits) - 1))).astype(np.float32).astype(np.float64), axis=1)
    table[0, -1] = BEYOND_FLOATS
    table[-1, 0] = -BEYOND_FLOATS if bits > 1 else table[-1, 0]
    codec = ThresholdCodec(bits, depth=32, numbers="float", thresholds=tuple(map(tuple, table.tolist())))
    bands = 5 if rows == 1 else rows
    patches = codec.samples(rng, 40, (1, 2, bands))
    assert patches.dtype == codec.dtype == np.float32
    patches[0, 0, 0, :3] = [np.finfo(np.float32).max, -np.finfo(np.float32).max, -0.0][: min(3, bands)]
    check_counts(codec, patches, table)


def check_counts(codec: ThresholdCodec, patches: np.ndarray, rows: np.ndarray) -> None:
    expected = (patches[..., None].astype(np.float64) >= rows).sum(axis=-1)
    codes = codec.encode(patches)
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(codec.encode(patches[1]), expected[1])
    np.testing.assert_array_equal(codec.encode_packed(patches), bs.pack(codes, codec.bits))
    assert codec_from_dict(json.loads(json.dumps(codec.to_dict(), allow_nan=False))) == codec
    np.testing.assert_array_equal(codec.encode(codec.decode(codes)), codes)


@pytest.mark.parametrize("threshold", [0.25, -1.5e-38, 3.0])
def test_samples_lie_on_both_sides_of_a_threshold(threshold: float) -> None:
    exact = float(np.float32(threshold))
    codec = ThresholdCodec(1, depth=32, numbers="float", thresholds=((exact,),))
    found = set(codec.samples(np.random.default_rng(0), 50, (1, 1, 4)).reshape(-1).tolist())
    assert {exact, float(np.nextafter(np.float32(exact), np.float32(-9)))} < found


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_with_its_place(value: float) -> None:
    codec = ThresholdCodec(1, depth=32, numbers="float", thresholds=((0.5,),))
    patches = np.zeros((4, 1, 1, 3), np.float32)
    patches[2, 0, 0, 1] = value
    with pytest.raises(CodecError, match=rf"finite samples, got {value} at index \(2, 0, 0, 1\)"):
        codec.encode(patches)


def test_descriptions_of_before_there_were_other_numbers_stay_the_same() -> None:
    told = {"kind": "threshold", "bits": 2, "dither": None, "depth": 8, "thresholds": [list(ROW)]}
    codec = codec_from_dict(told)
    assert codec.dtype == np.uint8
    assert codec.to_dict() == told


def test_samples_above_a_signed_depth_are_refused() -> None:
    codec = ThresholdCodec(1, depth=12, numbers="signed", thresholds=((0,),))
    with pytest.raises(CodecError, match=r"samples -2048\.\.2047, got 0\.\.2048"):
        codec.encode(np.array([[[0, 2048]]], np.int16))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"thresholds": ((0.1,),)}, "float32 numbers"),
        ({"thresholds": ((float("nan"),),)}, "float32 numbers"),
        ({"thresholds": ((True,),)}, "float32 numbers"),
        ({"thresholds": (("1",),)}, "float32 numbers"),
        ({"depth": 16}, "depth of 32"),
        ({"numbers": "complex"}, "unsigned, signed, float"),
        ({"numbers": "signed"}, "depth of 8 to 16"),
        ({"thresholds": ((1.0, 0.5, 2.0),), "bits": 2}, "do not fall"),
    ],
)
def test_what_are_no_thresholds_of_reals_is_refused(changes: dict[str, object], reason: str) -> None:
    told = {"kind": "threshold", "bits": 1, "dither": None, "depth": 32, "thresholds": ((0.5,),), "numbers": "float"}
    with pytest.raises(CodecError, match=reason):
        codec_from_dict({**told, **changes})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"thresholds": ((9, 0, 26),)}, "do not fall"),
        ({"thresholds": ((9, 26),)}, "3 thresholds"),
        ({"thresholds": ((0, 9, 257),)}, r"0\.\.256"),
        ({"thresholds": ((0, 9, 2.5),)}, "integers"),
        ({"thresholds": ()}, "rows of numbers"),
        ({"dither": "ordered"}, "no dither"),
        ({"bits": 9}, "1 to 8 bits"),
    ],
)
def test_what_are_no_thresholds_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        codec_from_dict({"kind": "threshold", "bits": 2, "dither": None, "depth": 8, "thresholds": (ROW,), **changes})


def test_other_numbers_of_bands_are_refused() -> None:
    codec = ThresholdCodec(2, thresholds=(ROW, ROW))
    with pytest.raises(CodecError, match="2 bands, got 3"):
        codec.encode(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(CodecError, match="2 bands, got 1"):
        codec.decode(np.zeros((4, 4, 1), np.uint8))


def test_thresholds_come_from_models_only() -> None:
    with pytest.raises(CodecError, match=r"uniform\|companded\|palette"):
        parse_codec("threshold:4")
