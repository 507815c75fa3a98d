"""Fits the delay of a net by its fan-out to paths that Vivado has routed, and compares whole paths with the model.

python scripts/fit_timing.py REPORT.rpt ... [--json FILE]

The reports are those of `report_timing` or `report_timing_summary` for 7 series, grade -1. A path is predicted from its
cells and fan-outs alone, as hw/counting/timing.py predicts those of netlists.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bitswath.hw.counting.timing import NET, UNCERTAINTY, net_ns

__all__ = ["Routed", "fit_nets", "read_paths"]

CELLS = {"LUT": 0.124, "MUXF": 0.24, "SRL": 0.124, "FD": 0.50}
CARRY_IN, CARRY_ON, CARRY_OUT = 0.53, 0.117, 0.33
_SECTION = re.compile(r"^  -{60,}.*$", re.MULTILINE)
_STEP = re.compile(r"(\w+) \(Prop_(\w+?)(?:\[\d+\])?_(\w+?)(?:\[\d+\])?_(\w+?)(?:\[\d+\])?\)\s+(\d+\.\d+)", re.DOTALL)
_NET = re.compile(r"net \(fo=(\d+), routed\)\s+(\d+\.\d+)")


@dataclass(frozen=True)
class Routed:
    """A path between registers: `ns` by Vivado; steps are (cell, from pin, to pin) or a net's (loads, ns)."""

    source: str
    ns: float
    levels: str
    steps: tuple[tuple[str, str, str] | tuple[int, float], ...]

    @property
    def predicted(self) -> float:
        """By the model."""
        total = 0.0
        for before, step in zip((None, *self.steps), self.steps):
            if isinstance(step[0], str):
                total += _cell_ns(*step)  # type: ignore[arg-type]
            elif step[1] > 0:  # else within a slice
                total += net_ns(step[0])
            del before
        return total


def _cell_ns(cell: str, pin: str, out: str) -> float:
    if cell.startswith("CARRY"):
        return (CARRY_ON if out == "CO" else CARRY_OUT) if pin == "CI" else CARRY_IN
    return next(ns for kind, ns in CELLS.items() if cell.startswith(kind))


def read_paths(report: Path) -> Iterator[Routed]:
    """The setup paths of a report that go through logic, each once."""
    seen = set()
    for block in re.split(r"\n(?=Slack)", report.read_text())[1:]:
        sections = _SECTION.split(block)
        delay = re.search(r"Data Path Delay:\s+([\d.]+)ns", block)
        levels = re.search(r"Logic Levels:\s+(.+)", block)
        if "Max at Slow" not in block or len(sections) < 4 or delay is None or levels is None or "BUFG" in sections[2]:
            continue
        found = [(m.start(), (m[1], m[3], m[4])) for m in _STEP.finditer(sections[2])]
        found += [(m.start(), (int(m[1]), float(m[2]))) for m in _NET.finditer(sections[2])]
        steps = tuple(step for _, step in sorted(found))
        if steps not in seen:
            seen.add(steps)
            yield Routed(report.parent.parent.name, float(delay[1]), levels[1].strip(), steps)


def fit_nets(paths: list[Routed], most: int = 128) -> tuple[tuple[float, float], int, float]:
    """(ns, ns a doubling) of nets that leave a slice and have at most so many loads; how many, and their rms error.

    Paths into asynchronous resets are left out: nobody asked for them to be short.
    """
    nets = {
        step
        for path in paths
        for step in path.steps
        if isinstance(step[0], int) and 0 < step[0] <= most and step[1] > 0
    }
    loads, ns = np.array(sorted(nets)).T
    rows = np.stack([np.ones_like(loads), np.log2(loads)], axis=1)
    found, *_ = np.linalg.lstsq(rows, ns, rcond=None)
    error = float(np.sqrt(np.mean((rows @ found - ns) ** 2)))
    return (float(found[0]), float(found[1])), len(ns), error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT.rpt")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    paths = [path for report in options.reports for path in read_paths(report) if "LUT1=1" not in path.levels]
    fitted, count, error = fit_nets(paths)
    print(f"nets: {fitted[0]:.3f} ns + {fitted[1]:.3f} ns a doubling of loads ({count} nets, rms error {error:.2f} ns)")
    print(f"in use: {NET[0]:.3f} ns + {NET[1]:.3f} ns; clock uncertainty {UNCERTAINTY} ns besides\n")
    rows = [(path.source, path.levels, path.ns, path.predicted) for path in paths]
    print("| build | levels | routed ns | model ns | model / routed |\n| --- | --- | ---: | ---: | ---: |")
    for source, levels, routed, predicted in rows:
        print(f"| {source} | {levels} | {routed:.2f} | {predicted:.2f} | {predicted / routed:.2f} |")
    if options.json:
        entry = {"nets": fitted, "count": count, "rms_ns": error, "paths": rows}
        options.json.write_text(json.dumps(entry, indent=1) + "\n")


if __name__ == "__main__":
    main()
