"""Energy per frame: a meter is read while frames run and while nothing does, and the idle part is subtracted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bitswath.basics.intervals import Estimate, mean_interval
from bitswath.errors import InputError
from bitswath.power.meters import Meter, Quantity, chosen_rails
from bitswath.power.sampler import Sampler, Samples

__all__ = ["Energy", "Round", "measure_energy"]


@dataclass(frozen=True)
class Round:
    """One turn: idle for a while, then frames. `samples`: readings during the frames, `idle_samples` before;
    `changes`: how often those of the frames differed from the one before; times and joules are of the readings."""

    frames: int
    seconds: float
    energy_j: float
    samples: int
    changes: int
    idle_seconds: float
    idle_w: float
    idle_samples: int

    @property
    def per_frame_j(self) -> float:
        """Gross: everything that the rails drew."""
        return self.energy_j / self.frames

    @property
    def net_per_frame_j(self) -> float:
        """What is left when the idle power before this round is taken off for its whole length."""
        return (self.energy_j - self.idle_w * self.seconds) / self.frames


@dataclass(frozen=True)
class Energy:
    """Joules per frame, gross and net of idle, as mean over the rounds with 95 % confidence intervals.

    `meter`, `rails`, `quantity`: what was read and added up. `power_w`: mean power while frames ran, `idle_w` before.
    """

    meter: str
    rails: tuple[str, ...]
    quantity: Quantity
    gross_j: Estimate
    net_j: Estimate
    power_w: Estimate
    idle_w: Estimate
    frames_per_s: float
    period_s: float
    rounds: tuple[Round, ...]

    @property
    def samples(self) -> int:
        """Readings while frames ran, in all rounds."""
        return sum(one.samples for one in self.rounds)

    def to_dict(self) -> dict[str, Any]:
        """As it goes into JSON."""
        return {**asdict(self), "quantity": self.quantity.value, "rails": list(self.rails), "samples": self.samples}


def measure_energy(
    run: Callable[[], int],
    meter: Meter,
    *,
    rails: Sequence[str] | None = None,
    rounds: int = 5,
    round_s: float = 5.0,
    idle_s: float = 5.0,
    period_s: float = 0.05,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Energy:
    """Energy per frame of `run`, which runs some frames and returns how many.

    `run` is called once unmeasured; then each of `rounds` turns reads the meter for `idle_s` of doing nothing and while
    `run` is called until `round_s` have passed. The rounds' energies per frame are taken as independent (Student's t,
    see `mean_interval`); each is net of the idle power before it, so the interval covers idle power's changes too.
    Reading the meter costs the same in both parts. `rails`: those to add, by default all that the meter sees.

    Raises `PowerError` if the meter fails, gives too few readings, or does not say which rails add up, `InputError`,
    and what `run` raises.
    """
    if rounds < 2 or not (round_s > 0 and idle_s > 0):
        raise InputError(f"expected 2 or more rounds of more than 0 s each, got {rounds} of {round_s} and {idle_s} s")
    added = chosen_rails(meter, rails)
    run()
    done = []
    for _ in range(rounds):
        with Sampler(meter, period_s, clock) as idle:
            sleep(idle_s)
        with Sampler(meter, period_s, clock) as busy:
            frames = _repeat(run, round_s, clock)
        done.append(_round(frames, busy.samples, idle.samples, added))
    return Energy(
        meter=meter.name,
        rails=added,
        quantity=meter.quantity,
        gross_j=mean_interval([one.per_frame_j for one in done]),
        net_j=mean_interval([one.net_per_frame_j for one in done]),
        power_w=mean_interval([one.energy_j / one.seconds for one in done]),
        idle_w=mean_interval([one.idle_w for one in done]),
        frames_per_s=sum(one.frames for one in done) / sum(one.seconds for one in done),
        period_s=period_s,
        rounds=tuple(done),
    )


def _repeat(run: Callable[[], int], seconds: float, clock: Callable[[], float]) -> int:
    frames, ends = 0, clock() + seconds
    while not frames or clock() < ends:
        count = run()
        if count < 1:
            raise InputError(f"expected a run of one or more frames, got {count}")
        frames += count
    return frames


def _round(frames: int, busy: Samples, idle: Samples, rails: tuple[str, ...]) -> Round:
    return Round(
        frames=frames,
        seconds=busy.seconds,
        energy_j=busy.energy_j(rails),
        samples=len(busy),
        changes=busy.changes,
        idle_seconds=idle.seconds,
        idle_w=idle.power_w(rails),
        idle_samples=len(idle),
    )
