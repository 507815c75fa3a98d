"""Convolutions, matrix products, poolings and joins of QONNX as network stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.models.lowering.builder import Builder
from bitswath.models.lowering.chains.chain import Pooling
from bitswath.models.lowering.chains.values import Constant, Index, Node, Symbol, Value, canonical_index, compress
from bitswath.network.network import Add, Concat, Conv, Dense, MaxPool, SumPool

__all__ = ["concat", "convolution", "global_pool", "join", "matrix_product", "pool", "reduce"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Pads = tuple[int, int, int, int]
MAX_MULTIPLIER = 1 << 16
RATIO_TOLERANCE = 2.0**-22
MAX_ROUNDED_MULTIPLIER = 256


def convolution(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """Conv with constant weights (out, in / groups, kernel_h, kernel_w), bias optional."""
    value, weights, bias = _operands(build, node, inputs)
    _require_image(node, value)
    integers, scale = weights.as_integers(node, "weights")
    if integers.ndim != 4:
        raise node.error(f"expected a 2-D convolution, got weights of shape {integers.shape}")
    groups, strides, dilations = node.get("group", 1), _pair(node, "strides"), _pair(node, "dilations")
    kernel = (integers.shape[2], integers.shape[3])
    extent = (dilations[0] * (kernel[0] - 1) + 1, dilations[1] * (kernel[1] - 1) + 1)
    pads = _add_pads(node_pads(node, value.padded_shape, extent, strides), value.pads)
    if np.any(value.offset) and any(pads):
        raise node.error("pads an input whose real zero is not an integer zero; use an integer zero point")
    per_group, per_output = integers.shape[1], integers.shape[0] // max(groups, 1)
    if groups < 1 or per_group * groups != value.channels or integers.shape[0] % groups:
        raise node.error(f"{per_group} x {groups} input channels do not fit the {value.channels} of its input")
    channel = np.arange(integers.shape[0])[:, None] // per_output * per_group + np.arange(per_group)
    taps = (1, 2, 3)
    rows, gain = _common_rows(node, integers, scale, value.scale, channel[:, :, None, None])
    offset = bias + (integers * scale * _at(value.offset, channel)[:, :, None, None]).sum(axis=taps)
    fields: dict[str, Any] = {"strides": strides, "pads": pads, "dilations": dilations, "groups": groups}
    name = build.emit(node, Conv, [value.tensor], weights=_smallest(rows.transpose(0, 2, 3, 1)), **fields)
    shape = build.specs[name].shape
    return Value(name, shape, canonical_index(shape), gain, compress(offset))


def matrix_product(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """MatMul or Gemm with constant weights; on an NHWC image it is a 1x1 convolution."""
    value, weights, bias = _operands(build, node, inputs)
    value = build.settle_pads(node, value)
    integers, scale = weights.as_integers(node, "weights")
    if integers.ndim != 2 or node.get("transA", 0):
        raise node.error(f"expected constant weights of rank 2 on the right, got shape {integers.shape}")
    scale = scale * node.get("alpha", 1.0)
    if not node.get("transB", 0):
        integers, scale = integers.T, scale.T
    index = value.index.reshape(-1, value.index.shape[-1])
    if index.shape[1] != integers.shape[1]:
        raise node.error(f"weights of {integers.shape[1]} rows do not fit the input's {index.shape[1]}")
    channel = index[0] % value.channels
    rows, gain = _common_rows(node, integers, scale, value.scale, channel[None])
    offset = compress(node.get("beta", 1.0) * bias + (integers * scale) @ _at(value.offset, channel))
    if len(index) == 1 and index.shape[1] == int(np.prod(value.shape)):
        flat = np.zeros_like(rows)
        flat[:, index[0]] = rows
        name = build.emit(node, Dense, [value.tensor], weights=_smallest(flat))
        order = np.arange(len(flat), dtype=np.int32).reshape(*value.index.shape[:-1], -1)
        return Value(name, build.specs[name].shape, order, gain, offset)
    return _pointwise(build, node, value, index, rows, gain, offset)


def _pointwise(
    build: Builder, node: Node, value: Value, index: Index, rows: Integers, gain: Floats, offset: Floats
) -> Value:
    channels, outputs = value.channels, len(rows)
    pixel = index // channels
    fits = len(value.shape) == 3 and index.shape[1] == channels
    if not fits or (index % channels != index[0] % channels).any() or (pixel != pixel[:, :1]).any():
        raise node.error("multiplies along an axis that is neither the flattened image nor its channels")
    weights = np.zeros_like(rows)
    weights[:, index[0] % channels] = rows
    name = build.emit(node, Conv, [value.tensor], weights=_smallest(weights[:, None, None, :]))
    positions = np.asarray(pixel[:, :1] * outputs + np.arange(outputs), np.int32)
    return Value(name, build.specs[name].shape, positions.reshape(*value.index.shape[:-1], outputs), gain, offset)


def pool(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """MaxPool or AveragePool."""
    (value,) = _values(node, inputs[:1])
    _require_image(node, value)
    kernel, strides = _pair(node, "kernel_shape", ()), _pair(node, "strides")
    if len(node.proto.output) > 1 and node.proto.output[1]:
        raise node.error("the indices of a pooling have no integer form")
    if any(d != 1 for d in node.get("dilations", (1, 1))):
        raise node.error("expected a pooling without dilation")
    own = node_pads(node, value.padded_shape, kernel, strides)
    extra = _ceil_pads(node, value, kernel, strides, own)
    if node.op == "AveragePool":
        if any(extra):
            raise node.error("ceil_mode makes its last windows smaller; pad the input instead")
        return _average(build, node, value, kernel, strides, own)
    return _maximum(build, node, value, Pooling(node.name, kernel, strides, _add_pads(own, extra)))


def _maximum(build: Builder, node: Node, value: Value, pooling: Pooling) -> Value:
    """Pools at once on quantized integers; else the pooling waits in the chain for the quantizer."""
    merged = _add_pads(pooling.pads, value.pads)
    if build.specs[value.tensor].lo >= 0 and (value.scale > 0).all() and _below(merged, pooling.kernel):
        # an explicit zero never wins over values that are not negative
        value, pooling = replace(value, pads=(0, 0, 0, 0)), replace(pooling, pads=merged)
    value = build.settle_pads(node, value)
    if build.pools_at_once(value):
        name = build.pool(node, value.tensor, pooling)
        shape = build.specs[name].shape
        return replace(value, tensor=name, shape=shape, index=canonical_index(shape))
    shape = build.infer(node, MaxPool(node.output, (), pooling.kernel, pooling.strides, pooling.pads), value.shape)
    return replace(value, shape=shape, index=canonical_index(shape), chain=(*value.chain, pooling))


def _average(
    build: Builder, node: Node, value: Value, kernel: tuple[int, int], strides: tuple[int, int], pads: Pads
) -> Value:
    if any(pads) and not node.get("count_include_pad", 0):
        raise node.error("averages over fewer values at the border; only count_include_pad=1 has an integer form")
    waiting, value = value.pads, replace(value, pads=(0, 0, 0, 0))
    value = replace(build.plain(node, value), pads=waiting)
    pads = _add_pads(pads, value.pads)
    if any(pads) and np.any(value.offset):
        raise node.error("pads an input whose real zero is not an integer zero")
    return _sum(build, node, value, kernel, strides, pads, 1.0 / (kernel[0] * kernel[1]))


def _sum(
    build: Builder,
    node: Node,
    value: Value,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
    factor: float,
) -> Value:
    name = build.emit(node, SumPool, [value.tensor], kernel=kernel, strides=strides, pads=pads)
    shape = build.specs[name].shape
    count = kernel[0] * kernel[1]
    return Value(name, shape, canonical_index(shape), value.scale * factor, value.offset * factor * count)


def global_pool(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """GlobalAveragePool or GlobalMaxPool."""
    (value,) = _values(node, inputs)
    _require_image(node, value)
    height, width = value.shape[:2]
    if node.op == "GlobalMaxPool":
        return _maximum(build, node, value, Pooling(node.name, (height, width), (1, 1), (0, 0, 0, 0)))
    value = build.plain(node, value)
    return _sum(build, node, value, (height, width), (1, 1), (0, 0, 0, 0), 1.0 / (height * width))


def reduce(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """ReduceMean or ReduceSum over all pixels, whatever the layout."""
    (value,) = _values(node, inputs[:1])
    value = build.plain(node, value)
    rank = value.index.ndim
    given = inputs[1].real.tolist() if len(inputs) > 1 and isinstance(inputs[1], Constant) else node.get("axes", ())
    axes = sorted(int(a) % rank for a in given)
    kept = [i for i in range(rank) if i not in axes]
    groups = value.index.transpose(kept + axes).reshape(int(np.prod([value.index.shape[i] for i in kept])), -1)
    channel = groups[:, :1] % value.channels
    pixels = int(np.prod(value.shape[:-1]))
    whole = len(value.shape) == 3 and len(groups) == value.channels and groups.shape[1] == pixels
    if not whole or (groups % value.channels != channel).any():
        raise node.error(f"expected a reduction over height and width, not over axes {axes}")
    factor = 1.0 / pixels if node.op == "ReduceMean" else 1.0
    result = _sum(build, node, value, (value.shape[0], value.shape[1]), (1, 1), (0, 0, 0, 0), factor)
    shape = [1 if i in axes else n for i, n in enumerate(value.index.shape) if i in kept or node.get("keepdims", 1)]
    return replace(result, index=channel.reshape(shape))


def join(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """Add or Sub of two tensors whose scales are in a small ratio."""
    values = [build.plain(node, value) for value in _values(node, inputs)]
    if values[0].shape != values[1].shape or not np.array_equal(values[0].index, values[1].index):
        raise node.error(f"adds tensors of different shape or layout: {[v.index.shape for v in values]}")
    sign = -1.0 if node.op == "Sub" else 1.0
    first, second = values[0].scale, sign * values[1].scale
    ratio = compress(second / first)
    fraction = _small_fraction(float(ratio[0])) if ratio.size == 1 else None
    if fraction is None:
        raise node.error(
            f"adds tensors whose scales {_brief(first)} and {_brief(second)} are in no small integer ratio; "
            "quantize both with one scale"
        )
    multipliers = (fraction.denominator, fraction.numerator)
    name = build.emit(node, Add, [v.tensor for v in values], multipliers=multipliers)
    offset = compress(values[0].offset + sign * values[1].offset)
    return replace(values[0], tensor=name, scale=compress(first / multipliers[0]), offset=offset)


def _small_fraction(ratio: float) -> Fraction | None:
    """The ratio of two small integers: exactly, or of smaller ones but for the rounding of scales to float32."""
    for limit, tolerance in ((MAX_MULTIPLIER, 0.0), (MAX_ROUNDED_MULTIPLIER, RATIO_TOLERANCE)):
        fraction = Fraction(ratio).limit_denominator(limit)
        near = abs(float(fraction) - ratio) <= tolerance * abs(ratio)
        if near and 0 < abs(fraction.numerator) <= limit:
            return fraction
    return None


def concat(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """Concat along the channels; each input keeps its scale."""
    values = [build.plain(node, value) for value in _values(node, inputs)]
    name = build.emit(node, Concat, [v.tensor for v in values])
    shape = build.specs[name].shape
    start, indices = 0, []
    for v in values:
        moved = v.index // v.channels * shape[-1] + v.index % v.channels + start
        indices.append(moved.astype(np.int32))
        start += v.channels
    try:
        index = np.concatenate(indices, axis=node.get("axis", 1))
    except ValueError:
        raise node.error(f"joins shapes {[v.index.shape for v in values]} along axis {node.get('axis', 1)}") from None
    if index.shape[0] != 1:
        raise node.error("joins along the batch axis")
    scale = np.concatenate([np.broadcast_to(v.scale, (v.channels,)) for v in values])
    offset = np.concatenate([np.broadcast_to(v.offset, (v.channels,)) for v in values])
    return Value(name, shape, index, compress(scale), compress(offset))


def node_pads(node: Node, shape: Sequence[int], extent: tuple[int, int], strides: tuple[int, int]) -> Pads:
    """(top, left, bottom, right) from `pads` or `auto_pad`."""
    mode = node.get("auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        pads = tuple(int(p) for p in node.get("pads", (0, 0, 0, 0)))
        if len(pads) != 4 or min(pads) < 0:
            raise node.error(f"expected four pads of at least 0, got {pads}")
        return pads[0], pads[1], pads[2], pads[3]
    if mode == "VALID":
        return 0, 0, 0, 0
    totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip(shape, strides, extent)]
    first = [t // 2 if mode == "SAME_UPPER" else t - t // 2 for t in totals]
    return first[0], first[1], totals[0] - first[0], totals[1] - first[1]


def _ceil_pads(node: Node, value: Value, kernel: tuple[int, int], strides: tuple[int, int], pads: Pads) -> Pads:
    """Padding after the end that gives a floor-mode pooling the windows of ceil_mode."""
    if not node.get("ceil_mode", 0):
        return 0, 0, 0, 0
    extra = []
    for axis in (0, 1):
        length = value.padded_shape[axis]
        room = length + pads[axis] + pads[axis + 2] - kernel[axis]
        last = -(-room // strides[axis]) * strides[axis]
        if last >= length + pads[axis]:  # a window must start within the input or its leading pad
            last -= strides[axis]
        extra.append(max(last - room, 0))
    return 0, 0, extra[0], extra[1]


def _operands(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> tuple[Value, Constant, Floats]:
    """Affine data, constant weights and the bias (1,) or (out,) of a linear node; pads stay pending."""
    data, weights = inputs[0], inputs[1]
    if not isinstance(data, Value) or not isinstance(weights, Constant):
        raise node.error("expected a quantized tensor and constant weights")
    extra = inputs[2] if len(inputs) > 2 else None
    if extra is not None and not isinstance(extra, Constant):
        raise node.error("expected a constant bias")
    bias = np.zeros(1) if extra is None else np.asarray(extra.real, np.float64).reshape(-1)
    plain = build.plain(node, replace(data, pads=(0, 0, 0, 0)))
    return replace(plain, pads=data.pads), weights, bias


def _values(node: Node, inputs: Sequence[Symbol | None]) -> list[Value]:
    values = [symbol for symbol in inputs if isinstance(symbol, Value)]
    if len(values) != len(inputs):
        raise node.error("expected quantized tensors as inputs")
    return values


def _require_image(node: Node, value: Value) -> None:
    if len(value.shape) != 3 or not np.array_equal(value.index, canonical_index(value.shape)):
        raise node.error(f"expected an NCHW image, got a tensor of shape {value.index.shape} in another layout")


def _common_rows(
    node: Node, integers: Integers, scale: Floats, data_scale: Floats, channel: NDArray[np.intp]
) -> tuple[Integers, Floats]:
    """Weights and one scale a row, with scales that differ along a row taken into the weights.

    The product of weight scale and data scale must be one number for all taps of an output, or
    integer multiples of one.
    """
    product = np.broadcast_to(scale * _at(data_scale, channel), integers.shape)
    used = np.where(integers == 0, np.inf, np.abs(product)).reshape(len(integers), -1)
    unit = used.min(axis=1)
    unit = np.where(np.isfinite(unit), unit, np.abs(product.reshape(len(integers), -1)[:, 0]))
    ratio = product / unit.reshape(-1, *[1] * (integers.ndim - 1))
    multiple = np.where(integers == 0, 0, np.rint(ratio))
    limit = np.where(ratio == multiple, MAX_MULTIPLIER, MAX_ROUNDED_MULTIPLIER)
    off = np.where(integers == 0, 0, np.abs(ratio - multiple)) > RATIO_TOLERANCE * np.abs(multiple)
    if off.any() or (np.abs(multiple) > limit).any():
        raise node.error("scales within one output are no integer multiples of each other; use one scale per output")
    return integers * multiple.astype(np.int64), compress(unit)


def _at(values: Floats, channel: NDArray[Any]) -> Floats:
    """Per-channel values (1,) or (C,) at an array of channels."""
    return values[channel] if values.size > 1 else np.broadcast_to(values, channel.shape)


def _smallest(weights: Integers) -> NDArray[np.integer[Any]]:
    for dtype in (np.int8, np.int16, np.int32):
        if np.iinfo(dtype).min <= weights.min(initial=0) and weights.max(initial=0) <= np.iinfo(dtype).max:
            return np.ascontiguousarray(weights, dtype)
    return np.ascontiguousarray(weights)


def _add_pads(first: Pads, second: Pads) -> Pads:
    return first[0] + second[0], first[1] + second[1], first[2] + second[2], first[3] + second[3]


def _below(pads: Pads, kernel: tuple[int, int]) -> bool:
    return max(pads[0], pads[2]) < kernel[0] and max(pads[1], pads[3]) < kernel[1]


def _pair(node: Node, attribute: str, default: Sequence[int] = (1, 1)) -> tuple[int, int]:
    values = node.get(attribute, default)
    if len(values) != 2:
        raise node.error(f"expected {attribute} of two spatial dimensions, got {list(values)}")
    return int(values[0]), int(values[1])


def _brief(scale: Floats) -> str:
    return f"{scale[0]:.6g}" if scale.size == 1 else f"({scale.min():.6g} .. {scale.max():.6g} per channel)"
