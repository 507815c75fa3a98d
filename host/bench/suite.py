"""The measurements by name, and running several of them on one open bundle.

A measurement takes the subject, its inputs and the settings and gives facts, as they go into JSON; where it cannot be
made it raises `PowerError`, and the results say why it is absent.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bitswath.basics.files import write_atomic
from bitswath.bench.energy import measure_energy
from bitswath.bench.latency import measure_latency
from bitswath.bench.subject import Inputs, Subject, conditions, opened
from bitswath.bench.throughput import at_bits, measure_scaling, measure_throughput
from bitswath.errors import InputError, PowerError
from bitswath.power.kinds import KINDS, open_meter

__all__ = ["MEASURES", "Settings", "measure_all", "write_results"]

Facts = dict[str, Any]

_METERS = {"emulator": ("rapl", "hwmon", "pynq"), "pynq": ("hwmon", "pynq", "xrt")}
"""Kinds of meters, by backend, that see what does the work: a card's sensors say nothing of its host."""


@dataclass(frozen=True)
class Settings:
    """`queries`, `warmup`, `stream_s`: of latency (`measure_latency`). `turns`, `turn_s`: of throughput, on random
    patches (`measure_throughput`); `bits`: other widths of input to measure it at, `second`: whether also with a second
    device. `meter`, `rails`, `rounds`, `round_s`, `idle_s`,
    `period_s`: of energy (`measure_energy`), whose batches are all inputs at once."""

    queries: int = 500
    warmup: int = 50
    stream_s: float = 10.0
    turns: int = 31
    turn_s: float = 0.15
    bits: tuple[int, ...] = ()
    second: bool = False
    meter: str | None = None
    rails: tuple[str, ...] = ()
    rounds: int = 5
    round_s: float = 5.0
    idle_s: float = 5.0
    period_s: float = 0.05


def _latency(subject: Subject, inputs: Inputs, settings: Settings) -> Facts:
    found = measure_latency(
        subject, inputs, queries=settings.queries, warmup=settings.warmup, least_s=settings.stream_s
    )
    return found.to_dict()


def _energy(subject: Subject, inputs: Inputs, settings: Settings) -> Facts:
    """From patches in memory to labels, all inputs in one call."""
    if subject.backend == "rtl":
        raise PowerError("a simulation of hardware draws the host's power, not the hardware's")
    found = measure_energy(
        lambda: len(subject.accelerator.classify(inputs.patches)),
        open_meter(settings.meter, kinds=_METERS.get(subject.backend, tuple(KINDS))),
        rails=settings.rails or None,
        rounds=settings.rounds,
        round_s=settings.round_s,
        idle_s=settings.idle_s,
        period_s=settings.period_s,
    )
    return {"batch": len(inputs.patches), **found.to_dict()}


def _throughput(subject: Subject, inputs: Inputs, settings: Settings) -> Facts:
    turns, turn_s = settings.turns, settings.turn_s
    facts: Facts = measure_throughput(subject.accelerator, rounds=turns, round_s=turn_s).to_dict()
    if settings.second:
        with opened(subject.bundle, subject.backend, **subject.options) as other:
            found = measure_scaling(subject.accelerator, other.accelerator, rounds=turns, round_s=turn_s)
            facts["scaling"] = asdict(found)
    if settings.bits:
        facts["by_bits"] = [_at_bits(subject, bits, settings) for bits in settings.bits]
    return facts


def _at_bits(subject: Subject, bits: int, settings: Settings) -> Facts:
    if subject.backend != "emulator":
        raise InputError(f"expected the emulator for other widths of input, {subject.backend} has hardware for its own")
    with tempfile.TemporaryDirectory() as folder:
        bundle = at_bits(subject.bundle, bits, Path(folder))
        with opened(bundle, subject.backend, **subject.options) as other:
            batches = (other.accelerator.chunk,)
            found = measure_throughput(
                other.accelerator, batches=batches, rounds=settings.turns, round_s=settings.turn_s
            )
            return found.to_dict()


MEASURES: dict[str, Callable[[Subject, Inputs, Settings], Facts]] = {
    "latency": _latency,
    "throughput": _throughput,
    "energy": _energy,
}
"""What ``bitswath bench --what`` knows. Another one is a line here, a table in `tables`, a panel in `figures`."""


def measure_all(what: Sequence[str], subject: Subject, inputs: Inputs, settings: Settings) -> Facts:
    """Conditions, then the facts of each measurement, None where it could not be made; "absent" says why, by name.
    Under the backend's name stand the headlines, such as "emulator": {"stream_over_kernel": ...}.

    "load" are the machine's load averages before and after: other work disturbs. Raises `InputError` for an unknown
    name, and what the measurements raise but `PowerError`.
    """
    for name in what:
        if name not in MEASURES:
            raise InputError(f"expected measurements of {', '.join(MEASURES)}, got {name!r}")
    facts: Facts = {**conditions(subject, inputs), "settings": asdict(settings), "load": [_load()], "absent": {}}
    for name in what:
        try:
            facts[name] = MEASURES[name](subject, inputs, settings)
        except PowerError as error:
            facts[name] = None
            facts["absent"][name] = str(error)
    facts["load"].append(_load())
    facts[subject.backend] = _headline(facts)
    return facts


def _headline(facts: Facts) -> Facts:
    """What is asked for most, in one place."""
    rates = facts.get("throughput") or {}
    found = {name: rates[name] for name in ("stream_over_kernel", "stream_per_s", "host_work_us") if name in rates}
    if "scaling" in rates:
        found["two_over_one"] = rates["scaling"]["two_over_one"]
    return found


def write_results(facts: Facts, path: Path) -> None:
    """As JSON, atomically. Raises `OSError`."""
    write_atomic(path, (json.dumps(facts, indent=2) + "\n").encode())


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
