"""Products by constants: every vector's, one a cycle, whatever numbers activations and weights are."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rtl.integers import Integer
from tests.rtl.simulate import FULL_RATE, fields, from_beats, simulate, to_beats

BIPOLAR = Integer(1, bipolar=True)
CASES = [
    (27, 4, Integer(4), Integer(4, signed=True)),
    (16, 3, BIPOLAR, BIPOLAR),
    (9, 5, Integer(2, signed=True), BIPOLAR),
    (12, 2, BIPOLAR, Integer(3, signed=True)),
    (7, 2, Integer(3), Integer(1)),
]


@pytest.mark.parametrize("defines", [(), ("SYNTHESIS",)], ids=["model", "synthesized"])
@pytest.mark.parametrize(("mw", "mh", "a", "w"), CASES)
def test_gives_the_products_by_its_weights(
    seed: int, mw: int, mh: int, a: Integer, w: Integer, defines: tuple[str, ...]
) -> None:
    random, vectors, bits = np.random.default_rng(5), 60, 16  # other weights are another module to compile
    weights = w.random(random, (mh, mw))
    weights[0] = w.random(random, (mw,)) if w.bipolar else 0
    x = a.random(np.random.default_rng(seed), (vectors, mw))
    coded = w.coded(weights).reshape(-1) & (2**w.bits - 1)
    parameters = {"MW": mw, "MH": mh, "M_BITS": bits} | a.parameters("A") | w.parameters("W")
    beats = [to_beats(a.coded(x), a.bits)]
    parameters |= {"WEIGHTS": fields(coded.tolist(), w.bits)}
    for run in simulate("const_mvu", parameters, {"s_axis": beats}, {"m_axis": [vectors]}, seed=seed, defines=defines):
        y = from_beats(run.beats["m_axis"][0], mh, bits, True)
        np.testing.assert_array_equal(y, x @ weights.T, err_msg=run.scenario.name)
        if run.scenario is FULL_RATE:
            assert run.span("s_axis") == vectors
