"""A graph written again node by node, some of them as others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.checker import ValidationError

from bitswath.errors import LoweringError
from bitswath.models.lowering.chains.values import Node

__all__ = ["QONNX", "Rewriter", "Rule", "rewrite"]

QONNX = "qonnx.custom_op.general"
"""The domain of QONNX's quantizers."""
MALFORMED = (AttributeError, LookupError, TypeError, ValueError, ValidationError)


class Rewriter:
    """The nodes of a model's graph so far, as they are written again.

    `opset`: version of the standard operators. Constants that rules add are initializers.
    """

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.nodes: list[NodeProto] = []
        self.opset = next((o.version for o in model.opset_import if not o.domain), 1)
        graph = model.graph
        self._stored: dict[str, TensorProto] = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and len(node.attribute) == 1 and node.attribute[0].name == "value":
                self._stored[node.output[0]] = node.attribute[0].t
        self._arrays: dict[str, NDArray[Any]] = {}
        named = (name for node in graph.node for name in (*node.input, *node.output))
        self._names = {*named, *self._stored, *(value.name for value in graph.input)}

    def known(self, name: str) -> bool:
        """Whether a tensor is a constant that the file holds."""
        return name in self._stored

    def array(self, name: str) -> NDArray[Any]:
        """A constant; raises `KeyError` if it is computed."""
        if name not in self._arrays:
            self._arrays[name] = numpy_helper.to_array(self._stored[name])
        return self._arrays[name]

    def rank(self, name: str, default: int) -> int:
        """Axes of a tensor, `default` where the file does not say."""
        graph = self.model.graph
        values = (*graph.value_info, *graph.input, *graph.output)
        shapes = (v.type.tensor_type.shape for v in values if v.name == name and v.type.tensor_type.HasField("shape"))
        return next((len(shape.dim) for shape in shapes), default)

    def constant(self, node: Node, values: ArrayLike, what: str, dtype: Any = np.float32) -> str:
        """A new initializer, named after the node; returns its name."""
        name = self._unused(f"{node.output}.{what}")
        tensor = numpy_helper.from_array(np.array(values, dtype), name)
        self.model.graph.initializer.append(tensor)
        self._stored[name] = tensor
        return name

    def node(
        self, node: Node, op: str, *inputs: str, output: str | None = None, domain: str = "", **attributes: Any
    ) -> str:
        """Writes a node that computes a part of `node`; returns its output, a new tensor if none is named."""
        part = self._unused(f"{node.output}.{op}")
        made = helper.make_node(op, inputs, [output or part], name=part, domain=domain, **attributes)
        self.nodes.append(made)
        return str(made.output[0])

    def _unused(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._names:
            name, number = f"{wanted}_{number}", number + 1
        self._names.add(name)
        return name


Rule = Callable[[Rewriter, Node], None]
"""Writes a node as others, the last of which gives its output."""


def rewrite(model: ModelProto, rules: Mapping[str, Rule], domains: Iterable[str]) -> None:
    """Writes the nodes of these operators and domains by their rules, in place; the others stay.

    Raises `LoweringError` naming the node for one that does not keep to its operator's specification.
    """
    graph, wanted = model.graph, set(domains)
    if not any(node.op_type in rules and node.domain in wanted for node in graph.node):
        return
    rewriter = Rewriter(model)
    for proto in graph.node:
        if proto.op_type not in rules or proto.domain not in wanted:
            rewriter.nodes.append(proto)
            continue
        node = Node(proto)
        try:
            rules[node.op](rewriter, node)
        except LoweringError:
            raise
        except MALFORMED as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:120]
            raise node.error(f"does not keep to its operator's specification ({reason}); export again") from error
    written = [NodeProto.FromString(node.SerializeToString()) for node in rewriter.nodes]
    del graph.node[:]
    graph.node.extend(written)
