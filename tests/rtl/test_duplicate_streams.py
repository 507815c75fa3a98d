"""Stream duplication kernel: every output gets every beat once, in order."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rtl.simulate import FULL_RATE, simulate


@pytest.mark.parametrize(("n", "width"), [(2, 24), (5, 128)])
def test_each_output_gets_every_beat(seed: int, n: int, width: int) -> None:
    random = np.random.default_rng(seed)
    beats = [int.from_bytes(random.bytes(width // 8), "little") for _ in range(300)]
    runs = simulate(
        "duplicate_streams", {"N": n, "WIDTH": width}, {"s_axis": [beats]}, {"m_axis": [300] * n}, seed=seed
    )
    for run in runs:
        assert run.beats["m_axis"] == [beats] * n, run.scenario.name
        if run.scenario is FULL_RATE:
            assert run.span("s_axis") == len(beats)
