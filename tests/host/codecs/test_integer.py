"""An integer codec numbers a model's narrow integers, and takes no others."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bitswath as bs
from bitswath.codecs.integer import IntegerCodec
from bitswath.codecs.kinds import codec_from_dict, parse_codec
from bitswath.errors import CodecError

INTEGERS = [(8, -128, 127, 1), (4, -8, 7, 1), (2, -1, 1, 1), (1, -1, 1, 2), (1, 0, 1, 1), (2, 0, 3, 1), (8, 0, 255, 1)]


@given(
    told=st.sampled_from(INTEGERS), shape=st.sampled_from([(1, 1, 600), (5, 7, 3), (1, 9, 2)]), seed=st.integers(0, 99)
)
@settings(max_examples=40, deadline=None)
def test_integers_are_numbered_from_the_lowest(told: tuple[int, ...], shape: tuple[int, ...], seed: int) -> None:
    bits, lowest, highest, step = told
    codec = IntegerCodec(bits, lowest=lowest, highest=highest, step=step)
    assert codec.dtype == (np.int8 if lowest < 0 else np.uint8)
    patches = np.random.default_rng(seed).choice(np.arange(lowest, highest + 1, step), (4, *shape)).astype(codec.dtype)
    codes = codec.encode(patches)
    np.testing.assert_array_equal(codes, (patches.astype(int) - lowest) // step)
    np.testing.assert_array_equal(codec.encode_packed(patches), bs.pack(codes, bits))
    np.testing.assert_array_equal(codec.decode(codes), patches)
    assert codec_from_dict(json.loads(json.dumps(codec.to_dict()))) == codec


@pytest.mark.parametrize(
    ("told", "sample", "reason"),
    [
        ((4, -8, 7, 1), 8, r"samples -8\.\.7, got 8 at index \(1, 0, 0, 2\)"),
        ((2, -1, 1, 1), -2, r"samples -1\.\.1, got -2"),
        ((1, -1, 1, 2), 0, "samples -1 or 1, got 0"),
        ((2, 0, 3, 1), 4, r"samples 0\.\.3, got 4 at .*; of raw pixels make a bundle with --codec uniform:2"),
    ],
)
def test_others_are_refused_with_their_place(told: tuple[int, ...], sample: int, reason: str) -> None:
    bits, lowest, highest, step = told
    codec = IntegerCodec(bits, lowest=lowest, highest=highest, step=step)
    patches = np.full((2, 1, 1, 5), highest, codec.dtype)
    patches[1, 0, 0, 2] = sample
    with pytest.raises(CodecError, match=reason):
        codec.encode(patches)


def test_all_samples_to_try_are_taken() -> None:
    for bits, lowest, highest, step in INTEGERS:
        codec = IntegerCodec(bits, lowest=lowest, highest=highest, step=step)
        samples = codec.samples(np.random.default_rng(0), 100, (1, 1, 50))
        assert set(np.unique(samples).tolist()) == set(range(lowest, highest + 1, step))
        codec.encode(samples)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"highest": 8}, "as many as 4 bit number"),
        ({"highest": -8}, "whole steps"),
        ({"step": 2}, "whole steps"),
        ({"step": 0}, "step as integers"),
        ({"lowest": -129}, "lowest and highest as integers"),
        ({"lowest": 0.5}, "lowest and highest as integers"),
        ({"lowest": "a"}, "lowest and highest as integers"),
        ({"dither": "ordered"}, "no dither"),
    ],
)
def test_what_are_no_whole_steps_is_refused(changes: dict[str, object], reason: str) -> None:
    told = {"kind": "integer", "bits": 4, "dither": None, "depth": 8, "lowest": -8, "highest": 7, "step": 1}
    with pytest.raises(CodecError, match=reason):
        codec_from_dict({**told, **changes})


def test_they_come_from_models_only() -> None:
    with pytest.raises(CodecError, match=r"uniform\|companded\|palette"):
        parse_codec("integer:4")
