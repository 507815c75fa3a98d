"""What the benchmark scripts share: interleaved measurement, bars, tables, the machine, JSON.

Rates vary on a shared machine by half within minutes. So everything that is compared is measured in
turns, and a ratio is the median of the ratios of the turns, not the ratio of two medians. What runs on
one core may be measured by the time that the process got, `CPU_CLOCK`, where other work shares the cores.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.table import Table

from bitswath import __version__
from bitswath.files import write_atomic

__all__ = [
    "CPU_CLOCK",
    "WALL_CLOCK",
    "Bar",
    "Clock",
    "Measure",
    "Rates",
    "bar_table",
    "batch_for",
    "core_share",
    "interleaved",
    "latencies_s",
    "machine",
    "ratio",
    "summary",
    "timed",
    "today",
    "versions",
    "write_facts",
]

Clock = Callable[[], float]
Measure = Callable[[], float]
WALL_CLOCK: Clock = time.perf_counter
CPU_CLOCK: Clock = time.process_time
Rates = dict[str, list[float]]
"""By name, one value a round, of whatever unit per second."""


def timed(run: Callable[[], object], amount: float, clock: Clock = WALL_CLOCK) -> Measure:
    """A measurement of `run`, which works off `amount` of something: that amount per second."""

    def measure() -> float:
        started = clock()
        run()
        return amount / (clock() - started)

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


def ratio(above: list[float], below: list[float]) -> float:
    """Median over the rounds of one rate over the other."""
    return statistics.median(a / b for a, b in zip(above, below))


def latencies_s(run: Callable[[], object], count: int) -> list[float]:
    """Seconds of each of `count` runs in a row."""
    taken = []
    for _ in range(count):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return taken


def summary(values: list[float]) -> dict[str, float]:
    """Median and range of a rate over the rounds."""
    return {"patches_per_s": statistics.median(values), "lowest": min(values), "highest": max(values)}


def core_share(seconds: float = 0.1) -> float:
    """How much of a core this process gets: less than 1 where other work shares it."""
    started, used = time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        pass
    return (time.process_time() - used) / (time.perf_counter() - started)


def batch_for(run: Callable[[int], object], seconds: float, largest: int) -> int:
    """The power of two up to `largest` for which ``run(batch)`` takes about `seconds`."""
    batch = 1
    while batch < largest:
        started = time.perf_counter()
        run(batch)
        taken = time.perf_counter() - started
        if taken > seconds / 1.5:
            break
        batch = min(largest, batch * (2 if taken > seconds / 16 else 8))
    return batch


@dataclass(frozen=True)
class Bar:
    """What a measure is to reach. `key`: dotted path into the facts; `bound`: None where it is reported only."""

    text: str
    key: str
    bound: float | None
    unit: str = "x"
    at_most: bool = False

    def value(self, facts: Mapping[str, Any]) -> float | None:
        """The measured value, None if it was not measured."""
        found: Any = facts
        for part in self.key.split("."):
            if not isinstance(found, Mapping) or part not in found:
                return None
            found = found[part]
        return float(found)

    def missed(self, facts: Mapping[str, Any]) -> bool:
        value = self.value(facts)
        if value is None or self.bound is None:
            return False
        return value > self.bound if self.at_most else value < self.bound

    def shown(self, value: float | None) -> str:
        if value is None:
            return ""
        number = 100 * value if self.unit == "%" else value
        digits = 0 if abs(number) >= 100 else 1 if abs(number) >= 10 else 2
        return f"{number:,.{digits}f}{'' if self.unit == 'x' else ' '}{self.unit}"


def bar_table(title: str, bars: Iterable[Bar], facts: Mapping[str, Any]) -> Table:
    """Measured against wanted, a row for each bar that was measured."""
    table = Table("measure", "measured", "to reach", "", title=title, title_justify="left")
    for bar in bars:
        value = bar.value(facts)
        if value is None:
            continue
        verdict = "" if bar.bound is None else "[red]missed[/red]" if bar.missed(facts) else "[green]reached[/green]"
        wanted = "" if bar.bound is None else f"{'<=' if bar.at_most else '>='} {bar.shown(bar.bound)}"
        table.add_row(bar.text, bar.shown(value), wanted, verdict)
    return table


def machine() -> dict[str, Any]:
    """Processor, cores this process may use, operating system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": cores,
        "system": f"{platform.system()} {platform.release()}",
    }


def _processor() -> str:
    """The model's name; where a virtual machine hides it, with the family, model and stepping beside it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(reversed([[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]))
    name = fields.get("model name", platform.machine())
    numbers = [fields.get(field, "?") for field in ("cpu family", "model", "stepping")]
    return f"{name}, family {numbers[0]} model {numbers[1]} stepping {numbers[2]}"


def versions(*packages: str) -> dict[str, str]:
    """Of bitswath, of Python and of installed packages."""
    own = {"bitswath": __version__, "python": platform.python_version()}
    return own | {package: version(package) for package in packages}


def today() -> str:
    return datetime.date.today().isoformat()


def write_facts(path: Path, facts: Mapping[str, Any]) -> None:
    """Write facts as JSON, floats to five digits."""
    write_atomic(path, (json.dumps(_rounded(facts), indent=2) + "\n").encode())


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
