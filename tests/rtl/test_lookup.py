"""Lookup kernel: each index gives its channel's values, one beat a cycle."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rtl.simulate import FULL_RATE, from_beats, packed, random_integers, simulate, to_beats

CASES = [
    # index bits, channels, SIMD, depth, bits
    (4, 1, 1, 3, 8),
    (1, 1, 1, 13, 5),
    (2, 3, 1, 1, 12),
    (3, 6, 2, 1, 7),
]


@pytest.mark.parametrize(("index_bits", "channels", "simd", "depth", "bits"), CASES)
def test_gives_the_values_of_each_index(
    seed: int, index_bits: int, channels: int, simd: int, depth: int, bits: int
) -> None:
    random = np.random.default_rng(seed)
    table = random_integers(random, bits, False, (channels, 1 << index_bits, depth))
    codes = random.integers(0, 1 << index_bits, (100, channels))
    expected = table[np.arange(channels), codes].reshape(-1, simd * depth)
    files = {
        f"t{lane}.hex": "\n".join(f"{word:x}" for word in packed(table[lane::simd].reshape(-1, depth), bits))
        for lane in range(simd)
    }
    parameters: dict[str, int | str] = {
        "INDEX_BITS": index_bits,
        "CHANNELS": channels,
        "SIMD": simd,
        "DEPTH": depth,
        "BITS": bits,
        "INIT_PREFIX": "t",
    }
    beats = to_beats(codes.reshape(-1, simd), index_bits)
    sinks = {"m_axis": [len(beats)]}
    for run in simulate("lookup", parameters, {"s_axis": [beats]}, sinks, seed=seed, files=files):
        y = from_beats(run.beats["m_axis"][0], simd * depth, bits, False)
        np.testing.assert_array_equal(y, expected, err_msg=run.scenario.name)
        if run.scenario is FULL_RATE:
            assert run.span() == len(beats)
