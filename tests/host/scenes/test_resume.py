"""Runs that are killed go on where they were, and what they leave is what an undisturbed one makes."""

from __future__ import annotations

import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import bitswath as bs
from bitswath.errors import BitswathError, InputError, SceneError
from bitswath.scenes import MapSettings, Outputs, map_scene
from bitswath.scenes import work as work_room
from tests.host.scenes.cases import bundle_of, land, read, write_scene

WALK = """
import sys, time
import bitswath as bs
from bitswath.scenes import MapSettings, map_scene
from bitswath.scenes import strips
put = strips.Strips.put
def slowly(self, number, content):
    put(self, number, content)
    print(number, flush=True)
    time.sleep(float(sys.argv[4]))
strips.Strips.put = slowly
with bs.open(sys.argv[1]) as accelerator:
    print("began", flush=True)
    made = map_scene(accelerator, sys.argv[2], sys.argv[3], settings=MapSettings(stride=16))
print("resumed", made.resumed, flush=True)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    from tests.host.scenes.cases import small_network

    bundle_of(folder / "b.bsw", small_network(patch=16), patch=16)
    write_scene(folder / "scene.tif", land(np.random.default_rng(1), 2100, 300), nodata=0)
    return folder


def walk(place: Path, output: Path, pause_s: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WALK, str(place / "b.bsw"), str(place / "scene.tif"), str(output), str(pause_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_killed_at_random_moments_it_ends_with_the_same_file(place: Path, tmp_path: Path) -> None:
    settings = MapSettings(stride=16)
    with bs.open(place / "b.bsw") as accelerator:
        map_scene(accelerator, place / "scene.tif", tmp_path / "undisturbed.tif", settings=settings)
    output = tmp_path / "killed.tif"
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rng = random.Random(seed)
    for lines in (1, 1, 2):  # before anything is done, wherever it is, and surely with a strip done
        process = walk(place, output, 0.5)
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not output.exists()
    process = walk(place, output, 0)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert int(said.split()[-1]) > 0  # what was done stayed done
    assert output.read_bytes() == (tmp_path / "undisturbed.tif").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{name}.tif{end}" for name in ("killed", "undisturbed") for end in ("", ".aux.xml")
    )


@pytest.mark.parametrize("changed", ["stride", "scene", "nothing"])
def test_only_the_same_work_is_taken_over(
    place: Path, tmp_path: Path, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = write_scene(tmp_path / "scene.tif", read(place / "scene.tif"), nodata=0)
    with bs.open(place / "b.bsw") as accelerator:
        with monkeypatch.context() as patched:
            patched.setattr("bitswath.scenes.mapping._write", _fails)
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
    process = walk(place, tmp_path / "map.tif", 0.5)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.readline()
    with bs.open(place / "b.bsw") as accelerator, pytest.raises(SceneError, match="another process is making it"):
        map_scene(accelerator, place / "scene.tif", tmp_path / "map.tif", settings=MapSettings(stride=16))
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_full_disk_is_told_and_leaves_no_map(place: Path, tmp_path: Path) -> None:
    """Files may have at most 20 kB, as if the disk were full: strips and map are larger."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    code = "from bitswath.cli import main; main()"
    command = [sys.executable, "-c", code, "map", place / "b.bsw", place / "scene.tif", "-o", tmp_path / "map.tif"]
    for scores in ((), ("--scores", tmp_path / "scores.tif", "--no-resume")):
        done = subprocess.run(
            [*map(str, command), *map(str, scores)], preexec_fn=limited, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "cannot be written" in done.stderr
        assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".map.tif.strips")] == []


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

    def read_block(self: work_room.SceneReader, top: int, left: int, height: int, width: int) -> work_room.Block:
        reads.append(top)
        if 0 < top < 600 and reads.count(top) <= fails["below"]:
            raise SceneError("scene.tif: cannot be read (bad)")
        return whole(self, top, left, height, width)

    whole = work_room.SceneReader.read
    monkeypatch.setattr(work_room.SceneReader, "read", read_block)
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
