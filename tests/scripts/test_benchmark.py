"""Measurements take turns, and ratios are those of the turns."""

from __future__ import annotations

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


class Watch:
    """A clock that goes on where a run says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds


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
    watch = Watch()
    assert timed(lambda: watch.pass_s(0.05), 10, watch, wall=watch)() == pytest.approx(200)


def test_a_short_run_is_repeated_until_the_time_is_up() -> None:
    watch, calls = Watch(), list[float]()

    def run() -> None:
        calls.append(0.25)
        watch.pass_s(0.25)

    assert timed(run, 3, watch, least_s=1.0, wall=watch)() == pytest.approx(12)
    assert len(calls) == 4
    calls.clear()
    timed(run, 3, watch, wall=watch)()
    assert len(calls) == 1


def test_a_run_is_repeated_by_wall_time_and_rated_by_the_clock_it_is_given() -> None:
    """A process that gets half a core has half the time on its own clock."""
    watch = Watch()
    rate = timed(lambda: watch.pass_s(0.25), 3, lambda: watch() / 2, least_s=1.0, wall=watch)()
    assert rate == pytest.approx(24)


def test_latencies_are_of_single_runs() -> None:
    watch, runs_s = Watch(), [0.5, 0.25, 2.0]
    left = iter(runs_s)
    assert latencies_s(lambda: watch.pass_s(next(left)), 3, watch) == runs_s


@pytest.mark.parametrize(("per_item_s", "batch"), [(0.01, 8), (0.0, 64), (1.0, 1)])
def test_a_batch_takes_about_the_time_asked_for(per_item_s: float, batch: int) -> None:
    watch = Watch()
    assert batch_for(lambda items: watch.pass_s(items * per_item_s), 0.1, 64, watch) == batch


def test_the_share_of_a_core_is_that_of_the_time_that_passed() -> None:
    watch = Watch()

    def wall() -> float:
        watch.pass_s(2**-20)
        return watch()

    assert core_share(1.0, wall, lambda: watch() / 4) == pytest.approx(0.25, rel=1e-5)


def test_a_summary_has_the_median_and_the_range() -> None:
    assert summary([3.0, 1.0, 9.0]) == {"patches_per_s": 3.0, "lowest": 1.0, "highest": 9.0}
