"""What Vivado reports of a routed design, read from the text of ``report_timing_summary``, ``report_utilization`` and
``report_power``. Whose design it is makes no difference; `ValueError` says what is missing in a damaged report."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from bitswath.builds.report import Counts, PowerReport

__all__ = ["Timing", "read_power", "read_timing", "read_utilization", "tool_version"]

_STEP_HZ = 1e5


@dataclass(frozen=True)
class Timing:
    """After routing. `slack_ns`: the worst, setup; `hold_ns`: hold; `failing`: endpoints that miss theirs;
    `period_ns`: of the first clock."""

    slack_ns: float
    hold_ns: float
    failing: int
    period_ns: float | None

    @property
    def met(self) -> bool:
        return self.failing == 0 and self.slack_ns >= 0 and self.hold_ns >= 0

    @property
    def fitting_hz(self) -> float | None:
        """The clock at which the worst path would be in time, rounded down to 0.1 MHz; None where no slower clock helps
        or none is needed."""
        if self.period_ns is None or self.slack_ns >= 0 or self.hold_ns < 0:
            return None
        return math.floor(1e9 / (self.period_ns - self.slack_ns) / _STEP_HZ) * _STEP_HZ


def read_timing(text: str) -> Timing:
    """Of ``report_timing_summary``."""
    row = _row(text, "Design Timing Summary", "WNS(ns)").split()
    slack, _, late, _, hold, _, early, _, _, _, narrow, _ = row
    clock = _row(text, "Clock Summary", "Clock").partition("}")[2].split()
    failing = int(late) + int(early) + int(narrow)
    return Timing(_number(slack), _number(hold), failing, _number(clock[0]) if clock else None)


def read_utilization(text: str) -> Counts:
    """Of ``report_utilization`` without options, for any family: 7 series has slices, UltraScale CLBs."""
    rows = dict(_cells(text))

    def used(*names: str, default: float | None = None) -> float:
        for name in names:
            if name in rows:
                return _number(rows[name])
        if default is None:
            raise ValueError(f"no row {' or '.join(map(repr, names))}")
        return default

    return Counts(
        lut=used("Slice LUTs", "CLB LUTs"),
        lutram=used("LUT as Memory"),
        ff=used("Slice Registers", "CLB Registers"),
        bram36=used("Block RAM Tile"),
        uram=used("URAM", default=0),
        dsp=used("DSPs", "DSP Slices"),
    )


def read_power(text: str) -> PowerReport:
    """Of ``report_power``: Vivado's estimate, and how far it trusts it."""
    rows = dict(_cells(text))
    try:
        return PowerReport(
            total_w=_number(rows["Total On-Chip Power (W)"]),
            dynamic_w=_number(rows["Dynamic (W)"]),
            static_w=_number(rows["Device Static (W)"]),
            confidence=rows["Confidence Level"],
        )
    except KeyError as error:
        raise ValueError(f"no row {error}") from None


def tool_version(text: str) -> str:
    """The version of Vivado that wrote a report, such as "2023.2"; "" if it does not say."""
    found = re.search(r"Tool Version\s*: Vivado v\.?(\d+\.\d+)", text)
    return found[1] if found else ""


def _cells(text: str) -> Iterator[tuple[str, str]]:
    """First and second cell of the tables' rows, of equal ones the first. An asterisk behind a name is a footnote's."""
    seen = set()
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) >= 4 and cells[0] == "" and (name := cells[1].rstrip("*")) not in seen:
            seen.add(name)
            yield name, cells[2]


def _row(text: str, title: str, heading: str) -> str:
    """The first row of the table with that heading in the part with that title."""
    lines = iter(text[max(0, text.find(f"| {title}")) :].splitlines())
    if any(line.lstrip().startswith(heading) for line in lines):
        return next((line for line in lines if not line.lstrip().startswith("-----")), "")
    return ""


def _number(value: str) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} where a number is expected")
    return number
