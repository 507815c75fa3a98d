"""Max pool kernel: the maximum of each window, one beat a cycle, under any stalls."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rtl.simulate import FULL_RATE, from_beats, random_integers, simulate, to_beats

CASES = [(1, 4, 4, False), (4, 4, 1, False), (3, 9, 5, True), (2, 1, 16, True)]


@pytest.mark.parametrize(("pe", "window", "bits", "signed"), CASES)
def test_gives_the_maximum_of_each_window(seed: int, pe: int, window: int, bits: int, signed: bool) -> None:
    windows = 60
    x = random_integers(np.random.default_rng(seed), bits, signed, (windows, window, pe))
    parameters = {"PE": pe, "WINDOW": window, "BITS": bits, "SIGNED": signed}
    beats = to_beats(x.reshape(-1, pe), bits)
    for run in simulate("max_pool", parameters, {"s_axis": [beats]}, {"m_axis": [windows]}, seed=seed):
        y = from_beats(run.beats["m_axis"][0], pe, bits, signed)
        np.testing.assert_array_equal(y, x.max(axis=1), err_msg=run.scenario.name)
        if run.scenario is FULL_RATE:
            assert run.span("s_axis") == windows * window
