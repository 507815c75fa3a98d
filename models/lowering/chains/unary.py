"""Operators on two tensors that are functions of one, as a table: x * Sigmoid(x) and its like.

Both tensors hang on one network tensor, directly or behind thresholds. Then what the operator gives is a function of
that tensor's integer alone, evaluated as the graph does for each that it can be, and looked up behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from bitswath.models.lowering.chains.chain import Link, Pooling, evaluate, execute, opset_of
from bitswath.models.lowering.chains.values import Node, Value
from bitswath.network.network import Stage, Threshold

__all__ = ["MOST_VALUES", "Lineage", "common", "function_of_one", "lineage"]

Integers = NDArray[np.int64]
Lineage = Mapping[str, Sequence[Threshold]]
"""Tensors that one is a function of, the nearest first, each with the stages from there on."""
MOST_VALUES = 1 << 24
"""Of a table; and integers that float32 holds."""
_ONE = np.ones(1)


def lineage(name: str, stages: Mapping[str, Stage]) -> Lineage:
    """Of the tensor `name`, given each tensor's stage."""
    found: dict[str, Sequence[Threshold]] = {name: ()}
    stage = stages.get(name)
    while isinstance(stage, Threshold):
        source = stage.inputs[0]
        found[source] = (stage, *found[stage.name])
        stage = stages.get(source)
    return found


def common(first: Lineage, second: Lineage) -> str | None:
    """The nearest tensor that both are functions of."""
    return next((name for name in first if name in second), None)


def function_of_one(
    node: Node,
    values: Sequence[Value],
    paths: Sequence[Sequence[Threshold]],
    ranges: tuple[Integers, Integers],
    opsets: Mapping[str, int],
) -> tuple[Link, ...]:
    """The links from a tensor's integers, of these `ranges` (C,), to what `node` gives for two values of it, behind the
    stages of each path."""
    lowest, highest = int(ranges[0].min()), int(ranges[1].max())
    count = len(ranges[0]) * (highest - lowest + 1)
    if max(count, -lowest, highest) > MOST_VALUES:
        raise node.error(
            f"is a function of {highest - lowest + 1:,} integers in {len(ranges[0]):,} channels, more than can be"
            " tried; put a quantizer before it"
        )
    integers = np.broadcast_to(np.arange(lowest, highest + 1), (len(ranges[0]), highest - lowest + 1))
    reals = []
    for value, path in zip(values, paths):
        if any(isinstance(link, Pooling) for link in value.chain):
            raise node.error("takes a pooled tensor and one of before; expected both at the same pixels")
        q = integers
        for stage in path:
            q = _counted(stage, q)
        links = [link for link in value.chain if isinstance(link, Link)]
        reals.append(evaluate(links, value.scale, value.offset, q)[None])
    (table,) = execute(node.proto, reals, opset_of(node.proto, opsets))
    return _looked_up(node, np.asarray(table, np.float32), lowest, opsets)


def _looked_up(node: Node, table: NDArray[np.float32], lowest: int, opsets: Mapping[str, int]) -> tuple[Link, ...]:
    """The links from integers to the reals of a table (1, C, values), which begins at the lowest."""

    def link(op: str, inputs: Sequence[str], constants: dict[str, NDArray[Any]], **attributes: int) -> Link:
        proto = helper.make_node(op, inputs, ["y"], **attributes)
        return Link(node.name, proto, constants, opset_of(node.proto, opsets), exact=False)

    return (
        link("Cast", ["x"], {}, to=TensorProto.INT64),
        link("Sub", ["x", "c1"], {"c1": np.array(lowest, np.int64)}),
        link("GatherElements", ["c0", "x"], {"c0": table}, axis=2),
    )


def _counted(stage: Threshold, q: Integers) -> Integers:
    """What a Threshold gives for integers (C, L)."""
    rows = np.broadcast_to(stage.thresholds, (len(q), stage.thresholds.shape[1]))
    directions = np.broadcast_to(stage.directions, (len(q),)).astype(np.int64)
    counts = [np.searchsorted(row, d * x, side="right") for row, d, x in zip(rows, directions, q)]
    return np.asarray(stage.base + stage.step * np.stack(counts), np.int64)
