"""Windows on their way from a block to the device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import bitswath as bs
from bitswath.accelerator import Accelerator
from bitswath.scenes import MapSettings, map_scene
from bitswath.scenes import work as work_room
from tests.host.scenes.cases import bundle_of, land, write_scene


@pytest.mark.parametrize("kept", [1.0, 0.6])
def test_windows_of_any_places_are_gathered(kept: float) -> None:
    rng = np.random.default_rng(3)
    samples = rng.integers(0, 99, (40, 61, 2), np.uint8)
    views = np.moveaxis(np.lib.stride_tricks.sliding_window_view(samples, (8, 8), axis=(0, 1)), 2, -1)
    tops, lefts = np.array([0, 4, 8, 32]), np.append(np.arange(0, 53, 4), 53)
    rows, columns = np.nonzero(rng.random((len(tops), len(lefts))) < kept)
    found = work_room._gathered(views, tops[rows], lefts[columns], 4)
    assert found.flags.c_contiguous
    for window, top, left in zip(found, tops[rows], lefts[columns], strict=True):
        np.testing.assert_array_equal(window, samples[top : top + 8, left : left + 8])


def test_they_come_to_the_encoder_uncopied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = bundle_of(tmp_path / "b.bsw")
    scene = write_scene(tmp_path / "scene.tif", land(np.random.default_rng(4), 64, 64))
    gathered: list[NDArray[Any]] = []
    encoded: list[NDArray[Any]] = []
    gather, encode = work_room._gathered, Accelerator.encode

    def noted(*given: Any) -> NDArray[Any]:
        gathered.append(gather(*given))
        return gathered[-1]

    def seen(self: Accelerator, patches: NDArray[Any]) -> NDArray[np.uint8]:
        encoded.append(patches)
        return encode(self, patches)

    monkeypatch.setattr(work_room, "_gathered", noted)
    monkeypatch.setattr(Accelerator, "encode", seen)
    with bs.open(bundle) as accelerator:
        map_scene(accelerator, scene, tmp_path / "map.tif", settings=MapSettings(stride=8))
    assert len(encoded) == 1
    assert np.shares_memory(encoded[0], gathered[0])
