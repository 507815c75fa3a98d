"""What planned units compute, in numpy, unit by unit: whether a plan is its network, without any RTL."""

from __future__ import annotations

from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from bitswath.hw import units
from bitswath.hw.planning.plan import RESULTS, Plan
from bitswath.hw.units import Unit, Wire
from tests.reference import windows

Integers = NDArray[np.int64]


def results(plan: Plan, codes: Integers) -> Integers:
    """The last tensor, flat, (N, values); every integer on the way must fit its wire."""
    (first,) = plan.units[0].outputs
    values = {first.name: (first, codes)}
    for unit in plan.units[1:]:
        inputs = [_seen(wire, *values[wire.name]) for wire in unit.inputs]
        given = _compute(unit, *inputs)
        for wire, y in zip(unit.outputs, given if isinstance(given, tuple) else (given,)):
            if wire.name == RESULTS:
                return y
            assert wire.numbers.lo <= y.min() <= y.max() <= wire.numbers.hi, (unit, wire)
            values[wire.name] = wire, y.reshape(len(codes), *wire.shape)
    raise AssertionError("expected a unit that gives results")


def _seen(wire: Wire, source: Wire, values: Integers) -> Integers:
    """As the unit behind takes them: in its shape, bits as numbers or as -1 and +1."""
    values = values.reshape(len(values), *wire.shape)
    if source.numbers.bipolar and not wire.numbers.bipolar:
        return (values + 1) // 2
    if wire.numbers.bipolar and not source.numbers.bipolar:
        return 2 * values - 1
    return values


@singledispatch
def _compute(unit: Unit, *inputs: Integers) -> Integers | tuple[Integers, ...]:
    raise NotImplementedError(type(unit).__name__)


@_compute.register
def _(unit: units.Pack, x: Integers) -> Integers:
    return x.reshape(len(x), -1)


@_compute.register
def _(unit: units.Duplicate, x: Integers) -> tuple[Integers, ...]:
    return (x,) * len(unit.outputs)


@_compute.register
def _(unit: units.Pad, x: Integers) -> Integers:
    top, left, bottom, right = unit.pads
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))


@_compute.register
def _(unit: units.Window, x: Integers) -> Integers:
    return windows(x, unit.kernel, unit.strides, unit.dilations)


@_compute.register
def _(unit: units.MatVec, x: Integers) -> Integers:
    return x.reshape(len(x), -1, unit.rows) @ unit.weights.astype(np.int64)


@_compute.register
def _(unit: units.Depthwise, x: Integers) -> Integers:
    return (x.reshape(len(x), -1, *unit.weights.shape) * unit.weights.astype(np.int64)).sum(axis=2)


@_compute.register
def _(unit: units.MaxPool, x: Integers) -> Integers:
    y: Integers = _pooled(unit, x).max(axis=2)
    return 2 * y - 1 if unit.outputs[0].numbers.bipolar else y


@_compute.register
def _(unit: units.SumPool, x: Integers) -> Integers:
    return _pooled(unit, x).sum(axis=2)


def _pooled(unit: units.Pool, x: Integers) -> Integers:
    taps = unit.kernel[0] * unit.kernel[1]
    return x.reshape(len(x), -1, taps, unit.outputs[0].shape[-1])


@_compute.register
def _(unit: units.LineWindows, x: Integers) -> tuple[Integers, ...]:
    raster = unit.raster
    top, left, bottom, right = raster.pads
    pixels = x.reshape(len(x), *unit.inputs[0].apart.shape)
    padded = np.pad(pixels, ((0, 0), (top, bottom), (left, right), (0, 0)))
    lanes = len(unit.outputs)
    found = windows(padded, raster.kernel, raster.strides, (1, 1)).reshape(
        len(x), *unit.outputs[0].shape[:2], lanes, -1
    )
    return tuple(found[..., lane, :] for lane in range(lanes))


@_compute.register
def _(unit: units.WindowPool, x: Integers) -> Integers:
    taps = x.reshape(*x.shape[:-1], unit.taps, -1)
    y: Integers = taps.sum(axis=-2) if unit.total else taps.max(axis=-2)
    return 2 * y - 1 if unit.outputs[0].numbers.bipolar else y


@_compute.register
def _(unit: units.Join, *inputs: Integers) -> Integers:
    return np.stack(inputs, axis=-2)


@_compute.register
def _(unit: units.GlobalSum, x: Integers) -> Integers:
    return x.sum(axis=(1, 2))


@_compute.register
def _(unit: units.Threshold, x: Integers) -> Integers:
    coded = (x + 1) // 2 if unit.inputs[0].numbers.bipolar else x
    counts = (coded[..., np.newaxis] >= unit.thresholds).sum(axis=-1)
    if unit.lines is not None:
        np.testing.assert_array_equal(unit.lines(coded), counts)
    return 2 * counts - 1 if unit.outputs[0].numbers.bipolar else unit.base + counts


@_compute.register
def _(unit: units.Affine, x: Integers) -> Integers:
    coded = (x + 1) // 2 if unit.inputs[0].numbers.bipolar else x
    y = np.where(unit.falling, unit.falling_offset - unit.factor * coded, unit.offset + unit.factor * coded)
    return 2 * y - 1 if unit.outputs[0].numbers.bipolar else y


@_compute.register
def _(unit: units.Take, x: Integers) -> Integers:
    flat = x.reshape(len(x), -1)
    if unit.in_order:
        assert (np.diff(unit.index[unit.index >= 0]) > 0).all()
    return np.where(unit.index < 0, unit.fill, flat[:, unit.index])


@_compute.register
def _(unit: units.AddStreams, x: Integers, y: Integers) -> Integers:
    return unit.multipliers[0] * x + unit.multipliers[1] * y


@_compute.register
def _(unit: units.Concat, *inputs: Integers) -> Integers:
    return np.concatenate(inputs, axis=-1)


@_compute.register
def _(unit: units.Lookup, x: Integers) -> Integers:
    columns = [unit.table[channel][x[..., channel]] for channel in range(x.shape[-1])]
    return np.concatenate(columns, axis=-1).astype(np.int64)


@_compute.register
def _(unit: units.ArgMax, x: Integers) -> Integers:
    return np.argmax(x.reshape(len(x), -1), axis=-1)
