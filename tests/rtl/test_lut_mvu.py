"""LUT matrix-vector kernel: FINN's MVAU for few bits, in FINN's orders of weights and rows."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rtl.integers import Integer
from tests.rtl.simulate import FULL_RATE, from_beats, simulate, to_beats

BIPOLAR = Integer(1, bipolar=True)
CASES = [
    # MW, MH, PE, SIMD, activations, weights
    (48, 8, 4, 16, BIPOLAR, BIPOLAR),
    (27, 6, 3, 27, Integer(8), BIPOLAR),  # first layer; a vector a beat
    (18, 4, 1, 3, Integer(2), BIPOLAR),
    (20, 6, 2, 5, Integer(2, signed=True), BIPOLAR),
    (12, 4, 4, 4, BIPOLAR, Integer(2, signed=True)),  # no rows left after the first
    (10, 3, 1, 1, Integer(2), Integer(1)),
    (14, 4, 2, 7, Integer(4, signed=True), Integer(4, signed=True)),
    (38, 4, 2, 38, Integer(3), Integer(2, signed=True)),  # several groups of bits of each weight
]
FORMS = [(case, ()) for case in CASES] + [(CASES[i], ("SYNTHESIS",)) for i in (0, 3, 4, 6, 7)]
"""Simulation has a model of the adders, synthesis their structure."""


@pytest.mark.parametrize(("mw", "mh", "pe", "simd", "a", "w", "defines"), [(*c, d) for c, d in FORMS])
def test_gives_the_matrix_vector_product(
    seed: int, mw: int, mh: int, pe: int, simd: int, a: Integer, w: Integer, defines: tuple[str, ...]
) -> None:
    vectors, bits = 24, 20
    random = np.random.default_rng(seed)
    x, weights = a.random(random, (vectors, mw)), w.random(random, (mh, mw))
    expected = (x @ weights.T).reshape(-1, pe)
    tiles = w.coded(weights).reshape(mh // pe, pe, mw // simd, simd).transpose(0, 2, 1, 3).reshape(-1, pe * simd)
    sources = {
        "s_axis": [to_beats(a.coded(x).reshape(-1, simd), a.bits)],
        "w_axis": [to_beats(tiles, w.bits) * vectors],
    }
    parameters = {"MW": mw, "MH": mh, "PE": pe, "SIMD": simd, "M_BITS": bits} | a.parameters("A") | w.parameters("W")
    for run in simulate("lut_mvu", parameters, sources, {"m_axis": [len(expected)]}, seed=seed, defines=defines):
        y = from_beats(run.beats["m_axis"][0], pe, bits, True)
        np.testing.assert_array_equal(y, expected, err_msg=run.scenario.name)
        if run.scenario is FULL_RATE:
            assert run.span("w_axis") == vectors * (mw // simd) * (mh // pe)
