"""What every benchmark script does around its measurements: options, sections, the machine, and writing the results."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench_tables import Grid
from benchmark import CPU_CLOCK, WALL_CLOCK, Clock, Facts, core_share, machine, versions
from rich.console import Console

from bitswath.basics.files import write_atomic

__all__ = ["Options", "Report", "conditions", "measure", "merge", "options", "publish"]

ROUNDS = 9
UNDISTURBED = 0.95
CPU_TIME_HELP = "for what runs on one core, count the time this process got, where other work shares the cores"
Shared = TypeVar("Shared")


@dataclass(frozen=True)
class Options:
    """`rounds`: of every interleaved measurement; `only`: names of sections; `results`: a folder for both files."""

    rounds: int
    clock: Clock
    only: tuple[str, ...]
    json: Path | None
    markdown: Path | None
    results: Path | None = None


@dataclass(frozen=True)
class Report:
    """What a script shows: tables, then sentences."""

    title: str
    tables: tuple[Grid, ...]
    sentences: tuple[str, ...]


def options(description: str | None, sections: Mapping[str, Any]) -> Options:
    """The command line of a benchmark script."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--only", action="append", choices=sections, help="measure this alone; may be repeated")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of every measurement (default {ROUNDS})")
    parser.add_argument("--cpu-time", action="store_true", help=CPU_TIME_HELP)
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    parser.add_argument("--results", type=Path, metavar="FOLDER", help="write both there, named after the processor")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error(f"expected 1 or more rounds, got {given.rounds}")
    clock = CPU_CLOCK if given.cpu_time else WALL_CLOCK
    return Options(given.rounds, clock, tuple(given.only or sections), given.json, given.markdown, given.results)


def conditions(chosen: Options, *packages: str) -> Facts:
    """Date, machine, versions and settings, which the facts begin with."""
    return {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "versions": versions(*packages),
        "rounds": chosen.rounds,
        "clock": "cpu" if chosen.clock is CPU_CLOCK else "wall",
    }


def measure(sections: Mapping[str, Callable[[Shared], Facts]], shared: Shared, facts: Facts, chosen: Options) -> None:
    """Run the chosen sections and add what they found, the seconds each took, and the least share of a core."""
    shares = []
    for name in chosen.only:
        started, used = time.perf_counter(), _cpu_s()
        shares.append(core_share())
        with Console(stderr=True).status(f"Measuring {name} ..."):
            merge(facts, sections[name](shared))
        seconds = {"wall": time.perf_counter() - started, "cpu": _cpu_s() - used}
        merge(facts, {"seconds": {name: seconds}})
    facts["machine"]["core_share"] = min(shares)


def _cpu_s() -> float:
    """Of this process and of those that it waited for."""
    return sum(os.times()[:4])


def merge(into: Facts, facts: Facts) -> None:
    """Add nested facts to those that are there."""
    for key, value in facts.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def publish(report: Report, facts: Facts, chosen: Options) -> None:
    """Write the report and the facts where the options say; print the report."""
    if chosen.results:
        chosen.results.mkdir(parents=True, exist_ok=True)
    paths = {".json": [chosen.json], ".md": [chosen.markdown]}
    for suffix, listed in paths.items():
        listed.append(chosen.results and chosen.results / f"{report.title.lower()}-{_family(facts)}{suffix}")
    for path in filter(None, paths[".json"]):
        write_atomic(path, (json.dumps(_rounded(facts), indent=2) + "\n").encode())
    for path in filter(None, paths[".md"]):
        tables = "\n".join(table.markdown() for table in report.tables)
        remarks = "".join(f"\n- {sentence}" for sentence in report.sentences)
        text = f"# {report.title}\n\n{_provenance(facts)}\n\n{tables}{remarks}"
        write_atomic(path, (text.rstrip() + "\n").encode())
    console = Console()
    console.print(_provenance(facts), highlight=False, markup=False)
    for table in report.tables:
        console.print(table.rich())
    for sentence in report.sentences:
        console.print(sentence, highlight=False, markup=False)


def _family(facts: Facts) -> str:
    """The processor, and its quickest kernels where they are named, for the name of a file."""
    host = facts["machine"]
    named = " ".join([host["processor"], *host.get("kernels", [])[-1:]])
    return re.sub("[^a-z0-9]+", "-", named.lower()).strip("-")


def _provenance(facts: Facts) -> str:
    host = facts["machine"]
    software = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    clock = "the time that the process got" if facts["clock"] == "cpu" else "wall time"
    share = host["core_share"]
    disturbed = f" Disturbed by other work: this process got {share:.0%} of a core at one time."
    return (
        f"Measured on {facts['date']} on {host['cores']} cores of {host['processor']} ({host['system']}) with "
        f"{software}: medians of {facts['rounds']} interleaved rounds, in {clock}."
        f"{disturbed if share < UNDISTURBED else ''}"
    )


def _rounded(value: Any) -> Any:
    """Floats to five digits."""
    if isinstance(value, Mapping):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
