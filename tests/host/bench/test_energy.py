"""Energy per frame of a machine whose power is known, gross and net of idle."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bitswath.basics.intervals import mean_interval
from bitswath.bench.energy import Energy, measure_energy
from bitswath.errors import InputError, PowerError
from bitswath.power import Quantity
from tests.host.power.fakes import CurveMeter, StepClock
from tests.host.power.test_sampler import wait_for

IDLE_W, FRAMES, RUN_S = 3.0, 20, 1.0


class Machine:
    """Draws `IDLE_W`, and ``busy_w(run)`` while it runs `FRAMES` in `RUN_S`; counts joules, or reads watts."""

    def __init__(self, busy_w: Callable[[int], float], *, counts: bool = True, **options: Any) -> None:
        self.clock = StepClock(step_s=1e-9)
        self.times, self.joules = [self.clock.now_s], [1000.0]
        self.watts, self.busy_w, self.runs = IDLE_W, busy_w, 0
        self.meter = CurveMeter(self.clock, lambda _: self.watts, self._count if counts else None, **options)

    def sleep(self, seconds: float) -> None:
        self._pass(seconds, IDLE_W)

    def run(self) -> int:
        self.runs += 1
        self._pass(RUN_S, self.busy_w(self.runs))
        return FRAMES

    def measure(self, **options: Any) -> Energy:
        settings = {"rounds": 3, "round_s": 2.5, "idle_s": 4.0, "period_s": 0.0005, **options}
        return measure_energy(self.run, self.meter, clock=self.clock, sleep=self.sleep, **settings)

    def _pass(self, seconds: float, watts: float) -> None:
        """Time passes in ten pieces, and the meter is read in each."""
        self.watts = watts
        self.times.append(self.clock.now_s + seconds)
        self.joules.append(self.joules[-1] + seconds * watts)
        for _ in range(10):
            if self.meter.readings and self.meter.readings != self.meter.fails_at:  # it is being read
                wait_for(self.meter, self.meter.readings + 1)
            self.clock.advance(seconds / 10)

    def _count(self, at: float) -> float:
        return float(np.interp(at, self.times, self.joules))


def test_idle_power_is_subtracted_for_as_long_as_frames_ran() -> None:
    found = Machine(lambda _: 11.0).measure()
    assert found.gross_j.mean == pytest.approx(11.0 / FRAMES, rel=1e-4)
    assert found.net_j.mean == pytest.approx((11.0 - IDLE_W) / FRAMES, rel=1e-4)
    assert (found.idle_w.mean, found.power_w.mean) == pytest.approx((IDLE_W, 11.0), rel=1e-4)
    assert found.gross_j.half_width < 1e-4 and found.frames_per_s == pytest.approx(FRAMES / RUN_S, rel=1e-4)
    assert (found.meter, found.rails, found.quantity) == ("curve", ("a",), Quantity.ENERGY)
    assert [one.frames for one in found.rounds] == [3 * FRAMES] * 3  # a run that began before 2.5 s counts whole


def test_the_interval_is_students_over_the_rounds_and_the_first_run_does_not_count() -> None:
    found = Machine(lambda run: {1: 900.0, 2: 10.0, 3: 11.0, 4: 13.0}[run]).measure(round_s=0.5)
    wanted = mean_interval([watts / FRAMES for watts in (10.0, 11.0, 13.0)])
    assert (found.gross_j.low, found.gross_j.high) == pytest.approx((wanted.low, wanted.high), rel=1e-3)
    assert found.net_j.half_width == pytest.approx(wanted.half_width, rel=1e-3)


def test_watts_give_the_same_as_a_counter_but_for_the_edges_of_a_round() -> None:
    found = Machine(lambda _: 11.0, counts=False).measure(round_s=9.5)
    assert found.quantity is Quantity.POWER
    assert found.gross_j.mean == pytest.approx(11.0 / FRAMES, rel=0.02)
    assert found.net_j.mean == pytest.approx(8.0 / FRAMES, rel=0.03)


def test_other_rails_are_added_when_asked_for() -> None:
    found = Machine(lambda _: 11.0).measure(rails=["a", "b"])
    assert found.rails == ("a", "b") and found.gross_j.mean == pytest.approx(11 * 11.0 / FRAMES, rel=1e-4)


def test_it_goes_into_json_with_meter_rails_and_readings() -> None:
    found = Machine(lambda _: 11.0).measure()
    told = json.loads(json.dumps(found.to_dict()))
    assert (told["meter"], told["rails"], told["quantity"]) == ("curve", ["a"], "energy")
    assert told["samples"] == sum(one["samples"] for one in told["rounds"]) >= 3 * 5
    assert set(told["net_j"]) == {"mean", "low", "high", "confidence"} and len(told["rounds"]) == 3


def test_a_sensor_that_fails_in_the_middle_gives_no_figure() -> None:
    with pytest.raises(PowerError, match="does not answer"):
        Machine(lambda _: 11.0, fails_at=25).measure()


def test_too_few_readings_give_no_figure() -> None:
    machine = Machine(lambda _: 11.0)
    machine._pass = lambda seconds, watts: machine.clock.advance(seconds)  # type: ignore[method-assign]
    with pytest.raises(PowerError, match="5 or more readings, got 2"):
        machine.measure(period_s=100.0)


def test_a_meter_whose_rails_may_overlap_needs_them_named() -> None:
    with pytest.raises(PowerError, match="name those to add: a, b"):
        Machine(lambda _: 11.0, everything=None).measure()


@pytest.mark.parametrize("options", [{"rounds": 1}, {"round_s": 0.0}, {"idle_s": 0.0}])
def test_rounds_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="2 or more rounds"):
        Machine(lambda _: 11.0).measure(**options)


def test_a_run_of_no_frames_is_refused() -> None:
    machine = Machine(lambda _: 11.0)
    with pytest.raises(InputError, match="one or more frames, got 0"):
        measure_energy(lambda: 0, machine.meter, clock=machine.clock, sleep=machine.sleep, period_s=0.0005)
