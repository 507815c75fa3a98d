"""What a plan must know of a network's numbers and shapes before it takes units for its stages."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from bitswath.hw.units import Numbers
from bitswath.network import network as net

__all__ = ["channel_ranges", "comparable", "flat_first", "flipped", "steps_of_one", "ungrouped"]


def flipped(network: net.Network, readers: Counter[str]) -> dict[str, NDArray[np.int8]]:
    """By convolution or dense layer: the sign of each channel, where a threshold behind falls with it."""
    stages = {stage.name: stage for stage in network.stages}
    signs = {}
    for stage in network.stages:
        if isinstance(stage, net.Threshold) and (stage.directions < 0).any():
            source = stage.inputs[0]
            if isinstance(stages.get(source), net.Conv | net.Dense) and readers[source] == 1:
                signs[source] = np.broadcast_to(stage.directions, (network.tensors[source].shape[-1],))
    return signs


def flat_first(network: net.Network, readers: Counter[str]) -> bool:
    """Whether nothing asks for the input's shape before it is flat: many of its codes may pass in a beat."""
    tensor = net.INPUT
    for stage in network.stages:
        if tensor not in stage.inputs:
            continue
        if isinstance(stage, net.Dense):
            return readers[tensor] == 1
        alike = isinstance(stage, net.Threshold) and len(stage.thresholds) == len(stage.directions) == 1
        if not alike or readers[tensor] > 1:
            return False
        tensor = stage.name
    return False


def ungrouped(weights: NDArray[np.integer], groups: int) -> NDArray[np.integer]:
    """Weights (out, h, w, in of a group) with zeros for the inputs of other groups."""
    if groups == 1:
        return weights
    outputs, *kernel, per_group = weights.shape
    full = np.zeros((groups, outputs // groups, *kernel, groups, per_group), weights.dtype)
    for group, own in enumerate(weights.reshape(groups, outputs // groups, *kernel, per_group)):
        full[group, ..., group, :] = own
    return full.reshape(outputs, *kernel, groups * per_group)


def steps_of_one(rows: NDArray[np.int64], spec: net.TensorSpec) -> int | None:
    """Where thresholds (channels, count) are all that the input exceeds its least by, one by one: what they count
    of 0, were it in its range."""
    reach = spec.hi - spec.lo
    if not rows.size or rows.shape[1] < reach:
        return None
    below = int((rows[0] <= spec.lo).sum())
    reached, beyond = rows[:, below : below + reach], rows[:, below + reach :]
    if reached.shape[1] < reach or (reached != np.arange(spec.lo + 1, spec.hi + 1)).any():
        return None
    same = (rows[:, :below] <= spec.lo).all() and (beyond > spec.hi).all()
    return below - spec.lo if same else None


def channel_ranges(
    network: net.Network, stage: net.Threshold, channels: int, flipped: dict[str, NDArray[np.int8]]
) -> net.Ranges:
    """Lowest and highest input of each channel of a stage, as the hardware has it."""
    (name,) = stage.inputs
    spec = network.tensors[name]
    source = next((other for other in network.stages if other.name == name), None)
    lo, hi = np.full(channels, spec.lo), np.full(channels, spec.hi)
    if isinstance(source, net.Conv | net.Dense):
        lo, hi = source.channel_ranges(network.tensors[source.inputs[0]])
    falls = np.broadcast_to(flipped.get(name, np.ones(1, np.int8)), (channels,)) < 0
    return np.where(falls, -hi, lo), np.where(falls, -lo, hi)


def comparable(rows: NDArray[np.int64], numbers: Numbers) -> NDArray[np.int64]:
    """Thresholds (channels, count) as the hardware compares them: -1 and +1 as the bits 0 and 1, and at least one,
    which where there is none is never reached."""
    half = 1 << (numbers.bits - 1)
    lowest, beyond = (-half, half) if numbers.signed else (0, 2 * half)
    if numbers.bipolar:
        rows = (rows + 2) // 2
    if not rows.shape[1]:
        rows = np.full((len(rows), 1), beyond)
    return np.clip(rows, lowest, beyond)
