"""Nodes in the order in which they are computed, tensors described once, and only what the outputs need."""

from __future__ import annotations

from collections.abc import Iterable

from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

from bitswath.errors import LoweringError

__all__ = ["ordered"]

INITIALIZERS_ALONE = 4
"""The IR version from which on initializers need not be inputs too."""


def ordered(model: ModelProto) -> None:
    """Sorts the nodes, leaves out what no output needs and outputs that are constants, and settles the batch.

    Raises `LoweringError` for nodes that need each other, and for a tensor that two nodes compute.
    """
    graph = model.graph
    _keep_inputs(model)
    nodes = _sorted(graph)
    _keep_outputs(graph, nodes)
    nodes = _needed(graph, nodes)
    del graph.node[:]
    graph.node.extend(nodes)
    _describe_once(graph)
    _settle_batch(graph)


def _keep_inputs(model: ModelProto) -> None:
    """Inputs that initializers give are none."""
    stored = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in stored]
    if len(kept) < len(model.graph.input):
        model.ir_version = max(model.ir_version, INITIALIZERS_ALONE)
        _replace(model.graph.input, kept)


def _sorted(graph: GraphProto) -> list[NodeProto]:
    """The nodes, each behind those that compute its inputs; otherwise in the file's order."""
    producer: dict[str, int] = {}
    for position, node in enumerate(graph.node):
        for name in filter(None, node.output):
            if name in producer:
                raise LoweringError(f"tensor {name!r} is computed by two nodes, expected one; export the model again")
            producer[name] = position
    placed: list[NodeProto] = []
    state = [0] * len(graph.node)  # 1: waits for its inputs, 2: placed
    for first in range(len(graph.node)):
        pending = [first]
        while pending:
            position = pending[-1]
            node = graph.node[position]
            waiting = [producer[n] for n in reversed(_inputs(node)) if n in producer and state[producer[n]] != 2]
            if state[position] == 0 and waiting:
                state[position] = 1
                pending += waiting
                continue
            if waiting:
                name = node.name or node.output[0]
                raise LoweringError(f"node {name!r} ({node.op_type}): needs its own output; the graph has a cycle")
            pending.pop()
            if state[position] != 2:
                state[position] = 2
                placed.append(NodeProto.FromString(node.SerializeToString()))
    return placed


def _inputs(node: NodeProto) -> list[str]:
    """What a node reads, its subgraphs included."""
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
            names += [name for inner in graph.node for name in _inputs(inner)]
    return names


def _keep_outputs(graph: GraphProto, nodes: Iterable[NodeProto]) -> None:
    """Outputs that do not depend on an input are left out: old Brevitas gives scale, zero point and bit width."""
    fed = {value.name for value in graph.input}
    computed = next((value.name for value in graph.output if value.name in fed), None)
    if computed is not None:
        raise LoweringError(f"output {computed!r}: no node computes it, it is the graph's input")
    for node in nodes:
        if fed.intersection(_inputs(node)):
            fed.update(filter(None, node.output))
    kept = [value for value in graph.output if value.name in fed]
    if kept:
        _replace(graph.output, kept)


def _needed(graph: GraphProto, nodes: list[NodeProto]) -> list[NodeProto]:
    wanted = {value.name for value in graph.output}
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(_inputs(node))
            kept.append(node)
    return kept[::-1]


def _describe_once(graph: GraphProto) -> None:
    """Of the descriptions of one tensor the first stays: an input's, an output's, then the others."""
    known: set[str] = set()
    for values in (graph.input, graph.output, graph.value_info):
        kept = []
        for value in values:
            if value.name not in known:
                known.add(value.name)
                kept.append(value)
        if len(kept) < len(values):
            _replace(values, kept)


def _settle_batch(graph: GraphProto) -> None:
    """A batch of any size is one of 1, wherever it is named."""
    names, unknown = set(), False
    for value in graph.input:
        if _dims(value):
            first = value.type.tensor_type.shape.dim[0]
            names.add(first.dim_param)
            unknown |= first.dim_value < 1
    for value in (*graph.input, *graph.output, *graph.value_info):
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            named = bool(dim.dim_param) and dim.dim_param in names
            if named or (unknown and axis == 0 and not dim.dim_param and dim.dim_value < 1):
                dim.dim_value = 1


def _dims(value: ValueInfoProto) -> int:
    return len(value.type.tensor_type.shape.dim)


def _replace(values: object, kept: list[ValueInfoProto]) -> None:
    copies = [ValueInfoProto.FromString(value.SerializeToString()) for value in kept]
    del values[:]  # type: ignore[attr-defined]
    values.extend(copies)  # type: ignore[attr-defined]
