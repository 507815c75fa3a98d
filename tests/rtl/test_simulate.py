"""The bench itself: what is wrong shows."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rtl.simulate import FULL_RATE, SimulationError, fields, from_beats, simulate, sources, to_beats

POOL = {"PE": 1, "WINDOW": 4, "BITS": 4, "SIGNED": False}


def test_a_stream_that_stops_is_an_error(seed: int) -> None:
    beats = list(range(11))  # the third window stays open
    with pytest.raises(SimulationError):
        simulate("max_pool", POOL, {"s_axis": [beats]}, {"m_axis": [3]}, seed=seed, limit=200, scenarios=[FULL_RATE])


def test_a_beat_too_many_is_given_back(seed: int) -> None:
    (run,) = simulate("max_pool", POOL, {"s_axis": [[1] * 12]}, {"m_axis": [2]}, seed=seed, scenarios=[FULL_RATE])
    assert run.beats["m_axis"] == [[1, 1, 1]]


def test_words_have_element_0_in_the_low_bits() -> None:
    assert to_beats(np.array([[1, -2], [7, 0]]), 4) == [0xE1, 0x07]
    assert to_beats(np.array([[1, -2, 0]]), 2) == [0b11001001]  # filled up with ones
    assert from_beats([0xE1], 2, 4, True).tolist() == [[1, -2]]
    with pytest.raises(AssertionError):
        from_beats([0x1E1], 2, 4, True)
    assert fields([1, 2], 8) == "16'h201"


def test_a_kernel_is_compiled_from_the_modules_in_it() -> None:
    products = {"lut_mvu", "lut_dot", "lut_dot_model", "lut_dot_planes", "plane_sum", "count_ones"}
    assert {path.stem for path in sources("lut_mvu")} == products | {"axis_check"}
