"""What the benchmark scripts share beyond the package's own measuring (bitswath.bench)."""

from __future__ import annotations

import statistics

from bitswath.basics.machine import machine, versions
from bitswath.bench.turns import (
    CPU_CLOCK,
    WALL_CLOCK,
    Clock,
    Facts,
    Measure,
    Rates,
    batch_for,
    interleaved,
    latencies_s,
    ratios,
    timed,
)

__all__ = [
    "CPU_CLOCK",
    "WALL_CLOCK",
    "Clock",
    "Facts",
    "Measure",
    "Rates",
    "batch_for",
    "core_share",
    "interleaved",
    "latencies_s",
    "machine",
    "ratios",
    "summary",
    "timed",
    "versions",
]


def summary(values: list[float]) -> dict[str, float]:
    """Median and range of a rate over the rounds."""
    return {"patches_per_s": statistics.median(values), "lowest": min(values), "highest": max(values)}


def core_share(seconds: float = 0.1, wall: Clock = WALL_CLOCK, cpu: Clock = CPU_CLOCK) -> float:
    """How much of a core this process gets: less than 1 where other work shares it."""
    started, used = wall(), cpu()
    while wall() - started < seconds:
        pass
    return (cpu() - used) / (wall() - started)
