"""Label select kernel: indices of the K largest values, of equal values the lowest index first."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rtl.simulate import FULL_RATE, from_beats, random_integers, simulate, to_beats

CASES = [(10, 1, 1, 16, True), (10, 2, 1, 3, False), (12, 4, 3, 2, True), (7, 1, 7, 4, False)]


@pytest.mark.parametrize(("labels", "pe", "k", "bits", "signed"), CASES)
def test_gives_the_largest_first(seed: int, labels: int, pe: int, k: int, bits: int, signed: bool) -> None:
    vectors = 60
    x = random_integers(np.random.default_rng(seed), bits, signed, (vectors, labels))
    parameters = {"LABELS": labels, "PE": pe, "K": k, "BITS": bits, "SIGNED": signed}
    beats = to_beats(x.reshape(-1, pe), bits)
    expected = np.argsort(-x, axis=1, kind="stable")[:, :k]
    for run in simulate("label_select", parameters, {"s_axis": [beats]}, {"m_axis": [vectors * k]}, seed=seed):
        y = from_beats(run.beats["m_axis"][0], 1, 8, False).reshape(vectors, k)
        np.testing.assert_array_equal(y, expected, err_msg=run.scenario.name)
        if run.scenario is FULL_RATE:
            assert run.span("s_axis") == vectors * labels // pe
