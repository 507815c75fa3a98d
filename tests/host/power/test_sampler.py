"""Readings in a thread, and the energy they amount to."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from bitswath.errors import InputError, PowerError
from bitswath.power import Quantity, Sampler, Samples
from tests.host.power.fakes import CurveMeter, StepClock


def samples(times: list[float], watts: list[float], quantity: Quantity = Quantity.POWER) -> Samples:
    return Samples("m", quantity, ("a",), np.array(times), np.array(watts, np.float64).reshape(-1, 1))


def wait_for(meter: CurveMeter, readings: int) -> None:
    ends = time.monotonic() + 5
    while meter.readings < readings and time.monotonic() < ends:
        time.sleep(0.001)


def test_the_trapezoidal_rule_is_exact_for_a_ramp_at_any_spacing() -> None:
    rng = np.random.default_rng(3)
    times = np.sort(rng.uniform(0, 10, 50))
    found = samples(list(times), list(3 * times + 1))
    exact = 1.5 * (times[-1] ** 2 - times[0] ** 2) + times[-1] - times[0]
    assert found.energy_j(["a"]) == pytest.approx(exact)
    assert found.power_w(["a"]) == pytest.approx(exact / found.seconds)


def test_a_counters_joules_are_subtracted() -> None:
    found = samples([0, 1, 2, 3, 9], [5, 5, 7, 8, 8.5], Quantity.ENERGY)
    assert found.energy_j(["a"]) == 3.5 and found.changes == 3 and found.longest_gap_s == 6


def test_rails_are_added() -> None:
    values = np.array([[1.0, 2.0, 4.0]] * 6)
    found = Samples("m", Quantity.POWER, ("a", "b", "c"), np.arange(6.0), values)
    assert found.energy_j(["a", "c"]) == 25 and found.energy_j(["b"]) == 10


@pytest.mark.parametrize("count", [0, 1, 4])
def test_too_few_readings_give_no_figure(count: int) -> None:
    with pytest.raises(PowerError, match=f"expected 5 or more readings, got {count}"):
        samples(list(range(count)), [1.0] * count).energy_j(["a"])


def test_times_that_do_not_increase_are_refused() -> None:
    with pytest.raises(InputError, match="increase"):
        samples([0, 1, 1], [1, 1, 1])


def test_readings_span_the_block_and_are_timed_at_their_middle() -> None:
    clock = StepClock()
    meter = CurveMeter(clock, watts=lambda t: 2 * t)
    with Sampler(meter, 0.001, clock) as sampler:
        entered = clock.now_s
        wait_for(meter, 30)
        left = clock.now_s
    found = sampler.samples
    first, last = found.times_s[0], found.times_s[-1]
    assert first < entered and last > left and len(found) == meter.readings >= 30
    assert found.energy_j(["a"]) == pytest.approx(last**2 - first**2)
    assert found.energy_j(["b"]) == pytest.approx(10 * found.energy_j(["a"]))
    assert (found.meter, found.quantity, found.rails) == ("curve", Quantity.POWER, ("a", "b"))


def test_readings_come_at_the_period() -> None:
    clock = StepClock()
    meter = CurveMeter(clock)
    started = time.monotonic()
    with Sampler(meter, 0.02, clock):
        time.sleep(0.3)
    assert 3 <= meter.readings <= 2 + (time.monotonic() - started) / 0.02


def test_a_sensor_that_fails_in_the_middle_is_an_error_when_the_block_is_left() -> None:
    clock = StepClock()
    meter = CurveMeter(clock, fails_at=4)
    with pytest.raises(PowerError, match="does not answer"), Sampler(meter, 0.001, clock):
        wait_for(meter, 4)
    assert meter.readings == 4


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_sensor_that_fails_before_or_after_the_block_is_an_error_too(fails_at: int) -> None:
    clock = StepClock()
    with pytest.raises(PowerError, match="does not answer"), Sampler(CurveMeter(clock, fails_at=fails_at), 100, clock):
        pass


def test_an_error_in_the_block_goes_first_and_the_thread_ends() -> None:
    clock = StepClock()
    meter = CurveMeter(clock, fails_at=3)
    with pytest.raises(ZeroDivisionError), Sampler(meter, 0.001, clock):
        wait_for(meter, 3)
        _ = 1 / 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("bitswath-power")]


def test_leaving_the_block_does_not_wait_for_the_period() -> None:
    clock = StepClock()
    with Sampler(CurveMeter(clock), 1e9, clock) as sampler:
        pass
    assert len(sampler.samples) == 2


def test_a_gap_in_which_a_counter_may_go_round_is_an_error() -> None:
    clock = StepClock()
    with Sampler(CurveMeter(clock, joules=lambda t: t, longest_gap_s=30), 100, clock) as sampler:
        clock.advance(31)
    with pytest.raises(PowerError, match="may have gone round"):
        _ = sampler.samples


def test_a_sampler_is_used_once_and_read_afterwards() -> None:
    clock = StepClock()
    sampler = Sampler(CurveMeter(clock), 0.01, clock)
    with pytest.raises(PowerError, match="to have run"):
        _ = sampler.samples
    with sampler, pytest.raises(PowerError, match="to have run"):
        _ = sampler.samples
    with pytest.raises(PowerError, match="used once"), sampler:
        pass


@pytest.mark.parametrize("period_s", [0, -1, float("inf"), float("nan")])
def test_a_period_is_a_positive_time(period_s: float) -> None:
    with pytest.raises(InputError, match="above 0 s"):
        Sampler(CurveMeter(StepClock()), period_s)
