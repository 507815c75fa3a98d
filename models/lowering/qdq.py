"""QuantizeLinear and DequantizeLinear, the two halves of one quantizer.

QuantizeLinear, and a Clip behind it, wait in the chain: they are monotone. DequantizeLinear takes the zero point
off and scales; if a QuantizeLinear waits before it, the whole chain becomes thresholds there. As in a Quant, the
zero point goes into the integers, so that real zero stays integer zero. (qonnx's own `QCDQToQuant` needs both
halves side by side with explicit zero points, and takes a Clip's range for a width whatever its ends are.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from bitswath.models.lowering.arrange import entered
from bitswath.models.lowering.builder import Builder
from bitswath.models.lowering.chains.chain import Grid, Link, Pooling, opset_of, run_chain
from bitswath.models.lowering.chains.links import make_link
from bitswath.models.lowering.chains.values import Constant, FloatInput, Node, Symbol, Value, channels_of, compress
from bitswath.network.network import INPUT, TensorSpec

__all__ = ["dequantize_linear", "dequantized_constant", "quantize_linear"]

Inputs = Sequence[Symbol | None]
Floats = NDArray[np.float64]
PER_BLOCK = "expected one scale for the tensor, or one for each channel, not one for each block"
_ONE, _ZERO = np.ones(1), np.zeros(1)


def quantize_linear(build: Builder, node: Node, inputs: Inputs) -> Symbol:
    """Rounds a tensor, or the graph input, onto 8- or 16-bit integers; a link of its chain."""
    data = _data(build, node, inputs)
    if isinstance(data, Value) and data.softmax:
        return replace(data, softmax=f"{data.softmax} {node.op}")
    chain: Any = (*data.chain, _rounding(node, data, inputs, build.opsets))
    return replace(data, chain=chain)


def dequantize_linear(build: Builder, node: Node, inputs: Inputs) -> Symbol:
    """Integers as reals: with a QuantizeLinear in the chain the end of a quantizer, else an affine function."""
    data = _data(build, node, inputs)
    if isinstance(data, Value) and data.softmax:
        return replace(data, softmax=f"{data.softmax} {node.op}")
    scale, zero = (rows.astype(np.float64) for rows in _parameters(node, data, inputs))
    grid, links = Grid(compress(scale), _ZERO), _scaling(node, scale, zero, build.opsets)
    if isinstance(data, FloatInput):
        build.enter(node, (*data.chain, *links), grid, TensorSpec(data.shape, *_reached(node, data.chain, links[0])))
        return entered(build, node, data, grid)
    value = replace(data, chain=(*data.chain, *links))
    if not any(map(_rounds, data.chain)):
        return value
    result = build.quantize(node, value, grid)
    if data.tensor == INPUT:
        chain = [link for link in data.chain if isinstance(link, Link)]
        build.watch_input(node, result.tensor, *_reached(node, chain, links[0]))
    return result


def dequantized_constant(node: Node, arrays: Sequence[NDArray[Any]]) -> Constant:
    """A constant that was stored as integers. (onnxruntime aborts the process on some that are malformed.)"""
    stored, scale = arrays[:2]
    zero = arrays[2] if len(arrays) > 2 else np.zeros(1, stored.dtype)
    if not (np.issubdtype(stored.dtype, np.integer) and zero.dtype == stored.dtype):
        raise node.error(f"expected integers and a zero point of one type, got {stored.dtype} and {zero.dtype}")
    if node.get("block_size", 0) or max(scale.ndim, zero.ndim) > 1:
        raise node.error(PER_BLOCK)
    if not (scale > 0).all():
        raise node.error("expected a positive scale")
    if stored.dtype == np.int32 and zero.any():
        raise node.error("expected no zero point for 32-bit integers")
    scale, zero = (_along(v, node.get("axis", 1), stored.ndim) for v in (scale, zero))
    integers = stored.astype(np.int64) - zero.astype(np.int64)
    return Constant(
        integers.astype(np.float32) * scale, integers, np.broadcast_to(scale.astype(np.float64), stored.shape)
    )


def _data(build: Builder, node: Node, inputs: Inputs) -> Value | FloatInput:
    data = inputs[0]
    if isinstance(data, Value):
        return build.settle_pads(node, data)
    if not isinstance(data, FloatInput):
        raise node.error("expected a tensor")
    return data


def _parameters(node: Node, data: Value | FloatInput, inputs: Inputs) -> tuple[NDArray[Any], NDArray[Any]]:
    """Scale and zero point, each (1,) or (C,)."""
    scale = _constant(node, inputs, 1)
    zero = _constant(node, inputs, 2) if _given(inputs, 2) else np.zeros(scale.shape, np.uint8)
    if zero.dtype not in (np.uint8, np.int8, np.uint16, np.int16, np.int32):
        raise node.error(f"expected integers of 8 or 16 bits, got {zero.dtype}")
    if node.get("block_size", 0) or max(scale.ndim, zero.ndim) > 1:
        raise node.error(PER_BLOCK)
    if not (scale > 0).all():
        raise node.error("expected a positive scale")
    shaped = (_along(v, node.get("axis", 1), data.index.ndim) for v in (scale, zero))
    rows = [channels_of(node, data, v, "parameters") for v in shaped]
    return rows[0], rows[1]


def _along(values: NDArray[Any], axis: int, rank: int) -> NDArray[Any]:
    """One value for each place on an axis, in a shape that broadcasts against a tensor of this rank."""
    if values.size == 1 or values.ndim != 1:
        return values
    return values.reshape([-1 if i == axis % rank else 1 for i in range(rank)])


def _constant(node: Node, inputs: Inputs, position: int) -> NDArray[Any]:
    symbol = inputs[position]
    if not isinstance(symbol, Constant):
        raise node.error("expected constant parameters; scale and zero point must be initializers")
    return symbol.real


def _given(inputs: Inputs, position: int) -> bool:
    return len(inputs) > position and inputs[position] is not None


def _rounds(link: Link | Pooling) -> bool:
    return isinstance(link, Link) and link.node.op_type == "QuantizeLinear"


def _rounding(node: Node, data: Value | FloatInput, inputs: Inputs, opsets: Mapping[str, int]) -> Link:
    scale, zero = _parameters(node, data, inputs)
    if max(scale.size, zero.size) > 1:
        rows = list(np.broadcast_arrays(scale, zero))
        return make_link(node, [None, *rows[: 1 + _given(inputs, 2)]], opsets, _ONE, axis=1)
    rows = [scale.reshape(()), zero.reshape(())]
    return make_link(node, [None, *rows[: 1 + _given(inputs, 2)]], opsets, _ONE)


def _scaling(node: Node, scale: Floats, zero: Floats, opsets: Mapping[str, int]) -> tuple[Link, Link]:
    """``(x - zero) * scale`` in float32, as DequantizeLinear is defined; the difference is exact."""

    def link(op: str, rows: Floats, affine: tuple[Floats, Floats]) -> Link:
        constant = np.asarray(rows.reshape(()) if rows.size == 1 else rows.reshape(1, -1, 1), np.float32)
        proto = helper.make_node(op, ["x", "c1"], ["y"])
        return Link(node.name, proto, {"c1": constant}, opset_of(node.proto, opsets), affine[0], affine=affine)

    return link("Sub", zero, (_ONE, -zero)), link("Mul", scale, (scale, _ZERO))


def _reached(node: Node, chain: Sequence[Link], minus_zero: Link) -> tuple[int, int]:
    """Smallest and largest integer that the graph input's chain gives, zero point taken off."""
    first = next((i for i, link in enumerate(chain) if _rounds(link)), None)
    if first is None:
        raise node.error("takes integers, but nothing makes the graph input integers; declare them (--input-datatype)")
    limits = np.iinfo(chain[first].constants.get("c2", np.zeros((), np.uint8)).dtype)
    ends = np.array([[[limits.min, limits.max]]], np.float32)
    reached = run_chain((*chain[first + 1 :], minus_zero), ends)
    return int(reached.min()), int(reached.max())
