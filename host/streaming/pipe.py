"""Numbered chunks between the threads of a stream: from its source to its lanes, and results in order to its caller."""

from __future__ import annotations

import contextlib
import math
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from bitswath.streaming.lane import Chunk, Values, joined

if TYPE_CHECKING:
    import asyncio

__all__ = ["EndError", "Pipe"]


class EndError(Exception):
    """There are no more results."""


class Pipe:
    """Chunks on their way from the source to the lanes, and their results from there to the caller.

    At most `window` chunks are between drawing and taking, or as many as make up `window` of those that lanes take
    joined, unless results wait for the caller. `fail(number)`: nothing from that chunk on comes any more.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        lock = threading.Lock()
        self._room, self._work, self._result = (threading.Condition(lock) for _ in range(3))
        self._waiting: deque[Chunk] = deque()
        self._done: dict[int, tuple[Chunk, Values]] = {}
        self._drawn = self._taken = 0
        self._ahead, self._joins = 0, 1  # items drawn and not done; how many a lane takes joined
        self._end: float = math.inf
        self._error: BaseException | None = None
        self._closed = False
        self._wake: Callable[[], None] | None = None

    def offer(self, chunk: Chunk) -> bool:
        """Wait for room and pass a chunk on; False if nobody wants it any more."""
        with self._room:
            self._room.wait_for(lambda: self._has_room() or not self._wanted(chunk.number))
            if not self._wanted(chunk.number):
                return False
            self._waiting.append(chunk)
            self._drawn += 1
            self._ahead += max(len(chunk.items), 1)
            self._work.notify()
            return True

    def exhaust(self, number: int) -> None:
        """There are no chunks from `number` on."""
        self.fail(number, EndError())

    def fail(self, number: int, error: BaseException) -> None:
        """Chunk `number` and all behind it will not come, for this reason; of several the first chunk's counts."""
        with self._room:
            number = max(number, self._taken)
            if number < self._end:
                self._end, self._error = number, error
            self._notify_all()

    def close(self) -> None:
        with self._room:
            self._closed = True
            self._notify_all()

    def draw(self, *, wait: bool, joins: int = 1) -> Chunk | None:
        """The next chunk for a lane; None if there is none yet (unless it is to wait) or none any more. Chunks that
        are waiting and alike come joined, up to `joins` items."""
        with self._work:
            if wait:
                self._work.wait_for(lambda: self._waiting or not self._wanted(self._drawn))
            self._joins = joins
            drawn: list[Chunk] = []
            while self._waiting and self._wanted(self._waiting[0].number) and self._fits(drawn, joins):
                drawn.append(self._waiting.popleft())
            if self._waiting:
                self._work.notify()  # another lane may have room
            if self._has_room():
                self._room.notify()
        return joined(drawn) if drawn else None

    def wants(self, number: int) -> bool:
        with self._work:
            return self._wanted(number)

    def give(self, chunk: Chunk, values: Values) -> None:
        """Results of a chunk, or of all that it joins."""
        with self._result:
            for part, own in chunk.apart(values):
                self._done[part.number] = part, own
                self._ahead -= max(len(own), 1)
            if self._taken in self._done:
                self._result.notify_all()
                self._tell()

    def take(self) -> tuple[Chunk, Values] | None:
        """The next chunk's result in order, None if it is not there yet. Raises what the stream ends with."""
        with self._result:
            if self._taken in self._done and self._wanted(self._taken):
                self._taken += 1
                if self._has_room():
                    self._room.notify()
                return self._done.pop(self._taken - 1)
            if self._closed:
                raise EndError
            if self._taken >= self._end and self._error is not None:
                raise self._error
            return None

    def wait(self) -> None:
        """Until `take` would give or raise something."""
        with self._result:
            self._result.wait_for(self._ready)

    async def wait_async(self) -> None:
        """The same in an event loop."""
        import asyncio

        loop = asyncio.get_running_loop()
        woken = loop.create_future()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(_settle, woken)

        with self._result:
            if self._ready():
                return
            self._wake = wake
        await woken

    def _has_room(self) -> bool:
        if self._drawn - self._taken < self._window:
            return True
        joining = self._joins > 1 and len(self._done) < self._window
        return joining and self._ahead < (self._window - 1) * self._joins

    def _fits(self, drawn: list[Chunk], joins: int) -> bool:
        """Whether the next chunk that waits can be joined to those."""
        if not drawn:
            return True
        items, first = self._waiting[0].items, drawn[0].items
        alike = items.shape[1:] == first.shape[1:] and items.dtype == first.dtype
        return alike and sum(len(chunk.items) for chunk in drawn) + len(items) <= joins

    def _ready(self) -> bool:
        return self._closed or self._taken in self._done or self._taken >= self._end

    def _wanted(self, number: int) -> bool:
        return not self._closed and number < self._end

    def _notify_all(self) -> None:
        for condition in (self._room, self._work, self._result):
            condition.notify_all()
        self._tell()

    def _tell(self) -> None:
        if self._wake is not None and self._ready():
            wake, self._wake = self._wake, None
            wake()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
