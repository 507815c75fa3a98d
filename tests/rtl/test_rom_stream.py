"""Memory stream kernel: the words of a file over and over."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rtl.simulate import FULL_RATE, simulate


@pytest.mark.parametrize(("width", "depth"), [(8, 1), (45, 37)])
def test_repeats_the_words(seed: int, width: int, depth: int) -> None:
    random = np.random.default_rng(seed)
    words = [int.from_bytes(random.bytes(16), "little") >> (128 - width) for _ in range(depth)]
    parameters: dict[str, int | str] = {"WIDTH": width, "DEPTH": depth, "INIT_FILE": "words.hex"}
    files = {"words.hex": "\n".join(f"{word:x}" for word in words)}
    for run in simulate("rom_stream", parameters, {}, {"m_axis": [5 * depth]}, seed=seed, files=files):
        beats = run.beats["m_axis"][0]
        assert beats == (words * (len(beats) // depth + 1))[: len(beats)], run.scenario.name
        if run.scenario is FULL_RATE:
            assert run.span() == len(beats)
