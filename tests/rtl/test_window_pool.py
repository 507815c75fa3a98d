"""Pool of whole windows: maximum and sum of the taps of a beat, one beat a cycle, under any stalls."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rtl.simulate import FULL_RATE, from_beats, random_integers, simulate, to_beats

CASES = [(1, 4, 4, False, False), (3, 9, 5, True, False), (2, 1, 16, True, False), (4, 4, 1, False, False)]
CASES += [(2, 9, 3, False, True), (3, 6, 4, True, True), (2, 2, 1, False, True)]


@pytest.mark.parametrize(("channels", "taps", "bits", "signed", "total"), CASES)
def test_gives_the_maximum_or_sum_of_each_window(
    seed: int, channels: int, taps: int, bits: int, signed: bool, total: bool
) -> None:
    x = random_integers(np.random.default_rng(seed), bits, signed, (80, taps, channels))
    wide = bits + (taps - 1).bit_length() if total else bits
    parameters = {"CHANNELS": channels, "TAPS": taps, "BITS": bits, "SIGNED": signed, "SUM": total, "M_BITS": wide}
    beats = to_beats(x.reshape(80, -1), bits)
    for run in simulate("window_pool", parameters, {"s_axis": [beats]}, {"m_axis": [80]}, seed=seed):
        y = from_beats(run.beats["m_axis"][0], channels, wide, signed)
        np.testing.assert_array_equal(y, x.sum(axis=1) if total else x.max(axis=1), err_msg=run.scenario.name)
        if run.scenario is FULL_RATE:
            assert run.span("s_axis") == len(beats)
