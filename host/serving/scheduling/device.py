"""A device at work for a queue: a thread that keeps its lane busy, and opens it again when it failed."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bitswath.accelerator import Accelerator
from bitswath.backends.base import Resettable
from bitswath.errors import BackendError, BitswathError, FrameError
from bitswath.serving.scheduling.queue import Frames, Job, Piece, Queue
from bitswath.streaming.counters import Tally
from bitswath.streaming.lane import Chunk, Lane, Values

__all__ = ["Device", "Watcher"]

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 30.0
_log = logging.getLogger("bitswath.serving")


class Watcher(Protocol):
    """Who is told what a device does, in its thread."""

    def executed(self, frames: int, input_ns: int, compute_ns: int) -> None:
        """A chunk was joined and computed."""

    def finished(self, jobs: Sequence[Job]) -> None:
        """These jobs have their answers, or their error."""

    def changed(self) -> None:
        """A device is in service again, or out of it."""


class Device:
    """Whatever `open_` opens, in service until `queue` is closed and empty.

    A fault that a reset did not mend, or that a backend without one was given twice, is its requests' error; then the
    device is closed and opened again, after longer and longer pauses. Frames that were with it but not to blame go to
    the next device that draws.
    """

    def __init__(
        self,
        name: str,
        open_: Callable[[], Accelerator],
        queue: Queue,
        watcher: Watcher,
        *,
        max_batch: int,
    ) -> None:
        self.name, self.faults, self.tally = name, 0, Tally()
        self.serving = False
        self.error: str | None = None
        self._open, self._queue, self._watcher, self._max_batch = open_, queue, watcher, max_batch
        self._accelerator: Accelerator | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"bitswath-device-{name}", daemon=True)

    def start(self) -> Accelerator:
        """Open it and begin; the accelerator, for what it says of its bundle. Raises `BundleError`, `BackendError`."""
        self._accelerator = self._open()
        self.serving = True
        self._thread.start()
        return self._accelerator

    def stop(self, timeout_s: float) -> None:
        """Let it end, once its queue is closed and empty, and close it; after `timeout_s` whatever it does."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        self._stopped.set()
        self._close()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                if self._accelerator is not None:
                    self._serve(self._accelerator)
                return
            except BackendError as error:
                if self._stopped.is_set():
                    return
                self._out_of_service(error)
            if not self._reopened():
                return

    def _serve(self, accelerator: Accelerator) -> None:
        lane = accelerator.frames_lane(self.tally)
        again = not isinstance(accelerator.backend, Resettable)
        work = _Work(lane, self._queue, self._watcher, self.tally, again=again, broken=self._broken)
        room = min(self._max_batch, accelerator.chunk)
        while not self._stopped.is_set():
            pieces = self._queue.draw(room, wait=lane.idle)
            if pieces:
                work.put(pieces)
            elif lane.idle and self._queue.closed:
                return
            if not lane.idle and (lane.full or not pieces):
                work.take()

    def _broken(self, error: BackendError) -> None:
        """Before a client hears of it, so that what it asks next is told the same."""
        self.serving, self.error = False, str(error)

    def _out_of_service(self, error: BackendError) -> None:
        self.faults += 1
        self._broken(error)
        _log.error("device out of service", extra={"device": self.name, "reason": str(error)})
        self._watcher.changed()
        self._close()

    def _reopened(self) -> bool:
        pause_s = _FIRST_PAUSE_S
        while not self._stopped.wait(pause_s) and not self._queue.closed:
            try:
                self._accelerator = self._open()
            except BitswathError as error:
                self.error, pause_s = str(error), min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            self.serving, self.error = True, None
            _log.warning("device in service again", extra={"device": self.name})
            self._watcher.changed()
            return True
        return False

    def _close(self) -> None:
        accelerator, self._accelerator = self._accelerator, None
        if accelerator is not None:
            with contextlib.suppress(BackendError):
                accelerator.close()


class _Flight(NamedTuple):
    """Pieces in one chunk, when they were drawn and when sent."""

    pieces: list[Piece]
    drawn_ns: int
    sent_ns: int


class _Work:
    """What one lane has under way, and who gets what comes of it. `again`: whether a chunk's fault is met here, by
    giving it back once, and not by the lane; `broken`: told of a fault first of all."""

    def __init__(
        self,
        lane: Lane,
        queue: Queue,
        watcher: Watcher,
        tally: Tally,
        *,
        again: bool,
        broken: Callable[[BackendError], None],
    ) -> None:
        self._lane, self._queue, self._watcher, self._tally = lane, queue, watcher, tally
        self._again, self._broken = again, broken
        self._flights: dict[int, _Flight] = {}
        self._count = 0

    def put(self, pieces: list[Piece]) -> None:
        """Join pieces and send them. Raises `BackendError`, once everything under way has another place."""
        number, self._count = self._count, self._count + 1
        started = time.monotonic_ns()
        chunk = Chunk(number, _joined(pieces), ends=True)
        self._flights[number] = _Flight(pieces, started, time.monotonic_ns())
        self._met(number, partial(self._lane.put, chunk))

    def take(self) -> None:
        """Hand the oldest chunk's answers to its jobs. Raises as `put` does."""
        self._met(self._lane.oldest, lambda: self._deliver(*self._lane.take()))

    def _deliver(self, chunk: Chunk, values: Values) -> None:
        flight = self._flights.pop(chunk.number)
        compute_ns = time.monotonic_ns() - flight.sent_ns
        self._tally.add(batches=1, frames=len(values))
        self._watcher.executed(len(values), flight.sent_ns - flight.drawn_ns, compute_ns)
        ended, at = [], 0
        for piece in flight.pieces:
            if piece.job.receive(piece, values[at : at + len(piece)], compute_ns):
                ended.append(piece.job)
            at += len(piece)
        self._watcher.finished(ended)

    def _met(self, number: int, step: Callable[[], None]) -> None:
        """A step, and whose error is whose: frames that are wrong are their request's, all else the device's."""
        try:
            step()
        except BackendError as error:
            self._broken(error)
            pieces = self._emptied(number)
            if self._again and not any(piece.again for piece in pieces):
                self._queue.give_back([Piece(piece.job, piece.start, piece.stop, again=True) for piece in pieces])
            else:
                self._fail(pieces, error)
            raise
        except BitswathError as error:
            pieces = self._emptied(number)
            if len(pieces) == 1:
                self._fail(pieces, _of_request(error, pieces[0]))
            for piece in pieces if len(pieces) > 1 else ():  # alone, the one to blame shows
                self._queue.give_back([piece])
        except Exception as error:
            _log.exception("a chunk failed unexpectedly")
            fault = BackendError(f"{type(error).__name__}: {error}")
            self._broken(fault)
            self._fail(self._emptied(number), BackendError("failed unexpectedly; the server's log says how"))
            raise fault from error

    def _emptied(self, number: int) -> list[Piece]:
        """The pieces of a chunk that failed; the others under way are given back, and nothing is with the device."""
        failed = self._flights.pop(number, None)
        for flight in self._flights.values():
            self._queue.give_back(flight.pieces)
        self._flights.clear()
        with contextlib.suppress(BackendError):  # the fault at hand is the one to tell
            self._lane.drain()
        return failed.pieces if failed else []

    def _fail(self, pieces: Sequence[Piece], error: BitswathError) -> None:
        self._watcher.finished([piece.job for piece in pieces if self._queue.drop(piece.job, error)])


def _joined(pieces: Sequence[Piece]) -> Frames:
    """Frames (n, W) of all pieces, compressed ones filled up to the longest."""
    if len(pieces) == 1:
        return pieces[0].frames
    width = max(piece.frames.shape[1] for piece in pieces)
    joined: NDArray[np.uint8] = np.zeros((sum(map(len, pieces)), width), np.uint8)
    at = 0
    for piece in pieces:
        joined[at : at + len(piece), : piece.frames.shape[1]] = piece.frames
        at += len(piece)
    return joined


def _of_request(error: BitswathError, piece: Piece) -> BitswathError:
    """A damaged frame by its place in the request."""
    return FrameError(piece.start + error.frame, error.reason) if isinstance(error, FrameError) else error
