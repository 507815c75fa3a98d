"""``bitswath info`` of a bundle that holds builds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from bitswath.builds.report import REPORT, Counts, LinkReport, Report
from bitswath.commands.info import command
from tests import paths

ZOO = paths.ZOO / "synthetic-u4-w4a4.bsw"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "built.bsw"
    shutil.copytree(ZOO, path)
    folder = path / "hw" / "Pynq-Z2"
    folder.mkdir(parents=True)
    report = Report(
        name="built",
        board="Pynq-Z2",
        part="xc7z020clg400-1",
        clock_hz=100e6,
        frames_per_s=1234.5,
        initiation_interval=81004.0,
        latency_cycles=190_000,
        checked_frames=4,
        limiting=None,
        input=LinkReport(width=64, frame_bytes=64),
        output=LinkReport(width=64, frame_bytes=8),
        resources=Counts(lut=26_600, dsp=110),
        resources_from="whole design",
        parts=Counts(),
        available=Counts(lut=53_200, lutram=17_400, ff=106_400, bram36=140, dsp=220),
        stages=(),
        queues=(),
    )
    (folder / REPORT).write_text(report.model_dump_json())
    return path


def test_builds_are_listed_with_their_rate_and_shares(bundle: Path) -> None:
    said = CliRunner().invoke(command, [str(bundle)]).output
    row = next(line for line in said.splitlines() if "Pynq-Z2" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        *("Pynq-Z2", "100", "1,234", "1.90", "50 %", "0 %", "50 %", "no"),
    ]


def test_json_holds_them_too_and_is_empty_without_any(bundle: Path) -> None:
    facts = json.loads(CliRunner().invoke(command, ["--json", str(bundle)]).output)
    assert facts["hardware"][0]["frames/s"] == 1234.5
    assert facts["hardware"][0]["share of the part"]["lut"] == 0.5
    assert json.loads(CliRunner().invoke(command, ["--json", str(ZOO)]).output)["hardware"] == []
