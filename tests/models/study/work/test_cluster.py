"""The same cells on a Dask cluster, or a typed error where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bitswath.errors import DependencyError, StudyError
from bitswath.models.study.work.cluster import ClusterEngine
from bitswath.models.study.work.process import Event
from bitswath.models.study.work.runner import Settings, run_study
from bitswath.models.study.work.store import Store
from tests.models.study.tasks import small_study


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(DependencyError, match=r"bitswath\[train,cluster\]"):
        ClusterEngine("tcp://127.0.0.1:1")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as made:
        yield made


def test_nobody_at_the_address_is_said() -> None:
    pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    with pytest.raises(StudyError, match="no Dask scheduler"):
        ClusterEngine("tcp://127.0.0.1:1", connect_s=2.0)


def test_a_cluster_works_on_the_same_cells(tmp_path: Path, cluster: Any) -> None:
    _, cells = small_study(tmp_path)
    store, events = Store(tmp_path / "out"), list[Event]()
    engine = ClusterEngine(cluster.scheduler_address)
    assert engine.jobs == 2
    run_study(cells, store, engine, Settings(), events.append)
    assert [(row.state, row.attempts) for row in store.rows()] == [("done", 1)] * len(cells)
    assert {event["digest"] for event in events} == {cell.digest for cell in cells}


def test_an_interrupt_ends_the_processes_of_the_cluster(tmp_path: Path, cluster: Any) -> None:
    _, cells = small_study(tmp_path)
    store = Store(tmp_path / "out")

    class Broken(ClusterEngine):
        def submit(self, task: Any, report: Any) -> Any:
            super().submit(task, report)
            deadline = time.monotonic() + 60
            while not any(row.attempts for row in store.rows()):
                assert time.monotonic() < deadline, "nothing begun after a minute"
                time.sleep(0.05)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(cells, store, Broken(cluster.scheduler_address), Settings())
    assert any(row.state == "waiting" for row in store.rows())
    for cell in cells:
        with store.claimed(cell.digest) as free:
            assert free
