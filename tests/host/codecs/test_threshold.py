"""A threshold codec counts, for each band, the thresholds that a sample reaches."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bitswath as bs
from bitswath.codecs.kinds import codec_from_dict, parse_codec
from bitswath.codecs.threshold import ThresholdCodec
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


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"thresholds": ((9, 0, 26),)}, "do not fall"),
        ({"thresholds": ((9, 26),)}, "3 thresholds"),
        ({"thresholds": ((0, 9, 257),)}, r"0\.\.256"),
        ({"thresholds": ((0, 9, 2.5),)}, "integers"),
        ({"thresholds": ()}, "rows of integers"),
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
