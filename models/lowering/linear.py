"""Convolutions, matrix products and joins of QONNX as network stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.models.lowering.arrange import NOTHING, aligned, image, padded, per_element, rearranged, whole
from bitswath.models.lowering.builder import Builder
from bitswath.models.lowering.chains.chain import Link
from bitswath.models.lowering.chains.sums import MOST_PAIRS, Sum
from bitswath.models.lowering.chains.unary import common, function_of_one, lineage
from bitswath.models.lowering.chains.values import Constant, Index, Node, Symbol, Value, canonical_index, compress
from bitswath.models.lowering.chains.wide_sums import MOST_NARROW
from bitswath.models.lowering.windows import add_pads, node_pads, pair
from bitswath.network.network import Concat, Conv, Dense

__all__ = ["combined", "concat", "convolution", "join", "matrix_product", "transposed_convolution"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
MAX_MULTIPLIER = 1 << 16
RATIO_TOLERANCE = 2.0**-22
MAX_ROUNDED_MULTIPLIER = 256


def convolution(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """Conv with constant weights (out, in / groups, kernel_h, kernel_w), bias optional."""
    value, weights, bias = _operands(build, node, inputs)
    value = image(build, node, value)
    integers, scale = weights.as_integers(node, "weights")
    if integers.ndim != 4:
        raise node.error(f"expected a 2-D convolution, got weights of shape {integers.shape}")
    strides, dilations = pair(node, "strides"), pair(node, "dilations")
    extent = (dilations[0] * (integers.shape[2] - 1) + 1, dilations[1] * (integers.shape[3] - 1) + 1)
    pads = add_pads(node_pads(node, value.padded_shape, extent, strides), value.pads)
    fields: dict[str, Any] = {"strides": strides, "pads": pads, "dilations": dilations, "groups": node.get("group", 1)}
    return _convolved(build, node, value, integers, scale, bias, fields)


def transposed_convolution(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """ConvTranspose with constant weights (in, out / groups, kernel_h, kernel_w): a convolution of the mirrored
    kernel over the input with zeros between and around its pixels."""
    value, weights, bias = _operands(build, node, inputs)
    value = image(build, node, build.settle_pads(node, value))
    integers, scale = weights.as_integers(node, "weights")
    groups, strides, dilations = node.get("group", 1), pair(node, "strides"), pair(node, "dilations")
    if integers.ndim != 4 or integers.shape[0] != value.channels or integers.shape[0] % max(groups, 1):
        raise node.error(f"weights of shape {integers.shape} do not fit {value.channels} channels in {groups} groups")
    extent = [d * (k - 1) + 1 for d, k in zip(dilations, integers.shape[2:])]
    before, after = _transposed_pads(node, value.shape[:2], extent, strides)
    if np.any(value.offset):
        raise node.error("spreads an input whose real zero is not an integer zero; use an integer zero point")
    spread = np.full((1, value.channels, *(s * (n - 1) + 1 for s, n in zip(strides, value.shape))), NOTHING, np.int32)
    spread[:, :, :: strides[0], :: strides[1]] = value.index
    for axis, (first, last) in enumerate(zip(before, after), start=2):
        amounts = [(0, 0)] * axis + [(max(first, 0), max(last, 0))] + [(0, 0)] * (3 - axis)
        cut = [slice(None)] * axis + [slice(max(-first, 0), spread.shape[axis] - max(-last, 0))]
        spread = np.pad(spread[tuple(cut)], amounts, constant_values=NOTHING)
    value = image(build, node, rearranged(build, node, value, spread))
    turned, turned_scale = (_mirrored(array, groups) for array in (integers, scale))
    fields: dict[str, Any] = {"pads": (0, 0, 0, 0), "dilations": dilations, "groups": groups}
    return _convolved(build, node, value, turned, turned_scale, bias, fields)


def _transposed_pads(
    node: Node, shape: Sequence[int], extent: Sequence[int], strides: tuple[int, int]
) -> tuple[list[int], list[int]]:
    """Zeros before and after each spatial axis of the spread input; below 0 where some of it is cut off."""
    output_padding, wanted = node.get("output_padding", (0, 0)), node.get("output_shape", None)
    full = [s * (n - 1) + e + o for s, n, e, o in zip(strides, shape, extent, output_padding)]
    mode = node.get("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER") and wanted is None:
        wanted = [n * s for n, s in zip(shape, strides)]
    if wanted is None:
        pads = list(node.get("pads", (0, 0, 0, 0))) if mode in ("NOTSET", "") else [0, 0, 0, 0]
    else:
        totals = [f - w for f, w in zip(full, list(wanted)[-2:])]
        small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
        pads = [*small, *large] if mode == "SAME_UPPER" else [*large, *small]
    before = [e - 1 - p for e, p in zip(extent, pads[:2])]
    after = [e - 1 - p + o for e, p, o in zip(extent, pads[2:], output_padding)]
    return before, after


def _mirrored(weights: NDArray[Any], groups: int) -> NDArray[Any]:
    """(in, out / groups, h, w) of a transposed convolution as (out, in / groups, h, w) of its twin."""
    inputs, per_group, height, width = weights.shape
    turned = weights[:, :, ::-1, ::-1].reshape(groups, inputs // groups, per_group, height, width)
    return turned.transpose(0, 2, 1, 3, 4).reshape(groups * per_group, inputs // groups, height, width)


def _convolved(
    build: Builder,
    node: Node,
    value: Value,
    integers: Integers,
    scale: Floats,
    bias: Floats,
    fields: dict[str, Any],
) -> Value:
    """`fields`: of the Conv stage, but for its weights (out, in / groups, kernel_h, kernel_w)."""
    if np.any(value.offset) and any(fields["pads"]):
        value, fields = padded(build, node, value, fields["pads"]), {**fields, "pads": (0, 0, 0, 0)}
    groups = fields["groups"]
    per_group, per_output = integers.shape[1], integers.shape[0] // max(groups, 1)
    if groups < 1 or per_group * groups != value.channels or integers.shape[0] % groups:
        raise node.error(f"{per_group} x {groups} input channels do not fit the {value.channels} of its input")
    channel = np.arange(integers.shape[0])[:, None] // per_output * per_group + np.arange(per_group)
    rows, gain = _common_rows(node, integers, scale, value.scale, channel[:, :, None, None])
    offset = bias + (integers * scale * _at(value.offset, channel)[:, :, None, None]).sum(axis=(1, 2, 3))
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
    if len(index) > 1 and not _along_channels(value, index):
        shape = value.index.shape
        value = whole(build, node, value)
        value = image(build, node, rearranged(build, node, value, value.index.reshape(1, len(index), 1, -1)), "NHWC")
        value, index = replace(value, index=value.index.reshape(shape)), value.index.reshape(len(index), -1)
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
    """A product along the channels of each pixel; `index`: (pixels, inputs)."""
    channels, outputs = value.channels, len(rows)
    pixel = index // channels
    weights = np.zeros_like(rows)
    weights[:, index[0] % channels] = rows
    name = build.emit(node, Conv, [value.tensor], weights=_smallest(weights[:, None, None, :]))
    positions = np.asarray(pixel[:, :1] * outputs + np.arange(outputs), np.int32)
    return Value(name, build.specs[name].shape, positions.reshape(*value.index.shape[:-1], outputs), gain, offset)


def _along_channels(value: Value, index: Index) -> bool:
    """Whether each row of positions is one pixel's channels."""
    pixel, channels = index // value.channels, value.channels
    fits = len(value.shape) == 3 and index.shape[1] == channels
    return fits and not (index % channels != index[0] % channels).any() and not (pixel != pixel[:, :1]).any()


def join(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """Add or Sub of two tensors: narrow ones, of which a quantizer makes integers, or in a small ratio of scales."""
    given = _values(node, inputs)
    values = [build.plain(node, value) for value in given]
    larger = max(values, key=lambda value: value.index.size)
    values = [aligned(build, node, value, larger) for value in values]
    sign = -1.0 if node.op == "Sub" else 1.0
    first, second = values[0].scale, sign * values[1].scale
    ratio = compress(second / first)
    fraction = _small_fraction(float(ratio[0])) if ratio.size == 1 else None
    multipliers = None if fraction is None else (fraction.denominator, fraction.numerator)
    refusal = (
        f"adds tensors whose scales {_brief(first)} and {_brief(second)} are in no small integer ratio; "
        "put a quantizer of 8 bits before each and one behind the sum, or quantize both with one scale"
    )
    ranges = [(build.specs[value.tensor].lo, build.specs[value.tensor].hi) for value in values]
    total = Sum(node, (values[0], values[1]), (ranges[0], ranges[1]), int(sign), multipliers, refusal)
    if total.pairs <= MOST_PAIRS:
        total = replace(total, values=(_as_given(values[0], given[0]), _as_given(values[1], given[1])))
    name = build.wait(total)
    if total.pairs > MOST_PAIRS and (multipliers is not None or min(hi - lo for lo, hi in ranges) >= MOST_NARROW):
        build.settle_sum(name)
    offset = compress(values[0].offset + sign * values[1].offset)
    unit = 1 if multipliers is None else multipliers[0]
    return replace(values[0], tensor=name, scale=compress(first / unit), offset=offset)


def _as_given(value: Value, given: Value) -> Value:
    """The value with the chain that it came with if that holds links alone, which can be evaluated step by step."""
    same = value.tensor == given.tensor and not any(given.pads)
    return given if same and all(isinstance(link, Link) for link in given.chain) else value


def _small_fraction(ratio: float) -> Fraction | None:
    """The ratio of two small integers: exactly, or of smaller ones but for the rounding of scales to float32."""
    for limit, tolerance in ((MAX_MULTIPLIER, 0.0), (MAX_ROUNDED_MULTIPLIER, RATIO_TOLERANCE)):
        fraction = Fraction(ratio).limit_denominator(limit)
        near = abs(float(fraction) - ratio) <= tolerance * abs(ratio)
        if near and 0 < abs(fraction.numerator) <= limit:
            return fraction
    return None


def concat(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """Concat; each input keeps its scale. Along the channels of images it is the network's own, else flat."""
    values = [build.plain(node, value) for value in _values(node, inputs)]
    ranks = {v.index.ndim for v in values}
    axis = int(node.get("axis", 1)) % max(ranks)
    if len(ranks) > 1 or len({(*v.index.shape[:axis], *v.index.shape[axis + 1 :]) for v in values}) > 1:
        raise node.error(f"joins shapes {[v.index.shape for v in values]} along axis {axis}")
    if axis == 0:
        raise node.error("joins along the batch axis")
    if not _alike(values, axis):
        values = [per_element(build, node, value) for value in values]
    name = build.emit(node, Concat, [v.tensor for v in values])
    shape = build.specs[name].shape
    start, indices = 0, []
    for v in values:
        moved = v.index // v.channels * shape[-1] + v.index % v.channels + start
        indices.append(moved.astype(np.int32))
        start += v.channels
    scale = np.concatenate([np.broadcast_to(v.scale, (v.channels,)) for v in values])
    offset = np.concatenate([np.broadcast_to(v.offset, (v.channels,)) for v in values])
    return Value(name, shape, np.concatenate(indices, axis=axis), compress(scale), compress(offset))


def _alike(values: Sequence[Value], axis: int) -> bool:
    """Whether the tensors lie pixel by pixel one beside the other, the axis along their channels."""
    if len({v.shape[:-1] for v in values}) > 1:
        return False
    pixels = [np.moveaxis(v.index // v.channels, axis, 0) for v in values]
    return all((p == pixels[0][:1]).all() for p in pixels)


def _operands(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> tuple[Value, Constant, Floats]:
    """Affine data, constant weights and the bias (1,) or (out,) of a linear node; pads stay pending."""
    data, weights = inputs[0], inputs[1]
    if isinstance(data, Value) and isinstance(weights, Value):
        raise node.error(
            "multiplies two computed tensors, as attention does, which no stage can; expected constant weights: take a"
            " network of convolutions and dense layers"
        )
    if not isinstance(data, Value) or not isinstance(weights, Constant):
        raise node.error("expected a quantized tensor and constant weights")
    extra = inputs[2] if len(inputs) > 2 else None
    if extra is not None and not isinstance(extra, Constant):
        raise node.error("expected a constant bias")
    bias = np.zeros(1) if extra is None else np.asarray(extra.real, np.float64).reshape(-1)
    plain = build.plain(node, replace(data, pads=(0, 0, 0, 0)))
    return replace(plain, pads=data.pads), weights, bias


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


def _brief(scale: Floats) -> str:
    return f"{scale[0]:.6g}" if scale.size == 1 else f"({scale.min():.6g} .. {scale.max():.6g} per channel)"


def combined(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """An operator on two tensors that are functions of one, such as x * Sigmoid(x)."""
    values = [whole(build, node, value) for value in _values(node, inputs)]
    for value in values:
        build.settle_sum(value.tensor)
    stages = {stage.name: stage for stage in build.stages}
    lines = [lineage(value.tensor, stages) for value in values]
    source = common(*lines)
    first, second = (value.index for value in values)
    if source is None or not np.array_equal(first, second):
        raise node.error(
            "expected one computed tensor and constants, or two that are functions of one (x * Sigmoid(x)), got others;"
            " of several tensors there is only the sum (Add, Sub, Concat): leave the operator out before training"
        )
    paths = [line[source] for line in lines]
    links = function_of_one(node, values, paths, build.ranges(source), build.opsets)
    return replace(values[0], tensor=source, scale=np.ones(1), offset=np.zeros(1), chain=links)


def _values(node: Node, inputs: Sequence[Symbol | None]) -> list[Value]:
    values = [symbol for symbol in inputs if isinstance(symbol, Value)]
    if len(values) != len(inputs):
        raise node.error("expected quantized tensors as inputs")
    return values
