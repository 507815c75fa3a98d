"""The graph input: its shape, layout and integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import GraphProto, TensorProto
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from bitswath.errors import LoweringError
from bitswath.models.lowering.links import ELEMENTWISE, QUANTIZERS
from bitswath.models.lowering.values import FloatInput, Node, Value, canonical_index
from bitswath.network import INPUT, TensorSpec

__all__ = ["find_input"]

INTEGER_ELEMENTS = {
    TensorProto.UINT8: "UINT8",
    TensorProto.INT8: "INT8",
    TensorProto.UINT16: "UINT16",
    TensorProto.INT16: "INT16",
}
NHWC_OPERATORS = ("MaxPoolNHWC", "MatMul")


def find_input(
    wrapper: ModelWrapper, input_datatype: str | None, input_scale: float
) -> tuple[str, Value | FloatInput, TensorSpec | None, int]:
    """Name, symbol and batch of the one graph input; its spec too if its integers are declared."""
    graph = wrapper.graph
    known = {i.name for i in graph.initializer}
    inputs = [i for i in graph.input if i.name not in known]
    if len(inputs) != 1:
        raise LoweringError(f"expected one graph input, got {[i.name for i in inputs]}")
    name = str(inputs[0].name)
    tensor = inputs[0].type.tensor_type
    dims = [int(d.dim_value) for d in tensor.shape.dim]
    if len(dims) not in (2, 3, 4) or min(dims[1:]) < 1:
        raise LoweringError(f"input {name!r}: expected a fixed shape (N, C, H, W), (N, H, W) or (N, F), got {dims}")
    shape, index = _layout(wrapper, name, dims[1:])
    datatype = _datatype(wrapper, name, tensor.elem_type, input_datatype)
    if datatype is None:
        return name, FloatInput(shape, index), None, dims[0]
    spec = TensorSpec(shape, int(datatype.min()), int(datatype.max()))
    return name, Value(INPUT, shape, index, np.full(1, float(input_scale))), spec, dims[0]


def _datatype(wrapper: ModelWrapper, name: str, element: int, declared: str | None) -> Any:
    if declared is None:
        datatype = wrapper.get_tensor_datatype(name)
        return datatype if datatype.is_integer() else _named(INTEGER_ELEMENTS.get(element))
    try:
        datatype = _named(declared)
    except KeyError:
        datatype = None
    if datatype is None or not datatype.is_integer():
        raise LoweringError(f"input {name!r}: expected an integer datatype such as UINT8, got {declared!r}")
    return datatype


def _named(name: str | None) -> Any:
    return None if name is None else DataType[name]


def _layout(wrapper: ModelWrapper, name: str, dims: list[int]) -> tuple[tuple[int, ...], Any]:
    """Network shape and index array of an input of these dimensions (without batch)."""
    if len(dims) == 1:
        return (dims[0],), canonical_index((dims[0],))
    if len(dims) == 2:
        shape = (dims[0], dims[1], 1)
        return shape, canonical_index(shape).reshape(1, *dims)
    declared = wrapper.get_tensor_layout(name) or []
    nhwc = declared == ["N", "H", "W", "C"] if declared else _reads_channels_last(wrapper.graph, name)
    shape = (dims[0], dims[1], dims[2]) if nhwc else (dims[1], dims[2], dims[0])
    return shape, canonical_index(shape, "NHWC" if nhwc else "NCHW")


def _reads_channels_last(graph: GraphProto, name: str) -> bool:
    """Whether the first node that tells the axes apart takes (N, H, W, C)."""
    pending, seen = [name], set()
    while pending:
        tensor = pending.pop(0)
        seen.add(tensor)
        for node in (Node(n) for n in graph.node if tensor in n.input):
            if node.op == "Transpose":
                return list(node.get("perm", ())) == [0, 3, 1, 2]
            if (node.op == "MultiThreshold" and node.get("data_layout", "") == "NHWC") or node.op in NHWC_OPERATORS:
                return True
            if node.op == "Gather":
                return _last_is_single(graph, name)
            if node.op not in ELEMENTWISE and node.op not in (*QUANTIZERS, "Identity", "Cast", "Dropout", "Concat"):
                return False
            pending += [o for o in node.proto.output if o not in seen]
    return False


def _last_is_single(graph: GraphProto, name: str) -> bool:
    dims = next([d.dim_value for d in i.type.tensor_type.shape.dim] for i in graph.input if i.name == name)
    return bool(dims[-1] == 1 and dims[1] != 1)
