"""What one version of a model has done: counts and durations, from which every report of the server is made."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["STAGES", "BatchTimes", "Statistics", "Times"]

STAGES = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
"""Of a request, as Triton's statistics name them: answered or not, waiting, made into frames, at a device, answered."""

_RECENT = 2048
_SPAN_S = 30.0


@dataclass
class Times:
    """How often something was done, and how long all of it took."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        self.count += 1
        self.ns += ns


@dataclass
class BatchTimes:
    """Chunks of one size: what joining their frames took, and computing them."""

    compute_input: Times = field(default_factory=Times)
    compute_infer: Times = field(default_factory=Times)


class Statistics:
    """Counted by any thread, read by any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.stages = {stage: Times() for stage in STAGES}
        self.batches: dict[int, BatchTimes] = {}
        self.inferences = self.executions = 0
        self.last_ms = 0
        self.refused: Counter[int] = Counter()
        """Requests that were not answered, by HTTP status."""
        self._recent: deque[tuple[float, float, int]] = deque(maxlen=_RECENT)

    def answered(self, frames: int, **stages_ns: int) -> None:
        """A request of so many frames was answered; nanoseconds of each of `STAGES` but "fail"."""
        with self._lock:
            self.inferences += frames
            self.last_ms = time.time_ns() // 1_000_000
            for stage, ns in stages_ns.items():
                self.stages[stage].add(ns)
            self._recent.append((time.monotonic(), stages_ns["success"] / 1e9, frames))

    def failed(self, status: int, ns: int) -> None:
        """A request was not."""
        with self._lock:
            self.stages["fail"].add(ns)
            self.refused[int(status)] += 1

    def executed(self, frames: int, input_ns: int, compute_ns: int) -> None:
        """A device computed a chunk."""
        with self._lock:
            self.executions += 1
            times = self.batches.setdefault(frames, BatchTimes())
            times.compute_input.add(input_ns)
            times.compute_infer.add(compute_ns)

    def recent(self) -> dict[str, float]:
        """Of the last half minute: requests and frames a second, and milliseconds that 50, 95 and 99 of 100 requests
        took at most."""
        now = time.monotonic()
        with self._lock:
            rows = [row for row in self._recent if now - row[0] < _SPAN_S]
            full = len(rows) == _RECENT
        if not rows:
            return {"requests_per_s": 0.0, "frames_per_s": 0.0}
        span_s = max(now - rows[0][0], 1.0) if full else _SPAN_S
        latency = _percentiles([row[1] for row in rows])
        return {"requests_per_s": len(rows) / span_s, "frames_per_s": sum(row[2] for row in rows) / span_s, **latency}


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    values = np.percentile(np.array(seconds) * 1e3, (50, 95, 99))
    return {f"p{share}_ms": float(value) for share, value in zip((50, 95, 99), values)}
