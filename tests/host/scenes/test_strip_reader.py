"""Strips that overlap: what is read is what the file holds, and each row is read once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bitswath.errors import SceneError
from bitswath.scenes.settings import SceneSettings
from bitswath.scenes.sources.opening import Source, open_scene
from bitswath.scenes.sources.scene import Block, Scene, SceneReader
from bitswath.scenes.sources.strip_reader import StripReader
from tests.host.scenes.cases import bundle_of, land, nodata_of, write_scene

HEIGHT, WIDTH = 90, 70
STRIPS = [(0, 32, 24), (24, 64, 64), (64, 80, 70), (70, 90, 90)]
"""First row, last + 1, and the first of the strip behind."""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    rng = np.random.default_rng(1)
    values, valid = land(rng, HEIGHT, WIDTH), nodata_of(rng, "holes", HEIGHT, WIDTH)
    path = write_scene(tmp_path / "scene.tif", values * valid, nodata=0)
    entry = bundle_of(tmp_path / "b.bsw").manifest.input
    return open_scene(Source((str(path),)), entry, SceneSettings())


@pytest.mark.parametrize("blocks", [[(0, 70)], [(0, 30), (26, 56), (52, 70)]])
def test_each_row_is_read_once(scene: Scene, blocks: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.zeros(HEIGHT, int)
    read = SceneReader.read

    def counting(self: SceneReader, top: int, left: int, height: int, width: int, into: Block | None = None) -> Block:
        rows[top : top + height] += 1
        return read(self, top, left, height, width, into)

    with SceneReader(scene) as files:
        whole = files.read(0, 0, HEIGHT, WIDTH)
        monkeypatch.setattr(SceneReader, "read", counting)
        reader = StripReader(files)
        for top, bottom, following in STRIPS:
            reader.begin(top, bottom, following)
            for left, right in blocks:
                block = reader.read(left, right)
                np.testing.assert_array_equal(block.samples, whole.samples[top:bottom, left:right])
                np.testing.assert_array_equal(block.valid, whole.valid[top:bottom, left:right])
    assert (rows == len(blocks)).all()


def test_what_could_not_be_read_is_read_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """And strips that are left out in between, as a run that goes on does, are no matter."""
    read, broken = SceneReader.read, {"from": 0}

    def failing(self: SceneReader, top: int, left: int, height: int, width: int, into: Block | None = None) -> Block:
        block = read(self, top, left, height, width, into)
        if left < broken["from"]:
            raise SceneError("bad")
        return block

    with SceneReader(scene) as files:
        whole = files.read(0, 0, HEIGHT, WIDTH)
        monkeypatch.setattr(SceneReader, "read", failing)
        reader = StripReader(files)
        for strip, broken["from"] in ((0, 20), (1, 0), (3, 0)):
            top, bottom, following = STRIPS[strip]
            reader.begin(top, bottom, following)
            for left, right in ((0, 30), (26, 70)):
                if left < broken["from"]:
                    with pytest.raises(SceneError):
                        reader.read(left, right)
                    continue
                block = reader.read(left, right)
                np.testing.assert_array_equal(block.samples, whole.samples[top:bottom, left:right])
                np.testing.assert_array_equal(block.valid, whole.valid[top:bottom, left:right])
