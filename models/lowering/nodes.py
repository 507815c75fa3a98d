"""One QONNX node at a time: which lowering each operator takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from bitswath.errors import LoweringError
from bitswath.models.lowering.arrange import entered, per_element
from bitswath.models.lowering.builder import Builder
from bitswath.models.lowering.chains.casts import FLOATS, cast_link
from bitswath.models.lowering.chains.chain import execute, opset_of
from bitswath.models.lowering.chains.links import (
    ELEMENTWISE,
    QUANTIZERS,
    elementwise_link,
    quantizer_link,
    quantizer_range,
)
from bitswath.models.lowering.chains.values import (
    CHANNELS_LAST,
    Constant,
    FloatInput,
    Node,
    PositionError,
    Symbol,
    Value,
)
from bitswath.models.lowering.ends import arg_max, softmax
from bitswath.models.lowering.layout import MOVES, SHAPES, gather, move, pad, reshape
from bitswath.models.lowering.linear import combined, concat, convolution, join, matrix_product, transposed_convolution
from bitswath.models.lowering.pools import global_pool, pool, reduce
from bitswath.models.lowering.qdq import dequantize_linear, dequantized_constant, quantize_linear
from bitswath.models.lowering.reading.refusals import DOMAINS, malformed, why_not
from bitswath.models.lowering.views import as_image
from bitswath.network.network import INPUT, TensorSpec

__all__ = ["lower_node"]

Inputs = Sequence[Symbol | None]
Handler = Callable[[Builder, Node, Inputs], Symbol]
NOT_AS_SPECIFIED = (ArithmeticError, AttributeError, LookupError, RuntimeError, StopIteration, TypeError, ValueError)
"""What handlers run into where inputs or attributes are missing, or of another type or shape than specified."""
WINDOWED = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool")
"""On constants of odd shapes onnxruntime ends the process."""
CHANNELS_LAST_OPERATORS = ("Conv", "MaxPool", "BatchNormalization")


def lower_node(build: Builder, node: Node, inputs: Inputs) -> Sequence[Symbol | None]:
    """Symbols of the node's outputs (None: no integer form); raises `LoweringError` if it cannot be lowered."""
    try:
        return _lower(build, node, inputs)
    except LoweringError:
        raise
    except NOT_AS_SPECIFIED as error:
        raise node.error(malformed(node, build.opsets, error)) from error


def _lower(build: Builder, node: Node, inputs: Inputs) -> Sequence[Symbol | None]:
    constant = all(i is None or isinstance(i, Constant) for i in inputs)
    if constant and (node.proto.domain == "" or node.op in QUANTIZERS):
        return _fold(build, node, inputs)
    known = node.proto.domain in DOMAINS and (node.proto.domain != CHANNELS_LAST or node.op in CHANNELS_LAST_OPERATORS)
    if not known or node.op not in (*HANDLERS, *SEVERAL):
        raise node.error(why_not(node))
    if inputs and isinstance(inputs[0], FloatInput) and node.op not in FLOAT_OPERATORS:
        raise node.error(
            "works on the graph input before it is quantized; declare the integers it takes (--input-datatype UINT8), "
            "and their scale if there is one (--input-scale 1/255)"
        )
    if node.op in SEVERAL:
        return SEVERAL[node.op](build, node, inputs)
    return [HANDLERS[node.op](build, node, inputs)]


def _fold(build: Builder, node: Node, inputs: Inputs) -> list[Symbol]:
    """A node on constants, executed by qonnx; integers and scale of quantized ones are kept."""
    constants = [i for i in inputs if isinstance(i, Constant)]
    if constants and node.op in SHAPES:
        return [reshape(build, node, inputs)]
    if len(constants) != len(inputs):
        raise node.error("optional inputs of constant nodes are not supported")
    if node.op in WINDOWED:
        raise node.error("takes only constants; expected a tensor computed from the graph's input")
    arrays = [c.real for c in constants]
    if node.op == "DequantizeLinear":
        return [dequantized_constant(node, arrays)]
    reals = execute(node.proto, arrays, opset_of(node.proto, build.opsets))
    if node.op in QUANTIZERS and node.op != "MultiThreshold":
        return [_quantized(node, reals[0], arrays)]
    if node.op == "Identity":
        return [constants[0]]
    if node.op in ("Mul", "Div") and constants[0].scale is not None and constants[0].integers is not None:
        factor = np.asarray(arrays[1], np.float64)
        if constants[1].integers is None and reals[0].shape == arrays[0].shape and np.all(factor):
            scale = constants[0].scale * factor if node.op == "Mul" else constants[0].scale / factor
            return [Constant(reals[0], constants[0].integers, scale)]
    return [Constant(real) for real in reals]


def _quantized(node: Node, real: NDArray[Any], arrays: Sequence[NDArray[Any]]) -> Constant:
    """A quantized constant; its zero point goes into the integers."""
    scale = np.asarray(arrays[4] if len(arrays) == 6 else arrays[1], np.float64)
    if not (scale > 0).all():
        raise node.error("expected a positive scale")
    scale = np.broadcast_to(scale, real.shape)
    integers = np.rint(real / scale)
    if not np.allclose(real / scale, integers, rtol=0, atol=1e-3):
        raise node.error("a fractional zero point of a constant has no integer form")
    return Constant(real, integers.astype(np.int64), scale)


def by_position(handler: Handler) -> Handler:
    """The handler, which is given each element as a channel of its own where constants differ by position."""

    def handle(build: Builder, node: Node, inputs: Inputs) -> Symbol:
        try:
            return handler(build, node, inputs)
        except PositionError:
            if not any(isinstance(i, Value) for i in inputs):
                raise
            return handler(build, node, [per_element(build, node, i) if isinstance(i, Value) else i for i in inputs])

    return handle


def _quantizer(build: Builder, node: Node, inputs: Inputs) -> Symbol:
    data = inputs[0]
    if isinstance(data, FloatInput):
        return _input_quantizer(build, node, inputs, data)
    if not isinstance(data, Value):
        raise node.error("expected a tensor")
    value = build.settle_pads(node, data)
    link, grid = quantizer_link(node, [value, *inputs[1:]], value, build.opsets)
    result = build.quantize(node, replace(value, chain=(*value.chain, link)), grid)
    if value.tensor == INPUT and node.op in ("Quant", "IntQuant"):
        build.watch_input(node, result.tensor, *quantizer_range(node, inputs))
    return result


def _input_quantizer(build: Builder, node: Node, inputs: Inputs, data: FloatInput) -> Value:
    """The graph input's quantizer: the network takes its integers."""
    link, grid = quantizer_link(node, inputs, data, build.opsets)
    spec = TensorSpec(data.shape, *quantizer_range(node, inputs))
    build.enter(node, (*data.chain, link), grid, spec)
    return entered(build, node, data, grid)


def _elementwise(build: Builder, node: Node, inputs: Inputs) -> Symbol:
    real = next((i for i in inputs if isinstance(i, FloatInput)), None)
    if real is not None:
        return replace(real, chain=(*real.chain, elementwise_link(node, inputs, real, build.opsets)))
    values = [i for i in inputs if isinstance(i, Value)]
    if len(values) == 2 and node.op in ("Add", "Sub"):
        return join(build, node, inputs)
    ended = next((v.softmax for v in values if v.softmax), None)
    if ended:
        raise node.error(f"takes what {ended} gives, which can only end the graph")
    if len(values) == 2:
        return combined(build, node, inputs)
    settled = [build.settle_pads(node, i) if isinstance(i, Value) else i for i in inputs]
    value = next(i for i in settled if isinstance(i, Value))
    return replace(value, chain=(*value.chain, elementwise_link(node, settled, value, build.opsets)))


def _unchanged(build: Builder, node: Node, inputs: Inputs) -> Symbol:
    if inputs[0] is None:
        raise node.error("expected an input")
    return inputs[0]


def _cast(build: Builder, node: Node, inputs: Inputs) -> Symbol:
    data, to = inputs[0], node.get("to", TensorProto.FLOAT)
    if isinstance(data, FloatInput) and to in FLOATS:
        return data
    if not isinstance(data, Value):
        raise node.error("casts the graph input before its integers are known; annotate it with its integer datatype")
    if data.softmax:
        return data
    value = build.settle_pads(node, data)
    if to not in FLOATS:
        build.settle_sum(value.tensor)
    link = cast_link(node, value, build.ranges(value.tensor), build.opsets)
    return value if link is None else replace(value, chain=(*value.chain, link))


def _shape(build: Builder, node: Node, inputs: Inputs) -> Symbol:
    data = inputs[0]
    if isinstance(data, Value):
        data = build.settle_pads(node, data)
    if not isinstance(data, Value | FloatInput):
        raise node.error("expected a tensor")
    return Constant(np.array(data.index.shape[node.get("start", 0) : node.get("end", None)], np.int64))


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(ELEMENTWISE, by_position(_elementwise)),
    **dict.fromkeys(QUANTIZERS, by_position(_quantizer)),
    **dict.fromkeys(SHAPES, reshape),
    **dict.fromkeys(("Identity", "Dropout"), _unchanged),
    **dict.fromkeys(("MatMul", "Gemm"), matrix_product),
    **dict.fromkeys(("MaxPool", "MaxPoolNHWC", "AveragePool"), as_image(pool)),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), as_image(global_pool)),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax"), reduce),
    "BatchNormalization": as_image(by_position(_elementwise)),
    "Conv": as_image(convolution),
    "ConvTranspose": as_image(transposed_convolution),
    "Concat": concat,
    "Pad": pad,
    "Gather": gather,
    "Cast": _cast,
    "Shape": _shape,
    "Softmax": softmax,
    "LogSoftmax": softmax,
    "QuantizeLinear": by_position(quantize_linear),
    "DequantizeLinear": by_position(dequantize_linear),
}
SEVERAL: dict[str, Callable[[Builder, Node, Inputs], Sequence[Symbol | None]]] = {
    **dict.fromkeys((*MOVES, "Split"), move),
    **dict.fromkeys(("TopK", "ArgMax"), arg_max),
}
"""Operators with as many results as they have outputs."""
FLOAT_OPERATORS = (
    *SHAPES,
    *MOVES,
    "Split",
    "Gather",
    *ELEMENTWISE,
    "Quant",
    "IntQuant",
    "BipolarQuant",
    "MultiThreshold",
    "Identity",
    "Dropout",
    "Cast",
    "Shape",
    "QuantizeLinear",
    "DequantizeLinear",
)
