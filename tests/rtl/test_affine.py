"""Affine kernel: a constant times each integer plus another, falling in some channels, one beat a cycle."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rtl.simulate import FULL_RATE, fields, from_beats, random_integers, simulate, to_beats

CASES = [
    # channels, PE, (bits, signed), factor, offset, offset where it falls or None, output bits
    (1, 1, (8, False), 1, -128, None, 8),
    (3, 3, (1, False), 2, -1, None, 2),
    (6, 2, (3, False), 1, 0, 7, 4),
    (4, 1, (5, True), -3, 17, -100, 9),
    (4, 4, (16, True), 131071, 5, None, 34),
]


@pytest.mark.parametrize(("channels", "pe", "kind", "factor", "offset", "falling_offset", "bits"), CASES)
def test_each_channel_follows_its_line(
    seed: int,
    channels: int,
    pe: int,
    kind: tuple[int, bool],
    factor: int,
    offset: int,
    falling_offset: int | None,
    bits: int,
) -> None:
    random = np.random.default_rng(seed)
    x = random_integers(random, *kind, (60, channels))
    falling = random.integers(0, 2, channels) * (falling_offset is not None)
    expected = np.where(falling, (falling_offset or 0) - factor * x, offset + factor * x)
    parameters: dict[str, int | str] = {"PE": pe, "CHANNELS": channels, "BITS": kind[0], "SIGNED": int(kind[1])}
    parameters |= {"M_BITS": bits, "FACTOR": factor, "OFFSET": offset, "FALLING_OFFSET": falling_offset or 0}
    parameters["FALLING"] = fields(falling, 1)
    beats = to_beats(x.reshape(-1, pe), kind[0])
    for run in simulate("affine", parameters, {"s_axis": [beats]}, {"m_axis": [len(beats)]}, seed=seed):
        y = from_beats(run.beats["m_axis"][0], pe, bits, True)
        np.testing.assert_array_equal(y.reshape(-1, channels), expected, err_msg=run.scenario.name)
        if run.scenario is FULL_RATE:
            assert run.span() == len(beats)
