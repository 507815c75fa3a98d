"""LUT depthwise kernel: FINN's VVAU, in FINN's orders of window positions, channels and weights."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rtl.integers import Integer
from tests.rtl.simulate import FULL_RATE, from_beats, simulate, to_beats

CASES = [
    # window, channels, PE, SIMD, activations, weights
    (9, 6, 1, 1, Integer(4), Integer(4, signed=True)),
    (9, 6, 3, 3, Integer(8), Integer(8, signed=True)),
    (9, 8, 4, 9, Integer(2), Integer(1, bipolar=True)),
    (4, 4, 2, 2, Integer(1, bipolar=True), Integer(1, bipolar=True)),
]


@pytest.mark.parametrize(("window", "channels", "pe", "simd", "a", "w"), CASES)
def test_gives_the_depthwise_product(
    seed: int, window: int, channels: int, pe: int, simd: int, a: Integer, w: Integer
) -> None:
    pixels, bits = 20, 24
    random = np.random.default_rng(seed)
    x, weights = a.random(random, (pixels, window, channels)), w.random(random, (window, channels))
    expected = (x * weights).sum(axis=1).reshape(-1, pe)
    split = (-1, window // simd, simd, channels // pe, pe)
    acts = a.coded(x).reshape(split).transpose(0, 3, 1, 2, 4)
    tiles = w.coded(weights).reshape(split).transpose(0, 3, 1, 4, 2)
    sources = {
        "s_axis": [to_beats(acts.reshape(-1, simd * pe), a.bits)],
        "w_axis": [to_beats(tiles.reshape(-1, simd * pe), w.bits) * pixels],
    }
    parameters = {"WINDOW": window, "PE": pe, "SIMD": simd, "M_BITS": bits} | a.parameters("A") | w.parameters("W")
    for run in simulate("lut_vvu", parameters, sources, {"m_axis": [len(expected)]}, seed=seed):
        y = from_beats(run.beats["m_axis"][0], pe, bits, True)
        np.testing.assert_array_equal(y, expected, err_msg=run.scenario.name)
        if run.scenario is FULL_RATE:
            assert run.span("s_axis") == len(sources["s_axis"][0])
