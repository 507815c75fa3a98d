"""Depths of the queues between stages, found by simulation.

1. With queues that never fill, the design runs at the interval of its slowest stage.
2. Frames are then given at just that interval, and each queue's high-water mark is read. Queues of that depth let
   the same schedule happen again; a design that starts everything as early as it can is no slower than any schedule
   its queues have room for (self-timed execution, as in marked graphs), so they keep the interval with frames
   given as fast as they are taken, too.
3. Depths are lowered, many streams at once and halving those where that fails, as long as the interval holds.
4. The design with its real queues is compiled and run; where it is slower than 0.5 %, queues grow and it is again.

Steps 1 to 3 use one simulator: its queues are gauges whose bound is set when it starts. Models stand in it for
FINN's matrix kernels, which take as many cycles (`Variant.fast`).
"""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.rtl.backend import pacing
from bitswath.backends.rtl.simulator import Simulator
from bitswath.backends.rtl.stuck import DesignStuckError
from bitswath.backends.rtl.verilator import Variant, compiled
from bitswath.builds.design import Design, Stream
from bitswath.builds.folder import RTL
from bitswath.builds.words import fill_words
from bitswath.errors import BuildError
from bitswath.hw.generating.compile import save_design

__all__ = ["QueueSizing", "queue_depth", "size_queues"]

TOLERANCE = 0.005
"""How much slower than with endless queues a sized design may be."""

SHORTEST = 2
_SRL_DEPTHS = (17, 33)
_LUTRAM_DEPTHS = (65, 129, 257)
_BLOCK = 512
_HELD = 5  # what FINN's shortest queue holds
_GROWTHS = 4


@dataclass(frozen=True)
class QueueSizing:
    """A design with its queues and how they were found; intervals in cycles a frame, `seconds` by step.

    `shortest_interval`: with every queue as short as it can be, `unbounded_interval`: with queues that never fill,
    `interval`: of the result. `high_water`: most beats in each queue when frames come at the unbounded interval.
    `queue_bits`: what all queues hold, by the high-water marks and in the result. `runs`: simulations made.
    """

    design: Design
    shortest_interval: float
    unbounded_interval: float
    interval: float
    latency: int
    high_water: Mapping[str, int]
    queue_bits: tuple[int, int]
    runs: int
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Run:
    interval: float
    latency: int
    high_water: list[int] = field(default_factory=list)
    stalls: list[int] = field(default_factory=list)


def queue_depth(beats: int) -> int:
    """The depth to choose where at least `beats` must fit: what the next one up would cost in full anyway.

    SRLs hold 16 or 32 beats and one more in the output register, LUT RAM 64, 128 or 256, block RAM 512.
    """
    if beats <= _HELD:
        return SHORTEST
    for depth in (*_SRL_DEPTHS, *_LUTRAM_DEPTHS):
        if beats <= depth:
            return depth
    return math.ceil((beats - 1) / _BLOCK) * _BLOCK + 1


def size_queues(
    design: Design,
    folder: Path,
    *,
    queues: Collection[str] | None = None,
    frames: int = 4,
    draw: Callable[[int], NDArray[np.uint8]] | None = None,
    shrink_runs: int = 16,
    timeout_s: float = 1800.0,
    on_step: Callable[[str], None] = lambda name: None,
) -> QueueSizing:
    """Find the queues of the design whose build lies in `folder`, and write them there.

    `queues`: streams that may have one, by default those that have one now, or all between two stages if none
    has. `frames`: least number in each simulation; more are taken where a frame's latency is many intervals.
    `draw`: gives so many frames, by default of random codes. `shrink_runs`: most simulations to look for smaller
    depths with. Raises `BackendError` if the design does not
    run, `BuildError` if no depth keeps the interval.
    """
    draw = partial(_random_frames, design) if draw is None else draw
    sizer = _Sizer(design, folder, _candidates(design, queues), frames, draw, timeout_s, on_step)
    with tempfile.TemporaryDirectory() as scratch:
        sizer.prepare(Path(scratch))
        unbounded = sizer.endless()
        high_water = sizer.high_water(math.ceil(unbounded.interval))
        start = {name: queue_depth(beats + 1) for name, beats in high_water.items()}
        shortest = sizer.trial(dict.fromkeys(start, SHORTEST))
        depths = sizer.shrink(sizer.grown(start, unbounded.interval), unbounded.interval, shrink_runs)
    result, final = sizer.settle(depths, unbounded.interval)
    return QueueSizing(
        design=result,
        shortest_interval=shortest.interval,
        unbounded_interval=unbounded.interval,
        interval=final.interval,
        latency=final.latency,
        high_water=high_water,
        queue_bits=(_bits(design, high_water), _bits(design, {s.name: s.depth for s in result.streams if s.depth})),
        runs=sizer.runs,
        seconds=sizer.seconds,
    )


class _Sizer:
    def __init__(
        self,
        design: Design,
        folder: Path,
        queues: list[str],
        frames: int,
        draw: Callable[[int], NDArray[np.uint8]],
        timeout_s: float,
        on_step: Callable[[str], None],
    ) -> None:
        self.draw = draw
        self.design, self.folder, self.queues = design, folder, queues
        self.frames, self.timeout_s, self.on_step = max(frames, 3), timeout_s, on_step
        self.runs = 0
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def prepare(self, scratch: Path) -> None:
        """The simulator with gauges."""
        self._step("compile gauges")
        shutil.copytree(self.folder / RTL, scratch / RTL)
        gauged = _with_depths(self.design, dict.fromkeys(self.queues, SHORTEST))
        self.gauged = save_design(gauged, scratch)
        self.rtl = scratch / RTL
        self.model = compiled(self.gauged, self.rtl, Variant(fast=True, gauges=True), timeout_s=self.timeout_s)

    def endless(self) -> _Run:
        """With queues that never fill; from here on enough frames for the pipeline to be full."""
        self._step("unbounded")
        run = self._simulate(self.model, self.gauged, self.rtl, {})
        needed = math.ceil(run.latency / run.interval) + 3
        if needed > self.frames:
            self.frames = min(needed, 4 * self.frames)
            run = self._simulate(self.model, self.gauged, self.rtl, {})
        return run

    def high_water(self, interval: int) -> dict[str, int]:
        self._step("high-water marks")
        run = self._simulate(self.model, self.gauged, self.rtl, {}, interval)
        marks = {stream.name: mark for stream, mark in zip(self.gauged.streams, run.high_water)}
        return {name: marks[name] for name in self.queues}

    def trial(self, depths: Mapping[str, int]) -> _Run:
        """The gauges bounded to these depths, frames as fast as they are taken; a dead lock has an endless interval."""
        capacities = {name: max(depth, _HELD) for name, depth in depths.items()}
        try:
            return self._simulate(self.model, self.gauged, self.rtl, capacities)
        except DesignStuckError:
            return _Run(math.inf, 0)

    def grown(self, depths: dict[str, int], interval: float) -> dict[str, int]:
        """Depths with which the gauges keep the interval; the marks' own do, unless a stage is not monotonic."""
        self._step("bounded")
        for _ in range(_GROWTHS):
            if _keeps(self.trial(depths).interval, interval):
                return depths
            depths = {name: queue_depth(2 * depth) for name, depth in depths.items()}
        raise BuildError(f"queues: no depth up to {max(depths.values())} keeps an interval of {interval:.0f} cycles")

    def shrink(self, depths: dict[str, int], interval: float, runs: int) -> dict[str, int]:
        """Lower depths, a class of cost at a time, in as many streams at once as it works for."""
        self._step("shrink")
        last = self.runs + runs
        smallest = max(1, len(self.queues) // 32)
        groups = [[name for name in self.queues if depths[name] > SHORTEST]]
        while groups and self.runs < last:
            group = groups.pop(0)
            lower = depths | {name: _next_shorter(depths[name]) for name in group}
            if lower == depths:
                continue
            if _keeps(self.trial(lower).interval, interval, TOLERANCE / 2):
                depths = lower
                groups.insert(0, [name for name in group if depths[name] > SHORTEST])
            elif len(group) > smallest:
                ordered = sorted(group, key=lambda name: -depths[name] * self._width(name))
                groups += [ordered[: len(ordered) // 2], ordered[len(ordered) // 2 :]]
        return depths

    def settle(self, depths: dict[str, int], interval: float) -> tuple[Design, _Run]:
        """The design with real queues, run; grown where it is too slow."""
        for _ in range(_GROWTHS):
            self._step("check")
            sized = save_design(_with_depths(self.design, depths), self.folder)
            model = compiled(sized, self.folder / RTL, Variant(fast=True), timeout_s=self.timeout_s)
            try:
                run = self._simulate(model, sized, self.folder / RTL, {})
            except DesignStuckError:
                run = _Run(math.inf, 0)
            if _keeps(run.interval, interval):
                self._step("")
                return sized, run
            depths = self._longer(sized, depths, run)
        raise BuildError(f"queues: {run.interval:.0f} cycles a frame where endless queues give {interval:.0f}")

    def _longer(self, design: Design, depths: dict[str, int], run: _Run) -> dict[str, int]:
        """The queues whose sources waited are grown; all, where a dead lock left no counts."""
        counted = run.stalls or [1] * len(design.streams)
        stalls = {stream.name: count for stream, count in zip(design.streams, counted)}
        return {name: queue_depth(depth + max(depth, _HELD) * (stalls[name] > 0)) for name, depth in depths.items()}

    def _simulate(
        self, model: Path, design: Design, rtl: Path, capacities: Mapping[str, int], interval: int = 0
    ) -> _Run:
        self.runs += 1
        ends = replace(
            pacing(design),
            interval=interval,
            capacities=tuple(capacities.get(stream.name, 0) for stream in design.streams),
        )
        log = model.with_name(f"sizing-{time.time_ns()}.log")
        simulator = Simulator(model, design, rtl, ends, log)
        try:
            simulator.send(fill_words(design.input, self.draw(self.frames)), self.timeout_s)
            done = [simulator.take(self.timeout_s) for _ in range(self.frames)]
            counts = simulator.counts(self.timeout_s)
        finally:
            simulator.close()
        last = [frame.last_out for frame in done]
        latency = last[0] - done[0].first_in + 1
        return _Run((last[-1] - last[-3]) / 2, latency, counts.high_water.tolist(), counts.stalls.tolist())

    def _width(self, name: str) -> int:
        return next(stream.width for stream in self.design.streams if stream.name == name)

    def _step(self, name: str) -> None:
        now = time.monotonic()
        if self.seconds:
            last = next(reversed(self.seconds))
            self.seconds[last] += now - self._since
        self._since = now
        if name:
            self.seconds[name] = self.seconds.pop(name, 0.0)
            self.on_step(name)


def _candidates(design: Design, queues: Collection[str] | None) -> list[str]:
    inner = [stream for stream in design.streams if stream.source and stream.sink and stream.beats]
    if queues is None:
        chosen = [stream.name for stream in inner if stream.depth] or [stream.name for stream in inner]
    else:
        chosen = [stream.name for stream in inner if stream.name in queues]
        if unknown := set(queues) - set(chosen):
            raise BuildError(f"queues: expected streams between stages, got {', '.join(sorted(unknown))}")
    if not chosen:
        raise BuildError(f"queues: design {design.name!r} has no stream between two stages")
    return chosen


def _with_depths(design: Design, depths: Mapping[str, int]) -> Design:
    """`design` with these depths; other queues stay. Deep ones lie in block RAM unless the stream says where."""

    def changed(stream: Stream) -> Stream:
        if stream.name not in depths:
            return stream
        depth = depths[stream.name]
        style = "block" if stream.ram_style == "auto" and depth > _LUTRAM_DEPTHS[-1] else stream.ram_style
        return stream.model_copy(update={"depth": depth, "ram_style": style})

    return design.model_copy(update={"streams": tuple(map(changed, design.streams))})


def _next_shorter(depth: int) -> int:
    """The next depth of another cost below."""
    if depth > 2 * _BLOCK:
        return queue_depth(depth // 2)
    shorter = [one for one in (SHORTEST, *_SRL_DEPTHS, *_LUTRAM_DEPTHS, _BLOCK + 1) if one < depth]
    return shorter[-1] if shorter else depth


def _keeps(interval: float, wanted: float, tolerance: float = TOLERANCE) -> bool:
    return interval <= wanted * (1 + tolerance)


def _bits(design: Design, depths: Mapping[str, int]) -> int:
    return sum(stream.width * depths.get(stream.name, 0) for stream in design.streams)


def _random_frames(design: Design, count: int) -> NDArray[np.uint8]:
    link = design.input
    size = -(-link.bits * link.values // 8)
    return np.random.default_rng(0).integers(0, 256, (count, size), np.uint8)
