"""Seeing where time goes without changing what runs: a backend that writes down when it was called."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.base import Backend, Packing, Ticket

__all__ = ["Calls", "TimedBackend"]


@dataclass(frozen=True)
class Calls:
    """Seconds of `time.perf_counter` at which a batch was handed over and asked for, and each call's return."""

    submit: float
    submitted: float
    collect: float
    collected: float


class TimedBackend:
    """Passes everything on to `backend`. `last`: the times of the batch collected last, None before the first."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.last: Calls | None = None
        self._begun: dict[int, tuple[float, float]] = {}

    @property
    def packing(self) -> Packing:
        return self.backend.packing

    @property
    def frames_in_flight(self) -> int:
        return self.backend.frames_in_flight

    @property
    def clock_hz(self) -> float | None:
        return self.backend.clock_hz

    def submit(self, frames: NDArray[np.uint8]) -> Ticket:
        """See `Backend.submit`."""
        begins = time.perf_counter()
        ticket = self.backend.submit(frames)
        self._begun[ticket.number] = begins, time.perf_counter()
        return ticket

    def collect(self, ticket: Ticket, timeout_s: float | None = None) -> NDArray[np.signedinteger]:
        """See `Backend.collect`."""
        begins = time.perf_counter()
        values = self.backend.collect(ticket, timeout_s)
        self.last = Calls(*self._begun.pop(ticket.number), begins, time.perf_counter())
        return values

    def close(self) -> None:
        """See `Backend.close`."""
        self.backend.close()
