"""What a stream has done so far: counted while it runs, readable at any time from any thread."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

__all__ = ["Counters", "Tally"]


@dataclass(frozen=True)
class Counters:
    """A stream's counts at one moment.

    `batches`, `frames`: given to the caller; `total`: frames to come in all, if it was said. `in_flight`: frames at
    the devices; `link_bytes`: sent to them, a retry's again, of which a frame has `p99_bytes` and `max_bytes` at most,
    99 of 100 and all. `retries`: frames sent again after a fault; `resets`:
    of devices. Seconds: `elapsed_s` since the first result was asked for; `source_s` in the source of batches,
    `host_s` encoding and packing, `device_s` waiting for devices (summed over devices), `caller_s` the caller waited
    for results.
    """

    batches: int = 0
    frames: int = 0
    total: int | None = None
    in_flight: int = 0
    link_bytes: int = 0
    p99_bytes: int = 0
    max_bytes: int = 0
    retries: int = 0
    resets: int = 0
    elapsed_s: float = 0.0
    source_s: float = 0.0
    host_s: float = 0.0
    device_s: float = 0.0
    caller_s: float = 0.0

    @property
    def rate(self) -> float:
        """Frames a second since the start; 0 before anything was given."""
        return self.frames / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def bytes_per_frame(self) -> float:
        """Mean bytes of a frame on the link."""
        return self.link_bytes / max(self.frames + self.in_flight + self.retries, 1)

    @property
    def eta_s(self) -> float | None:
        """Seconds that the rest takes at this rate; None where the total or the rate is not known."""
        if self.total is None or not self.frames:
            return None
        return max(self.total - self.frames, 0) / self.rate


_COUNTED = frozenset(field.name for field in fields(Counters)) - {"total", "elapsed_s", "p99_bytes", "max_bytes"}


@dataclass
class Tally:
    """What `Counters` are snapshots of."""

    total: int | None = None
    _amounts: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_COUNTED, 0))
    _sizes: Counter[int] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _started: float | None = None
    _ended: float | None = None

    def start(self) -> None:
        self._started = time.monotonic()

    def end(self) -> None:
        """The clock stands from here."""
        if self._started is not None and self._ended is None:
            self._ended = time.monotonic()

    def add(self, **amounts: float) -> None:
        with self._lock:
            for name, amount in amounts.items():
                self._amounts[name] += amount

    def send(self, sizes: NDArray[np.int64]) -> None:
        """Frames of these bytes (N,) go to a device."""
        with self._lock:
            self._amounts["link_bytes"] += int(sizes.sum())
            self._sizes.update(sizes.tolist())

    def counters(self) -> Counters:
        now = time.monotonic() if self._ended is None else self._ended
        elapsed_s = 0.0 if self._started is None else now - self._started
        with self._lock:
            p99, largest = (self._size_of(share) for share in (0.99, 1.0))
            return Counters(
                total=self.total,
                elapsed_s=elapsed_s,
                p99_bytes=p99,
                max_bytes=largest,
                **self._amounts,  # type: ignore[arg-type]
            )

    def _size_of(self, share: float) -> int:
        """Bytes that this share of the frames has at most."""
        left = math.ceil(share * sum(self._sizes.values()))
        for size in sorted(self._sizes):
            left -= self._sizes[size]
            if left <= 0:
                return size
        return 0
