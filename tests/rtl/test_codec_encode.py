"""Encoder kernel: the codes of `bitswath.codecs`, from thresholds found by encoding every sample value."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bitswath.codecs import Codec, CompandedCodec, UniformCodec
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


def thresholds(codec: Codec, bands: int) -> NDArray[np.int64]:
    """(bands, 8, 8, 2^bits - 1): the smallest sample with a code of at least 1, 2, ... at each position."""
    counts = np.zeros((8, 8, bands, 1 << codec.bits), np.int64)
    index = np.indices(counts.shape[:3])
    for sample in range(1 << codec.depth):
        codes = codec.encode(np.full((8, 8, bands), sample, codec.dtype))
        counts[(*index, codes)] += 1
    return counts.cumsum(axis=-1)[..., :-1].transpose(2, 0, 1, 3)


def table_files(table: NDArray[np.int64], simd: int) -> dict[str, str]:
    bits = (table.shape[-1] + 1).bit_length() - 1
    files = {}
    for lane in range(simd):
        for stage in range(bits):
            step = 1 << (bits - 1 - stage)
            entries = table[lane::simd, ..., step - 1 :: 2 * step]
            files[f"t{lane}_{stage}.hex"] = "\n".join(f"{entry:x}" for entry in entries.reshape(-1))
    return files


@pytest.mark.parametrize(("kind", "bits", "dither", "depth", "bands", "simd"), CASES)
def test_gives_the_codes_of_the_codec(
    seed: int, kind: str, bits: int, dither: str | None, depth: int, bands: int, simd: int
) -> None:
    random = np.random.default_rng(seed)
    codec = codec_of(kind, bits, dither, depth, bands, random)
    table = thresholds(codec, bands)
    patches = random.integers(0, 1 << depth, (2, 11, 13, bands), codec.dtype)
    patches[0, :, :, 0] = table[0, 3, 5, random.integers(0, table.shape[-1], (11, 13))]  # and at some thresholds
    parameters = {"DEPTH": depth, "BITS": bits, "BANDS": bands, "SIMD": simd, "DITHER": dither is not None}
    size: dict[str, int | str] = {"HEIGHT": 11, "WIDTH": 13, "INIT_PREFIX": "t"}
    files = table_files(table if dither else table[:, :1, :1], simd)
    beats = to_beats(patches.reshape(-1, simd), depth)
    expected = codec.encode(patches).reshape(-1, simd)
    sinks = {"m_axis": [len(beats)]}
    for run in simulate("codec_encode", size | parameters, {"s_axis": [beats]}, sinks, seed=seed, files=files):
        y = from_beats(run.beats["m_axis"][0], simd, bits, False)
        np.testing.assert_array_equal(y, expected, err_msg=run.scenario.name)
        if run.scenario is FULL_RATE:
            assert run.span() == len(beats)
            assert run.cycles["m_axis"][0][0] - run.cycles["s_axis"][0][0] == 2 * bits
