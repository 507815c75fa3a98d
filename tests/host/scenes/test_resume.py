"""Runs that are killed go on where they were, and what they leave is what an undisturbed one makes."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bitswath as bs
from bitswath.errors import BitswathError, InputError, SceneError
from bitswath.scenes import MapSettings, Outputs, map_scene
from bitswath.scenes.products.cog import Writer
from bitswath.scenes.sources.scene import Block, SceneReader
from bitswath.scenes.strips import Strips
from tests.host.scenes.cases import bundle_of, land, read, small_network, write_scene
from tests.host.scenes.runs import Run, limited_command, slow_map

STRIDE = 16


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    bundle_of(folder / "b.bsw", small_network(patch=16), patch=16)
    write_scene(folder / "scene.tif", land(np.random.default_rng(1), 2100, 300), nodata=0)
    return folder


def started(place: Path, output: Path, pause_s: float) -> Run:
    return Run(slow_map, place / "b.bsw", place / "scene.tif", output, STRIDE, pause_s)


def test_killed_at_random_moments_it_ends_with_the_same_file(place: Path, tmp_path: Path) -> None:
    with bs.open(place / "b.bsw") as accelerator:
        map_scene(accelerator, place / "scene.tif", tmp_path / "undisturbed.tif", settings=MapSettings(stride=STRIDE))
    output = tmp_path / "killed.tif"
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rng = random.Random(seed)
    for until in ("began", 0, 4, "written", "copied"):  # before anything is done; with a strip, rows, all, the file
        run = started(place, output, 0.1)
        while run.heard() != until:
            pass
        time.sleep(rng.uniform(0.0, 0.1))
        run.kill()
        assert not output.exists()
    run = started(place, output, 0)
    said = [run.heard() for _ in range(4)]
    assert said[:3] == ["began", "written", "copied"]  # what was done stayed done
    assert said[3] == len(range(0, 2100, STRIDE)) * len(range(0, 300, STRIDE))
    assert run.ended() == 0
    assert output.read_bytes() == (tmp_path / "undisturbed.tif").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{name}.tif{end}" for name in ("killed", "undisturbed") for end in ("", ".aux.xml")
    )


def test_rows_are_written_while_later_strips_are_worked_on(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    for owner, name in ((Strips, "put"), (Writer, "write")):
        monkeypatch.setattr(owner, name, _noting(getattr(owner, name), name, told))
    with bs.open(place / "b.bsw") as accelerator:
        made = map_scene(accelerator, place / "scene.tif", tmp_path / "map.tif")
    assert told.count("put") > 4
    for strip, place_of_put in enumerate(index for index, name in enumerate(told) if name == "put"):
        assert "write" in told[:place_of_put] or strip == 0
    assert made.resumed == 0


def _noting(function: Any, name: str, told: list[str]) -> Any:
    def noted(*given: Any) -> Any:
        told.append(name)
        return function(*given)

    return noted


@pytest.mark.parametrize("changed", ["stride", "scene", "nothing"])
def test_only_the_same_work_is_taken_over(
    place: Path, tmp_path: Path, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = write_scene(tmp_path / "scene.tif", read(place / "scene.tif"), nodata=0)
    with bs.open(place / "b.bsw") as accelerator:
        with monkeypatch.context() as patched:
            patched.setattr("bitswath.scenes.products.cog._to_cog", _fails)
            with pytest.raises(SceneError, match="no more"):
                map_scene(accelerator, scene, tmp_path / "map.tif")
        if changed == "scene":
            write_scene(scene, read(place / "scene.tif")[::-1], nodata=0)
        settings = MapSettings(stride=7 if changed == "stride" else None)
        made = map_scene(accelerator, scene, tmp_path / "map.tif", settings=settings)
        assert (made.resumed == made.windows) == (changed == "nothing")
        fresh = map_scene(accelerator, scene, tmp_path / "fresh.tif", settings=settings, resume=False)
    assert fresh.resumed == 0
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), read(tmp_path / "fresh.tif"))


def _fails(*arguments: object) -> None:
    raise SceneError("no more")


def test_an_output_that_exists_is_left_alone(place: Path, tmp_path: Path) -> None:
    output = tmp_path / "map.tif"
    output.write_bytes(b"mine")
    with bs.open(place / "b.bsw") as accelerator:
        with pytest.raises(InputError, match="exists and is not overwritten; --overwrite"):
            map_scene(accelerator, place / "scene.tif", output)
        assert output.read_bytes() == b"mine"
        with pytest.raises(InputError, match="named for two outputs"):
            map_scene(accelerator, place / "scene.tif", Outputs(tmp_path / "a.tif", tmp_path / "a.tif"))
        with pytest.raises(InputError, match="does not exist; create it first"):
            map_scene(accelerator, place / "scene.tif", tmp_path / "no" / "map.tif")
        map_scene(accelerator, place / "scene.tif", output, overwrite=True)
    assert read(output).shape == (1, 2100, 300)


def test_two_processes_do_not_make_one_map(place: Path, tmp_path: Path) -> None:
    run = started(place, tmp_path / "map.tif", 0.1)
    assert (run.heard(), run.heard()) == ("began", 0)
    with bs.open(place / "b.bsw") as accelerator, pytest.raises(SceneError, match="another process is making it"):
        map_scene(accelerator, place / "scene.tif", tmp_path / "map.tif", settings=MapSettings(stride=STRIDE))
    assert run.ended() == 0
    assert (tmp_path / "map.tif").exists()


def test_a_full_disk_is_told_and_leaves_no_map(place: Path, tmp_path: Path) -> None:
    """Files may have at most 20 kB: strips and map are larger."""
    (maps := tmp_path / "maps").mkdir()
    arguments = ["map", place / "b.bsw", place / "scene.tif", "-o", maps / "map.tif"]
    for more in ((), ("--scores", maps / "scores.tif", "--no-resume")):
        told = tmp_path / f"{len(more)}.txt"
        run = Run(limited_command, [*map(str, (*arguments, *more))], 20_000, told)
        assert run.heard() == 1
        (line,) = [line for line in told.read_text().splitlines() if not line.startswith("_tiff")]  # libtiff's own
        assert "cannot be written" in line
        assert [path.name for path in maps.iterdir() if not path.name.startswith(".map.tif.strips")] == []


def test_a_map_that_cannot_be_written_leaves_the_old_one(place: Path, tmp_path: Path) -> None:
    output = tmp_path / "map.tif"
    with bs.open(place / "b.bsw") as accelerator:
        map_scene(accelerator, place / "scene.tif", output)
        before = output.read_bytes()
        scores = tmp_path / "full" / "scores.tif"
        scores.parent.mkdir()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("bitswath.scenes.products.cog._to_cog", _refuses)
            with pytest.raises(SceneError, match="cannot be written"):
                map_scene(accelerator, place / "scene.tif", Outputs(output, scores), overwrite=True)
    assert output.read_bytes() == before
    assert not scores.exists()


def _refuses(*arguments: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_block_that_cannot_be_read_is_tried_again_then_left_out(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, fails = [], {"below": 10**9}

    def read_block(self: SceneReader, top: int, left: int, height: int, width: int, into: Block | None = None) -> Block:
        reads.append(top)
        if 0 < top < 600 and reads.count(top) <= fails["below"]:
            raise SceneError("scene.tif: cannot be read (bad)")
        return whole(self, top, left, height, width, into)

    whole = SceneReader.read
    monkeypatch.setattr(SceneReader, "read", read_block)
    with bs.open(place / "b.bsw") as accelerator:
        with pytest.raises(BitswathError, match=r"cannot be read \(bad\), rows \d+ to \d+.*--skip-bad"):
            map_scene(accelerator, place / "scene.tif", tmp_path / "map.tif")
        assert not (tmp_path / "map.tif").exists()
        made = map_scene(accelerator, place / "scene.tif", tmp_path / "map.tif", skip_bad=True)
        assert made.bad
        assert all("cannot be read" in line for line in made.bad)
        labels = read(tmp_path / "map.tif")[0]
        silent = (labels == 255).all(axis=1)
        assert 200 < silent.sum() < 600
        reads.clear()
        fails["below"] = 2
        again = map_scene(accelerator, place / "scene.tif", tmp_path / "again.tif")
        assert not again.bad
    assert not (read(tmp_path / "again.tif") == 255).all(axis=2).any()
