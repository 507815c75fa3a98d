"""What surrounds the measurements: options, sections, and files written."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from bench_run import Options, Report, conditions, measure, merge, options, publish
from bench_tables import Grid
from benchmark import CPU_CLOCK, WALL_CLOCK, Facts

SECTIONS = {"a": lambda shared: {"x": {"a": shared}}, "b": lambda shared: {"x": {"b": 2 * shared}}}


def chosen(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Options:
    monkeypatch.setattr(sys, "argv", ["script", *arguments])
    return options("About.", SECTIONS)


def test_a_default_run_measures_everything_in_wall_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch) == Options(9, WALL_CLOCK, ("a", "b"), None, None)


def test_options_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    found = chosen(monkeypatch, "--only", "b", "--rounds", "3", "--cpu-time", "--json", "f.json", "--markdown", "f.md")
    assert found == Options(3, CPU_CLOCK, ("b",), Path("f.json"), Path("f.md"))


def test_no_rounds_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        chosen(monkeypatch, "--rounds", "0")
    assert "expected 1 or more rounds, got 0" in capsys.readouterr().err


def test_sections_add_to_the_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = conditions(chosen(monkeypatch, "--rounds", "3"), "numpy")
    measure(SECTIONS, 5, facts, chosen(monkeypatch))
    assert facts["x"] == {"a": 5, "b": 10} and facts["rounds"] == 3 and facts["clock"] == "wall"
    assert set(facts["seconds"]) == {"a", "b"} and 0 < facts["machine"]["core_share"] <= 1.1
    assert facts["versions"]["numpy"] and facts["machine"]["processor"]


def test_nested_facts_are_merged() -> None:
    facts: Facts = {"a": {"b": 1, "quartiles": {"b": [1]}}}
    merge(facts, {"a": {"c": 2, "quartiles": {"c": [2]}}, "d": 3})
    assert facts == {"a": {"b": 1, "c": 2, "quartiles": {"b": [1], "c": [2]}}, "d": 3}


def test_results_of_each_processor_have_files_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "results"
    found = chosen(monkeypatch, "--results", str(folder))
    facts = conditions(found, "numpy")
    facts["machine"] |= {"processor": "AMD EPYC (7R13)", "kernels": ["scalar", "avx2"], "core_share": 1.0}
    publish(Report("Title", (), ()), facts, found)
    name = "title-amd-epyc-7r13-avx2"
    assert {path.name for path in folder.iterdir()} == {f"{name}.json", f"{name}.md"}


@pytest.mark.parametrize(("share", "disturbed"), [(0.4, True), (1.0, False)])
def test_results_are_written(
    share: float, disturbed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = chosen(monkeypatch, "--json", str(tmp_path / "f.json"), "--markdown", str(tmp_path / "f.md"))
    facts = conditions(found, "numpy") | {"a": {"b": 1.23456789}, "c": [1, 2.0], "d": None}
    facts["machine"]["core_share"] = share
    publish(Report("Title", (Grid("Table", ("k",), (("v",),)),), ("A sentence.",)), facts, found)
    written = json.loads((tmp_path / "f.json").read_text())
    assert {key: written[key] for key in "acd"} == {"a": {"b": 1.2346}, "c": [1, 2.0], "d": None}
    text = (tmp_path / "f.md").read_text()
    assert text.startswith("# Title\n\nMeasured on ") and "| v |" in text and text.endswith("- A sentence.\n")
    assert ("this process got 40% of a core" in text) == disturbed
    assert facts["machine"]["processor"] in text and "A sentence." in capsys.readouterr().out
