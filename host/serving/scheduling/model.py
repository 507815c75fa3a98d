"""One version of a model in service: its queue, its devices, and those who wait for answers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from http import HTTPStatus

from bitswath.accelerator import Accelerator
from bitswath.backends.base import OnDevice
from bitswath.errors import InputError
from bitswath.serving.protocol.inputs import inputs_of
from bitswath.serving.protocol.outputs import outputs_of
from bitswath.serving.refusals import RequestError, busy, refusal
from bitswath.serving.scheduling.alarms import Alarms
from bitswath.serving.scheduling.device import Device
from bitswath.serving.scheduling.queue import Frames, Job, Queue
from bitswath.serving.settings import Settings
from bitswath.serving.statistics import Statistics

__all__ = ["Model", "Opener"]

Opener = Callable[[], Accelerator]
"""Opens one device with the model's bundle."""


class Model:
    """Devices with one bundle. `openers`: by name, what opens each; `statistics` may go on from those of a version
    that this one replaces.

    Within ``with`` it stays in service; `await run(frames, ...)` in the event loop in which it was made.
    """

    def __init__(
        self, openers: dict[str, Opener], settings: Settings, statistics: Statistics, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.statistics = statistics
        self.queue = Queue(settings.max_queue, settings.max_delay_us)
        self.devices = [
            Device(name, open_, self.queue, self, max_batch=settings.max_batch) for name, open_ in openers.items()
        ]
        self.users = 0
        """Who is within ``with``, whether they wait for it already or not."""
        self._loop, self._alarms = loop, Alarms()
        self._opened: list[Accelerator] = []

    def start(self) -> None:
        """Open the devices; on an error none is left open. Raises `BundleError`, `BackendError`, `InputError`."""
        try:
            for device in self.devices:
                self._opened.append(device.start())
                self._check_equal()
        except BaseException:
            self.close(0.0)
            raise
        self.bundle = self._opened[0].bundle
        self.inputs, self.outputs = inputs_of(self.bundle), outputs_of(self.bundle)
        self.max_batch = min(accelerator.chunk for accelerator in self._opened)
        self.exclusive = any(isinstance(accelerator.backend, OnDevice) for accelerator in self._opened)
        """Whether its devices cannot be opened for another version meanwhile."""
        self._opened.clear()

    def __enter__(self) -> Model:
        self.users += 1
        return self

    def __exit__(self, *error: object) -> None:
        self.users -= 1

    @property
    def ready(self) -> bool:
        return any(device.serving for device in self.devices)

    async def run(self, frames: Frames, client: Hashable, timeout_s: float) -> Job:
        """The job of a request once it has all its values.

        Raises `RequestError`: 503 for no room or no device, 504 if it was not done in time, and what came of a fault.
        Who is cancelled gives its share up.
        """
        if not self.ready:
            raise busy("no device of this model is in service; it is opened again in the background", 5)
        job = Job(frames, client, self._loop.create_future())
        self.queue.put(job)
        late = self._alarms.set(timeout_s, partial(_wake, [job]))
        try:
            await job.waiter
        finally:
            self._alarms.off(late)
            if not job.over:
                self.queue.drop(job, RequestError(HTTPStatus.GATEWAY_TIMEOUT, f"was not done within {timeout_s:g} s"))
        if job.error is not None:
            raise refusal(job.error)
        return job

    def executed(self, frames: int, input_ns: int, compute_ns: int) -> None:
        """See `Watcher`."""
        self.statistics.executed(frames, input_ns, compute_ns)

    def finished(self, jobs: Sequence[Job]) -> None:
        """See `Watcher`; whoever waits is woken in the event loop, all at once."""
        if jobs:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                self._loop.call_soon_threadsafe(_wake, jobs)

    def changed(self) -> None:
        """See `Watcher`."""
        if not self.ready:
            self.finished(self.queue.refuse(busy("the last device of this model failed; it is opened again", 5)))

    def close(self, timeout_s: float) -> None:
        """Answer what waits, as far as that takes no longer than `timeout_s`, and close the devices."""
        self.queue.close()
        ends = time.monotonic() + timeout_s
        for device in self.devices:
            device.stop(max(ends - time.monotonic(), 0.01))
        self.finished(self.queue.refuse(busy("the server is stopping")))

    def _check_equal(self) -> None:
        shapes = {accelerator.bundle.network.output.shape for accelerator in self._opened}
        if len(shapes) > 1:
            raise InputError(f"expected devices that answer alike, got answers of shapes {sorted(shapes)}")


def _wake(jobs: Sequence[Job]) -> None:
    for job in jobs:
        if not job.waiter.done():
            job.waiter.set_result(None)
