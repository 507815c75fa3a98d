"""Stream concatenation kernel: the channels of each pixel in the order of the streams."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rtl.simulate import FULL_RATE, fields, from_beats, random_integers, simulate, to_beats

CASES = [
    # SIMD, folds of each stream, (bits, signed) of each stream, output bits
    (1, [1, 1], [(4, False), (4, False)], 4),
    (4, [2, 5, 1], [(4, True), (3, False), (1, False)], 4),
    (2, [3, 1], [(8, False), (5, True)], 9),
    (3, [7], [(2, True)], 2),
]


@pytest.mark.parametrize(("simd", "folds", "kinds", "bits"), CASES)
def test_puts_channels_behind_each_other(
    seed: int, simd: int, folds: list[int], kinds: list[tuple[int, bool]], bits: int
) -> None:
    pixels = 40
    random = np.random.default_rng(seed)
    x = [random_integers(random, *kind, (pixels, fold * simd)) for fold, kind in zip(folds, kinds)]
    parameters: dict[str, int | str] = {
        "N": len(folds),
        "SIMD": simd,
        "FOLDS": fields(folds, 32),
        "BITS": fields([width for width, _ in kinds], 32),
        "SIGNED": fields([signed for _, signed in kinds], 1),
        "S_WIDTH": max(-(-simd * width // 8) * 8 for width, _ in kinds),
        "M_BITS": bits,
    }
    sources = {"s_axis": [to_beats(a.reshape(-1, simd), width) for a, (width, _) in zip(x, kinds)]}
    expected = np.concatenate(x, axis=1).reshape(-1, simd)
    for run in simulate("concat_streams", parameters, sources, {"m_axis": [len(expected)]}, seed=seed):
        y = from_beats(run.beats["m_axis"][0], simd, bits, any(signed for _, signed in kinds))
        np.testing.assert_array_equal(y, expected, err_msg=run.scenario.name)
        if run.scenario is FULL_RATE:
            assert run.span() == len(expected)
