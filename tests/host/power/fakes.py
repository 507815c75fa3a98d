"""A clock that moves when it is read, and a meter on it: sampling is the same in every run."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from bitswath.errors import PowerError
from bitswath.power import Quantity


@dataclass
class StepClock:
    """Each reading of the clock moves it by `step_s`; `advance` moves it further."""

    step_s: float = 0.01
    now_s: float = 100.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> float:
        with self.lock:
            self.now_s += self.step_s
            return self.now_s

    def advance(self, seconds: float) -> None:
        with self.lock:
            self.now_s += seconds


@dataclass
class CurveMeter:
    """Reads ``watts(t)`` of the clock's time, or `joules`; fails at reading `fails_at`."""

    clock: StepClock
    watts: Callable[[float], float] = lambda t: 2.0
    joules: Callable[[float], float] | None = None
    fails_at: int | None = None
    name: str = "curve"
    rails: tuple[str, ...] = ("a", "b")
    everything: tuple[str, ...] | None = ("a",)
    longest_gap_s: float = math.inf
    readings: int = 0

    @property
    def quantity(self) -> Quantity:
        return Quantity.POWER if self.joules is None else Quantity.ENERGY

    def read(self) -> tuple[float, ...]:
        self.readings += 1
        if self.readings == self.fails_at:
            raise PowerError("the sensor does not answer")
        at = self.clock.now_s + self.clock.step_s / 2  # the middle of the call, which the clock's next step ends
        value = (self.joules or self.watts)(at)
        return value, 10 * value
