"""Vivado's reports, of both families, as it writes them, and damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitswath.builds.report import Counts, PowerReport
from bitswath.builds.vivado import Timing, read_power, read_timing, read_utilization, tool_version
from tests.paths import ROOT
from tests.vivado.reports import power, timing, utilization

REAL = ROOT.parent / "shared" / "data" / "finn_builds"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not on this machine: reports of other people")


@pytest.mark.parametrize("family", ["7series", "ultrascale+"])
@pytest.mark.parametrize("prohibited", [False, True])
def test_counts_of_both_families(family: str, prohibited: bool) -> None:
    counts = Counts(lut=41895, lutram=2103, ff=41588, bram36=82.5, uram=0 if family == "7series" else 3, dsp=55)
    assert read_utilization(utilization(counts, family, prohibited=prohibited)) == counts


def test_timing_and_the_clock_that_would_do() -> None:
    assert read_timing(timing(0.214, 0.012, 10.0)) == Timing(0.214, 0.012, 0, 10.0)
    late = read_timing(timing(-2.002, 0.049, 10.0, failing=8))
    assert (late.met, late.failing, late.fitting_hz) == (False, 8, 83.3e6)


def test_power_and_the_version() -> None:
    expected = PowerReport(total_w=1.715, dynamic_w=1.572, static_w=0.143, confidence="Medium")
    assert read_power(power(1.715, 1.572, "Medium")) == expected
    assert tool_version(power(1.0, 0.5, "Low", version="2025.1")) == "2025.1"
    assert tool_version("nothing") == ""


@pytest.mark.parametrize("read", [read_timing, read_utilization, read_power])
@pytest.mark.parametrize(
    "text", ["", "| Slice LUTs | many |", "| Total On-Chip Power (W) | nan |", "| Design Timing Summary\nWNS(ns)\n-1 2"]
)
def test_a_damaged_report_is_told(read: object, text: str) -> None:
    with pytest.raises(ValueError):
        read(text)  # type: ignore[operator]


@needs_real
@pytest.mark.parametrize(
    ("build", "expected"),
    [
        ("labs_custom_0", Timing(slack_ns=-2.002, hold_ns=0.049, failing=8, period_ns=10.0)),
        ("labs_tfc_w1a1_auto", None),
    ],
)
def test_a_report_that_vivado_wrote(build: str, expected: Timing | None) -> None:
    text = (Path(REAL) / build / "report" / "post_route_timing.rpt").read_text()
    found = read_timing(text)
    assert tool_version(text) == "2023.2"
    assert found == expected if expected else found.met and found.period_ns == 10.0
