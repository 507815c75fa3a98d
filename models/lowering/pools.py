"""Poolings and reductions as network stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bitswath.models.lowering.arrange import image, per_element, rearranged, whole
from bitswath.models.lowering.builder import Builder
from bitswath.models.lowering.chains.chain import Pooling
from bitswath.models.lowering.chains.values import Constant, Node, Symbol, Value, canonical_index
from bitswath.models.lowering.windows import Pads, add_pads, node_pads, pair
from bitswath.network.network import MaxPool, SumPool

__all__ = ["global_pool", "pool", "reduce"]

Pair = tuple[int, int]
NO_PADS: Pads = (0, 0, 0, 0)


def pool(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """MaxPool or AveragePool."""
    value = image(build, node, _value(node, inputs[0]))
    kernel, strides = pair(node, "kernel_shape", ()), pair(node, "strides")
    if len(node.proto.output) > 1 and node.proto.output[1]:
        raise node.error("the indices of a pooling have no integer form")
    if any(d != 1 for d in node.get("dilations", (1, 1))):
        raise node.error("expected a pooling without dilation")
    own = node_pads(node, value.padded_shape, kernel, strides)
    extra = _ceil_pads(node, value, kernel, strides, own)
    if node.op == "AveragePool":
        return _average(build, node, value, kernel, strides, own, extra)
    return _maximum(build, node, value, Pooling(node.name, kernel, strides, add_pads(own, extra)))


def global_pool(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """GlobalAveragePool or GlobalMaxPool."""
    value = image(build, node, _value(node, inputs[0]))
    height, width = value.padded_shape[:2]
    if node.op == "GlobalMaxPool":
        return _maximum(build, node, value, Pooling(node.name, (height, width), (1, 1), NO_PADS))
    return _average(build, node, value, (height, width), (1, 1), NO_PADS, NO_PADS)


def reduce(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """ReduceMean, ReduceSum or ReduceMax over any axes but the batch: a pooling over all of an image's pixels, or over
    the rows of one that the reduced elements are brought into."""
    value = whole(build, node, _value(node, inputs[0]))
    if node.op != "ReduceMax":
        value = build.plain(node, value)
    rank = value.index.ndim
    given = inputs[1].real.reshape(-1).tolist() if len(inputs) > 1 and isinstance(inputs[1], Constant) else None
    axes = sorted(int(a) % rank for a in (node.get("axes", ()) if given is None else given)) or list(range(1, rank))
    if 0 in axes:
        raise node.error("reduces over the batch axis, which must stay 1 frame")
    kept = [i for i in range(rank) if i not in axes]
    shape = [1 if i in axes else n for i, n in enumerate(value.index.shape) if i in kept or node.get("keepdims", 1)]
    groups = value.index.transpose(kept + axes).reshape(int(np.prod([value.index.shape[i] for i in kept])), -1)
    channel = groups[:, :1] % value.channels
    pixels = int(np.prod(value.shape[:-1]))
    one_a_channel = len(groups) == value.channels and groups.shape[1] == pixels
    if len(value.shape) != 3 or not one_a_channel or (groups % value.channels != channel).any():
        rows = np.ascontiguousarray(groups.T)[None, :, None]
        value = image(build, node, rearranged(build, node, value, rows), "NHWC")
        channel = np.arange(len(groups), dtype=np.int32)
    kernel = (value.shape[0], value.shape[1])
    if node.op == "ReduceMax":
        result = _maximum(build, node, value, Pooling(node.name, kernel, (1, 1), NO_PADS))
    else:
        factor = 1.0 / (kernel[0] * kernel[1]) if node.op == "ReduceMean" else 1.0
        result = _sum(build, node, value, kernel, (1, 1), NO_PADS, factor)
    return replace(result, index=channel.astype(np.int32).reshape(shape))


def _value(node: Node, symbol: Symbol | None) -> Value:
    if not isinstance(symbol, Value):
        raise node.error("expected a quantized tensor as input")
    return symbol


def _maximum(build: Builder, node: Node, value: Value, pooling: Pooling) -> Value:
    """Pools at once on quantized integers; else the pooling waits in the chain for the quantizer."""
    merged = add_pads(pooling.pads, value.pads)
    if build.specs[value.tensor].lo >= 0 and (value.scale > 0).all() and _below(merged, pooling.kernel):
        # an explicit zero never wins over values that are not negative
        value, pooling = replace(value, pads=NO_PADS), replace(pooling, pads=merged)
    value = build.settle_pads(node, value)
    if build.pools_at_once(value):
        name = build.pool(node, value.tensor, pooling)
        shape = build.specs[name].shape
        return replace(value, tensor=name, shape=shape, index=canonical_index(shape))
    shape = build.infer(node, MaxPool(node.output, (), pooling.kernel, pooling.strides, pooling.pads), value.shape)
    return replace(value, shape=shape, index=canonical_index(shape), chain=(*value.chain, pooling))


def _average(build: Builder, node: Node, value: Value, kernel: Pair, strides: Pair, own: Pads, extra: Pads) -> Value:
    """Sums over windows; where some are cut off by the border, each position has a scale of its own."""
    waiting, value = value.pads, replace(value, pads=NO_PADS)
    value = replace(build.plain(node, value), pads=waiting)
    inner = value.padded_shape[:2]
    counted = own if node.get("count_include_pad", 0) else NO_PADS
    total = add_pads(own, extra)
    counts = [_counted(n, k, s, (total[a], total[a + 2]), (counted[a], counted[a + 2]))
              for a, (n, k, s) in enumerate(zip(inner, kernel, strides))]  # fmt: skip
    count = counts[0][:, None] * counts[1]
    if np.any(value.offset) and (any(waiting) or any(counted)):
        raise node.error("pads an input whose real zero is not an integer zero")
    pads = add_pads(total, waiting)
    if (count == count[0, 0]).all():
        return replace(_sum(build, node, value, kernel, strides, pads, 1.0 / count[0, 0]), offset=value.offset)
    sums = _sum(build, node, value, kernel, strides, pads, 1.0)
    single, channels = per_element(build, node, sums), sums.channels
    scale = np.broadcast_to(sums.scale, channels) / count[..., None]
    offset = np.broadcast_to(value.offset, scale.shape)
    return replace(single, scale=scale.reshape(-1), offset=offset.reshape(-1))


def _counted(size: int, kernel: int, stride: int, pads: Pair, counted: Pair) -> NDArray[np.int64]:
    """By how many each window's sum along an axis is divided: its elements within the input and the counted pads."""
    starts = np.arange((size + sum(pads) - kernel) // stride + 1) * stride - pads[0]
    ends = np.minimum(starts + kernel, size + counted[1])
    return np.asarray(ends - np.maximum(starts, -counted[0]), np.int64)


def _sum(build: Builder, node: Node, value: Value, kernel: Pair, strides: Pair, pads: Pads, factor: float) -> Value:
    name = build.emit(node, SumPool, [value.tensor], kernel=kernel, strides=strides, pads=pads)
    shape = build.specs[name].shape
    count = kernel[0] * kernel[1]
    return Value(name, shape, canonical_index(shape), value.scale * factor, value.offset * factor * count)


def _ceil_pads(node: Node, value: Value, kernel: Pair, strides: Pair, pads: Pads) -> Pads:
    """Padding after the end that gives a floor-mode pooling the windows of ceil_mode."""
    if not node.get("ceil_mode", 0):
        return NO_PADS
    extra = []
    for axis in (0, 1):
        length = value.padded_shape[axis]
        room = length + pads[axis] + pads[axis + 2] - kernel[axis]
        last = -(-room // strides[axis]) * strides[axis]
        if last >= length + pads[axis]:  # a window must start within the input or its leading pad
            last -= strides[axis]
        extra.append(max(last - room, 0))
    return 0, 0, extra[0], extra[1]


def _below(pads: Pads, kernel: Pair) -> bool:
    return max(pads[0], pads[2]) < kernel[0] and max(pads[1], pads[3]) < kernel[1]
