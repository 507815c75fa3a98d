"""Numbered chunks between the threads of a stream: from its source to its lanes, and results in order to its caller."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections import deque
from collections.abc import Callable

from bitswath.streaming.lane import Chunk, Values

__all__ = ["EndError", "Pipe"]


class EndError(Exception):
    """There are no more results."""


class Pipe:
    """Chunks on their way from the source to the lanes, and their results from there to the caller.

    At most `window` chunks are between drawing and taking. `fail(number)`: nothing from that chunk on comes any more.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._changed = threading.Condition()
        self._waiting: deque[Chunk] = deque()
        self._done: dict[int, tuple[Chunk, Values]] = {}
        self._drawn = self._taken = 0
        self._end: float = math.inf
        self._error: BaseException | None = None
        self._closed = False
        self._wake: Callable[[], None] | None = None

    def offer(self, chunk: Chunk) -> bool:
        """Wait for room and pass a chunk on; False if nobody wants it any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._drawn - self._taken < self._window or not self._wanted(chunk.number))
            if not self._wanted(chunk.number):
                return False
            self._waiting.append(chunk)
            self._drawn += 1
            self._changed.notify_all()
            return True

    def exhaust(self, number: int) -> None:
        """There are no chunks from `number` on."""
        self.fail(number, EndError())

    def fail(self, number: int, error: BaseException) -> None:
        """Chunk `number` and all behind it will not come, for this reason; of several the first chunk's counts."""
        with self._changed:
            number = max(number, self._taken)
            if number < self._end:
                self._end, self._error = number, error
            self._notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._notify()

    def draw(self, *, wait: bool) -> Chunk | None:
        """The next chunk for a lane; None if there is none yet (unless it is to wait) or none any more."""
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._waiting or not self._wanted(self._drawn))
            if not self._waiting or not self._wanted(self._waiting[0].number):
                return None
            return self._waiting.popleft()

    def wants(self, number: int) -> bool:
        with self._changed:
            return self._wanted(number)

    def give(self, chunk: Chunk, values: Values) -> None:
        with self._changed:
            self._done[chunk.number] = chunk, values
            if chunk.number == self._taken:
                self._notify()

    def take(self) -> tuple[Chunk, Values] | None:
        """The next chunk's result in order, None if it is not there yet. Raises what the stream ends with."""
        with self._changed:
            if self._taken in self._done and self._wanted(self._taken):
                self._taken += 1
                self._changed.notify_all()
                return self._done.pop(self._taken - 1)
            if self._closed:
                raise EndError
            if self._taken >= self._end and self._error is not None:
                raise self._error
            return None

    def wait(self) -> None:
        """Until `take` would give or raise something."""
        with self._changed:
            self._changed.wait_for(self._ready)

    async def wait_async(self) -> None:
        """The same in an event loop."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(_settle, woken)

        with self._changed:
            if self._ready():
                return
            self._wake = wake
        await woken

    def _ready(self) -> bool:
        return self._closed or self._taken in self._done or self._taken >= self._end

    def _wanted(self, number: int) -> bool:
        return not self._closed and number < self._end

    def _notify(self) -> None:
        self._changed.notify_all()
        if self._wake is not None and self._ready():
            wake, self._wake = self._wake, None
            wake()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
