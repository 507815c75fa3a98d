"""Lookup kernel: each index gives its channel's values, one beat a cycle."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rtl.simulate import FULL_RATE, from_beats, packed, random_integers, simulate, to_beats

CASES = [(4, 1, 3, 8), (1, 1, 13, 5), (2, 3, 1, 12)]


@pytest.mark.parametrize(("index_bits", "channels", "depth", "bits"), CASES)
def test_gives_the_values_of_each_index(seed: int, index_bits: int, channels: int, depth: int, bits: int) -> None:
    random = np.random.default_rng(seed)
    table = random_integers(random, bits, False, (channels, 1 << index_bits, depth))
    codes = random.integers(0, 1 << index_bits, (100, channels))
    expected = table[np.arange(channels), codes].reshape(-1, depth)
    image = "\n".join(f"{word:x}" for word in packed(table.reshape(-1, depth), bits))
    parameters: dict[str, int | str] = {
        "INDEX_BITS": index_bits,
        "CHANNELS": channels,
        "DEPTH": depth,
        "BITS": bits,
        "INIT_FILE": "table.hex",
    }
    beats = to_beats(codes.reshape(-1, 1), index_bits)
    sinks, files = {"m_axis": [len(beats)]}, {"table.hex": image}
    for run in simulate(
        "lookup", parameters | {"INIT_FILE": "table.hex"}, {"s_axis": [beats]}, sinks, seed=seed, files=files
    ):
        y = from_beats(run.beats["m_axis"][0], depth, bits, False)
        np.testing.assert_array_equal(y, expected, err_msg=run.scenario.name)
        if run.scenario is FULL_RATE:
            assert run.span() == len(beats)
