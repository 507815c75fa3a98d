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
    found = work_room._gathered(views, tops[rows], lefts[columns])
    assert found.flags.c_contiguous
    for window, top, left in zip(found, tops[rows], lefts[columns], strict=True):
        np.testing.assert_array_equal(window, samples[top : top + 8, left : left + 8])


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("lefts", [[0, 4, 8, 42], [0], [2, 34]])
def test_frames_cut_from_packed_rows_are_those_of_the_windows(depth: int, lefts: list[int]) -> None:
    rng = np.random.default_rng(depth)
    codec = bs.UniformCodec(4, depth=depth)
    samples = rng.integers(0, 1 << depth, (30, 51, 3), codec.dtype)
    views, places = work_room._cut(samples, (8, 8), np.array(lefts), codec)
    tops = np.arange(len(lefts)) * 5
    frames = work_room._gathered(views, tops, places).reshape(len(lefts), -1)
    windows = np.stack([samples[top : top + 8, left : left + 8] for top, left in zip(tops, lefts)])
    np.testing.assert_array_equal(frames, codec.encode_packed(windows))


@pytest.mark.parametrize(
    ("codec", "stride", "whole"),
    [
        (bs.UniformCodec(4), 8, True),
        (bs.UniformCodec(4), 3, False),  # windows begin in the middle of a byte
        (bs.UniformCodec(4, "ordered"), 8, False),
    ],
)
def test_windows_come_to_the_device_uncopied(
    tmp_path: Path, codec: bs.UniformCodec, stride: int, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundle_of(tmp_path / "b.bsw", codec=codec)
    scene = write_scene(tmp_path / "scene.tif", land(np.random.default_rng(4), 64, 64))
    gathered: list[NDArray[Any]] = []
    prepared: list[NDArray[Any]] = []
    gather, name = work_room._gathered, "_repack" if whole else "encode"
    prepare = getattr(Accelerator, name)

    def noted(*given: Any) -> NDArray[Any]:
        gathered.append(gather(*given))
        return gathered[-1]

    def seen(self: Accelerator, items: NDArray[Any]) -> NDArray[np.uint8]:
        prepared.append(items)
        return np.asarray(prepare(self, items))

    monkeypatch.setattr(work_room, "_gathered", noted)
    monkeypatch.setattr(Accelerator, name, seen)
    with bs.open(bundle) as accelerator:
        map_scene(accelerator, scene, tmp_path / "map.tif", settings=MapSettings(stride=stride))
    assert prepared
    assert all(any(np.shares_memory(one, other) for other in gathered) for one in prepared)
