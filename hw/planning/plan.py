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
from bitswath.hw.units import Numbers, Unit, Wire
from bitswath.network import network as net

__all__ = ["FRAMES", "RESULTS", "Plan", "plan"]

FRAMES = "frames"
"""Name of the wire that brings packed frames."""

RESULTS = "results"
"""Name of the wire that takes packed results away."""


@dataclass(frozen=True)
class Plan:
    """Units in topological order, from the packed input words to the packed output words."""

    units: tuple[Unit, ...]

    @property
    def wires(self) -> dict[str, Wire]:
        return {wire.name: wire for unit in self.units for wire in (*unit.inputs, *unit.outputs)}

    def source(self, wire: Wire) -> Unit | None:
        return next((unit for unit in self.units if wire in unit.outputs), None)

    def sink(self, wire: Wire) -> Unit | None:
        return next((unit for unit in self.units if wire in unit.inputs), None)


def plan(network: net.Network, bits: int, link_width: int) -> Plan:
    """The units of `network` behind frames of `bits` a code in words of `link_width` bits.

    Raises `BuildError` for a stage without a hardware form.
    """
    return _Planner(network, bits, link_width).plan()


class _Planner:
    def __init__(self, network: net.Network, bits: int, link_width: int) -> None:
        self.network = network
        self.bits = bits
        self.link_width = link_width
        self.units: list[Unit] = []
        self.readers = Counter(name for stage in network.stages for name in stage.inputs)
        self.readers[network.stages[-1].name] += 1
        self.waiting: dict[str, list[Wire]] = {}  # by tensor: one wire for each reader to come
        self.flipped = _flipped(network, self.readers)

    def plan(self) -> Plan:
        self._unpack()
        for stage in self.network.stages:
            inputs = tuple(self.waiting[name].pop() for name in stage.inputs)
            self._publish(stage.name, self._stage(stage, inputs))
        self._pack(self.waiting[self.network.stages[-1].name].pop())
        return Plan(tuple(self.units))

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
            case net.Lookup():
                return self._add_unit(units.Lookup, stage, inputs, self._result(stage), table=stage.table)
            case net.ArgMax():
                return self._add_unit(units.ArgMax, stage, inputs, self._result(stage))
        raise _refused(stage, f"the hardware has no form of {type(stage).__name__}")

    def _unpack(self) -> None:
        spec = self.network.input
        shape = spec.shape if len(spec.shape) == 3 else (1, 1, *spec.shape)
        words = -(-spec.size * self.bits // self.link_width)
        frames = Wire(FRAMES, (words,), Numbers(self.link_width))
        codes = Wire(net.INPUT, shape, Numbers(self.bits), net.INPUT)
        self.units.append(units.Unpack("unpack", net.INPUT, (frames,), (codes,)))
        self._publish(net.INPUT, codes)

    def _pack(self, values: Wire) -> None:
        words = -(-values.size * values.numbers.bits // self.link_width)
        flat = replace(values, shape=(values.size,))
        results = Wire(RESULTS, (words,), Numbers(self.link_width))
        self.units.append(units.Pack("pack", values.name, (flat,), (results,)))

    def _publish(self, tensor: str, wire: Wire) -> None:
        """Make `wire` ready for each of the tensor's readers."""
        readers = self.readers[tensor]
        if readers <= 1:
            self.waiting[tensor] = [wire]
            return
        copies = tuple(replace(wire, name=f"{wire.name}_{index}") for index in range(readers))
        self.units.append(units.Duplicate(f"{_name(tensor)}_copy", tensor, (wire,), copies))
        self.waiting[tensor] = list(copies)

    def _add_unit(
        self, kind: type[Unit], stage: net.Stage, inputs: tuple[Wire, ...], output: Wire, **parameters: object
    ) -> Wire:
        name = f"{_name(stage.name)}_{kind.__name__.lower()}"
        self.units.append(kind(name, stage.name, inputs, (output,), **parameters))
        return output

    def _result(self, stage: net.Stage, numbers: Numbers | None = None) -> Wire:
        spec = self.network.tensors[stage.name]
        return Wire(_name(stage.name), spec.shape, numbers or Numbers.holding(spec.lo, spec.hi), stage.name)

    def _conv(self, stage: net.Conv, source: Wire) -> Wire:
        out_channels, *kernel, per_group = stage.weights.shape
        channels = source.shape[2]
        depthwise = stage.groups > 1
        if depthwise and not (stage.groups == channels == out_channels and per_group == 1):
            raise _refused(
                stage, f"grouped convolutions need groups = channels in = channels out, got {stage.groups} groups"
            )
        window = self._window(stage, source, (kernel[0], kernel[1]), stage.strides, stage.dilations, depthwise)
        weights = self._signed(stage, stage.weights)
        if not depthwise:
            return self._matvec(stage, window, weights.reshape(out_channels, -1).T)
        taps = weights.reshape(channels, -1).T
        kernel_size = (kernel[0], kernel[1])
        return self._add_unit(units.Depthwise, stage, (window,), self._sums(stage), weights=taps, kernel=kernel_size)

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

    def _window(
        self,
        stage: net.Conv | net.MaxPool | net.SumPool,
        source: Wire,
        kernel: units.Pair,
        strides: units.Pair,
        dilations: units.Pair = (1, 1),
        depthwise: bool = False,
    ) -> Wire:
        if any(stage.pads):
            source = self._pad(stage, source)
        if kernel == (1, 1) and strides == (1, 1):
            return source
        channels = source.shape[2]
        height, width = self.network.tensors[stage.name].shape[:2]
        shape = (height, width, prod(kernel) * channels)
        output = Wire(f"{_name(stage.name)}_windows", shape, source.numbers)
        return self._add_unit(
            units.Window,
            stage,
            (source,),
            output,
            kernel=kernel,
            strides=strides,
            dilations=dilations,
            depthwise=depthwise,
        )

    def _pad(self, stage: net.Conv | net.MaxPool | net.SumPool, source: Wire) -> Wire:
        if source.numbers.bipolar or (isinstance(stage, net.MaxPool) and source.numbers.signed):
            raise _refused(stage, f"zero padding needs unsigned values here, got {source.numbers.datatype}")
        top, left, bottom, right = stage.pads
        height, width, channels = source.shape
        output = Wire(
            f"{_name(stage.name)}_padded", (height + top + bottom, width + left + right, channels), source.numbers
        )
        return self._add_unit(units.Pad, stage, (source,), output, pads=stage.pads)

    def _threshold(self, stage: net.Threshold, source: Wire) -> Wire:
        numbers, base = None, stage.base
        if not stage.thresholds.shape[1]:
            numbers = Numbers.holding(base, base + 1)
        elif (base, stage.step, stage.thresholds.shape[1]) == (-1, 2, 1):
            numbers, base = Numbers(1, bipolar=True), 0
        elif stage.step != 1:
            raise _refused(stage, f"thresholds that count in steps of {stage.step} have no form; 1, or -1 and +1 have")
        falling = np.broadcast_to(stage.directions, (source.shape[-1],)) < 0
        if falling.any() and stage.inputs[0] not in self.flipped:
            raise _refused(stage, "channels that fall with their input need a convolution or dense layer before them")
        rows = self._rows(stage, source)
        return self._add_unit(
            units.Threshold, stage, (source,), self._result(stage, numbers), thresholds=rows, base=base
        )

    def _rows(self, stage: net.Threshold, source: Wire) -> NDArray[np.int64]:
        """Thresholds (channels, steps) as the hardware compares them: -1 and +1 as the bits 0 and 1, and at least one,
        which where there is none is never reached."""
        rows = np.broadcast_to(stage.thresholds, (source.shape[-1], stage.thresholds.shape[1]))
        lowest, beyond = self._bounds(source)
        if source.numbers.bipolar:
            rows = (rows + 2) // 2
        if not rows.shape[1]:
            rows = np.full((source.shape[-1], 1), beyond)
        return np.clip(rows, lowest, beyond)

    @staticmethod
    def _bounds(wire: Wire) -> tuple[int, int]:
        """Thresholds outside of these are never, or always, reached."""
        bits, signed = wire.numbers.bits, wire.numbers.signed
        return (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)

    def _pool(self, stage: net.MaxPool | net.SumPool, source: Wire) -> Wire:
        if isinstance(stage, net.SumPool) and stage.kernel == source.shape[:2] and not any(stage.pads):
            count, numbers = prod(stage.kernel), source.numbers
            sums = self._result(stage, Numbers.holding(count * numbers.lo, count * numbers.hi))
            return self._add_unit(units.GlobalSum, stage, (source,), sums)
        windows = self._window(stage, source, stage.kernel, stage.strides, depthwise=True)
        kind = units.MaxPool if isinstance(stage, net.MaxPool) else units.SumPool
        return self._add_unit(kind, stage, (windows,), self._result(stage), kernel=stage.kernel)

    def _add(self, stage: net.Add, inputs: tuple[Wire, ...]) -> Wire:
        """Streams added two by two, from the left."""
        result = self._result(stage)
        total, multiplier = inputs[0], stage.multipliers[0]
        for index, (wire, factor) in enumerate(zip(inputs[1:], stage.multipliers[1:])):
            pairs = ((multiplier, total), (factor, wire))
            ends = [factor * end for factor, wire in pairs for end in (wire.numbers.lo, wire.numbers.hi)]
            numbers = Numbers.holding(min(ends[:2]) + min(ends[2:]), max(ends[:2]) + max(ends[2:]))
            output = replace(result, numbers=numbers)
            if index < len(inputs) - 2:
                output = replace(output, name=f"{result.name}_{index}", tensor=None)
            name = f"{_name(stage.name)}_add{index}"
            self.units.append(units.AddStreams(name, stage.name, (total, wire), (output,), (multiplier, factor)))
            total, multiplier = output, 1
        return total

    def _concat(self, stage: net.Concat, inputs: tuple[Wire, ...]) -> Wire:
        if any(wire.numbers.bipolar for wire in inputs):
            raise _refused(stage, "streams of -1 and +1 cannot be joined")
        return self._add_unit(units.Concat, stage, inputs, self._result(stage))


def _flipped(network: net.Network, readers: Counter[str]) -> dict[str, NDArray[np.int8]]:
    """By convolution or dense layer: the sign of each channel, where a threshold behind falls with it."""
    stages = {stage.name: stage for stage in network.stages}
    signs = {}
    for stage in network.stages:
        if isinstance(stage, net.Threshold) and (stage.directions < 0).any():
            source = stage.inputs[0]
            if isinstance(stages.get(source), net.Conv | net.Dense) and readers[source] == 1:
                signs[source] = np.broadcast_to(stage.directions, (network.tensors[source].shape[-1],))
    return signs


def _name(tensor: str) -> str:
    """A tensor's name as an identifier."""
    clean = "".join(letter if letter.isalnum() else "_" for letter in tensor)
    return clean if clean[0].isalpha() else f"t{clean}"


def _refused(stage: net.Stage, reason: str) -> BuildError:
    return BuildError(f"stage {stage.name!r} ({type(stage).__name__}) cannot be built: {reason}")


def edges(plan: Plan) -> Iterator[tuple[Unit, Wire, Unit]]:
    """(source, wire, sink) of every inner wire."""
    sinks = {wire.name: unit for unit in plan.units for wire in unit.inputs}
    for unit in plan.units:
        for wire in unit.outputs:
            if wire.name in sinks:
                yield unit, wire, sinks[wire.name]
