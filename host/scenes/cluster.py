"""Strips on a cluster: Dask's workers, each with an accelerator of its own.

Bundle and scene have to be at the same paths on every machine; what workers find comes back to this one, which writes
the map. A worker that dies takes nothing with it: Dask gives its strips to another.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bitswath.basics.cluster import CONNECT_S, connected
from bitswath.errors import SceneError
from bitswath.scenes.mapping import Worker
from bitswath.scenes.strips import Strip
from bitswath.scenes.work import Classifier, Job, work
from bitswath.streaming.counters import Counters

__all__ = ["Opener", "cluster_worker"]

_RETRIES = 3

Opener = Callable[..., Any]
"""`bitswath.accelerator.open`."""


@dataclass(frozen=True)
class _Opening:
    """How a worker opens its accelerator."""

    opener: Opener
    bundle: str
    backend: str
    options: tuple[tuple[str, Any], ...]

    def __call__(self) -> Any:
        return self.opener(self.bundle, self.backend, **dict(self.options))


def cluster_worker(
    address: str,
    opener: Opener,
    bundle: str,
    backend: str = "auto",
    options: Mapping[str, Any] | None = None,
    progress: Callable[[Counters], None] = lambda counters: None,
    connect_s: float = CONNECT_S,
) -> Worker:
    """What `map_scene` takes as `worker`: strips go to the scheduler at `address`, "tcp://HOST:PORT".

    When it works it raises `DependencyError`, and `SceneError` where nobody answers, there is no worker, or a strip
    ended several of them.
    """
    opening = _Opening(opener, bundle, backend, tuple(sorted((options or {}).items())))

    def worker(job: Job, strips: Sequence[int]) -> Generator[tuple[int, Strip], None, None]:
        with contextlib.closing(connected(address, SceneError, "scene,cluster", connect_s)) as client:
            distributed = importlib.import_module("distributed")
            total, done, started = sum(job.plan.windows_of(strip) for strip in strips), 0, time.monotonic()
            futures = {
                client.submit(_strip_there, opening, job, strip, pure=False, retries=_RETRIES): strip
                for strip in strips
            }
            for future in distributed.as_completed(futures, loop=client.loop):
                number = futures.pop(future)
                try:
                    strip = future.result()
                except distributed.scheduler.KilledWorker as error:
                    raise SceneError(f"strip {number}: ended every worker that took it; see their logs") from error
                done += job.plan.windows_of(number)
                progress(Counters(frames=done, total=total, elapsed_s=time.monotonic() - started))
                yield number, strip

    return worker


def _strip_there(opening: _Opening, job: Job, number: int) -> Strip:
    """On a worker."""
    accelerator: Classifier = _accelerator(opening)
    ((_, strip),) = work(accelerator, job, [number])
    return strip


@lru_cache(maxsize=1)
def _accelerator(opening: _Opening) -> Any:
    """The one that a worker keeps open."""
    return opening()
