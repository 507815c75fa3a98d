"""What is to be done later, unless it is called off before."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable

__all__ = ["Alarms"]


class Alarms:
    """Alarms of one event loop, of which nearly all are called off: one timer serves them all, so that an alarm costs
    no more than its entry in a dictionary."""

    def __init__(self) -> None:
        self._due: dict[int, tuple[float, Callable[[], object]]] = {}
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0

    def set(self, after_s: float, action: Callable[[], object]) -> int:
        """Let `action` be called after that time; a number to call it off by."""
        number, at = next(self._numbers), time.monotonic() + after_s
        self._due[number] = at, action
        if self._timer is None or at < self._rings_at:
            self._arm(at)
        return number

    def off(self, number: int) -> None:
        """Nothing more happens of this alarm, if it was not done yet."""
        self._due.pop(number, None)

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = at
        self._timer = asyncio.get_running_loop().call_later(at - time.monotonic(), self._ring)

    def _ring(self) -> None:
        self._timer, now = None, time.monotonic()
        for number in [number for number, (at, _) in self._due.items() if at <= now]:
            asyncio.get_running_loop().call_soon(self._due.pop(number)[1])
        if self._due:
            self._arm(min(at for at, _ in self._due.values()))
