"""Frames to several streams in turn, and back in their order."""

from __future__ import annotations

from random import Random

import pytest

from tests.rtl.simulate import FULL_RATE, simulate


@pytest.mark.parametrize(("n", "width", "words"), [(2, 64, 3), (3, 8, 1), (5, 16, 4)])
def test_scatter_gives_each_stream_whole_frames(seed: int, n: int, width: int, words: int) -> None:
    random = Random(seed)
    frames = [[random.getrandbits(width) for _ in range(words)] for _ in range(4 * n)]
    sources = {"s_axis": [[word for frame in frames for word in frame]]}
    lanes = [[word for frame in frames[lane::n] for word in frame] for lane in range(n)]
    parameters = {"N": n, "WIDTH": width, "WORDS": words}
    for run in simulate("frame_scatter", parameters, sources, {"m_axis": [4 * words] * n}, seed=seed):
        assert run.beats["m_axis"] == lanes, run.scenario.name
        if run.scenario is FULL_RATE:
            assert run.span("s_axis") == 4 * n * words


@pytest.mark.parametrize(("n", "width", "words"), [(2, 64, 3), (3, 8, 1), (5, 16, 4)])
def test_gather_takes_frames_in_their_order(seed: int, n: int, width: int, words: int) -> None:
    random = Random(seed)
    frames = [[random.getrandbits(width) for _ in range(words)] for _ in range(4 * n)]
    sources = {"s_axis": [[word for frame in frames[lane::n] for word in frame] for lane in range(n)]}
    expected = [word for frame in frames for word in frame]
    parameters = {"N": n, "WIDTH": width, "WORDS": words}
    for run in simulate("frame_gather", parameters, sources, {"m_axis": [len(expected)]}, seed=seed):
        assert run.beats["m_axis"][0] == expected, run.scenario.name
        if run.scenario is FULL_RATE:
            assert run.span() == len(expected)
