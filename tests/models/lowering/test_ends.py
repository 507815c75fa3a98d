"""What a graph may end with."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from bitswath.errors import LoweringError
from bitswath.models.lowering import lower
from tests import reference
from tests.models.graphs import Graph, assert_same_integers, random_codes, run_qonnx, stages_of


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


def flat_logits(graph: Graph) -> str:
    rng = np.random.default_rng(3)
    weights = graph.weights(rng.integers(-7, 8, (16, 5)), 0.01)
    return graph.node("Add", graph.node("MatMul", graph.node("Flatten", "global_in"), weights), rng.normal(size=(1, 5)))


INVERSES = {
    "Sigmoid": lambda y: np.log(y / (1 - y)),
    "Tanh": np.arctanh,
    "Exp": np.log,
    "Softplus": lambda y: np.log(np.expm1(y)),
    "LogSoftmax": lambda y: y - y[:, :1],
}


@pytest.mark.parametrize("op", INVERSES)
@pytest.mark.parametrize("moved", [False, True])
def test_what_only_rises_with_the_logits_is_left_out_and_said(op, moved) -> None:
    graph = Graph((1, 4, 2, 2), "UINT2")
    y = graph.node(op, flat_logits(graph))
    model = graph.model(graph.node("Reshape", y, graph.constant([1, 5], np.int64)) if moved else y)
    lowered = assert_same_integers_before_the_end(model, INVERSES[op])
    assert lowered.left_out == (op,)
    assert f"the graph ends in {op}, left out here" in (lowered.end_note or "")
    assert not lowered.network.head.softmax


def assert_same_integers_before_the_end(model, inverse):
    lowered = lower(model)
    codes = random_codes(lowered, np.random.default_rng(0), frames=4)
    logits = lowered.network.head.dequantize(reference.output(lowered.network, codes))
    theirs = np.concatenate(
        [run_qonnx(model, f[None])[lowered.output] for f in lowered.reals(lowered.input, codes)]
    ).reshape(4, -1)
    ours = logits - logits[:, :1] if inverse is INVERSES["LogSoftmax"] else logits
    np.testing.assert_allclose(ours, inverse(theirs.astype(np.float64)), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(logits.argmax(axis=1), theirs.argmax(axis=1))
    return lowered


def test_logits_of_several_labels_are_told_from_those_of_one() -> None:
    graph = Graph((1, 4, 2, 2), "UINT2")
    note = lower(graph.model(graph.node("Sigmoid", flat_logits(graph)))).end_note
    assert note is not None
    assert "above 0 where a Sigmoid is above 0.5" in note


def test_nothing_is_said_of_plain_logits_and_of_the_heads_softmax() -> None:
    for op in ("Identity", "Softmax"):
        graph = Graph((1, 4, 2, 2), "UINT2")
        lowered = lower(graph.model(graph.node(op, flat_logits(graph))))
        assert (lowered.left_out, lowered.end_note) == ((), None)


@pytest.mark.parametrize("op", ["Sigmoid", "Relu"])
def test_the_largest_of_saturated_values_is_refused(op) -> None:
    """In float32 many a Sigmoid is exactly 1, and the first of equal values is not the largest logit."""
    graph = Graph((1, 4, 2, 2), "UINT2")
    y = graph.node("ArgMax", graph.node(op, flat_logits(graph)), axis=1)
    with pytest.raises(LoweringError, match=rf"\(ArgMax\): needs integers, but {op} '{op}_\d' before it"):
        lower(graph.unchecked(y, element=TensorProto.INT64))


def test_a_softmax_is_left_out_before_argmax() -> None:
    graph = Graph((1, 4, 2, 2), "UINT2")
    logits = graph.node("MatMul", graph.node("Flatten", "global_in"), graph.weights(np.eye(16, 5)))
    y = graph.node("ArgMax", graph.node("LogSoftmax", logits), axis=1)
    assert stages_of(assert_same_integers(graph.model(y, element=TensorProto.INT64)))[-1] == "ArgMax"
