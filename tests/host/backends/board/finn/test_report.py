"""What a build reported: read where it is, named where it is damaged, nothing where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bitswath.backends.board.finn.report import BuildReport, find_report
from bitswath.builds.report import Counts
from bitswath.builds.vivado import Timing
from tests.host.backends.board.finn.layouts import TIMING, put

COUNTED = {"LUT": 26338, "SRL": 3368, "FF": 44974, "BRAM_36K": 79, "BRAM_18K": 3, "DSP": 7}
FILES = {
    "post_synth_resources.json": {"(top)": COUNTED, "MVAU_0": {"LUT": 1}},
    "estimate_layer_resources.json": {"MVAU_0": {}, "total": {"BRAM_18K": 167.0, "LUT": 41297.0, "DSP": 0.0}},
    "estimate_network_performance.json": {"estimated_throughput_fps": 1785714.25, "estimated_latency_ns": 1380.0},
    "rtlsim_performance.json": {"throughput[images/s]": 1.0, "stable_throughput[images/s]": 934579.5},
    "metadata_builder.json": {"status": "ok", "tool_version": "2023.2"},
}


def timing(slack: str = "-2.002", late: int = 8, hold: str = "0.049", early: int = 0) -> str:
    return TIMING.format(slack=slack, late=late, hold=hold, early=early, met="not met")


def written(folder: Path) -> Path:
    for name, content in FILES.items():
        put(folder / "report" / name, json.dumps(content))
    put(folder / "report" / "post_route_timing.rpt", timing())
    return folder


def test_all_that_is_there_is_read(tmp_path: Path) -> None:
    report = find_report(written(tmp_path) / "deploy" / "driver")
    assert report == BuildReport(
        folder=tmp_path / "report",
        timing=Timing(slack_ns=-2.002, hold_ns=0.049, failing=8, period_ns=5.0),
        counted=Counts(lut=26338, ff=44974, bram36=80.5, dsp=7),
        estimated=Counts(lut=41297, bram36=83.5),
        estimated_fps=1785714.25,
        estimated_latency_s=pytest.approx(1.38e-6),
        simulated_fps=934579.5,
        vivado="2023.2",
    )


@pytest.mark.parametrize("name", [*FILES, "post_route_timing.rpt"])
def test_each_may_be_missing_or_damaged(tmp_path: Path, name: str) -> None:
    path = written(tmp_path) / "report" / name
    whole = find_report(tmp_path)
    path.unlink()
    without = find_report(tmp_path)
    assert without is not None and without.problems == () and without != whole
    for content in (
        "",
        "[]",
        "{",
        '{"(top)": {"LUT": "many"}, "total": 3}',
        '{"(top)": {"LUT": -1}, "total": {"LUT": -1}}',
    ):
        put(path, content)
        report = find_report(tmp_path)
        assert report is not None
        for problem in report.problems:
            assert problem.startswith(f"{name} (") and "\n" not in problem
    assert find_report(tmp_path / "elsewhere" / "a" / "b") is None


@pytest.mark.parametrize(
    ("slack", "late", "hold", "early", "met", "fitting_hz"),
    [
        ("1.163", 0, "0.017", 0, True, None),
        ("0.000", 0, "0.000", 0, True, None),
        ("-2.002", 8, "0.049", 0, False, 142.8e6),  # 5 ns and 2.002 ns are 142.8 MHz, rounded down
        ("-0.001", 1, "0.049", 0, False, 199.9e6),
        ("0.100", 0, "-0.020", 3, False, None),
        ("-1.000", 8, "-0.020", 3, False, None),
    ],
)
def test_timing(
    tmp_path: Path, slack: str, late: int, hold: str, early: int, met: bool, fitting_hz: float | None
) -> None:
    put(tmp_path / "report" / "post_route_timing.rpt", timing(slack, late, hold, early))
    report = find_report(tmp_path)
    assert report is not None and report.timing is not None
    assert report.timing.met == met and report.timing.failing == late + early
    assert report.timing.fitting_hz == (None if fitting_hz is None else pytest.approx(fitting_hz, abs=1))
