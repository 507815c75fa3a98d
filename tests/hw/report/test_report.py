"""The report of a build: what it says, and that its page shows it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bitswath.backends.rtl.backend import Statistics, StreamStatistics
from bitswath.builds.design import Design
from bitswath.builds.report import REPORT, Report, read_report
from bitswath.errors import BuildError, BundleError
from bitswath.hw.counting.synthesis import Synthesis
from bitswath.hw.counting.yosys import Cells
from bitswath.hw.planning.boards import find_board
from bitswath.hw.planning.resources import Resources
from bitswath.hw.report.page import report_page
from bitswath.hw.report.report import make_report
from tests.designs import residual

BOARD = find_board("Pynq-Z2")
MEASURED = Statistics(4, 1000, 300, 50.0, {"codes": StreamStatistics(30, 100, 250), "sums": StreamStatistics(30, 0, 0)})


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Design:
    return residual(tmp_path_factory.mktemp("report") / "build")


def counted(design: Design, **values: object) -> Synthesis:
    stages = {stage.name: Cells({"LUT4": 100, "FDRE": 60, "RAMB18E1": 1}) for stage in design.stages}
    queues = {stream.name: Cells({"SRL16E": 8, "LUT2": 4}) for stream in design.streams if stream.depth}
    facts = {"tool": "yosys 1", "family": "xc7", "stages": stages, "queues": queues, "whole": None, "problems": {}}
    return Synthesis(**{**facts, **values})


def report(design: Design, **values: object) -> Report:
    return make_report(design, BOARD, measured=MEASURED, synthesis=counted(design, **values))


def test_rates_come_from_the_measured_interval_and_the_clock(design: Design) -> None:
    found = report(design)
    assert found.frames_per_s == 100e6 / 50
    assert (found.initiation_interval, found.latency_cycles) == (50, 300)
    assert (found.input.frame_bytes, found.output.frame_bytes) == (32, 40)
    assert found.limiting == "held"
    with pytest.raises(BuildError, match="two frames or more"):
        make_report(design, BOARD, measured=Statistics(1, 9, 9, None, {}), synthesis=counted(design))


def test_stages_say_how_long_they_wait(design: Design) -> None:
    stages = {stage.name: stage for stage in report(design).stages}
    assert stages["unpack"].stalled == 0.1  # its output waited 100 of 1000 cycles
    assert stages["fork"].starved == 0.25
    assert stages["held"].busy == 60 / 50


def test_resources_are_of_the_whole_if_it_was_counted_and_else_of_the_parts(design: Design) -> None:
    parts = report(design)
    assert parts.resources_from == "sum of parts"
    assert parts.resources == parts.parts
    assert parts.resources.lut == 5 * 100 + 4 * 12
    assert parts.resources.lutram == 4 * 8
    assert parts.resources.bram36 == 2.5
    whole = report(design, whole=Cells({"LUT6": 321}))
    assert whole.resources_from == "whole design"
    assert whole.resources.lut == 321
    assert whole.parts == parts.parts
    assert whole.usage["lut"] == 321 / BOARD.lut


def test_without_a_count_resources_are_estimates_and_say_so(design: Design) -> None:
    estimates = {"unpack": Resources(lut=7), "fork": Resources(lut=5, dsp=2)}
    found = make_report(design, BOARD, measured=MEASURED, synthesis=None, estimates=estimates)
    assert found.resources_from == "estimates"
    assert (found.resources.lut, found.resources.dsp) == (12, 2)
    assert all(part.counted is None for part in (*found.stages, *found.queues))
    assert "Nothing was counted" in " ".join(found.notes)
    assert "estimates" in report_page(found)
    assert "counted," not in report_page(found)


def test_a_report_comes_back_from_its_file(design: Design, tmp_path: Path) -> None:
    estimates = {"unpack": Resources(lut=7.2)}
    found = make_report(design, BOARD, measured=MEASURED, synthesis=counted(design), estimates=estimates)
    (tmp_path / REPORT).write_text(found.model_dump_json())
    assert read_report(tmp_path) == found
    (tmp_path / REPORT).write_text('{"board": 3}')
    with pytest.raises(BundleError, match="board: Input should be a valid string"):
        read_report(tmp_path)
    with pytest.raises(BundleError, match="cannot be read"):
        read_report(tmp_path / "nowhere")


class Structure(HTMLParser):
    """Checks that elements close in order, and keeps the rows' texts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "rect"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag or tag == "rect"

    def handle_data(self, data: str) -> None:
        if "tr" in self.open and data.strip():
            self.rows[-1].append(data.strip())


def test_the_page_shows_it_and_needs_nothing_else(design: Design) -> None:
    page = report_page(report(design, problems={"held": "too <large> for Yosys"}))
    structure = Structure()
    structure.feed(re.sub(r"<rect[^>]*/>", "", page))
    assert structure.open == []
    rows = {row[0]: row for row in structure.rows if row}
    assert rows["held"][1] == "limits"
    assert rows["LUT"][1:3] == ["548", "1.0 %"]
    assert {stage.name for stage in design.stages} <= set(rows)
    assert "2,000,000" in page
    assert "too &lt;large&gt; for Yosys" in page
    assert not re.search(r"<script|https?://|src=", page)
