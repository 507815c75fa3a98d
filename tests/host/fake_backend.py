"""A backend that computes with the numpy reference, keeps a log, and fails on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.base import Packing, Ticket
from bitswath.codecs.packing import unpack, unpack_folded
from bitswath.errors import BackendError, BackendTimeoutError
from bitswath.network.network import Network


class FakeBackend:
    """Computes ``outputs(codes)`` when asked to collect. `log`: what was called, in order.

    `late`: this ticket's answer comes `late_s` after it was asked for first; `broken`: this one's never.
    While `hold` is not set nothing is answered from ticket `held_from` on.
    """

    frames_in_flight = 64
    clock_hz: float | None = None

    def __init__(
        self,
        network: Network,
        bits: int,
        *,
        group: int | None = None,
        late: int | None = None,
        late_s: float = 0.5,
        broken: int | None = None,
    ) -> None:
        self.network, self.packing = network, Packing(bits, group)
        self.late, self.broken = late, broken
        self.late_until = 0.0
        self.late_s = late_s
        self.log: list[str] = []
        self.waits: list[float | None] = []
        self.waiting: dict[int, NDArray[np.uint8]] = {}
        self.most_waiting = 0
        self.submitted = 0
        self.closed = False
        self.held_from = 0
        self.hold = threading.Event()
        self.hold.set()

    def submit(self, frames: NDArray[np.uint8]) -> Ticket:
        self.log.append(f"submit {self.submitted}")
        self.waiting[self.submitted] = frames.copy()
        self.most_waiting = max(self.most_waiting, len(self.waiting))
        self.submitted += 1
        return Ticket(self.submitted - 1, len(frames))

    def collect(self, ticket: Ticket, timeout_s: float | None = None) -> NDArray[np.int32]:
        number = ticket.number
        self.log.append(f"collect {number}")
        self.waits.append(timeout_s)
        if number >= self.held_from and not self.hold.wait(timeout_s):
            raise BackendTimeoutError(f"no answer within {timeout_s} s")
        if number == self.late:
            self.late_until = self.late_until or time.monotonic() + self.late_s
            left_s = self.late_until - time.monotonic()
            time.sleep(max(min(left_s, left_s if timeout_s is None else timeout_s), 0))
            if timeout_s is not None and left_s > timeout_s:
                raise BackendTimeoutError(f"no answer within {timeout_s} s")
        if self.closed:
            raise BackendError("closed")
        if number not in self.waiting:
            raise BackendError(f"ticket {number} is not outstanding")
        frames = self.waiting.pop(number)
        if number == self.broken:
            raise BackendError("the device is broken")
        return self._answer(frames)

    def _answer(self, frames: NDArray[np.uint8]) -> NDArray[np.int32]:
        shape, packing = self.network.input.shape, self.packing
        if packing.group is None:
            codes: NDArray[Any] = unpack(frames, shape, packing.bits).astype(np.int64)
        else:
            codes = unpack_folded(frames, shape, packing.bits, False, packing.group).astype(np.int64)
        (stage,) = self.network.stages
        weights: NDArray[Any] = stage.weights  # type: ignore[attr-defined]
        values: NDArray[Any] = codes.reshape(len(codes), -1) @ weights.T
        return values.astype(np.int32)

    def close(self) -> None:
        self.log.append("close")
        self.closed = True


class Clock:
    """Seconds that pass only where a backend says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class SlowBackend(FakeBackend):
    """One that is asked `waits_for_answer` times, in vain, before each answer, on a clock of its own.

    `works`: it shows in between that it gets on, as a slow host does; else it stands still, as a device that hangs.
    """

    def __init__(self, network: Network, bits: int, *, waits_for_answer: int, works: bool = True) -> None:
        super().__init__(network, bits)
        self.waits_for_answer, self.works = waits_for_answer, works
        self.clock = Clock()
        self.progress = self._asked = 0

    def collect(self, ticket: Ticket, timeout_s: float | None = None) -> NDArray[np.int32]:
        assert timeout_s is not None, "the lane waits in slices, in which it hears signals"
        if self._asked < self.waits_for_answer:
            self._asked += 1
            self.clock.now_s += timeout_s
            self.progress += self.works
            raise BackendTimeoutError(f"no answer within {timeout_s} s")
        self._asked = 0
        return super().collect(ticket, timeout_s)


class CancellingBackend(FakeBackend):
    """One that can let go of batches."""

    def cancel(self, ticket: Ticket) -> None:
        self.log.append(f"cancel {ticket.number}")
        del self.waiting[ticket.number]


class FaultyBackend(FakeBackend):
    """One that can be reset. `fault(call, number)` is asked at every "submit", "collect" and "reset", of which it is
    the `number`-th, and raises what is to be raised there."""

    def __init__(self, network: Network, bits: int, fault: Callable[[str, int], None]) -> None:
        super().__init__(network, bits)
        self.fault = fault
        self.calls = {"submit": 0, "collect": 0, "reset": 0}

    def submit(self, frames: NDArray[np.uint8]) -> Ticket:
        self._count("submit")
        return super().submit(frames)

    def collect(self, ticket: Ticket, timeout_s: float | None = None) -> NDArray[np.int32]:
        self._count("collect")
        return super().collect(ticket, timeout_s)

    def reset(self, timeout_s: float | None = None) -> None:
        self.log.append("reset")
        self._count("reset")
        self.waiting.clear()

    def _count(self, call: str) -> None:
        self.calls[call] += 1
        self.fault(call, self.calls[call])
