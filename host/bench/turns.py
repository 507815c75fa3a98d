"""How everything is measured: in turns, by wall or CPU time.

Rates vary on a shared machine by a factor of two within seconds. So everything that is compared is
measured in many short turns, and a ratio is the median of the ratios of the turns, not the ratio of two
medians. What runs on one core may be measured by the time that the process got, `CPU_CLOCK`, where other
work shares the cores.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = [
    "CPU_CLOCK",
    "WALL_CLOCK",
    "Clock",
    "Facts",
    "Measure",
    "Rates",
    "batch_for",
    "interleaved",
    "latencies_s",
    "ratios",
    "timed",
]

Clock = Callable[[], float]
Measure = Callable[[], float]
WALL_CLOCK: Clock = time.perf_counter
CPU_CLOCK: Clock = time.process_time
Facts = dict[str, Any]
"""What was measured, nested, as it stands in the JSON file."""
Rates = dict[str, list[float]]
"""By name, one value a round, of whatever unit per second."""


def timed(
    run: Callable[[], object],
    amount: float,
    clock: Clock = WALL_CLOCK,
    least_s: float = 0.0,
    wall: Clock = WALL_CLOCK,
) -> Measure:
    """A measurement of `run`, which works off `amount` of something: that amount per second of `clock`.

    It calls `run` until `least_s` of wall time have passed, once at least.
    """

    def measure() -> float:
        calls, ends = 0, wall() + least_s
        started = clock()
        while not calls or wall() < ends:
            run()
            calls += 1
        return calls * amount / (clock() - started)

    return measure


def interleaved(measures: Mapping[str, Measure], rounds: int) -> Rates:
    """Each measurement once a round, after a round that does not count; every other round backwards."""
    for measure in measures.values():
        measure()
    rates: Rates = {name: [] for name in measures}
    for index in range(rounds):
        order = list(measures.items())
        for name, measure in reversed(order) if index % 2 else order:
            rates[name].append(measure())
    return rates


def ratios(pairs: Mapping[str, tuple[list[float], list[float]]]) -> Facts:
    """By name, the median over the rounds of one rate over the other; the two other "quartiles" by the same name."""
    by_round = {name: [a / b for a, b in zip(above, below)] for name, (above, below) in pairs.items()}
    quartiles = {name: np.quantile(values, [0.25, 0.75]).tolist() for name, values in by_round.items()}
    return {**{name: statistics.median(values) for name, values in by_round.items()}, "quartiles": quartiles}


def latencies_s(run: Callable[[], object], count: int, clock: Clock = WALL_CLOCK) -> list[float]:
    """Seconds of each of `count` runs in a row."""
    taken = []
    for _ in range(count):
        started = clock()
        run()
        taken.append(clock() - started)
    return taken


def batch_for(run: Callable[[int], object], seconds: float, largest: int, clock: Clock = WALL_CLOCK) -> int:
    """The power of two up to `largest` for which ``run(batch)`` takes about `seconds`."""
    batch = 1
    while batch < largest:
        started = clock()
        run(batch)
        taken = clock() - started
        if taken > seconds / 1.5:
            break
        batch = min(largest, batch * (2 if taken > seconds / 16 else 8))
    return batch
