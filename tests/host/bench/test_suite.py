"""Several measurements of one open bundle: facts, tables, pictures, and why something is absent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bitswath.bench import suite
from bitswath.bench.figures import PANELS, bench_figure, save_picture
from bitswath.bench.subject import load_inputs, opened
from bitswath.bench.suite import MEASURES, Settings, measure_all, write_results
from bitswath.bench.tables import joules, seconds, sentences, tables
from bitswath.bundle.bundle import Bundle
from bitswath.errors import InputError, PowerError
from bitswath.power import Meter
from tests.host.power.fakes import CurveMeter, StepClock

QUICK = Settings(
    queries=3, warmup=0, stream_s=0.0, turns=1, turn_s=0.01, rounds=2, round_s=0.1, idle_s=0.1, period_s=0.005
)


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Iterator[CurveMeter]:
    fake = CurveMeter(StepClock(), everything=("a", "b"))

    def opened_meter(name: str | None = None, kinds: object = None) -> Meter:
        return fake

    monkeypatch.setattr(suite, "open_meter", opened_meter)
    yield fake


@pytest.fixture
def facts(bundle: Bundle, meter: CurveMeter) -> dict[str, Any]:
    with opened(bundle, "slow") as subject:
        return measure_all(["latency", "throughput", "energy"], subject, load_inputs(bundle, 4), QUICK)


def shown(facts: dict[str, Any]) -> str:
    console = Console(width=200, record=True, quiet=True)
    console.quiet = False
    with console.capture() as captured:
        for table in tables(facts):
            console.print(table)
    return captured.get() + "\n".join(sentences(facts))


def test_every_measurement_has_a_panel() -> None:
    assert PANELS.keys() == MEASURES.keys()


def test_constant_power_is_all_idle(facts: dict[str, Any]) -> None:
    energy = facts["energy"]
    assert energy["power_w"]["mean"] == pytest.approx(22.0) and energy["net_j"]["mean"] == pytest.approx(0, abs=1e-9)
    per_frame = [22.0 * one["seconds"] / one["frames"] for one in energy["rounds"]]
    assert energy["gross_j"]["mean"] == pytest.approx(sum(per_frame) / 2)
    assert energy["batch"] == 4 and energy["rails"] == ["a", "b"] and facts["absent"] == {}


def test_facts_go_into_json_and_back(facts: dict[str, Any], tmp_path: Path) -> None:
    write_results(facts, tmp_path / "facts.json")
    told = json.loads((tmp_path / "facts.json").read_text())
    assert told["bundle"]["name"] == "small" and len(told["bundle"]["digest"]) == 64
    assert told["settings"]["rounds"] == 2 and told["machine"]["cores"] >= 1 and len(told["load"]) == 2


def test_tables_name_meter_rails_and_readings(facts: dict[str, Any]) -> None:
    said = shown(facts)
    assert "meter 'curve', rails a, b" in said and f"{facts['energy']['samples']} readings in 2 rounds" in said
    assert "patch to label" in said and "22 W" in said and "of 3 queries, p99 is the slowest" in said


def test_without_a_sensor_the_figure_is_absent_and_the_reason_is_told(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(name: str | None = None, kinds: object = None) -> Meter:
        raise PowerError("this machine has no power meter that can be read: hwmon: none")

    monkeypatch.setattr(suite, "open_meter", none)
    with opened(bundle, "slow") as subject:
        facts = measure_all(["energy"], subject, load_inputs(bundle, 1), QUICK)
    assert facts["energy"] is None and facts["absent"]["energy"].startswith("this machine has no power meter")
    assert "no energy: this machine has no power meter" in shown(facts)
    with pytest.raises(InputError, match="every figure is absent"):
        bench_figure(facts)


@pytest.mark.parametrize(("backend", "kinds"), [("emulator", "rapl hwmon pynq"), ("pynq", "hwmon pynq xrt")])
def test_a_meter_is_looked_for_where_the_work_is_done(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, backend: str, kinds: str
) -> None:
    asked: list[tuple[str, ...]] = []

    def none(name: str | None = None, kinds: tuple[str, ...] = ()) -> Meter:
        asked.append(kinds)
        raise PowerError("none")

    monkeypatch.setattr(suite, "open_meter", none)
    with opened(bundle, "slow") as subject:
        renamed = type(subject)(subject.bundle, backend, subject.device, subject.accelerator, {})
        measure_all(["energy"], renamed, load_inputs(bundle, 1), QUICK)
    assert asked == [tuple(kinds.split())]


def test_a_simulations_energy_is_not_the_hardwares(bundle: Bundle, meter: CurveMeter) -> None:
    with opened(bundle, "slow") as subject:
        renamed = type(subject)(subject.bundle, "rtl", subject.device, subject.accelerator, {})
        facts = measure_all(["energy"], renamed, load_inputs(bundle, 1), QUICK)
    assert "not the hardware's" in facts["absent"]["energy"] and meter.readings == 0


def test_an_unknown_measurement_is_refused_before_any_is_made(bundle: Bundle) -> None:
    with opened(bundle, "slow") as subject, pytest.raises(InputError, match="latency, throughput, energy, got 'speed'"):
        measure_all(["latency", "speed"], subject, load_inputs(bundle, 1), QUICK)


@pytest.mark.parametrize(("ending", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_picture_is_written_in_the_format_of_its_name(
    facts: dict[str, Any], tmp_path: Path, ending: str, magic: bytes
) -> None:
    save_picture(facts, tmp_path / f"figure.{ending}")
    assert (tmp_path / f"figure.{ending}").read_bytes().startswith(magic)


def test_a_picture_has_a_panel_for_each_view_with_its_values(facts: dict[str, Any]) -> None:
    figure = bench_figure(facts)
    assert len(figure.axes) == 5
    labels = [text.get_text() for text in figure.axes[0].texts]
    assert seconds(facts["latency"]["percentiles"]["device"]["max_s"]) in labels
    assert "curve: a, b" in figure.axes[4].get_xlabel()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.5, "1.50 s"),
        (0.000204, "204 µs"),
        (2.53e-3, "2.53 ms"),
        (0.0, "0.00 s"),
        (-4e-5, "-40.0 µs"),
        (3e-12, "0.00300 ns"),
    ],
)
def test_times_have_three_digits(value: float, text: str) -> None:
    assert seconds(value) == text and joules(value) == text.replace("s", "J")
