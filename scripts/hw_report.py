"""Turns builds' report.json files into the table of docs/results/hardware.md.

python scripts/hw_report.py REPORT.json ... > docs/results/hardware.md
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from bitswath.builds.report import Report, read_report

__all__ = ["table"]

HEADINGS = (
    "bundle",
    "board",
    "MHz",
    "path ns",
    "frames/s",
    "latency",
    "bytes in",
    "LUT",
    "FF",
    "RAMB36",
    "DSP",
    "counted",
)

_COUNTED = ("lut", "ff", "bram36", "dsp")


def table(reports: Iterable[Report]) -> str:
    """Markdown, a row for each build in the order of bundle and board."""
    rows = [_row(report) for report in sorted(reports, key=lambda report: (report.name, report.board))]
    rule = ["---", "---", *["---:"] * (len(HEADINGS) - 3), "---"]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (HEADINGS, rule, *rows))


def _row(report: Report) -> list[str]:
    usage, need = report.usage, report.resources
    shares = [f"{_number(getattr(need, name))} ({100 * usage.get(name, 0):.0f} %)" for name in _COUNTED]
    latency = f"{1e3 * report.latency_cycles / report.clock_hz:.2f} ms"
    clock, rate = f"{report.clock_hz / 1e6:g}", f"{report.frames_per_s:,.0f}"
    link = report.input.described.removesuffix(" B")
    path = f"{report.path.ns:.1f}" if report.path else "–"
    return [
        report.name,
        f"{report.board} x {report.instances}" if report.instances > 1 else report.board,
        clock,
        path,
        rate,
        latency,
        link,
        *shares,
        report.resources_from,
    ]


def _number(value: float) -> str:
    return f"{value:,.1f}".removesuffix(".0")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT.json")
    reports = [read_report(path.parent) for path in parser.parse_args().reports]
    tools = sorted({f"{name} {version}" for report in reports for name, version in report.tools.items()})
    print("# Hardware builds\n")
    print("Rates and latencies: cycle-accurate simulation. Resources: Yosys, before placement, without a shell.")
    print("Path: the longest between registers before placement, with nets as Vivado routed those of other designs;")
    print("that it is shorter than a clock's period is evidence, not proof, that the clock is met.")
    print(f"Tools: {', '.join(tools)}.\n")
    print(table(reports))


if __name__ == "__main__":
    main()
