"""Streams side by side: a beat of each makes one, in order, whichever comes first."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rtl.simulate import FULL_RATE, from_beats, simulate, to_beats


@pytest.mark.parametrize(("lanes", "elements", "bits"), [(2, 3, 4), (4, 5, 3), (1, 2, 7)])
def test_beats_stand_side_by_side(seed: int, lanes: int, elements: int, bits: int) -> None:
    x = np.random.default_rng(seed).integers(0, 2**bits, (lanes, 120, elements))
    beats = [to_beats(lane, bits) for lane in x]
    parameters = {"LANES": lanes, "WIDTH": elements * bits}
    for run in simulate("join_streams", parameters, {"s_axis": beats}, {"m_axis": [120]}, seed=seed):
        y = from_beats(run.beats["m_axis"][0], lanes * elements, bits, False)
        np.testing.assert_array_equal(y, x.swapaxes(0, 1).reshape(120, -1), err_msg=run.scenario.name)
        if run.scenario is FULL_RATE:
            assert run.span("s_axis", lanes - 1) == 120
