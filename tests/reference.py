"""The independent reference of the integer network: plain numpy on int64, slow and obvious.

`interpret` follows the stage docstrings of `bitswath.network` one by one and shares no code with
any backend. Values are frames (N, *tensor shape), channels last.
"""

from __future__ import annotations

import itertools
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from bitswath.network.network import (
    INPUT,
    Add,
    ArgMax,
    Concat,
    Conv,
    Dense,
    Lookup,
    MaxPool,
    Network,
    Stage,
    SumPool,
    Take,
    Threshold,
)

Integers = NDArray[np.int64]


def interpret(network: Network, codes: NDArray[np.integer]) -> dict[str, Integers]:
    """Every tensor of the network by name for codes (N, *input shape); checks ranges on the way."""
    tensors = {INPUT: np.asarray(codes, np.int64)}
    check_range(network, INPUT, tensors[INPUT])
    for stage in network.stages:
        tensors[stage.name] = compute(stage, *(tensors[name] for name in stage.inputs))
        check_range(network, stage.name, tensors[stage.name])
    return tensors


def output(network: Network, codes: NDArray[np.integer]) -> Integers:
    """The last tensor (N, *output shape)."""
    return interpret(network, codes)[network.stages[-1].name]


def check_range(network: Network, name: str, values: Integers) -> None:
    spec = network.tensors[name]
    assert values.shape[1:] == spec.shape, f"{name}: shape {values.shape[1:]}, declared {spec.shape}"
    if values.size:
        assert spec.lo <= values.min() and values.max() <= spec.hi, f"{name}: a value beyond {spec.lo}..{spec.hi}"


def padded(x: Integers, pads: tuple[int, int, int, int], value: int) -> Integers:
    top, left, bottom, right = pads
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)


def windows(x: Integers, kernel: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int]) -> Integers:
    """(N, H, W, C) to (N, out_h, out_w, kernel_h * kernel_w, C)."""
    reach_h, reach_w = dilations[0] * (kernel[0] - 1), dilations[1] * (kernel[1] - 1)
    patches = [
        x[:, i * dilations[0] : x.shape[1] - reach_h + i * dilations[0] : strides[0],
          j * dilations[1] : x.shape[2] - reach_w + j * dilations[1] : strides[1]]
        for i, j in itertools.product(range(kernel[0]), range(kernel[1]))
    ]  # fmt: skip
    return np.stack(patches, axis=3)


@singledispatch
def compute(stage: Stage, *inputs: Integers) -> Integers:
    raise NotImplementedError(type(stage).__name__)


@compute.register
def _conv(stage: Conv, x: Integers) -> Integers:
    out_channels, kernel_h, kernel_w, per_group = stage.weights.shape
    columns = windows(padded(x, stage.pads, 0), (kernel_h, kernel_w), stage.strides, stage.dilations)
    per_output = out_channels // stage.groups
    y = np.zeros((*columns.shape[:3], out_channels), np.int64)
    for channel in range(out_channels):
        first = channel // per_output * per_group
        taps = stage.weights[channel].reshape(-1, per_group).astype(np.int64)
        y[..., channel] = (columns[..., first : first + per_group] * taps).sum(axis=(-2, -1))
    return y


@compute.register
def _dense(stage: Dense, x: Integers) -> Integers:
    return x.reshape(len(x), -1) @ stage.weights.astype(np.int64).T


@compute.register
def _threshold(stage: Threshold, x: Integers) -> Integers:
    thresholds = np.asarray(stage.thresholds, np.int64)
    thresholds = np.broadcast_to(thresholds, (x.shape[-1], thresholds.shape[1]))
    directed = x * stage.directions.astype(np.int64)
    count = np.zeros_like(x)
    for column in thresholds.T:
        count += directed >= column
    return stage.base + stage.step * count


@compute.register
def _max_pool(stage: MaxPool, x: Integers) -> Integers:
    lowest = np.iinfo(np.int64).min
    return windows(padded(x, stage.pads, lowest), stage.kernel, stage.strides, (1, 1)).max(axis=3)


@compute.register
def _sum_pool(stage: SumPool, x: Integers) -> Integers:
    return windows(padded(x, stage.pads, 0), stage.kernel, stage.strides, (1, 1)).sum(axis=3)


@compute.register
def _take(stage: Take, x: Integers) -> Integers:
    with_fill = np.concatenate([x.reshape(len(x), -1), np.full((len(x), 1), stage.fill)], axis=1)
    return with_fill[:, stage.index].reshape(len(x), *stage.shape)


@compute.register
def _add(stage: Add, *inputs: Integers) -> Integers:
    total = np.zeros_like(inputs[0])
    for multiplier, x in zip(stage.multipliers, inputs):
        total += multiplier * x
    return total


@compute.register
def _concat(stage: Concat, *inputs: Integers) -> Integers:
    return np.concatenate(inputs, axis=-1)


@compute.register
def _lookup(stage: Lookup, x: Integers) -> Integers:
    columns = [stage.table[channel][x[..., channel]] for channel in range(x.shape[-1])]
    return np.concatenate(columns, axis=-1).astype(np.int64)


@compute.register
def _arg_max(stage: ArgMax, x: Integers) -> Integers:
    return np.argmax(x, axis=-1, keepdims=True).astype(np.int64)
