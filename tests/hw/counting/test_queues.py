"""Queues found by simulation are as deep as the design needs, and hardly deeper."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitswath.backends.rtl.backend import RtlBackend
from bitswath.codecs.packing import pack
from bitswath.errors import BuildError
from bitswath.hw.counting.queues import queue_depth, size_queues
from tests.designs import BEATS, BITS, CACHE, random_codes, residual


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))


def test_the_branch_beside_a_slow_one_gets_the_queue_it_needs(tmp_path: Path) -> None:
    """The other branch holds 15 beats back; with a shorter queue the design is dead."""
    steps: list[str] = []
    design = residual(tmp_path / "board", batch=15, direct=2)
    found = size_queues(design, tmp_path / "board", on_step=steps.append)
    depths = {stream.name: stream.depth for stream in found.design.streams}
    assert found.shortest_interval == float("inf")
    assert found.high_water["direct"] >= 15
    assert 15 <= depths["direct"] <= 33
    assert depths["codes"] == 0, "what had no queue has none"
    assert found.interval <= found.unbounded_interval * 1.005
    assert found.unbounded_interval == 2 * BEATS
    assert found.runs > 3
    assert list(found.seconds) == list(dict.fromkeys(steps))
    codes = random_codes(3, 1)
    with RtlBackend(tmp_path / "board") as backend:
        assert (backend.collect(backend.submit(pack(codes, BITS))) == 2 * codes.astype(int)).all()


def test_streams_that_are_none_are_refused(tmp_path: Path) -> None:
    design = residual(tmp_path / "board")
    with pytest.raises(BuildError, match="words_in"):
        size_queues(design, tmp_path / "board", queues=["direct", "words_in"])


@pytest.mark.parametrize(
    ("beats", "depth"), [(1, 2), (5, 2), (6, 17), (17, 17), (18, 33), (34, 65), (257, 257), (258, 513), (514, 1025)]
)
def test_a_depth_is_what_the_storage_holds_anyway(beats: int, depth: int) -> None:
    assert queue_depth(beats) == depth
