"""Poolings of QONNX graphs, wherever they stand between accumulator and quantizer."""

from __future__ import annotations

import numpy as np
import pytest

from tests.models.graphs import (
    Graph,
    assert_same_integers,
    stages_of,
)


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 0, 1, 1)])
@pytest.mark.parametrize("ceil_mode", [0, 1])
def test_max_pools(pads, ceil_mode) -> None:
    graph = Graph((1, 2, 6, 7), "INT4")
    y = graph.node("MaxPool", "global_in", kernel_shape=(2, 3), strides=(2, 2), pads=pads, ceil_mode=ceil_mode)
    lowered = assert_same_integers(graph.model(graph.quant(y, 2.0, 4, signed=1)))
    assert stages_of(lowered) == ["MaxPool", "Threshold"]


def pooled(gamma: float, first: str = "Relu") -> Graph:
    rng = np.random.default_rng(5)
    graph = Graph((1, 2, 6, 6), "UINT4")
    y = graph.node("Conv", "global_in", graph.weights(rng.integers(-7, 8, (3, 2, 3, 3))), kernel_shape=(3, 3))
    if first:
        y = graph.node(first, y)
    y = graph.node("MaxPool", y, kernel_shape=(2, 2), strides=(2, 2))
    y = graph.normalize(y, [1, gamma, 1], [1, 2, 3], np.zeros(3), np.ones(3))
    graph.quant(y, 8.0, 4, signed=1)
    return graph


def test_a_pool_before_its_quantizer_works_on_the_quantized_integers() -> None:
    graph = pooled(1.0)
    lowered = assert_same_integers(graph.model(graph.nodes[-1].output[0]))
    assert stages_of(lowered) == ["Conv", "Threshold", "MaxPool"]


@pytest.mark.parametrize("first", ["", "Relu"])
def test_a_pool_before_a_falling_chain_works_on_the_accumulators(first) -> None:
    graph = pooled(-1.0, first)
    lowered = assert_same_integers(graph.model(graph.nodes[-1].output[0]))
    assert stages_of(lowered) == ["Conv", "MaxPool", "Threshold"]


def test_a_pool_behind_rounded_integers_works_on_them_where_some_channels_fall() -> None:
    rng = np.random.default_rng(5)
    graph = Graph((1, 2, 6, 6), "UINT4")
    y = graph.node("Conv", "global_in", graph.weights(rng.integers(-7, 8, (3, 2, 3, 3))), kernel_shape=(3, 3))
    y = graph.node("Mul", y, np.array([1, -1, 0.5]).reshape(1, 3, 1, 1) / 16)
    y = graph.node("Clip", graph.node("Floor", y), 0.0, 15.0)
    y = graph.node("MaxPool", y, kernel_shape=(2, 2), strides=(2, 2))
    y = graph.node("Conv", y, graph.weights(rng.integers(-7, 8, (2, 3, 2, 2))), kernel_shape=(2, 2))
    lowered = assert_same_integers(graph.model(y))
    assert stages_of(lowered) == ["Conv", "Threshold", "MaxPool", "Conv"]


@pytest.mark.parametrize("op", ["GlobalAveragePool", "ReduceMean", "ReduceSum", "AveragePool", "GlobalMaxPool"])
def test_pooled_heads(op) -> None:
    rng = np.random.default_rng(6)
    graph = Graph((1, 4, 4, 4), "UINT3")
    if op == "AveragePool":
        y = graph.node(op, "global_in", kernel_shape=(2, 2), strides=(2, 2), pads=(0, 1, 0, 1), count_include_pad=1)
        y = graph.node("AveragePool", y, kernel_shape=(2, 3), strides=(1, 1))
    elif op == "ReduceSum":
        y = graph.node(op, "global_in", graph.constant([2, 3], np.int64), keepdims=0)
    elif op == "ReduceMean":
        y = graph.node(op, "global_in", axes=(2, 3), keepdims=1)
    else:
        y = graph.node(op, "global_in")
    y = graph.node("Flatten", y)
    bias = rng.integers(-9, 9, (1, 5))
    y = graph.node("Gemm", y, graph.weights(rng.integers(-7, 8, (5, 4)), 0.5), bias, transB=1, alpha=2.0, beta=0.5)
    lowered = assert_same_integers(graph.model(y))
    assert lowered.network.output.shape == (5,)


def test_quantized_average_rounds_as_the_reference() -> None:
    graph = Graph((1, 2, 4, 4), "UINT4")
    y = graph.node("AveragePool", "global_in", kernel_shape=(2, 2), strides=(2, 2))
    assert stages_of(assert_same_integers(graph.model(graph.quant(y, 1.0, 4)))) == ["SumPool", "Threshold"]
