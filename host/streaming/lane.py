"""One device at work: chunks of items go in, its integers come out, in order.

At most two chunks are at the device, one that it works on and one that waits for it, so that the host prepares the
next while the device is busy. A fault is met once a chunk: reset the device, send again what was under way. Small
chunks that wait may go joined: `Lane.joins` says how many items a device is quick enough for.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.base import Advancing, Backend, Cancelling, Resettable, Ticket
from bitswath.errors import BackendError, BackendTimeoutError, BitswathError, FrameError
from bitswath.streaming.counters import Tally

__all__ = ["Chunk", "Lane", "Prepare", "Values", "joined", "run", "split"]

IN_FLIGHT = 2
_DRAIN_S = 5.0
_SLICE_S = 0.2
"""Longest wait in one piece: in between a signal is heard, and whether the lane was given up."""
_MOST_JOINED = 32
_JOINED_S = 0.02
"""Longest that a device should need for chunks that are joined: so much later comes the first one's answer."""

Values = NDArray[np.integer[Any]]
Items = NDArray[Any]
Prepare = Callable[[Items], NDArray[np.uint8]]
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, eq=False)
class Chunk:
    """Items that go to a device in one piece; `number` counts all of a stream's, `ends` says it is a batch's last,
    `start` is its first item's place in the batch. `parts`: the chunks, numbered on from `number`, that it joins."""

    number: int
    items: Items
    ends: bool
    start: int = 0
    parts: tuple[Chunk, ...] = ()

    def apart(self, values: Values) -> Iterator[tuple[Chunk, Values]]:
        """Each chunk it joins, itself if none, and what of values (n, ...) is its own."""
        start = 0
        for part in self.parts or (self,):
            yield part, values[start : start + len(part.items)]
            start += len(part.items)


def joined(chunks: Sequence[Chunk]) -> Chunk:
    """One chunk of several that follow each other, whose items are of one shape and dtype."""
    if len(chunks) == 1:
        return chunks[0]
    items = np.concatenate([chunk.items for chunk in chunks])
    return Chunk(chunks[0].number, items, chunks[-1].ends, parts=tuple(chunks))


def split(batch: Items, size: int, first: int = 0) -> Iterator[Chunk]:
    """Chunks of at most `size` items, numbered from `first`; an empty batch is one empty chunk."""
    for index, start in enumerate(range(0, max(len(batch), 1), size)):
        yield Chunk(first + index, batch[start : start + size], start + size >= len(batch), start)


@dataclass(eq=False)
class _Flight:
    """A chunk's frames at the device; without a ticket where there are none, or they could not be sent."""

    chunk: Chunk
    frames: NDArray[np.uint8]
    ticket: Ticket | None = None
    retried: bool = False


class Lane:
    """A backend and what is under way on it; used by one thread at a time.

    `prepare` turns items into frames, uint8 (n, frame_bytes). `output_shape`: of the integers of one frame.
    `timeout_s` bounds each wait for the device, beginning anew when one that shows its progress (`Advancing`) gets
    on: it tells a device that hangs, not one that is slow. None waits until the backend itself knows of a fault.
    `clock`: seconds, monotonic.
    """

    def __init__(
        self,
        backend: Backend,
        prepare: Prepare,
        *,
        output_shape: tuple[int, ...],
        timeout_s: float | None,
        tally: Tally | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend, self._prepare = backend, prepare
        self._shape, self._timeout_s = output_shape, timeout_s
        self._tally = tally or Tally()
        self._flights: deque[_Flight] = deque()
        self._clock = clock
        self._item_s = math.inf
        self._began_s = 0.0
        self._given_up = False

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._flights

    @property
    def full(self) -> bool:
        return len(self._flights) >= IN_FLIGHT

    @property
    def oldest(self) -> int:
        """The number of the chunk that `take` gives next."""
        return self._flights[0].chunk.number

    @property
    def joins(self) -> int:
        """How many items may go joined, going by what the last ones took the device."""
        return round(min(max(_JOINED_S / max(self._item_s, 1e-9), 1), _MOST_JOINED))

    def put(self, chunk: Chunk) -> None:
        """Prepare a chunk and send it. Raises what `prepare` raises, `BackendError`, `BackendTimeoutError`."""
        started = time.perf_counter()
        with _numbered(chunk):
            frames = self._prepare(chunk.items) if len(chunk.items) else np.zeros((0, 0), np.uint8)
        prepared = time.perf_counter()
        flight = _Flight(chunk, frames)
        if self.idle:
            self._began_s = self._clock()
        self._flights.append(flight)
        try:
            self._retried(flight, self._submit)
        except BaseException:
            self._flights.remove(flight)
            raise
        self._tally.add(host_s=prepared - started, in_flight=len(frames), device_s=time.perf_counter() - prepared)

    def take(self) -> tuple[Chunk, Values]:
        """The oldest chunk and its integers (n, *output_shape), once the device has them.

        Raises `BackendTimeoutError`, `BackendError`, `InputError` for frames that the network does not take; then
        the lane is to be drained.
        """
        flight, started = self._flights[0], time.perf_counter()
        values = self._retried(flight, self._collect)
        self._flights.popleft()
        self._timed(len(values))
        self._tally.add(in_flight=-len(flight.frames), device_s=time.perf_counter() - started)
        return flight.chunk, values

    def drop(self) -> Chunk:
        """The oldest chunk, forgotten: its frames are such as the network does not take."""
        flight = self._flights.popleft()
        self._tally.add(in_flight=-len(flight.frames))
        return flight.chunk

    def _timed(self, count: int) -> None:
        """The device was done with so many items, and begins with the next, if it has some."""
        now = self._clock()
        if count:
            self._item_s = (now - self._began_s) / count
        self._began_s = now

    def give_up(self) -> None:
        """Let a `take` that another thread waits in fail soon."""
        self._given_up = True

    def drain(self) -> None:
        """Leave the device as if nothing had been sent: what is under way is cancelled, or waited for, shortly where
        the device can be reset. Raises `BackendError` if it hangs, or does not come back."""
        tickets = [flight.ticket for flight in self._flights if flight.ticket is not None]
        self._tally.add(in_flight=-sum(len(flight.frames) for flight in self._flights))
        self._flights.clear()
        backend = self._backend
        if isinstance(backend, Cancelling):
            for ticket in tickets:
                backend.cancel(ticket)
            return
        limit_s = _DRAIN_S if isinstance(backend, Resettable) else max(self._timeout_s or math.inf, _DRAIN_S)
        try:
            for ticket in tickets:
                self._outlast(ticket, limit_s)
        except BackendTimeoutError:
            if not isinstance(backend, Resettable):
                raise
            self._reset(backend)

    def _outlast(self, ticket: Ticket, limit_s: float) -> None:
        """Wait until nothing of a batch is under way; if it failed, that is so."""
        try:
            self._wait_for(ticket, limit_s, wanted=lambda: True)
        except BackendTimeoutError:
            raise
        except BitswathError:
            return

    def _retried(self, flight: _Flight, step: Callable[[_Flight], _Answer]) -> _Answer:
        try:
            with _numbered(flight.chunk):
                return step(flight)
        except BackendError:
            if flight.retried or self._given_up or not isinstance(self._backend, Resettable):
                raise
            flight.retried = True
            self._reset(self._backend)
            for each in self._flights:
                each.ticket = None
            for each in self._flights:
                self._submit(each)
                self._tally.add(retries=len(each.frames))
            return step(flight)

    def _reset(self, backend: Resettable) -> None:
        self._tally.add(resets=1)
        backend.reset()

    def _submit(self, flight: _Flight) -> None:
        if flight.ticket is None and len(flight.frames):
            flight.ticket = self._backend.submit(flight.frames)
            self._tally.send(self._backend.packing.link_bytes(flight.frames))

    def _collect(self, flight: _Flight) -> Values:
        wanted = (len(flight.frames), *self._shape)
        self._submit(flight)  # again, where it failed after a reset
        if flight.ticket is None:
            return np.zeros(wanted, np.int32)
        values = self._wait_for(flight.ticket, self._timeout_s or math.inf, wanted=lambda: not self._given_up)
        if values.shape != wanted:
            raise BackendError(f"expected answers of shape {wanted}, the backend gave {values.shape}")
        return values

    def _wait_for(self, ticket: Ticket, limit_s: float, wanted: Callable[[], bool]) -> Values:
        """Its answers, as long as they are wanted, and unless nothing is done for `limit_s`."""
        progress, ends = self._progress(), self._clock() + limit_s
        while True:
            asked = self._clock()
            slice_s = min(_SLICE_S, max(ends - asked, 0))
            try:
                return self._backend.collect(ticket, slice_s)
            except BackendTimeoutError as error:
                now = self._clock()
                if now - asked < 0.9 * slice_s:
                    raise  # not this wait's end: the backend knows that nothing will come
                before, progress = progress, self._progress()
                if progress != before:
                    ends = now + limit_s
                if now >= ends:
                    raise self._late(ticket, limit_s) from error
            if not wanted():
                raise BackendError("the stream was closed")

    def _progress(self) -> int:
        progress: int = getattr(self._backend, "progress", 0)  # isinstance of a protocol takes long
        return progress

    def _late(self, ticket: Ticket, limit_s: float) -> BackendTimeoutError:
        if isinstance(self._backend, Advancing):
            return BackendTimeoutError(
                f"nothing of {ticket.frames} frames was done within {limit_s:g} s; the device hangs"
            )
        late = f"{ticket.frames} frames were not done within {limit_s:g} s"
        return BackendTimeoutError(f"{late}; the device hangs, or timeout_s is too short for them")


@contextlib.contextmanager
def _numbered(chunk: Chunk) -> Iterator[None]:
    """A frame of the chunk that is damaged is named by its place in the batch."""
    try:
        yield
    except FrameError as error:
        raise FrameError(chunk.start + error.frame, error.reason) from error


def run(lane: Lane, batch: Items, size: int) -> Values:
    """The integers (n, *output_shape) of one batch of any size, in the calling thread; on an error the lane is
    left empty."""
    values = []
    try:
        for chunk in split(batch, size):
            if lane.full:
                values.append(lane.take()[1])
            lane.put(chunk)
        while not lane.idle:
            values.append(lane.take()[1])
    except BaseException:
        with contextlib.suppress(BackendError):  # the first fault is the one to tell
            lane.drain()
        raise
    return values[0] if len(values) == 1 else np.concatenate(values)
