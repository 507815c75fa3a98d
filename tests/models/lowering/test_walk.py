"""QONNX graphs and the networks lowered from them compute the same integers.

The reference is qonnx's `execute_onnx`; networks run in `tests/reference.py`. With scales that are powers of two
qonnx's float sums are exact and every integer must agree. With other scales the sums of a
convolution may round, so those cases use one tap per output, where float32 rounds once.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitswath.models.lowering import lower
from bitswath.network.network import Conv, Dense
from tests import reference
from tests.models.graphs import (
    FEW,
    QONNX,
    Graph,
    assert_same_integers,
    powers,
    run_qonnx,
    stages_of,
)


@FEW
@given(
    seed=st.integers(0, 2**32 - 1),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 2), st.integers(1, 3)),
    dilations=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
    groups=st.sampled_from([1, 2, 4]),
    bits=st.integers(1, 8),
)
def test_convolutions(seed, kernel, strides, dilations, pads, groups, bits) -> None:
    rng = np.random.default_rng(seed)
    graph = Graph((1, 4, 9, 8), "INT4")
    weights = rng.integers(-7, 8, (8, 4 // groups, *kernel))
    y = graph.node(
        "Conv", "global_in", graph.weights(weights, powers(rng, 8, 1, 1, 1)), powers(rng, 8),
        kernel_shape=kernel, strides=strides, dilations=dilations, pads=pads, group=groups,
    )  # fmt: skip
    y = graph.normalize(
        y, rng.choice([-2.0, -1.0, 0.5, 1.0], 8), rng.integers(-4, 5, 8), rng.normal(size=8), np.ones(8)
    )
    y = graph.quant(graph.node("Relu", y), 0.5, bits)
    y = graph.node("Flatten", y)
    size = int(np.prod(run_qonnx(graph.model(y), np.zeros((1, 4, 9, 8), np.float32))[y].shape))
    y = graph.node("MatMul", y, graph.weights(rng.integers(-7, 8, (size, 3)), 0.25))
    lowered = assert_same_integers(graph.model(y))
    assert stages_of(lowered) == ["Conv", "Threshold", "Dense"]


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("size", [7, 8])
def test_automatic_padding(mode, size) -> None:
    rng = np.random.default_rng(size)
    graph = Graph((1, 2, size, size), "UINT2")
    weights = graph.weights(rng.integers(-3, 4, (3, 2, 3, 2)))
    y = graph.node("Conv", "global_in", weights, kernel_shape=(3, 2), strides=(2, 2), auto_pad=mode)
    assert_same_integers(graph.model(graph.quant(y, 2.0, 3, signed=1)))


@pytest.mark.parametrize("consumer", ["Conv", "MaxPool", "AveragePool", "Relu"])
@pytest.mark.parametrize("datatype", ["UINT4", "INT4"])
def test_explicit_padding(consumer, datatype) -> None:
    graph = Graph((1, 2, 4, 4), datatype)
    y = graph.node("Pad", "global_in", graph.constant([0, 0, 1, 0, 0, 0, 1, 1], np.int64))
    if consumer == "Conv":
        weights = graph.weights(np.arange(-9, 9).reshape(1, 2, 3, 3))
        y = graph.node("Conv", y, weights, kernel_shape=(3, 3), pads=(1, 1, 0, 0))
    elif consumer == "Relu":
        y = graph.quant(graph.node("Relu", y), 2.0, 4)
    else:
        y = graph.node(consumer, y, kernel_shape=(2, 2), strides=(2, 2))
    lowered = assert_same_integers(graph.model(y))
    merged = consumer in ("Conv", "AveragePool") or (consumer, datatype) == ("MaxPool", "UINT4")
    assert (len(lowered.network.stages) == 1) == merged


def test_depthwise_convolution_takes_a_scale_for_each_channel() -> None:
    rng = np.random.default_rng(9)
    graph = Graph((1, 4, 5, 5), "UINT3")
    x = graph.quant("global_in", np.array([0.3, 1, 0.7, 2]).reshape(1, 4, 1, 1), 3)
    y = graph.node("Conv", x, graph.weights(rng.integers(1, 4, (4, 1, 1, 1))), kernel_shape=(1, 1), group=4)
    assert_same_integers(graph.model(graph.quant(y, 0.5, 4)))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("how", ["Flatten", "Reshape"])
def test_dense_after_flatten_in_both_layouts(layout, how) -> None:
    rng = np.random.default_rng(10)
    graph = Graph((1, 3, 2, 4) if layout == "NCHW" else (1, 2, 4, 3), "UINT4")
    x = "global_in"
    if layout == "NHWC":
        x = graph.node("Transpose", x, perm=(0, 3, 1, 2))
    x = graph.node("MaxPool", x, kernel_shape=(1, 2), strides=(1, 2))
    if layout == "NHWC":
        x = graph.node("Transpose", x, perm=(0, 2, 3, 1))
    x = graph.node("Flatten", x) if how == "Flatten" else graph.node("Reshape", x, graph.constant([0, -1], np.int64))
    y = graph.node("MatMul", x, graph.weights(rng.integers(-7, 8, (12, 5)), powers(rng, 1, 5)))
    lowered = assert_same_integers(graph.model(y))
    assert lowered.network.input.shape == (2, 4, 3)


def test_matrix_product_on_the_channels_is_a_pointwise_convolution() -> None:
    rng = np.random.default_rng(11)
    graph = Graph((1, 4, 4, 3), "UINT4")
    y = graph.node("MatMul", "global_in", graph.weights(rng.integers(-7, 8, (3, 5))))
    attributes = {"out_dtype": "UINT2", "data_layout": "NHWC"}
    y = graph.node("MultiThreshold", y, np.array([[0.0, 5.0, 9.0]]), domain=QONNX, **attributes)
    y = graph.node("MaxPoolNHWC", y, domain=QONNX, kernel_shape=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0))
    model = graph.model(y, shapes={graph.nodes[-2].output[0]: (1, 4, 4, 5)})
    lowered = assert_same_integers(model)
    assert stages_of(lowered) == ["Conv", "Threshold", "MaxPool"]
    assert lowered.network.input.shape == (4, 4, 3)


@pytest.mark.parametrize("op", ["Add", "Sub"])
@pytest.mark.parametrize(("scales", "multipliers"), [((0.5, 0.5), (1, 1)), ((0.25, 1.0), (1, 4)), ((1.5, 1.0), (3, 2))])
def test_residual_sums(op, scales, multipliers) -> None:
    rng = np.random.default_rng(7)
    graph = Graph((1, 2, 5, 5), "INT3")
    branches = []
    for scale in scales:
        y = graph.node("Conv", "global_in", graph.weights(rng.integers(-3, 4, (4, 2, 1, 1))), kernel_shape=(1, 1))
        branches.append(graph.quant(y, scale, 4, signed=1))
    y = graph.quant(graph.node("Relu", graph.node(op, *branches)), 0.5, 4)
    lowered = assert_same_integers(graph.model(y))
    add = lowered.network.stages[-2]
    assert add.multipliers == (multipliers if op == "Add" else (multipliers[0], -multipliers[1]))


@pytest.mark.parametrize("flat", [False, True])
def test_concatenation_keeps_each_scale(flat) -> None:
    rng = np.random.default_rng(8)
    graph = Graph((1, 2, 3, 3), "UINT4")
    first = graph.quant("global_in", 2.0, 3)
    second = graph.node("Conv", "global_in", graph.weights(rng.integers(-3, 4, (3, 2, 1, 1))), kernel_shape=(1, 1))
    second = graph.quant(second, 0.5, 4, signed=1)
    if flat:
        y = graph.node("Concat", graph.node("Flatten", first), graph.node("Flatten", second), axis=1)
        y = graph.node("MatMul", y, graph.weights(rng.integers(-3, 4, (45, 2))))
    else:
        y = graph.node("Concat", first, second, axis=1)
        y = graph.node("Conv", y, graph.weights(rng.integers(-3, 4, (2, 5, 2, 2))), kernel_shape=(2, 2))
    lowered = assert_same_integers(graph.model(y))
    assert "Concat" in stages_of(lowered)


def test_constants_are_folded_through_reshapes_and_scalings() -> None:
    rng = np.random.default_rng(15)
    graph = Graph((1, 6), "UINT4")
    weights = graph.node("Transpose", graph.weights(rng.integers(-7, 8, (4, 6)), powers(rng, 4, 1)), perm=(1, 0))
    y = graph.node("MatMul", "global_in", graph.node("Mul", weights, 0.5))
    y = graph.quant(y, 0.5, 4, signed=1)
    shape = graph.node("Shape", y)
    y = graph.node("Reshape", y, shape)
    y = graph.node("MatMul", y, rng.integers(-3, 4, (4, 2)))
    assert_same_integers(graph.model(y))


def test_scales_inside_an_output_go_into_the_weights_when_they_are_multiples() -> None:
    graph = Graph((1, 2, 3, 3), "UINT2")
    x = graph.quant("global_in", np.array([0.5, 1.5]).reshape(1, 2, 1, 1), 2)
    y = graph.node("Conv", x, graph.weights(np.ones((1, 2, 1, 1))), kernel_shape=(1, 1))
    (_, conv) = assert_same_integers(graph.model(y)).network.stages
    assert isinstance(conv, Conv)
    assert conv.weights.ravel().tolist() == [1, 3]


def test_float_scales_differ_only_where_the_sum_lies_on_a_rounding_boundary() -> None:
    rng = np.random.default_rng(16)
    graph = Graph((1, 8, 12, 12), "UINT4")
    scale = rng.uniform(0.01, 0.2, (16, 1, 1, 1)).astype(np.float32)
    y = graph.node("Conv", "global_in", graph.weights(rng.integers(-7, 8, (16, 8, 3, 3)), scale), kernel_shape=(3, 3))
    y = graph.normalize(y, rng.normal(size=16), rng.normal(size=16), rng.normal(size=16), rng.uniform(0.5, 2, 16))
    before = graph.node("Relu", y)
    step = np.float32(0.37)
    model = graph.model(graph.quant(before, step, 4))
    lowered = lower(model)
    codes = rng.integers(0, 16, (1, 12, 12, 8))
    context = run_qonnx(model, lowered.reals("global_in", codes))
    theirs = lowered.integers(lowered.output, context[lowered.output])
    ours = reference.output(lowered.network, codes)
    position = (context[before] / step).transpose(0, 2, 3, 1)
    boundary = np.abs(position - np.floor(position) - 0.5) < 1e-4
    assert (np.abs(ours - theirs) <= boundary).all()


def test_stages_the_output_does_not_need_are_left_out() -> None:
    graph = Graph((1, 2, 3, 3), "UINT2")
    graph.quant(graph.node("Relu", "global_in"), 2.0, 1)
    y = graph.node("Conv", "global_in", graph.weights(np.ones((1, 2, 1, 1))), kernel_shape=(1, 1))
    assert stages_of(lower(graph.model(y))) == ["Conv"]


def test_a_model_file_of_a_fixed_batch_is_lowered(tmp_path) -> None:
    graph = Graph((4, 2, 3, 3), "UINT2")
    y = graph.node("Reshape", "global_in", graph.constant([4, -1], np.int64))
    y = graph.node("MatMul", y, graph.weights(np.ones((18, 2))))
    path = tmp_path / "model.onnx"
    graph.model(y).save(str(path))
    (dense,) = lower(path).network.stages
    assert isinstance(dense, Dense)
