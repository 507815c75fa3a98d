"""Scenes on a Dask cluster of this machine: one worker is killed, and the map is that of one process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import bitswath as bs
from bitswath.commands import map as map_command
from bitswath.errors import SceneError
from bitswath.scenes import MapSettings, Outputs, map_scene
from bitswath.scenes.cluster import cluster_worker
from bitswath.streaming.counters import Counters
from tests.host.scenes.cases import bundle_of, land, write_scene

distributed = pytest.importorskip("distributed", reason="Dask's distributed is not installed")
SETTINGS = MapSettings(stride=4)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cluster")
    bundle_of(folder / "b.bsw")
    write_scene(folder / "scene.tif", land(np.random.default_rng(1), 3000, 120), nodata=0)
    with bs.open(folder / "b.bsw") as accelerator:
        map_scene(accelerator, folder / "scene.tif", outputs(folder, "alone"), settings=SETTINGS)
    return folder


def outputs(folder: Path, name: str) -> Outputs:
    return Outputs(folder / f"{name}.tif", folder / f"{name}.scores.tif")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A scheduler and two workers, processes of this machine."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50, host="127.0.0.1"
    ) as made:
        yield made


def test_the_command_takes_a_cluster(place: Path, cluster: Any, tmp_path: Path) -> None:
    arguments = [place / "b.bsw", place / "scene.tif", "-o", tmp_path / "map.tif", "--stride", 4]
    arguments += ["--cluster", cluster.scheduler_address]
    done = CliRunner().invoke(map_command.command, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "map.tif").read_bytes() == (place / "alone.tif").read_bytes()


def test_a_worker_is_killed_and_the_map_is_the_same(place: Path, cluster: Any, tmp_path: Path) -> None:
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        pids = list(client.run(os.getpid).values())
    assert len(pids) == 2
    seen: list[Counters] = []
    killed = threading.Event()

    def progress(counters: Counters) -> None:
        seen.append(counters)
        if len(seen) == 2:
            os.kill(pids[0], signal.SIGKILL)
            killed.set()

    bundle = bs.load_bundle(place / "b.bsw")
    worker = cluster_worker(cluster.scheduler_address, bs.open, str(bundle.path), "emulator", {"threads": 1}, progress)
    made = map_scene(bundle, place / "scene.tif", outputs(tmp_path, "map"), settings=SETTINGS, worker=worker)
    assert killed.is_set()
    assert seen[-1].frames == seen[-1].total == made.windows
    for one, other in zip(outputs(tmp_path, "map").paths, outputs(place, "alone").paths):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("address", "message"),
    [("nobody", "expected the address of a Dask scheduler"), ("tcp://127.0.0.1:9", "no Dask scheduler answers")],
)
def test_no_scheduler_is_told(place: Path, tmp_path: Path, address: str, message: str) -> None:
    bundle = bs.load_bundle(place / "b.bsw")
    worker = cluster_worker(address, bs.open, str(bundle.path), connect_s=1.0)
    with pytest.raises(SceneError, match=message):
        map_scene(bundle, place / "scene.tif", tmp_path / "map.tif", worker=worker)
    assert [*tmp_path.glob("*.tif")] == []
