"""Sum pool kernel: window and global sums, shifted down, one beat a cycle."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rtl.simulate import FULL_RATE, SimulationError, from_beats, random_integers, simulate, to_beats

CASES = [
    # PE, window, fold, bits, signed, shift, output bits
    (1, 4, 1, 4, False, 0, 6),
    (4, 9, 1, 5, True, 3, 6),  # QuantAvgPool
    (2, 64, 8, 4, False, 0, 10),  # GlobalAccPool of 8 x 8 pixels and 16 channels
    (3, 7, 3, 8, True, 0, 11),
]


@pytest.mark.parametrize(("pe", "window", "fold", "bits", "signed", "shift", "out_bits"), CASES)
def test_gives_the_sum_of_each_window(
    seed: int, pe: int, window: int, fold: int, bits: int, signed: bool, shift: int, out_bits: int
) -> None:
    windows = max(3, 500 // (window * fold))
    x = random_integers(np.random.default_rng(seed), bits, signed, (windows, window, fold, pe))
    x[0] = x.max()  # the largest sum
    x[1] = x.min()
    expected = (x.sum(axis=1) >> shift).reshape(-1, pe)
    parameters = {"PE": pe, "WINDOW": window, "FOLD": fold, "BITS": bits, "SIGNED": signed}
    parameters |= {"SHIFT": shift, "M_BITS": out_bits}
    beats = to_beats(x.reshape(-1, pe), bits)
    for run in simulate("sum_pool", parameters, {"s_axis": [beats]}, {"m_axis": [len(expected)]}, seed=seed):
        y = from_beats(run.beats["m_axis"][0], pe, out_bits, signed)
        np.testing.assert_array_equal(y, expected, err_msg=run.scenario.name)
        if run.scenario is FULL_RATE:
            assert run.span("s_axis") == len(beats)


def test_a_sum_that_does_not_fit_is_an_error(seed: int) -> None:
    parameters = {"PE": 1, "WINDOW": 4, "FOLD": 1, "BITS": 4, "SIGNED": False, "SHIFT": 0, "M_BITS": 5}
    with pytest.raises(SimulationError):
        simulate("sum_pool", parameters, {"s_axis": [[15] * 4]}, {"m_axis": [1]}, seed=seed, scenarios=[FULL_RATE])
