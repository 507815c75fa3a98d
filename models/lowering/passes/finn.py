"""What steps of FINN's build make of a graph, as it was: Im2Col and MatMul as a convolution, and others."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from bitswath.models.lowering.chains.values import Node
from bitswath.models.lowering.passes.rewriting import QONNX, Rewriter, Rule, rewrite

__all__ = ["finn"]

DOMAINS = ("", QONNX, "finn", "finn.custom_op.general", "finn.custom_op.fpgadataflow")
FIRST_SLICE = 10
"""Operator set from which on Slice takes steps."""


def finn(model: ModelProto) -> None:
    """Writes these operators as standard ones."""
    rules = _Rules(model)
    rewrite(model, RULES, DOMAINS)
    if rules.columns:
        rewrite(model, {"Im2Col": rules.im2col, "MatMul": rules.matmul}, DOMAINS)


class _Rules:
    """The rules that need to know who reads an Im2Col."""

    def __init__(self, model: ModelProto) -> None:
        readers: dict[str, list[str]] = defaultdict(list)
        for node in model.graph.node:
            for name in node.input:
                readers[name].append(node.op_type)
        self.readers = readers
        self.columns = {n.output[0]: Node(n) for n in model.graph.node if n.op_type == "Im2Col" and n.domain in DOMAINS}

    def im2col(self, rewriter: Rewriter, node: Node) -> None:
        if set(self.readers[node.output]) != {"MatMul"}:
            raise node.error("expected to be read by a MatMul, as FINN lowers a convolution")

    def matmul(self, rewriter: Rewriter, node: Node) -> None:
        columns = self.columns.get(node.proto.input[0])
        if columns is None:
            rewriter.nodes.append(node.proto)
            return
        if not rewriter.known(node.proto.input[1]):
            raise node.error("expected constant weights behind an Im2Col")
        _convolution(rewriter, node, columns, rewriter.array(node.proto.input[1]))


def _convolution(rewriter: Rewriter, node: Node, columns: Node, matrix: NDArray[Any]) -> None:
    """Im2Col on (N, H, W, C) orders a window (height, width, channel); a depthwise matrix has one channel a column."""
    kernel, strides = list(columns.get("kernel_size", ())), list(columns.get("stride", (1, 1)))
    if columns.get("pad_value", 0):
        raise columns.error(f"pads with {columns.get('pad_value', 0)}; expected 0, a convolution's own padding")
    if len(kernel) != 2 or matrix.ndim != 2 or matrix.shape[0] % int(np.prod(kernel)):
        raise columns.error(f"a window of {kernel} does not fit weights of shape {matrix.shape}")
    outputs = matrix.shape[1]
    weights = matrix.reshape(*kernel, -1, outputs).transpose(3, 2, 0, 1)
    groups = _groups(weights)
    if groups > 1:
        own = np.arange(outputs) // (outputs // groups)
        weights = weights[np.arange(outputs), own][:, None]
    x = rewriter.node(node, "Transpose", columns.proto.input[0], perm=(0, 3, 1, 2))
    attributes: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": strides,
        "pads": list(columns.get("pad_amount", (0, 0, 0, 0))),
        "dilations": list(columns.get("dilations", (1, 1))),
        "group": groups,
    }
    y = rewriter.node(node, "Conv", x, rewriter.constant(node, weights, "weights"), **attributes)
    rewriter.node(node, "Transpose", y, output=node.output, perm=(0, 2, 3, 1))


def _groups(weights: NDArray[Any]) -> int:
    """Input channels if each output reads one of them, in order (a depthwise convolution), else 1."""
    outputs, channels = weights.shape[:2]
    if channels == 1 or outputs % channels:
        return 1
    used = (weights != 0).any(axis=(2, 3))
    own = np.arange(outputs)[:, None] // (outputs // channels) == np.arange(channels)
    return 1 if (used & ~own).any() else channels


def _xnor_popcount(rewriter: Rewriter, node: Node) -> None:
    """Places where two vectors of 0 and 1 agree: ``x . (2 w - 1) + places where w is 0``."""
    x, name = node.proto.input
    if not rewriter.known(name):
        raise node.error("expected constant weights")
    weights = rewriter.array(name)
    if not np.isin(weights, (0, 1)).all():
        raise node.error("expected weights of 0 and 1")
    y = rewriter.node(node, "MatMul", x, rewriter.constant(node, 2 * weights - 1, "bipolar"))
    rewriter.node(node, "Add", y, rewriter.constant(node, (weights == 0).sum(axis=0), "zeros"), output=node.output)


def _streaming_slice(rewriter: Rewriter, node: Node) -> None:
    """Every `step`-th of the places from `start_idx` on, `slice_length` of them."""
    start, length, axis, step = (int(node.attributes[k]) for k in ("start_idx", "slice_length", "axis", "step"))
    if rewriter.opset < FIRST_SLICE:
        raise node.error(f"needs operator set {FIRST_SLICE} or newer; convert the model with onnx.version_converter")
    # of a step that overshoots, the last place is start + step * (length - 1)
    ends = start + step * (length - 1) + 1
    bounds = (
        rewriter.constant(node, [v], k, np.int64)
        for k, v in (("starts", start), ("ends", ends), ("axes", axis), ("steps", step))
    )
    rewriter.node(node, "Slice", node.proto.input[0], *bounds, output=node.output)


def _average(rewriter: Rewriter, node: Node) -> None:
    """QuantAvgPool2d: the sum of integers over a window, shifted to `obits` bits."""
    size, step = int(node.attributes["kernel"]), int(node.attributes["stride"])
    widest = ((1 << int(node.attributes["ibits"])) - 1) * size * size
    shift = max(widest.bit_length() - int(node.attributes["obits"]), 0)
    last = node.get("data_layout", "NCHW") == "NHWC"
    y = rewriter.node(node, "Transpose", node.proto.input[0], perm=(0, 3, 1, 2)) if last else node.proto.input[0]
    y = rewriter.node(node, "AveragePool", y, kernel_shape=(size, size), strides=(step, step))
    y = rewriter.node(node, "Mul", y, rewriter.constant(node, size * size, "count"))
    y = rewriter.node(node, "Floor", rewriter.node(node, "Add", y, rewriter.constant(node, 0.5, "half")))
    y = rewriter.node(node, "Mul", y, rewriter.constant(node, 0.5**shift, "shift"))
    y = rewriter.node(node, "Floor", y, output=None if last else node.output)
    if last:
        rewriter.node(node, "Transpose", y, output=node.output, perm=(0, 2, 3, 1))


def _marker(rewriter: Rewriter, node: Node) -> None:
    rewriter.node(node, "Identity", node.proto.input[0], output=node.output)


RULES: dict[str, Rule] = {
    "XnorPopcountMatMul": _xnor_popcount,
    "StreamingSlice": _streaming_slice,
    "QuantAvgPool2d": _average,
    "DebugMarker": _marker,
}
