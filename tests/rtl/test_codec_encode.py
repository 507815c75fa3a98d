"""Encoder kernel and its tables: the codes of `bitswath.codecs`."""

from __future__ import annotations

import numpy as np
import pytest

from bitswath.codecs import Codec, CompandedCodec, PaletteCodec, UniformCodec
from bitswath.errors import BuildError
from bitswath.hw.encoder import encoder_tables, thresholds
from tests.rtl.simulate import FULL_RATE, from_beats, simulate, to_beats

CASES = [
    # kind, bits, dither, depth, bands, SIMD
    ("uniform", 4, None, 8, 3, 3),
    ("uniform", 2, "ordered", 12, 4, 2),
    ("companded", 4, "ordered", 8, 3, 1),
    ("companded", 3, None, 16, 5, 1),
    ("companded", 1, "ordered", 8, 2, 2),
    ("companded", 8, None, 8, 1, 1),
]


def codec_of(kind: str, bits: int, dither: str | None, depth: int, bands: int, random: np.random.Generator) -> Codec:
    if kind == "uniform":
        return UniformCodec(bits, dither, depth)
    levels = [sorted(random.choice(1 << depth, 1 << bits, replace=False).tolist()) for _ in range(bands)]
    return CompandedCodec(bits, dither, depth, levels=tuple(map(tuple, levels)))


@pytest.mark.parametrize(("kind", "bits", "dither", "depth", "bands", "simd"), CASES)
def test_gives_the_codes_of_the_codec(
    seed: int, kind: str, bits: int, dither: str | None, depth: int, bands: int, simd: int
) -> None:
    random = np.random.default_rng(seed)
    codec = codec_of(kind, bits, dither, depth, bands, random)
    table = thresholds(codec, bands)
    patches = random.integers(0, 1 << depth, (2, 11, 13, bands), codec.dtype)
    patches[0, :, :, 0] = table[0, -1, -1, random.integers(0, table.shape[-1], (11, 13))]  # and at some thresholds
    parameters = {"DEPTH": depth, "BITS": bits, "BANDS": bands, "SIMD": simd, "DITHER": dither is not None}
    size: dict[str, int | str] = {"HEIGHT": 11, "WIDTH": 13, "INIT_PREFIX": "t"}
    files = encoder_tables(codec, bands, simd, "t")
    beats = to_beats(patches.reshape(-1, simd), depth)
    expected = codec.encode(patches).reshape(-1, simd)
    sinks = {"m_axis": [len(beats)]}
    for run in simulate("codec_encode", size | parameters, {"s_axis": [beats]}, sinks, seed=seed, files=files):
        y = from_beats(run.beats["m_axis"][0], simd, bits, False)
        np.testing.assert_array_equal(y, expected, err_msg=run.scenario.name)
        if run.scenario is FULL_RATE:
            assert run.span() == len(beats)
            assert run.cycles["m_axis"][0][0] - run.cycles["s_axis"][0][0] == 2 * bits


def test_refuses_a_palette_codec() -> None:
    with pytest.raises(BuildError, match="palette"):
        thresholds(PaletteCodec(1, colours=((0, 0, 0), (9, 9, 9))), 3)


def test_refuses_a_larger_mask_than_the_kernels() -> None:
    assert thresholds(UniformCodec(2, "ordered4"), 3).shape == (3, 8, 8, 3)
    with pytest.raises(BuildError, match=r"8 x 8 pixels.*ordered16"):
        thresholds(UniformCodec(2, "ordered16"), 3)
