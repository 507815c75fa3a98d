"""What a graph may end with."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto
from qonnx.transformation.infer_shapes import InferShapes

from bitswath.errors import LoweringError
from bitswath.models.lowering import Lowered, lower
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


def split(lowered: Lowered, codes: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    """The outputs' logits, each (N, *shape)."""
    real = lowered.network.head.dequantize(reference.output(lowered.network, codes)).reshape(len(codes), -1)
    ends = np.cumsum([int(np.prod(output.shape)) for output in lowered.outputs])
    return [part.reshape(len(codes), *o.shape) for part, o in zip(np.split(real, ends[:-1], axis=1), lowered.outputs)]


def test_several_outputs_lie_one_behind_the_other() -> None:
    rng = np.random.default_rng(5)
    graph = Graph((1, 3, 6, 6), "UINT4")
    weights = graph.weights(rng.integers(-7, 8, (4, 3, 3, 3)), rng.choice([0.5, 1.0], (4, 1, 1, 1)))
    scores = graph.node("Conv", "global_in", weights, rng.normal(size=4))
    pooled = graph.node("Flatten", graph.node("GlobalAveragePool", scores))
    feature = graph.node("Flatten", graph.quant(graph.node("Relu", scores), 1.0, 4))
    classes = graph.node("MatMul", feature, graph.weights(rng.integers(-3, 4, (64, 5)), 0.25))
    outputs = [scores, graph.node("Softmax", classes, axis=1), graph.node("Mul", pooled, np.float32(1)), scores]
    model = graph.model(*outputs[:3], graph.constant([1.0]))
    lowered = lower(model)
    assert [o.shape for o in lowered.outputs] == [(4, 4, 4), (5,), (4,)]
    assert lowered.left_out == ("Softmax",)
    codes = random_codes(lowered, rng)
    for i, frame in enumerate(lowered.reals(lowered.input, codes)):
        context = run_qonnx(model, frame[None])
        image, logits, means = (part[i] for part in split(lowered, codes))
        np.testing.assert_allclose(image.transpose(2, 0, 1), context[scores][0], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(logits, context[classes][0], rtol=1e-5)
        np.testing.assert_allclose(means, context[pooled][0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("end", ["", "ArgMax", "Softmax"])
@pytest.mark.parametrize("last", [False, True])
def test_an_image_of_scores(end: str, last: bool) -> None:
    rng = np.random.default_rng(6)
    graph = Graph((1, 3, 6, 5), "UINT4")
    y = graph.node("Conv", "global_in", graph.weights(rng.integers(-7, 8, (4, 3, 1, 1)), 0.25), rng.normal(size=4))
    y = scores = graph.node("Transpose", y, perm=(0, 2, 3, 1)) if last else y
    if end:
        y = graph.node(end, y, axis=3 if last else 1)
    model = graph.model(y, element=TensorProto.INT64 if end == "ArgMax" else TensorProto.FLOAT)
    lowered = lower(model)
    assert lowered.network.output.shape == (6, 5, 4)
    assert lowered.network.head.softmax == (end == "Softmax")
    codes = random_codes(lowered, rng)
    (image,) = split(lowered, codes)
    for i, frame in enumerate(lowered.reals(lowered.input, codes)):
        context = run_qonnx(model, frame[None])
        expected = context[y if end == "Softmax" else scores][0]
        np.testing.assert_allclose(image[i], expected if last else expected.transpose(1, 2, 0), rtol=1e-5, atol=1e-6)
        if end == "ArgMax":
            np.testing.assert_array_equal(image[i].argmax(axis=-1), context[y][0].reshape(6, 5))


@pytest.mark.parametrize("end", ["TopK", "ArgMax"])
def test_what_integers_cannot_decide_is_the_hosts(end: str) -> None:
    """The five largest, and the largest of logits with a bias."""
    graph = Graph((1, 4, 2, 2), "UINT2")
    logits = flat_logits(graph)
    if end == "TopK":
        y = graph.node("TopK", logits, graph.constant([3], np.int64), outputs=2, axis=1)
        model = graph.unchecked(graph.node("Identity", graph.nodes[-1].output[0]), y)
        model.graph.output[1].type.tensor_type.elem_type = TensorProto.INT64
        model = model.transform(InferShapes())
    else:
        model = graph.model(graph.node("ArgMax", logits, axis=1), element=TensorProto.INT64)
    lowered = lower(model)
    assert lowered.left_out == (end,)
    assert len(lowered.outputs) == 1
    codes = random_codes(lowered, np.random.default_rng(0), 5)
    for real, frame in zip(split(lowered, codes)[0], lowered.reals(lowered.input, codes)):
        order = np.argsort(-real, kind="stable")
        found = run_qonnx(model, frame[None])[model.graph.output[-1].name].reshape(-1)
        np.testing.assert_array_equal(order[: len(found)], found)
