"""Forms that public models write one thing in: biases, weights of few levels, batches."""

from __future__ import annotations

import numpy as np
import pytest

from bitswath.models.lowering import lower
from bitswath.network.network import Conv
from tests.models.graphs import QONNX, Graph, assert_same_integers, stages_of

BIAS = np.array([3, -5, 0.5, 7], np.float32)
FORMS = ("input", "add", "reversed add", "normalization", "quantized", "stored", "subtracted")


@pytest.mark.parametrize("form", FORMS)
def test_a_convolutions_bias_has_one_meaning_in_all_its_forms(form: str) -> None:
    rng = np.random.default_rng(0)
    graph = Graph((1, 2, 5, 5), "UINT4")
    weights = graph.weights(rng.integers(-7, 8, (4, 2, 3, 3)), 0.5)
    column = BIAS.reshape(1, 4, 1, 1)
    inside: dict[str, list[object]] = {
        "input": [BIAS],
        "quantized": [graph.quant(BIAS, 0.5, 8, signed=1)],
        "stored": [graph.node("DequantizeLinear", graph.constant(BIAS * 2, np.int32), np.float32(0.5))],
    }
    y = graph.node("Conv", "global_in", weights, *inside.get(form, []), kernel_shape=(3, 3))
    if form == "add":
        y = graph.node("Add", y, column)
    elif form == "reversed add":
        y = graph.node("Add", column, y)
    elif form == "subtracted":
        y = graph.node("Sub", y, -column)
    elif form == "normalization":
        y = graph.node("BatchNormalization", y, np.ones(4), BIAS, np.zeros(4), np.ones(4), epsilon=0.0)
    lowered = assert_same_integers(graph.model(graph.quant(graph.node("Relu", y), 2.0, 4)))
    assert stages_of(lowered) == ["Conv", "Threshold"]


@pytest.mark.parametrize("form", ["Gemm", "MatMul", "transposed"])
def test_a_dense_layers_bias_has_one_meaning_in_all_its_forms(form: str) -> None:
    rng = np.random.default_rng(1)
    graph = Graph((1, 6), "UINT4")
    integers = rng.integers(-7, 8, (6, 4))
    if form == "MatMul":
        y = graph.node("Add", graph.node("MatMul", "global_in", graph.weights(integers, 0.5)), BIAS)
    elif form == "Gemm":
        y = graph.node("Gemm", "global_in", graph.weights(integers, 0.5), BIAS)
    else:
        y = graph.node("Gemm", "global_in", graph.weights(integers.T, 0.5), BIAS, transB=1)
    lowered = assert_same_integers(graph.model(y))
    np.testing.assert_array_equal(lowered.network.head.offset, BIAS)


@pytest.mark.parametrize(("levels", "form"), [((-1, 1), "BipolarQuant"), ((-1, 1), "Quant"), ((-1, 0, 1), "Quant")])
def test_weights_of_two_and_three_levels(levels: tuple[int, ...], form: str) -> None:
    rng = np.random.default_rng(2)
    graph = Graph((1, 3, 6, 6), "UINT2")
    reals = rng.choice(levels, (4, 3, 3, 3)) * np.float32(0.25)
    if form == "BipolarQuant":
        weights = graph.node(form, reals, 0.25, domain=QONNX)
    else:
        weights = graph.quant(reals, 0.25, 1 if len(levels) == 2 else 2, signed=1, narrow=int(len(levels) == 3))
    y = graph.node("Conv", "global_in", weights, kernel_shape=(3, 3), pads=(1, 1, 1, 1))
    y = graph.quant(graph.node("Relu", y), 1.0, 2)
    conv = assert_same_integers(graph.model(y)).network.stages[0]
    assert isinstance(conv, Conv)
    assert sorted(np.unique(conv.weights)) == list(levels)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_a_graph_of_any_fixed_batch_is_the_network_of_one_frame(batch: int) -> None:
    rng = np.random.default_rng(3)
    graph = Graph((batch, 3, 4, 4), "UINT4")
    y = graph.node("Conv", "global_in", graph.weights(rng.integers(-7, 8, (4, 3, 3, 3))), kernel_shape=(3, 3))
    y = graph.quant(graph.node("Relu", y), 16.0, 4)
    y = graph.node("Reshape", y, graph.constant([batch, 16], np.int64))
    network = lower(graph.model(graph.node("MatMul", y, graph.weights(rng.integers(-7, 8, (16, 3)))))).network
    assert (network.input.shape, network.output.shape) == ((4, 4, 3), (3,))


def test_the_transposes_of_keras_exporters() -> None:
    """(N, H, W, C) at both ends, a Transpose before the first convolution and one before Flatten."""
    rng = np.random.default_rng(4)
    graph = Graph((1, 6, 5, 3), "UINT4")
    y = graph.node("Transpose", "global_in", perm=(0, 3, 1, 2))
    y = graph.node("Conv", y, graph.weights(rng.integers(-7, 8, (4, 3, 3, 3))), kernel_shape=(3, 3))
    y = graph.node("Transpose", y, perm=(0, 2, 3, 1))
    y = graph.node("Add", y, rng.integers(-9, 9, (1, 1, 1, 4)))
    y = graph.quant(graph.node("Relu", y), 16.0, 4)
    y = graph.node("Reshape", y, graph.constant([-1, 48], np.int64))
    lowered = assert_same_integers(graph.model(graph.node("MatMul", y, graph.weights(rng.integers(-7, 8, (48, 3))))))
    assert lowered.network.input.shape == (6, 5, 3)
    assert stages_of(lowered) == ["Conv", "Threshold", "Dense"]
