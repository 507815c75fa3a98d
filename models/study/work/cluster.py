"""The same tasks on a cluster: Dask's distributed, whose workers start the processes.

The study's folder and the data have to be at the same paths on every machine, on a file system whose locks they share.
"""

from __future__ import annotations

import importlib
import secrets
from collections.abc import Callable
from concurrent.futures import Future

from bitswath.basics.cluster import CONNECT_S, connected
from bitswath.errors import StudyError
from bitswath.models.study.work.process import Event, Task, run_task

__all__ = ["ClusterEngine"]


class ClusterEngine:
    """A scheduler at `address`, "tcp://HOST:PORT"; `jobs`: by default one for each worker.

    Raises `DependencyError` without distributed, `StudyError` where nobody answers or there is no worker.
    """

    def __init__(self, address: str, jobs: int | None = None, connect_s: float = CONNECT_S) -> None:
        self._client = connected(address, StudyError, "train,cluster", connect_s)
        workers = len(self._client.nthreads())
        self.jobs = jobs or workers
        self._pool = self._client.get_executor(pure=False, retries=0)
        self._flag = f"bitswath-study-{secrets.token_hex(8)}"
        self._stop = importlib.import_module("distributed").Event(self._flag, client=self._client)

    def submit(self, task: Task, report: Callable[[Event], None]) -> Future[dict[str, str]]:
        """Events of a cluster are told when the task has ended."""
        future: Future[dict[str, str]] = self._pool.submit(_run_there, task, self._flag)
        future.add_done_callback(lambda done: _tell(done, report))
        return future

    def stop(self) -> None:
        """Has what runs end its processes; they look every half second."""
        try:
            self._stop.set()
            self._pool.shutdown(wait=True)
        finally:
            self._client.close()


def _run_there(task: Task, flag: str) -> dict[str, str]:
    """On a worker of the cluster: `run_task`, until the event is set."""
    from distributed import Event as SharedFlag
    from distributed import worker_client

    with worker_client(separate_thread=False) as client:
        stop = SharedFlag(flag, client=client)
        return run_task(task, stopped=stop.is_set)


def _tell(done: Future[dict[str, str]], report: Callable[[Event], None]) -> None:
    if not done.cancelled() and done.exception() is None:
        for digest, end in done.result().items():
            report({"digest": digest, "event": end})
