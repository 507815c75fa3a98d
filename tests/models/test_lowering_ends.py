"""What a graph may end with."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from tests.models.graphs import (
    Graph,
    assert_same_integers,
    stages_of,
)


@pytest.mark.parametrize("op", ["TopK", "ArgMax", "Softmax", "Softmax+TopK"])
@pytest.mark.parametrize("pooled_only", [False, True])
def test_ends(op, pooled_only) -> None:
    rng = np.random.default_rng(14)
    graph = Graph((1, 4, 2, 2), "UINT2")
    y = graph.node("Flatten", graph.node("GlobalAveragePool", "global_in"))
    if not pooled_only:
        y = graph.node("MatMul", y, graph.weights(rng.integers(-2, 3, (4, 5)), 0.5))
    if op.startswith("Softmax"):
        y = graph.node("Softmax", y, axis=1)
    element = TensorProto.FLOAT
    if op.endswith("TopK"):
        y = graph.node("TopK", y, graph.constant([1], np.int64), outputs=2, axis=1)
        element = TensorProto.INT64
    elif op == "ArgMax":
        y = graph.node("ArgMax", y, axis=1, keepdims=0)
        element = TensorProto.INT64
    lowered = assert_same_integers(graph.model(y, element=element))
    assert (stages_of(lowered)[-1] == "ArgMax") == (op != "Softmax")
    assert lowered.network.head.softmax == (op == "Softmax")
    assert len(lowered.network.output.shape) == 1
