"""The parts that the benchmark scripts share."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from bench_report import bars, limits
from benchmark import (
    Bar,
    bar_table,
    batch_for,
    core_share,
    interleaved,
    latencies_s,
    machine,
    ratio,
    summary,
    timed,
    write_facts,
)
from rich.console import Console


def test_a_ratio_is_the_median_over_the_rounds() -> None:
    assert ratio([2.0, 40.0, 300.0], [1.0, 10.0, 100.0]) == 3.0


def test_measurements_take_turns_and_the_first_round_does_not_count() -> None:
    called: list[str] = []

    def measure(name: str) -> float:
        called.append(name)
        return float(len(called))

    rates = interleaved({name: (lambda name=name: measure(name)) for name in "ab"}, 2)
    assert called == ["a", "b", "a", "b", "b", "a"]
    assert rates == {"a": [3.0, 6.0], "b": [4.0, 5.0]}


def test_a_rate_is_amount_over_time() -> None:
    assert 50 < timed(lambda: time.sleep(0.05), 10)() <= 200


def test_latencies_are_of_single_runs() -> None:
    taken = latencies_s(lambda: time.sleep(0.01), 4)
    assert len(taken) == 4 and min(taken) >= 0.01


@pytest.mark.parametrize(("per_item_s", "lowest", "highest"), [(0.01, 4, 16), (0.0, 64, 64), (1.0, 1, 1)])
def test_a_batch_takes_about_the_time_asked_for(per_item_s: float, lowest: int, highest: int) -> None:
    assert lowest <= batch_for(lambda batch: time.sleep(batch * per_item_s), 0.1, 64) <= highest


def test_bars_know_their_side() -> None:
    facts = {"a": {"b": 2.0}, "mb": 70}
    assert Bar("", "a.b", 3).missed(facts) and not Bar("", "a.b", 2).missed(facts)
    assert Bar("", "mb", 64, "MB", at_most=True).missed(facts)
    assert not Bar("", "a.c", 3).missed(facts), "what was not measured is not missed"
    assert Bar("", "a.c", 3).value(facts) is None and not Bar("", "a.b", None).missed(facts)


def test_values_are_shown_in_their_unit() -> None:
    assert Bar("", "k", 1).shown(2.5) == "2.50x"
    assert Bar("", "k", 1, "%").shown(0.256) == "25.6 %"
    assert Bar("", "k", 1, "GMAC/s").shown(1234.4) == "1,234 GMAC/s"


def test_the_table_has_what_was_measured() -> None:
    wanted = [Bar("speed", "speed", 8), Bar("size", "size", 64, "MB", at_most=True), Bar("absent", "absent", 1)]
    console = Console(width=100)
    with console.capture() as captured:
        console.print(bar_table("Title", wanted, {"speed": 9.0, "size": 70.0}))
    lines = captured.get().splitlines()
    assert any("speed" in line and "9.00x" in line and "reached" in line for line in lines)
    assert any("size" in line and "<= 64.0 MB" in line and "missed" in line for line in lines)
    assert not any("absent" in line for line in lines)


def test_the_share_of_a_core_is_a_part() -> None:
    assert 0 < core_share(0.02) <= 1.1


def test_a_summary_has_the_median_and_the_range() -> None:
    assert summary([3.0, 1.0, 9.0]) == {"patches_per_s": 3.0, "lowest": 1.0, "highest": 9.0}


def test_facts_are_written_rounded(tmp_path: Path) -> None:
    write_facts(tmp_path / "facts.json", {"a": {"b": 1.23456789}, "c": [1, 2.0], "d": None})
    assert json.loads((tmp_path / "facts.json").read_text()) == {"a": {"b": 1.2346}, "c": [1, 2.0], "d": None}


def test_the_machine_is_named() -> None:
    found = machine()
    assert found["cores"] >= 1 and found["processor"] and found["architecture"]


def test_what_falls_short_is_explained_once_for_each_reason() -> None:
    blocks = {"conv0": {"share": 0.75, "gmac_per_s": 10.0}, "conv1": {"share": 0.25, "gmac_per_s": 40.0}}
    vgg = {"ratio_ort_int8": 2.0, "fraction_of_peak": 0.1, "peak": {"unit": "amx"}, "blocks": blocks}
    facts = {"zoo_vgg": vgg, "memory": {"over_mb": 80, "accelerator_over_mb": 20, "backend_over_mb": 80}}
    throughput, memory = limits(bars(facts), facts)
    assert "2.00x" in throughput and "10.0 %" in throughput and "conv0 75%" in throughput
    assert "EmulatorBackend 80 MB" in memory
    assert limits(bars(facts), {"zoo_vgg": vgg | {"ratio_ort_int8": 9.0, "fraction_of_peak": 0.3}}) == []
