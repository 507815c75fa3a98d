"""Requests that wait for a device: joined into chunks, in turns between clients, within bounds.

Each client has its turn at every chunk, and each of a client's requests its turn among those, so that a single patch
waits for a share of a chunk of everyone's and not for a large request to end.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import BitswathError
from bitswath.serving.refusals import busy

__all__ = ["Job", "Piece", "Queue"]

Frames = NDArray[np.uint8]


@dataclass(eq=False)
class Job:
    """The frames (n, W) of one request, and how far it got. `client`: whose turn it takes; `waiter`: of who waits for
    the answers, to be woken when all are there or one cannot be had.

    `values`: (n, *output shape) once all are there; `error` in their place. Nanoseconds of a monotonic clock.
    """

    frames: Frames
    client: Hashable
    waiter: asyncio.Future[None]
    queued_ns: int = field(default_factory=time.monotonic_ns)
    first_ns: int = 0
    ended_ns: int = 0
    compute_ns: int = 0
    values: NDArray[Any] | None = None
    error: BitswathError | None = None
    _taken: int = 0
    _answered: int = 0

    @property
    def over(self) -> bool:
        return self.ended_ns != 0

    @property
    def waiting(self) -> int:
        """Frames that no device has yet."""
        return len(self.frames) - self._taken

    def take(self, most: int) -> Piece:
        """Its next frames, for a device."""
        self.first_ns = self.first_ns or time.monotonic_ns()
        piece = Piece(self, self._taken, min(self._taken + most, len(self.frames)))
        self._taken = piece.stop
        return piece

    def receive(self, piece: Piece, values: NDArray[Any], compute_ns: int) -> bool:
        """A piece's answers; whether they are the last."""
        if self.over:
            return False
        if self.values is None:
            self.values = np.empty((len(self.frames), *values.shape[1:]), values.dtype)
        self.values[piece.start : piece.stop] = values
        self._answered += len(values)
        self.compute_ns += compute_ns
        return self._answered == len(self.frames) and self.end()

    def end(self, error: BitswathError | None = None) -> bool:
        """Nothing more is done for it; False if that was so before."""
        if self.over:
            return False
        self.error, self.ended_ns = error, time.monotonic_ns()
        return True


@dataclass(frozen=True, eq=False)
class Piece:
    """Frames `start` to `stop` of a job, which go to a device in one chunk; `again`: for the second time."""

    job: Job
    start: int
    stop: int
    again: bool = False

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def frames(self) -> Frames:
        return self.job.frames[self.start : self.stop]


class Queue:
    """Jobs of one model. `most`: frames that wait before others are refused; of one client half as many."""

    def __init__(self, most: int, max_delay_us: int = 0) -> None:
        self._most, self._delay_s = most, max_delay_us / 1e6
        self._changed = threading.Condition()
        self._clients: OrderedDict[Hashable, deque[Job]] = OrderedDict()
        self._waiting: Counter[Hashable] = Counter()
        self._again: deque[list[Piece]] = deque()
        self._idle = 0
        self._closed = False
        self.depth = 0
        """Frames that wait."""

    def put(self, job: Job) -> None:
        """Let a job wait for its turns. Raises `RequestError` 503 if there is no room, or the model is being unloaded.

        A request of any size is taken while its client has less than its share waiting.
        """
        with self._changed:
            if self._closed:
                raise busy("the model is being unloaded; send the request again")
            if self.depth >= self._most or self._waiting[job.client] >= max(self._most // 2, 1):
                raise busy(f"{self.depth} frames wait already; send fewer at once, or later")
            self._clients.setdefault(job.client, deque()).append(job)
            self._waiting[job.client] += len(job.frames)
            self.depth += len(job.frames)
            if self._idle:
                self._changed.notify()

    def draw(self, room: int, *, wait: bool) -> list[Piece]:
        """Pieces of at most `room` frames together; none if nothing waits (unless it is to `wait`), or never will."""
        with self._changed:
            if wait:
                self._idle += 1
                self._changed.wait_for(lambda: self._again or self._clients or self._closed)
                if self._delay_s and self._clients and not self._again:
                    self._changed.wait_for(lambda: self.depth >= room or self._closed, self._left_s())
                self._idle -= 1
            return self._again.popleft() if self._again else self._turns(room)

    def give_back(self, pieces: Sequence[Piece]) -> None:
        """Pieces that a device had in one chunk and did not answer are next, as a chunk again."""
        with self._changed:
            self._again.append([piece for piece in pieces if not piece.job.over])
            self._changed.notify_all()

    def drop(self, job: Job, error: BitswathError | None = None) -> bool:
        """End a job that failed, or that nobody waits for: what no device has yet of it is left out. False if it was
        over before."""
        with self._changed:
            jobs = self._clients.get(job.client)
            if jobs and job in jobs:
                jobs.remove(job)
                self._count(job.client, job.waiting)
            return job.end(error)

    def refuse(self, error: BitswathError) -> list[Job]:
        """End all that waits; the jobs that were."""
        with self._changed:
            jobs = [job for jobs in self._clients.values() for job in jobs]
            jobs += [piece.job for pieces in self._again for piece in pieces]
            self._clients.clear()
            self._waiting.clear()
            self._again.clear()
            self.depth = 0
            return [job for job in jobs if job.end(error)]

    def close(self) -> None:
        """Take no more jobs; those that wait are still drawn."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether nothing waits and nothing will."""
        with self._changed:
            return self._closed and not self._clients and not self._again

    def _left_s(self) -> float:
        """How long the oldest job may still wait for others."""
        oldest = min(jobs[0].queued_ns for jobs in self._clients.values())
        return max(self._delay_s - (time.monotonic_ns() - oldest) / 1e9, 0)

    def _turns(self, room: int) -> list[Piece]:
        pieces = []
        share = max(1, room // max(len(self._clients), 1))
        while room and self._clients:
            client, jobs = next(iter(self._clients.items()))
            self._clients.move_to_end(client)
            piece = jobs[0].take(min(share, room))
            pieces.append(piece)
            room -= len(piece)
            if jobs[0].waiting:
                jobs.rotate(-1)
            else:
                jobs.popleft()
            self._count(client, len(piece))
        return pieces

    def _count(self, client: Hashable, taken: int) -> None:
        """Frames of a client wait no more; one without any is forgotten."""
        self.depth -= taken
        self._waiting[client] -= taken
        if not self._clients[client]:
            del self._clients[client], self._waiting[client]
