"""A request from its tensors to its answer, whichever protocol it came by."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bitswath.bundle.bundle import Bundle
from bitswath.errors import InputError
from bitswath.serving.protocol.inputs import as_frames
from bitswath.serving.protocol.outputs import check_wanted, labels_of, tensors_of
from bitswath.serving.protocol.requests import Answer, InferRequest
from bitswath.serving.refusals import RequestError, refusal
from bitswath.serving.repository import Entry, Repository
from bitswath.serving.scheduling.model import Model
from bitswath.serving.settings import Settings

__all__ = ["Seen", "Service"]

_QUICK_BYTES = 64 << 10
_SEEN, _SEEN_EVERY_S = 8, 0.1
_Made = TypeVar("_Made")


@dataclass(frozen=True, eq=False)
class Seen:
    """A patch that was classified, for the page: its frame (1, W), its class, when (UNIX seconds)."""

    model: str
    version: str
    bundle: Bundle
    frame: NDArray[np.uint8]
    label: str
    at: float


class Service:
    """What both protocols call."""

    def __init__(self, repository: Repository, settings: Settings) -> None:
        self.repository, self.settings = repository, settings
        self.seen: deque[Seen] = deque(maxlen=_SEEN)
        self.stopping = False
        self._workers = ThreadPoolExecutor(4, "bitswath-serving")

    @property
    def ready(self) -> bool:
        """Whether every model has a device in service, and requests are taken."""
        return not self.stopping and self.repository.ready

    async def infer(
        self,
        entry: Entry,
        request: InferRequest,
        *,
        client: Hashable,
        arrived_ns: int,
        timeout_s: float | None = None,
    ) -> Answer:
        """Its answer, to be awaited within `counted`. `client`: whose turn it takes; `arrived_ns`: on the monotonic
        clock; `timeout_s`: what the protocol says of it. Raises `BitswathError`."""
        with await self.repository.model_of(entry) as model:
            limit_s = _limit_s(request, timeout_s, self.settings.request_timeout_s)
            check_wanted(model.outputs, request)
            started_ns = time.monotonic_ns()
            frames = await self.offload(partial(self._frames, model, request), _size(request))
            made_ns = time.monotonic_ns()
            job = await model.run(frames, client, limit_s)
            assert job.values is not None
            told_ns = time.monotonic_ns()
            make = partial(tensors_of, model.bundle, job.values, request)
            tensors = await self.offload(make, job.values.nbytes)
            self._see(entry, model.bundle, frames, job.values)
        ended_ns = time.monotonic_ns()
        entry.statistics.answered(
            len(frames),
            success=ended_ns - arrived_ns,
            queue=job.first_ns - job.queued_ns,
            compute_input=made_ns - started_ns,
            compute_infer=job.compute_ns,
            compute_output=ended_ns - told_ns,
        )
        return Answer(entry.name, entry.version, request.id, tensors)

    @contextlib.contextmanager
    def counted(self, entry: Entry, arrived_ns: int) -> Iterator[None]:
        """What is done for a request of a model: if it fails, or is cancelled, that is counted. Raises `RequestError`
        for whatever error there was."""
        try:
            yield
        except asyncio.CancelledError:
            entry.statistics.failed(499, time.monotonic_ns() - arrived_ns)
            raise
        except Exception as error:
            told = refusal(error)
            entry.statistics.failed(told.status, time.monotonic_ns() - arrived_ns)
            raise told from error

    async def offload(self, step: Callable[[], _Made], size: int) -> _Made:
        """What `step` gives: at once if it has to do with few bytes, else from a thread, so that others go on."""
        if size <= _QUICK_BYTES:
            return step()
        return await asyncio.get_running_loop().run_in_executor(self._workers, copy_context().run, step)

    def close(self) -> None:
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _frames(self, model: Model, request: InferRequest) -> NDArray[np.uint8]:
        fit, most = self.settings.fit, self.settings.max_pixels
        return as_frames(model.bundle, request.inputs, model.inputs, fit=fit, max_pixels=most)

    def _see(self, entry: Entry, bundle: Bundle, frames: NDArray[np.uint8], values: NDArray[Any]) -> None:
        now = time.time()
        if not self.settings.thumbnails or (self.seen and now - self.seen[-1].at < _SEEN_EVERY_S):
            return
        label = bundle.classes[int(labels_of(bundle, values[:1])[0])]
        self.seen.append(Seen(entry.name, entry.version, bundle, frames[:1].copy(), label, now))


def _size(request: InferRequest) -> int:
    """Bytes of the inputs; image files are worth a thread however short they are."""
    (first,) = request.inputs if len(request.inputs) == 1 else (None,)
    if first is None:
        return 0
    return first.data.nbytes if isinstance(first.data, np.ndarray) else 1 << 30


def _limit_s(request: InferRequest, timeout_s: float | None, most_s: float) -> float:
    """The shortest of what the request says (`timeout`, in microseconds), its protocol, and the server."""
    asked = request.parameters.get("timeout", 0)
    if type(asked) is not int or asked < 0:
        raise InputError(f"timeout: expected microseconds, got {str(asked)[:40]}")
    given_s = [seconds for seconds in (asked / 1e6 or None, timeout_s, most_s) if seconds is not None]
    if min(given_s) <= 0:
        raise RequestError(HTTPStatus.GATEWAY_TIMEOUT, "the request's time was over when it came")
    return min(given_s)
