"""Measurements take turns, and ratios are those of the turns."""

from __future__ import annotations

import time

import pytest
from benchmark import (
    batch_for,
    core_share,
    interleaved,
    latencies_s,
    ratios,
    summary,
    timed,
)


def test_a_ratio_is_the_median_over_the_rounds_and_has_quartiles() -> None:
    pairs = {"a": ([2.0, 40.0, 300.0], [1.0, 10.0, 100.0]), "b": ([5.0, 5.0, 5.0], [1.0, 5.0, 2.5])}
    assert ratios(pairs) == {"a": 3.0, "b": 2.0, "quartiles": {"a": [2.5, 3.5], "b": [1.5, 3.5]}}


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


def test_a_short_run_is_repeated_until_the_time_is_up() -> None:
    calls: list[float] = []

    def run() -> None:
        calls.append(0.01)
        time.sleep(0.01)

    rate = timed(run, 3, least_s=0.05)()
    assert 2 <= len(calls) <= 5 and rate <= 300
    calls.clear()
    timed(run, 3)()
    assert len(calls) == 1


def test_latencies_are_of_single_runs() -> None:
    taken = latencies_s(lambda: time.sleep(0.01), 4)
    assert len(taken) == 4 and min(taken) >= 0.01


@pytest.mark.parametrize(("per_item_s", "lowest", "highest"), [(0.01, 4, 16), (0.0, 64, 64), (1.0, 1, 1)])
def test_a_batch_takes_about_the_time_asked_for(per_item_s: float, lowest: int, highest: int) -> None:
    assert lowest <= batch_for(lambda batch: time.sleep(batch * per_item_s), 0.1, 64) <= highest


def test_the_share_of_a_core_is_a_part() -> None:
    assert 0 < core_share(0.02) <= 1.1


def test_a_summary_has_the_median_and_the_range() -> None:
    assert summary([3.0, 1.0, 9.0]) == {"patches_per_s": 3.0, "lowest": 1.0, "highest": 9.0}
