"""From the integer network to the hardware units that compute it.

The network already is what FINN's streamlining aims at: integer products, exact thresholds, no float left. So
its stages become FINN's hardware operators one by one, and every wire between them carries a tensor of the
network under its own name. What has no such form is refused here, before anything is built.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import BuildError
from bitswath.hw import units
from bitswath.hw.planning.drawing import Drawing, identifier
from bitswath.hw.planning.insight import channel_ranges, comparable, flat_first, flipped, steps_of_one, ungrouped
from bitswath.hw.units import Decoding, Numbers, Unit, Wire
from bitswath.network import network as net

__all__ = ["FRAMES", "RESULTS", "STATUS", "STATUS_BITS", "Plan", "plan"]

FRAMES = "frames"
"""Name of the wire that brings packed frames."""

RESULTS = "results"
"""Name of the wire that takes packed results away."""

STATUS = "status"
"""Name of the wire that says of each compressed frame whether it was damaged."""

STATUS_BITS = 8
"""Of packed results, for the status."""


@dataclass(frozen=True)
class Plan:
    """Units in topological order, from the packed input words to the packed output words. `pixels`: neighbours of a row
    of the input that may pass in a cycle."""

    units: tuple[Unit, ...]
    pixels: int = 1

    def __post_init__(self) -> None:
        written = Counter(wire.name for unit in self.units for wire in unit.outputs)
        if twice := [name for name, times in written.items() if times > 1]:
            raise BuildError(f"expected one unit that gives {twice[0]!r}, got {written[twice[0]]}; rename the stage")

    @property
    def wires(self) -> dict[str, Wire]:
        return {wire.name: wire for unit in self.units for wire in (*unit.inputs, *unit.outputs)}


def plan(
    network: net.Network, bits: int, link_width: int, decoding: Decoding | None = None, *, pixels: int = 1
) -> Plan:
    """The units of `network` behind frames of `bits` a code in words of `link_width` bits, or behind compressed frames.

    `pixels`: neighbours of a row of the input, and in proportion of every image behind it, that may pass in a cycle,
    where their stages have a form for it; fewer where rows are not whole beats of so many. Raises `BuildError` for a
    stage without a hardware form.
    """
    return _Planner(network, bits, link_width, decoding, pixels).plan()


class _Planner(Drawing):
    def __init__(
        self, network: net.Network, bits: int, link_width: int, decoding: Decoding | None, pixels: int
    ) -> None:
        super().__init__(network, pixels)
        self.decoding, self.bits, self.link_width = decoding, bits, link_width
        self.readers = Counter(name for stage in network.stages for name in stage.inputs)
        self.readers[network.stages[-1].name] += 1
        self.waiting: dict[str, list[Wire]] = {}  # by tensor: one wire for each reader to come
        self.flipped = flipped(network, self.readers)

    def plan(self) -> Plan:
        self._unpack()
        for stage in self.network.stages:
            inputs = tuple(self.waiting[name].pop().apart for name in stage.inputs)
            self._publish(stage.name, self._stage(stage, inputs))
        self._pack(self.waiting[self.network.stages[-1].name].pop().apart)
        return Plan(tuple(self.units), self.pixels)

    def _stage(self, stage: net.Stage, inputs: tuple[Wire, ...]) -> Wire:
        match stage:
            case net.Conv():
                return self._conv(stage, inputs[0])
            case net.Dense():
                flat = replace(inputs[0], shape=(inputs[0].size,))
                return self._matvec(stage, flat, self._signed(stage, stage.weights).T)
            case net.Threshold():
                return self._threshold(stage, inputs[0])
            case net.MaxPool() | net.SumPool():
                return self._pool(stage, inputs[0])
            case net.Add():
                return self._add(stage, inputs)
            case net.Concat():
                return self._concat(stage, inputs)
            case net.Take():
                return self._take(stage, inputs[0])
            case net.Lookup():
                return self._add_unit(units.Lookup, stage, inputs, self._result(stage), table=stage.table)
            case net.ArgMax():
                source = self._integers(stage, inputs[0])
                return self._add_unit(units.ArgMax, stage, (source,), self._result(stage))
        raise _refused(stage, f"the hardware has no form of {type(stage).__name__}")

    def _unpack(self) -> None:
        spec = self.network.input
        shape = (spec.size,) if flat_first(self.network, self.readers) else spec.shape
        shape = shape if len(shape) == 3 else (1, 1, *shape)
        words = -(-spec.size * self.bits // self.link_width)
        frames = Wire(FRAMES, (words,), Numbers(self.link_width))
        codes = self._abreast(Wire(net.INPUT, shape, Numbers(self.bits), net.INPUT))
        if self.decoding is None:
            self.units.append(units.Unpack("unpack", net.INPUT, (frames,), (codes,)))
        else:  # frames differ in length: what passes is words
            word, outputs = replace(frames, shape=(1,)), (codes, self.status)
            self.units.append(units.Decode("decode", net.INPUT, (word,), outputs, decoding=self.decoding))
        self._publish(net.INPUT, codes)

    @property
    def status(self) -> Wire:
        """A number a frame."""
        return Wire(STATUS, (1,), Numbers(1))

    def _pack(self, values: Wire) -> None:
        values = self._integers(self.network.stages[-1], values)
        inputs: tuple[Wire, ...] = (replace(values, shape=(values.size,)),)
        bits = values.size * values.numbers.bits
        if self.decoding is not None:
            inputs, bits = (*inputs, self.status), bits + STATUS_BITS
        results = Wire(RESULTS, (-(-bits // self.link_width),), Numbers(self.link_width))
        self.units.append(units.Pack("pack", values.name, inputs, (results,)))

    def _publish(self, tensor: str, wire: Wire) -> None:
        """Make `wire` ready for each of the tensor's readers."""
        readers = self.readers[tensor]
        if readers <= 1:
            self.waiting[tensor] = [wire]
            return
        copies = tuple(replace(wire, name=f"{wire.name}_{index}") for index in range(readers))
        self.units.append(units.Duplicate(f"{identifier(tensor)}_copy", tensor, (wire,), copies))
        self.waiting[tensor] = list(copies)

    def _conv(self, stage: net.Conv, source: Wire) -> Wire:
        """Grouped convolutions that are not depthwise are dense ones with zeros: as many products as those have."""
        out_channels, *kernel, _ = stage.weights.shape
        channels = source.shape[2]
        depthwise = stage.groups > 1 and stage.groups == channels == out_channels
        size = (kernel[0], kernel[1])
        weights = self._signed(stage, stage.weights)
        if depthwise:
            window = self._window(stage, source, size, stage.strides, stage.dilations, depthwise)
            taps = weights.reshape(channels, -1).T
            return self._add_unit(units.Depthwise, stage, (window,), self._sums(stage), weights=taps, kernel=size)
        rows = ungrouped(weights, stage.groups).reshape(out_channels, -1).T
        if lanes := self._lanes(stage, source, size, stage.strides, stage.dilations):
            return self._join(stage, lanes, self._sums(stage), units.MatVec, weights=rows)
        return self._matvec(stage, self._window(stage, source, size, stage.strides, stage.dilations), rows)

    def _matvec(self, stage: net.Conv | net.Dense, source: Wire, weights: NDArray[np.integer]) -> Wire:
        return self._add_unit(units.MatVec, stage, (source,), self._sums(stage), weights=weights)

    def _sums(self, stage: net.Stage) -> Wire:
        """Accumulators: always signed, as FINN's kernels give them."""
        spec = self.network.tensors[stage.name]
        if stage.name in self.flipped:
            reach = max(-spec.lo, spec.hi)
            return replace(self._result(stage, Numbers.holding(-reach, reach)), tensor=None)
        return self._result(stage, Numbers.holding(spec.lo, spec.hi, signed=True))

    def _signed(self, stage: net.Conv | net.Dense, weights: NDArray[np.integer]) -> NDArray[np.integer]:
        """Weights, negated where the thresholds behind them fall with the sum."""
        signs = self.flipped.get(stage.name)
        return weights if signs is None else weights * signs.reshape(-1, *[1] * (weights.ndim - 1))

    def _threshold(self, stage: net.Threshold, source: Wire) -> Wire:
        """Counts of thresholds; a line behind them where those fall with their input, or are not plain. Only a line
        where every value of the input is one more."""
        count, base = stage.thresholds.shape[1] if stage.step else 0, stage.base
        channels = source.shape[-1]
        ranges = None if source.numbers.bipolar else channel_ranges(self.network, stage, channels, self.flipped)
        rows = np.broadcast_to(stage.thresholds[:, :count], (channels, count))
        falling = np.broadcast_to(stage.directions, (channels,)) < 0
        source = self._abreast(source)
        rows, falling = np.tile(rows, (source.pixels, 1)), np.tile(falling, source.pixels)
        ranges = None if ranges is None else (np.tile(ranges[0], source.pixels), np.tile(ranges[1], source.pixels))
        if stage.inputs[0] in self.flipped:
            falling = np.zeros_like(falling)
        rows = np.where(falling[:, np.newaxis], 1 - rows[:, ::-1], rows)  # count - #(x >= 1 - t) = #(-x >= t)
        signs = (base, stage.step, count) == (-1, 2, 1)
        result = self._result(stage, Numbers(1, bipolar=True) if signs else None)
        result = replace(result, shape=source.shape, pixels=source.pixels)
        below = None if stage.inputs[0] in self.flipped else steps_of_one(rows, self.network.tensors[stage.inputs[0]])
        if below is not None and not signs:
            offset, top = base + stage.step * below, base + stage.step * (count - below)
            return self._line(stage, self._integers(stage, source), result, stage.step, offset, top, falling)
        if not count:
            result = replace(result, numbers=Numbers.holding(base, base + 1))
        if not falling.any() and (stage.step == 1 or signs or not count):
            bounded = comparable(rows, source.numbers)
            base = 0 if signs else base
            return self._add_unit(
                units.Threshold, stage, (source,), result, thresholds=bounded, base=base, ranges=ranges
            )
        counts = replace(source, name=f"{result.name}_count", numbers=Numbers.holding(0, count), tensor=None)
        bounded = comparable(rows, source.numbers)
        self._add_unit(units.Threshold, stage, (source,), counts, thresholds=bounded, ranges=ranges)
        factor, base = (1, 0) if signs else (stage.step, base)
        return self._line(stage, counts, result, factor, base, base + factor * count, falling)

    def _pool(self, stage: net.MaxPool | net.SumPool, source: Wire) -> Wire:
        if isinstance(stage, net.MaxPool):
            return self._max_pool(stage, source)
        source = self._integers(stage, source)
        if stage.kernel == source.shape[:2] and not any(stage.pads):
            count, numbers = prod(stage.kernel), source.numbers
            sums = self._result(stage, Numbers.holding(count * numbers.lo, count * numbers.hi))
            return self._add_unit(units.GlobalSum, stage, (source,), sums)
        return self._pooled(stage, source, self._result(stage))

    def _pooled(self, stage: net.MaxPool | net.SumPool, source: Wire, result: Wire) -> Wire:
        total = isinstance(stage, net.SumPool)
        if lanes := self._lanes(stage, source, stage.kernel, stage.strides):
            if total:
                taps, numbers = prod(stage.kernel), lanes[0].numbers
                result = replace(result, numbers=Numbers.holding(taps * numbers.lo, taps * numbers.hi))
            return self._join(stage, lanes, result, units.WindowPool, total=total)
        windows = self._window(stage, source, stage.kernel, stage.strides, depthwise=True)
        kind = units.SumPool if total else units.MaxPool
        return self._add_unit(kind, stage, (windows,), result, kernel=stage.kernel)

    def _max_pool(self, stage: net.MaxPool, source: Wire) -> Wire:
        """Padding is the bits 0, which must be the least: signed numbers are lifted above it, and lowered again."""
        numbers, lifted = source.numbers, any(stage.pads) and source.numbers.signed
        if lifted:
            above = replace(source, name=f"{identifier(stage.name)}_lifted", numbers=Numbers(numbers.bits), tensor=None)
            source = self._line(stage, source, above, 1, -numbers.lo).apart
        source = replace(source, numbers=source.numbers.coded)
        result = self._result(stage, numbers)
        if not lifted:
            return self._pooled(stage, source, result)
        high = replace(result, name=f"{result.name}_lifted_max", numbers=source.numbers, tensor=None)
        return self._line(stage, self._pooled(stage, source, high), result, 1, numbers.lo)

    def _take(self, stage: net.Take, source: Wire) -> Wire:
        """Nothing where the order of the stream is that of the result."""
        if stage.in_order and len(stage.index) == source.size:
            return replace(source, shape=stage.shape)
        numbers = source.numbers
        if stage.fills:
            source = self._integers(stage, source)
            numbers = Numbers.holding(min(source.numbers.lo, stage.fill), max(source.numbers.hi, stage.fill))
        index = stage.index.astype(np.int64)
        used = np.unique(index[index >= 0])
        taken = index[index >= 0]
        if len(used) < source.size and (np.diff(taken) <= 0).any():  # what nobody asks for is left out first
            some = replace(self._result(stage, source.numbers), name=f"{identifier(stage.name)}_some", tensor=None)
            some = replace(some, shape=(len(used),))
            self.units.append(units.Take(f"{some.name}_take", stage.name, (source,), (some,), index=used))
            source, index = some, np.where(index < 0, -1, np.searchsorted(used, index))
        return self._add_unit(
            units.Take,
            stage,
            (source,),
            self._result(stage, numbers),
            index=index,
            fill=stage.fill if stage.fills else 0,
        )

    def _add(self, stage: net.Add, inputs: tuple[Wire, ...]) -> Wire:
        """Streams added two by two, from the left."""
        result = self._abreast(self._result(stage))
        inputs = tuple(self._abreast(self._integers(stage, wire)) for wire in inputs)
        total, multiplier = inputs[0], stage.multipliers[0]
        for index, (wire, factor) in enumerate(zip(inputs[1:], stage.multipliers[1:])):
            pairs = ((multiplier, total), (factor, wire))
            ends = [factor * end for factor, wire in pairs for end in (wire.numbers.lo, wire.numbers.hi)]
            numbers = Numbers.holding(min(ends[:2]) + min(ends[2:]), max(ends[:2]) + max(ends[2:]))
            output = replace(result, numbers=numbers)
            if index < len(inputs) - 2:
                output = replace(output, name=f"{result.name}_sum{index}", tensor=None)
            name = f"{identifier(stage.name)}_add{index}"
            self.units.append(units.AddStreams(name, stage.name, (total, wire), (output,), (multiplier, factor)))
            total, multiplier = output, 1
        return total

    def _concat(self, stage: net.Concat, inputs: tuple[Wire, ...]) -> Wire:
        inputs = tuple(self._integers(stage, wire) for wire in inputs)
        return self._add_unit(units.Concat, stage, inputs, self._result(stage))


def _refused(stage: net.Stage, reason: str) -> BuildError:
    return BuildError(f"stage {stage.name!r} ({type(stage).__name__}) cannot be built: {reason}")


def edges(plan: Plan) -> Iterator[tuple[Unit, Wire, Unit]]:
    """(source, wire, sink) of every inner wire."""
    sinks = {wire.name: unit for unit in plan.units for wire in unit.inputs}
    for unit in plan.units:
        for wire in unit.outputs:
            if wire.name in sinks:
                yield unit, wire, sinks[wire.name]
