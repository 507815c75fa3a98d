"""A backend that computes with the numpy reference, keeps a log, and fails on demand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.base import Packing, Ticket
from bitswath.errors import BackendError, BackendTimeoutError
from bitswath.network import Network
from bitswath.packing import unpack, unpack_folded


class FakeBackend:
    """Computes ``outputs(codes)`` when asked to collect. `log`: what was called, in order."""

    frames_in_flight = 64
    clock_hz: float | None = None

    def __init__(
        self,
        network: Network,
        bits: int,
        *,
        group: int | None = None,
        late: int | None = None,
        broken: int | None = None,
    ) -> None:
        self.network, self.packing = network, Packing(bits, group)
        self.late, self.broken = late, broken
        self.log: list[str] = []
        self.timeouts: list[float | None] = []
        self.waiting: dict[int, NDArray[np.uint8]] = {}
        self.submitted = 0
        self.closed = False

    def submit(self, frames: NDArray[np.uint8]) -> Ticket:
        self.log.append(f"submit {self.submitted}")
        self.waiting[self.submitted] = frames.copy()
        self.submitted += 1
        return Ticket(self.submitted - 1, len(frames))

    def collect(self, ticket: Ticket, timeout_s: float | None = None) -> NDArray[np.int32]:
        return self._answer(ticket.number, timeout_s)

    def _answer(self, ticket: int, timeout_s: float | None) -> NDArray[np.int32]:
        self.log.append(f"collect {ticket}")
        self.timeouts.append(timeout_s)
        if ticket == self.late:
            self.late = None
            raise BackendTimeoutError(f"no answer within {timeout_s} s")
        if self.closed:
            raise BackendError("closed")
        if ticket not in self.waiting:
            raise BackendError(f"ticket {ticket} is not outstanding")
        frames = self.waiting.pop(ticket)
        if ticket == self.broken:
            raise BackendError("the device is broken")
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
