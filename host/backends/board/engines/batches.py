"""Frames under way, between those who submit and collect them and the thread that owns the device."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.base import Ticket
from bitswath.errors import BackendError, BackendTimeoutError, BitswathError

__all__ = ["Batch", "Batches", "Reset", "Values", "again"]

Values = NDArray[np.signedinteger]


@dataclass
class Batch:
    """`taken`: rows given to transfers; `back`: rows whose answers are in `answers`, and in `status` whether what they
    are of was sound (0)."""

    number: int
    frames: NDArray[np.uint8]
    taken: int = 0
    back: int = 0
    answers: list[Values] = field(default_factory=list)
    status: list[NDArray[np.uint8]] = field(default_factory=list)


@dataclass
class Reset:
    """Asked for until `done`; `error`: why it failed."""

    done: threading.Event = field(default_factory=threading.Event)
    error: BackendError | None = None


class Batches:
    """`most`: frames in one transfer; `room`: frames that may be under way; `timeout_s`: the longest of a transfer.

    After a fault everything raises it until a reset.
    """

    def __init__(self, most: int, room: int, timeout_s: float) -> None:
        self._most, self._room, self._timeout_s = most, room, timeout_s
        self._lock = threading.Condition()
        self._queue: deque[Batch] = deque()
        self._outstanding: dict[int, Batch] = {}
        self._frames = self._tickets = self._void = 0
        self._closed = False
        self._fault: BackendError | None = None
        self._reset: Reset | None = None

    def put(self, rows: NDArray[np.uint8]) -> Ticket:
        """Queue frames, once there is room."""
        deadline = time.monotonic() + self._timeout_s
        with self._lock:
            while True:
                self._check_usable()
                if self._frames == 0 or self._frames + len(rows) <= self._room:
                    break
                if not self._lock.wait(max(0.0, deadline - time.monotonic())):
                    raise BackendTimeoutError(f"no room for {len(rows)} frames within {self._timeout_s:g} s")
            batch = Batch(self._tickets, rows)
            self._tickets += 1
            self._outstanding[batch.number] = batch
            if len(rows):
                self._frames += len(rows)
                self._queue.append(batch)
                self._lock.notify_all()
            return Ticket(batch.number, len(rows))

    def take(self, ticket: Ticket, timeout_s: float | None) -> Batch:
        """The ticket's batch, once all of it is back; by default waits for as long as all before it may take."""
        with self._lock:
            if timeout_s is None:
                timeout_s = self._timeout_s * (2 + -(-self._frames // self._most))
            deadline = time.monotonic() + timeout_s
            while True:
                batch = self._batch(ticket)
                if batch.back == len(batch.frames):
                    return self._outstanding.pop(ticket.number)
                self._check_usable()
                if not self._lock.wait(max(0.0, deadline - time.monotonic())):
                    raise BackendTimeoutError(f"no answer to {ticket.frames} frames within {timeout_s:g} s")

    def ask_reset(self) -> Reset:
        """Have the device's thread reset it; one request for all who ask meanwhile."""
        with self._lock:
            self._check_open()
            request = self._reset = self._reset or Reset()
            self._lock.notify_all()
            return request

    def close(self) -> None:
        """Nothing is taken any more; the device's thread ends."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()

    def _batch(self, ticket: Ticket) -> Batch:
        self._check_open()
        batch = self._outstanding.get(ticket.number)
        if batch is None:
            if ticket.number < self._void:
                raise BackendError(f"ticket {ticket.number} is void: the device was reset; submit its frames again")
            raise BackendError(f"ticket {ticket.number} is not outstanding; each is collected once")
        return batch

    def _check_open(self) -> None:
        if self._closed:
            raise BackendError("the backend is closed; open the bundle again")

    def _check_usable(self) -> None:
        self._check_open()
        if self._fault is not None:
            raise again(self._fault)

    # what follows is for the thread that owns the device

    @property
    def faulty(self) -> bool:
        with self._lock:
            return self._fault is not None

    @property
    def interrupted(self) -> bool:
        """Whether a transfer under way is not waited for any more."""
        with self._lock:
            return self._closed or self._reset is not None

    def wait(self, busy: bool) -> bool:
        """Until there is something to do, which there is if a transfer runs (`busy`); False once closed."""
        with self._lock:
            while not (self._closed or self._reset or (not self._fault and (busy or self._queue))):
                self._lock.wait()
            return not self._closed

    def draw(self) -> tuple[Batch, NDArray[np.uint8]] | None:
        """The next transfer's rows and their batch, if there are any."""
        with self._lock:
            if not self._queue:
                return None
            batch = self._queue[0]
            rows = batch.frames[batch.taken : batch.taken + self._most]
            batch.taken += len(rows)
            if batch.taken == len(batch.frames):
                self._queue.popleft()
            return batch, rows

    def answer(self, batch: Batch, rows: int, answers: Values, status: NDArray[np.uint8]) -> None:
        """The next `rows` of a batch are back."""
        with self._lock:
            batch.answers.append(answers)
            batch.status.append(status)
            batch.back += rows
            self._frames -= rows
            self._lock.notify_all()

    @property
    def reset(self) -> Reset | None:
        """What is asked for."""
        with self._lock:
            return self._reset

    def void(self) -> None:
        """Forget all that is under way, and the fault."""
        with self._lock:
            self._queue.clear()
            self._outstanding.clear()
            self._void, self._frames, self._fault = self._tickets, 0, None

    def end_reset(self, error: BackendError | None = None) -> None:
        """Tell whoever asked: what went wrong since `void`, or `error`."""
        with self._lock:
            request, self._reset = self._reset, None
            if request is not None:
                request.error = error or self._fault
                request.done.set()
            self._lock.notify_all()

    @contextlib.contextmanager
    def reported(self) -> Iterator[None]:
        """What goes wrong here is the fault that everybody sees from now on."""
        try:
            yield
        except Exception as error:  # the thread's end: whoever waits must hear of it, whatever it is
            known = error if isinstance(error, BackendError) else _unexpected(error)
            with self._lock:
                self._fault = known
                self._lock.notify_all()


def again(error: BackendError) -> BackendError:
    """The same error for another thread, with a trace of its own."""
    return type(error)(*error.args)


def _unexpected(error: Exception) -> BackendError:
    text = str(error) if isinstance(error, BitswathError) else f"{type(error).__name__}: {error}"
    return BackendError(f"the device failed ({text}); reset it")
