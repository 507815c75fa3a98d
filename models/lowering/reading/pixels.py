"""What raw pixels of 0 to 255 are to a graph, where its first nodes show it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, numpy_helper

from bitswath.models.lowering.chains.values import Node

__all__ = ["likely_scale"]

AS_THEY_ARE, ZERO_TO_ONE = 1.0, 1 / 255
PASSED = ("Identity", "Dropout", "Cast", "Relu", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze")
"""Which change nothing of what pixels are."""
CLOSE = 1e-5
"""Relative: a constant was rounded to float32, or written down in decimals."""
ABOVE = 1.02
"""How far the end of a trained quantizer may lie above the largest pixel."""


def likely_scale(graph: GraphProto, name: str) -> float | None:
    """What pixels were multiplied by before the graph input `name`, or None where its first nodes do not tell.

    1 where they are divided by 255 there, or meet an unsigned quantizer that ends at 255; 1/255 where ``2 x - 1`` or
    ``(x - 0.5) / 0.5`` follows, or an unsigned quantizer that ends at 1.
    """
    try:
        return _told(graph, name)
    except (ArithmeticError, LookupError, TypeError, ValueError):  # lowering names the node that is not as specified
        return None


def _told(graph: GraphProto, name: str) -> float | None:
    tensors = [(tensor.name, tensor) for tensor in graph.initializer]
    tensors += [
        (n.output[0], a.t) for n in graph.node if n.op_type == "Constant" for a in n.attribute if a.HasField("t")
    ]
    constants = {name: numpy_helper.to_array(tensor) for name, tensor in tensors if math.prod(tensor.dims) == 1}
    arithmetic: list[tuple[str, float]] = []
    for node in _in_a_row(graph, name):
        values = [constants.get(i) for i in node.proto.input[1:]]
        if node.op in ("Mul", "Add") and node.proto.input[0] in constants:
            values = [constants[node.proto.input[0]]]
        if node.op in ("Quant", "IntQuant", "QuantizeLinear"):
            return None if arithmetic else _of_quantizer(node, values)
        constant = _single(values[0]) if values else None
        if node.op not in ("Mul", "Div", "Add", "Sub") or constant is None:
            return None
        arithmetic.append(_as_factor_or_term(node.op, constant))
        told = _of_arithmetic(arithmetic)
        if told is not None or len(arithmetic) == 2:
            return told
    return None


def _in_a_row(graph: GraphProto, name: str) -> Iterator[Node]:
    """The nodes that a tensor passes one after the other, as far as there is one way."""
    for _ in graph.node:
        takers = [Node(n) for n in graph.node if name in n.input and n.op_type != "Shape"]
        if len(takers) != 1:
            return
        (node,) = takers
        if node.op not in PASSED:
            yield node
        name = node.output


def _as_factor_or_term(op: str, constant: float) -> tuple[str, float]:
    if op == "Div":
        return "Mul", 1 / constant if constant else 0.0
    return ("Add", -constant) if op == "Sub" else (op, constant)


def _of_arithmetic(steps: list[tuple[str, float]]) -> float | None:
    first = steps[0]
    if first[0] == "Mul" and any(np.isclose(first[1], 1 / top, CLOSE, 0) for top in (255, 256)):
        return AS_THEY_ARE
    shifts = ([("Mul", 2.0), ("Add", -1.0)], [("Add", -0.5), ("Mul", 2.0)])
    told = [op for op, _ in steps], [value for _, value in steps]
    if any(
        told[0] == [op for op, _ in known] and np.allclose(told[1], [v for _, v in known], CLOSE) for known in shifts
    ):
        return ZERO_TO_ONE
    return None


def _of_quantizer(node: Node, values: list[NDArray[Any] | None]) -> float | None:
    scale = _single(values[0])
    zero = 0.0 if len(values) < 2 else _single(values[1])
    if scale is None or zero is None or not scale > 0:
        return None
    if node.op == "QuantizeLinear":
        stored = values[1].dtype if len(values) > 1 and values[1] is not None else np.dtype(np.uint8)
        lowest, highest = float(np.iinfo(stored).min), float(np.iinfo(stored).max)
    else:
        bits = _single(values[2])
        if bits is None or node.get("signed", 1):
            return None
        lowest, highest = 0.0, 2.0**bits - 1
    low, high = (lowest - zero) * scale, (highest - zero) * scale
    if abs(low) >= scale / 2:
        return None
    for top, told in ((1.0, ZERO_TO_ONE), (255.0, AS_THEY_ARE)):
        if top * (1 - CLOSE) - scale <= high <= top * ABOVE:
            return told
    return None


def _single(values: NDArray[Any] | None) -> float | None:
    return None if values is None else float(values.reshape(-1)[0])
