"""Reading a meter while something runs, and the energy that the readings amount to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import InputError, PowerError
from bitswath.power.meters import Meter, Quantity

__all__ = ["LEAST_SAMPLES", "Sampler", "Samples"]

LEAST_SAMPLES = 5
"""Fewer readings than this give no figure."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Readings of one meter. `times_s`: float64 (n,), of a monotonic clock, strictly increasing; `values`: float64
    (n, rails), watts or joules by `quantity`."""

    meter: str
    quantity: Quantity
    rails: tuple[str, ...]
    times_s: NDArray[np.float64]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.times_s), len(self.rails)):
            wanted = (len(self.times_s), len(self.rails))
            raise InputError(f"expected readings {wanted} (times, rails), got {self.values.shape}")
        if len(self.times_s) > 1 and not (np.diff(self.times_s) > 0).all():
            raise InputError(f"{self.meter}: expected times that increase")

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def seconds(self) -> float:
        """From the first reading to the last."""
        return float(self.times_s[-1] - self.times_s[0]) if len(self) else 0.0

    @property
    def longest_gap_s(self) -> float:
        """The longest time between two readings, 0 with fewer than two."""
        return float(np.diff(self.times_s).max(initial=0.0))

    @property
    def changes(self) -> int:
        """How often a reading differed from the one before: a sensor may be slower than its readers."""
        return int((np.diff(self.values, axis=0) != 0).any(axis=1).sum())

    def energy_j(self, rails: Sequence[str]) -> float:
        """Joules of these rails together, from the first reading to the last.

        Watts are integrated by the trapezoidal rule, a counter's joules are subtracted. Raises `PowerError` if there
        are too few readings.
        """
        if len(self) < LEAST_SAMPLES:
            raise PowerError(
                f"{self.meter}: expected {LEAST_SAMPLES} or more readings, got {len(self)} in {self.seconds:.3g} s; "
                "measure longer or read more often"
            )
        values = self.values[:, [self.rails.index(rail) for rail in rails]].sum(axis=1)
        if self.quantity is Quantity.ENERGY:
            return float(values[-1] - values[0])
        return float(((values[1:] + values[:-1]) / 2 * np.diff(self.times_s)).sum())

    def power_w(self, rails: Sequence[str]) -> float:
        """Mean watts of these rails together. Raises as `energy_j` does."""
        return self.energy_j(rails) / self.seconds


class Sampler:
    """Reads `meter` every `period_s` in a thread of its own, from entering the ``with`` block to leaving it.

        with Sampler(meter) as sampler:
            work()
        samples = sampler.samples

    One reading is taken before the block's body and one after it, so that the readings span it. A reading's time is
    the middle of the call. `clock`: seconds, monotonic. If the meter fails, sampling stops, and leaving the block
    raises its `PowerError`; an error in the body goes before that.
    """

    def __init__(self, meter: Meter, period_s: float = 0.05, clock: Callable[[], float] = time.monotonic) -> None:
        if not 0 < period_s < float("inf"):
            raise InputError(f"expected a sampling period above 0 s, got {period_s}")
        self.meter = meter
        self.period_s = period_s
        self._clock = clock
        self._rows: list[tuple[float, tuple[float, ...]]] = []
        self._stop = threading.Event()
        self._pool: ThreadPoolExecutor | None = None
        self._loop: Future[None] | None = None

    @property
    def samples(self) -> Samples:
        """What was read. Raises `PowerError` while the block is not left, or if a gap hides what a counter did."""
        if self._loop is None or self._pool is not None:
            raise PowerError("expected the sampler to have run; its readings are there once its block is left")
        values = np.array([row for _, row in self._rows], np.float64).reshape(len(self._rows), len(self.meter.rails))
        times = np.array([at for at, _ in self._rows])
        found = Samples(self.meter.name, self.meter.quantity, self.meter.rails, times, values)
        if found.longest_gap_s > self.meter.longest_gap_s:
            raise PowerError(
                f"{self.meter.name}: {found.longest_gap_s:.1f} s passed between two readings; its counter may have gone"
                f" round more than once after {self.meter.longest_gap_s:.1f} s"
            )
        return found

    def __enter__(self) -> Sampler:
        if self._loop is not None:
            raise PowerError("expected a sampler to be used once; make another")
        self._read()
        self._pool = ThreadPoolExecutor(1, "bitswath-power")
        self._loop = self._pool.submit(self._run)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()
        if error is None and self._loop is not None:
            self._loop.result()
            self._read()

    def _run(self) -> None:
        due = time.monotonic()
        while True:
            due = max(due + self.period_s, time.monotonic())
            if self._stop.wait(due - time.monotonic()):
                return
            self._read()

    def _read(self) -> None:
        before = self._clock()
        values = self.meter.read()
        at = (before + self._clock()) / 2
        if len(values) != len(self.meter.rails):
            raise PowerError(f"{self.meter.name}: gave {len(values)} readings for {len(self.meter.rails)} rails")
        if not self._rows or at > self._rows[-1][0]:
            self._rows.append((at, values))
