"""Stream addition kernel: exact sums of mixed signs, widths and factors, one beat a cycle."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rtl.simulate import FULL_RATE, from_beats, random_integers, simulate, to_beats

CASES = [
    # PE, (bits, signed) of each operand, factors, output bits, signed
    (1, (4, False), (4, False), (1, 1), 5, False),
    (8, (4, True), (3, False), (1, 1), 5, True),
    (3, (1, False), (8, True), (1, 1), 9, True),
    (2, (16, True), (16, True), (1, 1), 17, True),
    (3, (4, False), (4, True), (5, -3), 8, True),
]


@pytest.mark.parametrize(("pe", "a_type", "b_type", "factors", "bits", "signed"), CASES)
def test_adds_without_overflow(
    seed: int,
    pe: int,
    a_type: tuple[int, bool],
    b_type: tuple[int, bool],
    factors: tuple[int, int],
    bits: int,
    signed: bool,
) -> None:
    random = np.random.default_rng(seed)
    a, b = (random_integers(random, *kind, (300, pe)) for kind in (a_type, b_type))
    parameters = {"PE": pe, "M_BITS": bits}
    parameters |= {"A_FACTOR": factors[0], "B_FACTOR": factors[1]}
    parameters |= {"A_BITS": a_type[0], "A_SIGNED": a_type[1], "B_BITS": b_type[0], "B_SIGNED": b_type[1]}
    sources = {"a_axis": [to_beats(a, a_type[0])], "b_axis": [to_beats(b, b_type[0])]}
    for run in simulate("add_streams", parameters, sources, {"m_axis": [300]}, seed=seed):
        y = from_beats(run.beats["m_axis"][0], pe, bits, signed)
        np.testing.assert_array_equal(y, factors[0] * a + factors[1] * b, err_msg=run.scenario.name)
        if run.scenario is FULL_RATE:
            assert run.span() == len(a)
