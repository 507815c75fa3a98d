"""The graph input: its shape, layout and integers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from bitswath.errors import LoweringError
from bitswath.models.lowering.chains.input_quantizer import Entry, Pixels, whole
from bitswath.models.lowering.chains.links import ELEMENTWISE, QUANTIZERS
from bitswath.models.lowering.chains.values import CHANNELS_LAST, FloatInput, Node, Value, canonical_index
from bitswath.models.lowering.reading.pixels import likely_scale
from bitswath.network.network import INPUT, TensorSpec

__all__ = ["GraphInput", "find_input"]

Floats = NDArray[np.float64]
REALS = "FLOAT32"
LAYOUTS = ("nchw", "nhwc", "flat")
MOST_VALUES = 1 << 28
DEEPEST = 16
"""Bits of a pixel."""

INTEGER_ELEMENTS = {
    TensorProto.UINT8: "UINT8",
    TensorProto.INT8: "INT8",
    TensorProto.UINT16: "UINT16",
    TensorProto.INT16: "INT16",
    TensorProto.BOOL: "BINARY",
}
SEQUENCE_OPERATORS = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool", "Pad")
BLIND_OPERATORS = {
    *ELEMENTWISE,
    *QUANTIZERS,
    *("QuantizeLinear", "DequantizeLinear", "Identity", "Cast", "Dropout", "Concat"),
}
"""Which take axes as they are."""


@dataclass(frozen=True, eq=False)
class GraphInput:
    """The graph's input. `batch`: frames it was exported for; `spec`: the integers that are declared for it and `entry`
    how they are numbered, or `pixels`: what a user has where they are not, None where nobody says."""

    name: str
    symbol: Value | FloatInput
    batch: int
    spec: TensorSpec | None = None
    entry: Entry | None = None
    pixels: Pixels | None = None


def find_input(
    wrapper: ModelWrapper,
    input_datatype: str | None,
    input_scale: Floats | None,
    input_offset: Floats | None,
    input_layout: str | None = None,
) -> GraphInput:
    """The one graph input of a model, whose integers are declared by its annotation or by `input_datatype`.

    `input_layout`: its axes, "nchw", "nhwc" or "flat", where the graph does not tell them.
    """
    graph = wrapper.graph
    known = {i.name for i in graph.initializer}
    inputs = [i for i in graph.input if i.name not in known]
    if len(inputs) != 1:
        found = ", ".join(repr(i.name) for i in inputs) or "none"
        raise LoweringError(
            f"expected one graph input, got {found}; make the others constants, or cut the graph where one enters"
        )
    name = str(inputs[0].name)
    tensor = inputs[0].type.tensor_type
    dims = [int(d.dim_value) for d in tensor.shape.dim]
    if len(dims) not in (2, 3, 4) or min(dims[1:]) < 1:
        raise LoweringError(
            f"input {name!r}: expected a fixed shape (N, C, H, W), (N, C, L), (N, H, W) or (N, F), got {dims}"
        )
    if math.prod(dims[1:]) > MOST_VALUES:
        raise LoweringError(f"input {name!r}: expected at most {MOST_VALUES:,} values, got {dims}")
    if input_layout not in (None, *LAYOUTS):
        raise LoweringError(f"input {name!r}: expected a layout of {', '.join(LAYOUTS)}, got {input_layout!r}")
    shape, index = _layout(wrapper, name, dims[1:], input_layout)
    datatype = _datatype(wrapper, name, tensor.elem_type, input_datatype)
    _require_depth(name, datatype)
    batch = max(dims[0], 1)
    scale, offset = (
        np.ones(1) if input_scale is None else input_scale,
        np.zeros(1) if input_offset is None else input_offset,
    )
    if any(v.size not in (1, shape[-1]) for v in (scale, offset)):
        raise LoweringError(
            f"input {name!r}: has {shape[-1]} bands; expected one scale and offset, or one for each band,"
            f" got {scale.size} and {offset.size}"
        )
    if not scale.all():
        raise LoweringError(f"input {name!r}: expected a scale other than 0, which makes all pixels one")
    _require_element(name, tensor.elem_type, datatype, scale, offset)
    if datatype is None or datatype.bitwidth() > 8:
        told = input_datatype == REALS, input_scale is not None or input_offset is not None
        pixels = _pixels(wrapper.graph, name, shape, tensor.elem_type, datatype, *told, scale, offset)
        return GraphInput(name, FloatInput(shape, index), batch, pixels=pixels)
    lowest, highest = int(datatype.min()), int(datatype.max())
    entry = whole(range(lowest, highest + 1, 2 if datatype.name == "BIPOLAR" else 1), scale, offset)
    value = Value(INPUT, shape, index, scale, offset)
    return GraphInput(name, value, batch, TensorSpec(shape, lowest, highest), entry)


def _pixels(
    graph: GraphProto,
    name: str,
    shape: tuple[int, ...],
    element: int,
    datatype: Any,
    reals: bool,
    scaled: bool,
    scale: Floats,
    offset: Floats,
) -> Pixels | None:
    """What a user has for an input that the graph quantizes itself, None where nobody says.

    Integers that are declared; pixels, where it is said what they are scaled by, or the graph shows it; else reals,
    unless it is an image: whose pixels they are made of is to be said.
    """
    if datatype is not None:
        return Pixels(datatype.bitwidth(), scale, offset, "signed" if datatype.min() < 0 else "unsigned")
    if scaled:
        return Pixels(8, scale, offset)
    image = len(shape) == 3 and min(shape[:2]) > 1
    if image and not reals:
        likely = likely_scale(graph, name)
        return None if likely is None else Pixels(8, np.full(1, likely))
    return Pixels(32, numbers="float") if element == TensorProto.FLOAT else None


def _datatype(wrapper: ModelWrapper, name: str, element: int, declared: str | None) -> Any:
    """The declared integer datatype, None for reals."""
    if declared is None:
        datatype = _annotated(wrapper, name)
        return datatype if datatype.is_integer() else _named(INTEGER_ELEMENTS.get(element))
    try:
        datatype = _named(declared)
    except (KeyError, ValueError, AssertionError, IndexError):
        datatype = None
    if datatype is None or not (datatype.is_integer() or declared == REALS):
        raise LoweringError(
            f"input {name!r}: expected an integer datatype such as UINT8, or {REALS} for reals, got {declared!r}"
        )
    return datatype if datatype.is_integer() else None


def _require_depth(name: str, datatype: Any) -> None:
    if datatype is not None and not 1 <= datatype.bitwidth() <= DEEPEST:
        raise LoweringError(
            f"input {name!r}: expected integers of 1 to {DEEPEST} bits, got {datatype.name};"
            " say what pixels are with --input-datatype"
        )


def _require_element(name: str, element: int, datatype: Any, scale: Floats, offset: Floats) -> None:
    """An input of an integer element type can only be fed integers that it holds."""
    kind = helper.tensor_dtype_to_np_dtype(element)
    if not np.issubdtype(kind, np.integer):
        return
    lo, hi = (0, 255) if datatype is None else (datatype.min(), datatype.max())
    limits = np.iinfo(kind)
    if (scale != 1).any() or offset.any() or lo < limits.min or hi > limits.max:
        raise LoweringError(
            f"input {name!r}: takes {kind} elements, which do not hold what it would be fed; expected pixels as they"
            " are (no --input-scale or --input-offset), of a type that fits"
        )


def _annotated(wrapper: ModelWrapper, name: str) -> Any:
    try:
        return wrapper.get_tensor_datatype(name)
    except (KeyError, ValueError, AssertionError) as error:
        raise LoweringError(
            f"input {name!r}: its annotation is no datatype of QONNX ({error.args[0]});"
            " say what it takes with --input-datatype"
        ) from error


def _named(name: str | None) -> Any:
    return None if name is None else DataType[name]


def _layout(wrapper: ModelWrapper, name: str, dims: list[int], told: str | None) -> tuple[tuple[int, ...], Any]:
    """Network shape and index array of an input of these dimensions (without batch)."""
    if len(dims) == 1 or told == "flat":
        size = math.prod(dims)
        return (size,), canonical_index((size,)).reshape(1, *dims)
    if len(dims) == 2:
        return _flat_image(wrapper.graph, name, dims, told)
    declared = wrapper.get_tensor_layout(name) or []
    nhwc = declared == ["N", "H", "W", "C"] if declared else _reads_channels_last(wrapper.graph, name)
    nhwc = nhwc if told is None else told == "nhwc"
    shape = (dims[0], dims[1], dims[2]) if nhwc else (dims[1], dims[2], dims[0])
    return shape, canonical_index(shape, "NHWC" if nhwc else "NCHW")


def _flat_image(graph: GraphProto, name: str, dims: list[int], told: str | None) -> tuple[tuple[int, ...], Any]:
    """A sequence, (N, C, L) or (N, L, C), is an image of height 1; what no node takes as one is (N, H, W)."""
    node = _first_to_tell_axes(graph, name)
    last = node is not None and (_is_channels_last(node) or list(node.get("perm", ())) == [0, 2, 1])
    last = last if told is None else told == "nhwc"
    if told is None and not last and (node is None or node.op not in SEQUENCE_OPERATORS):
        shape = (dims[0], dims[1], 1)
        return shape, canonical_index(shape).reshape(1, *dims)
    length, channels = dims if last else reversed(dims)
    return (1, length, channels), canonical_index((1, length, channels), "NHWC" if last else "NCHW").reshape(1, *dims)


def _reads_channels_last(graph: GraphProto, name: str) -> bool:
    """Whether the first node that tells the axes apart takes (N, H, W, C)."""
    node = _first_to_tell_axes(graph, name)
    if node is None:
        return False
    if node.op == "Transpose":
        return list(node.get("perm", ())) == [0, 3, 1, 2]
    return _is_channels_last(node) or node.op == "MatMul" or (node.op == "Gather" and _last_is_single(graph, name))


def _is_channels_last(node: Node) -> bool:
    marked = node.op == "MultiThreshold" and node.get("data_layout", "") == "NHWC"
    return marked or node.op == "MaxPoolNHWC" or node.proto.domain == CHANNELS_LAST


def _first_to_tell_axes(graph: GraphProto, name: str) -> Node | None:
    pending, seen = [name], set()
    while pending:
        tensor = pending.pop(0)
        seen.add(tensor)
        for node in (Node(n) for n in graph.node if tensor in n.input):
            if node.op not in BLIND_OPERATORS or _is_channels_last(node):
                return node
            pending += [o for o in node.proto.output if o not in seen]
    return None


def _last_is_single(graph: GraphProto, name: str) -> bool:
    dims = next([d.dim_value for d in i.type.tensor_type.shape.dim] for i in graph.input if i.name == name)
    return bool(dims[-1] == 1 and dims[1] != 1)
