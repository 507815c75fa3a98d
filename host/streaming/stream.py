"""Streams over one or several devices: the source is drawn, frames are prepared and results come in beside each other.

One thread draws batches and cuts them into chunks; one for each device (lane.py) prepares chunks and keeps its device
busy; the caller takes results, in order, in its own thread or in an event loop. Whichever device has room takes the
next chunk, or those that wait joined where they are small: one that fails so is done again apart, which makes its error
that of its batch. So much is drawn ahead as keeps the devices busy and no more: who takes results late, draws late.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from bitswath.errors import BackendError, BitswathError, CodecError, InputError, StreamCancelledError
from bitswath.streaming.counters import Counters, Tally
from bitswath.streaming.lane import IN_FLIGHT, Chunk, Items, Lane, Values, split
from bitswath.streaming.pipe import EndError, Pipe

if TYPE_CHECKING:
    import asyncio

__all__ = ["Source", "Stream"]

_JOIN_S = 20.0
"""How long a stream that is forgotten waits for its lanes: maybe it is forgotten where one of them needs a lock."""
_SOURCE_JOIN_S = 1.0
_OF_ITEMS = (InputError, CodecError)
"""What is wrong with items: if they were joined, with some of them."""

_Result = TypeVar("_Result")
Source = Iterable[Any] | AsyncIterable[Any]


class Stream(Generic[_Result]):
    """An iterator, or asynchronous iterator, over one result for each batch of `batches`, in order.

    Nothing is drawn before the first result is asked for; what a generator gives is copied, so that it may fill the
    same array again, unless `copy` is False. `check` makes an array of what the source gives; `chunk`:
    most items at a device in one piece, `joined`: of whole chunks together; `finish` makes a batch's integers
    (n, *output shape) the result; `observe` is called with the counters after each.
    An error of the source, of a batch or of a device comes after the results of all batches before it; of a device,
    its `delivered` says how many frames' results were given. When the stream ends, fails, is closed or
    forgotten, devices are left with nothing under way and can be used again.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        batches: Source,
        *,
        chunk: int,
        check: Callable[[Any], Items],
        finish: Callable[[Values], _Result],
        tally: Tally,
        joined: int = 1,
        observe: Callable[[Counters], None] | None = None,
        copy: bool = True,
    ) -> None:
        self._lanes, self._batches = tuple(lanes), batches
        self._cut = _Cut(check, chunk, copies=copy and not isinstance(batches, Sequence))
        self._finish, self._tally, self._observe, self._joined = finish, tally, observe, joined
        self._pipe = Pipe(window=(IN_FLIGHT + 1) * len(self._lanes) + 1)
        self._held: list[Values] = []
        self._shut: Callable[[], object] | None = None
        self._servers: tuple[threading.Thread, ...] = ()
        self._left: list[BackendError] = []
        self._over = False

    @property
    def counters(self) -> Counters:
        """What was done so far; any thread may ask, also after the end."""
        return self._tally.counters()

    def cancel(self, reason: BitswathError | None = None) -> None:
        """End the stream from any thread: whoever asks for the next result gets `reason`, by default a
        `StreamCancelledError`."""
        self._pipe.fail(0, reason or StreamCancelledError("the stream was cancelled"))

    def close(self) -> None:
        """Give up what is under way and free the devices; returns when they are free. More than once is fine.

        What a device cannot give up is waited for, as long as its accelerator's time-out allows. Raises `BackendError`
        if one hangs then, or does not come back from a reset. A source that does not give its next batch cannot be
        interrupted: its thread ends when it does.
        """
        self._over = True
        self._tally.end()
        if self._shut is not None:
            self._shut()
        for server in self._servers:  # each of its waits has an end
            if server is not threading.current_thread():
                server.join()
        if self._left:
            raise self._left.pop()

    def __iter__(self) -> Iterator[_Result]:
        return self

    def __next__(self) -> _Result:
        if self._over:
            raise StopIteration
        try:
            self._start(None)
            while not self._complete():
                with self._waiting():
                    self._pipe.wait()
            return self._next_result()
        except EndError:
            self.close()
            raise StopIteration from None
        except BaseException as error:
            self._leave(error)
            raise

    def __aiter__(self) -> AsyncIterator[_Result]:
        return self

    async def __anext__(self) -> _Result:
        if self._over:
            raise StopAsyncIteration
        import asyncio

        try:
            self._start(asyncio.get_running_loop())
            while not self._complete():
                with self._waiting():
                    await self._pipe.wait_async()
            return self._next_result()
        except EndError:
            await self.aclose()
            raise StopAsyncIteration from None
        except BaseException as error:
            self._pipe.close()
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self._leave, error))
            raise

    async def aclose(self) -> None:
        """`close`, without holding up the event loop."""
        import asyncio

        await asyncio.get_running_loop().run_in_executor(None, self.close)

    def __enter__(self) -> Stream[_Result]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(*_followed(error)):
            self.close()

    async def __aenter__(self) -> Stream[_Result]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(*_followed(error)):
            await self.aclose()

    def _start(self, loop: asyncio.AbstractEventLoop | None) -> None:
        if self._shut is not None:
            return
        drawn = _drawn(self._batches, loop)
        self._tally.start()
        feeder = threading.Thread(
            target=_feed, args=(self._pipe, drawn, self._cut, self._tally), name="bitswath-source", daemon=True
        )
        self._servers = tuple(
            threading.Thread(
                target=_serve, args=(self._pipe, lane, self._joined, self._left), name="bitswath-lane", daemon=True
            )
            for lane in self._lanes
        )
        self._shut = weakref.finalize(self, partial(_shut, self._pipe, self._lanes, feeder, self._servers))
        for thread in (feeder, *self._servers):
            thread.start()

    def _complete(self) -> bool:
        """Take the chunks that are there; whether they make up a batch. Raises `EndError` behind the last."""
        while (taken := self._pipe.take()) is not None:
            chunk, values = taken
            self._held.append(values)
            if chunk.ends:
                return True
        return False

    def _next_result(self) -> _Result:
        values = self._held[0] if len(self._held) == 1 else np.concatenate(self._held)
        self._held.clear()
        result = self._finish(values)
        self._tally.add(batches=1, frames=len(values))
        if self._observe is not None:
            self._observe(self.counters)
        return result

    def _leave(self, error: BaseException) -> None:
        with contextlib.suppress(BackendError):  # this error is the one to tell
            self.close()
        if isinstance(error, BackendError):
            error.delivered = self.counters.frames

    @contextlib.contextmanager
    def _waiting(self) -> Generator[None, None, None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._tally.add(caller_s=time.perf_counter() - started)


@dataclass(frozen=True)
class _Cut:
    """How batches become chunks. `copies`: whether the source may fill its arrays anew."""

    check: Callable[[Any], Items]
    size: int
    copies: bool

    def __call__(self, batch: Any, first: int) -> Iterator[Chunk]:
        for chunk in split(self.check(batch), self.size, first):
            yield replace(chunk, items=chunk.items.copy()) if self.copies else chunk


def _feed(pipe: Pipe, batches: Generator[Any, None, None], cut: _Cut, tally: Tally) -> None:
    """The source's thread: whatever ends the source ends the stream at that place."""
    number = 0
    try:
        with contextlib.closing(batches):
            for batch in _timed(batches, tally):
                for chunk in cut(batch, number):
                    if not pipe.offer(chunk):
                        return
                    number += 1
        pipe.exhaust(number)
    except BaseException as error:
        pipe.fail(number, error)


def _timed(batches: Iterator[Any], tally: Tally) -> Iterator[Any]:
    while True:
        started = time.perf_counter()
        try:
            batch = next(batches)
        except StopIteration:
            return
        finally:
            tally.add(source_s=time.perf_counter() - started)
        yield batch


def _serve(pipe: Pipe, lane: Lane, most_joined: int, left: list[BackendError]) -> None:
    """A lane's thread: chunks to the device as long as it has room, results back. `left`: devices not left free."""
    apart: deque[Chunk] = deque()
    try:
        while (chunk := _next(pipe, lane, most_joined, apart)) is not None or not lane.idle:
            if chunk is not None:
                with _ending(pipe, chunk.number):
                    _put(lane, chunk, apart)
            if lane.full or (chunk is None and not lane.idle):
                if not pipe.wants(lane.oldest):
                    return
                with _ending(pipe, lane.oldest):
                    _take(pipe, lane, apart)
    finally:
        try:
            lane.drain()
        except BackendError as error:
            left.append(error)


def _put(lane: Lane, chunk: Chunk, apart: deque[Chunk]) -> None:
    try:
        lane.put(chunk)
    except _OF_ITEMS:
        if not chunk.parts:
            raise
        apart.extend(chunk.parts)


def _take(pipe: Pipe, lane: Lane, apart: deque[Chunk]) -> None:
    try:
        pipe.give(*lane.take())
    except _OF_ITEMS:
        chunk = lane.drop()
        if not chunk.parts:
            raise
        apart.extend(chunk.parts)


def _next(pipe: Pipe, lane: Lane, most_joined: int, apart: deque[Chunk]) -> Chunk | None:
    while apart:
        if pipe.wants((chunk := apart.popleft()).number):
            return chunk
    return pipe.draw(wait=lane.idle, joins=min(lane.joins, most_joined))


@contextlib.contextmanager
def _ending(pipe: Pipe, number: int) -> Iterator[None]:
    """An error is the stream's end at this chunk."""
    try:
        yield
    except BaseException as error:
        pipe.fail(number, error)


def _drawn(batches: Source, loop: asyncio.AbstractEventLoop | None) -> Generator[Any, None, None]:
    """The batches as a generator that the source's thread can run; closing it closes a generator of the user's."""
    if not isinstance(batches, AsyncIterable):
        return _each(batches)
    if loop is None:
        raise InputError("the source is asynchronous: take the results with 'async for'")
    return _awaited(batches.__aiter__(), loop)


def _each(batches: Iterable[Any]) -> Generator[Any, None, None]:
    yield from batches


def _awaited(batches: AsyncIterator[Any], loop: asyncio.AbstractEventLoop) -> Generator[Any, None, None]:
    import asyncio

    async def draw() -> Any:
        return await batches.__anext__()

    async def close() -> None:
        if isinstance(batches, AsyncGenerator):
            await batches.aclose()

    try:
        while True:
            try:
                batch = asyncio.run_coroutine_threadsafe(draw(), loop).result()
            except StopAsyncIteration:
                return
            yield batch
    finally:
        if not loop.is_closed():
            asyncio.run_coroutine_threadsafe(close(), loop)


def _followed(error: BaseException | None) -> tuple[type[BackendError], ...]:
    """What is not told after an error: the first one is."""
    return () if error is None else (BackendError,)


def _shut(pipe: Pipe, lanes: Sequence[Lane], feeder: threading.Thread, servers: Sequence[threading.Thread]) -> None:
    """Also the last thing when a stream is forgotten, which may be in any of its own threads."""
    pipe.close()
    for lane in lanes:
        lane.give_up()
    current = threading.current_thread()
    for thread, limit_s in ((feeder, _SOURCE_JOIN_S), *((server, _JOIN_S) for server in servers)):
        if thread is not current and thread.ident is not None:
            thread.join(limit_s)
