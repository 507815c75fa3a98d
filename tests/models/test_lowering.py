"""QONNX graphs and the networks lowered from them compute the same integers.

The reference is qonnx's `execute_onnx`; networks run in `tests/reference.py`. With scales that are powers of two
qonnx's float sums are exact and every integer must agree. With other scales the sums of a
convolution may round, so those cases use one tap per output, where float32 rounds once.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.infer_shapes import InferShapes

from bitswath.errors import InputError
from bitswath.models.lowering import lower
from bitswath.network import Conv, Dense, Lookup, Threshold
from tests import reference
from tests.models.graphs import (
    QONNX,
    Graph,
    assert_head_equals,
    assert_same_integers,
    random_codes,
    run_qonnx,
    stages_of,
)

FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
MANY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
MODES = ("ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")


def powers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return 2.0 ** rng.integers(-3, 2, shape)


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


@st.composite
def chains(draw) -> list[tuple]:
    """Elementwise nodes with float parameters of all signs: (operator, parameters, attributes)."""
    number = st.floats(1 / 16, 3.0, width=32)
    signed = st.one_of(number, number.map(lambda v: -v))
    per_channel = st.one_of(signed.map(lambda v: [v]), st.lists(signed, min_size=3, max_size=3))
    column = per_channel.map(lambda v: np.array(v, np.float32).reshape(1, -1, 1, 1))
    kinds = st.one_of(
        st.tuples(st.sampled_from(["Mul", "Add", "Sub", "Div"]), column),
        st.tuples(st.sampled_from(["Mul", "Add", "Sub"]), column, st.just("reversed")),
        st.tuples(st.sampled_from(["Relu", "Neg", "LeakyRelu", "Sigmoid", "Tanh"])),
        st.tuples(st.just("Clip"), st.just(np.float32(-1)), st.just(np.float32(1))),
        st.tuples(st.just("BatchNormalization"), *[st.lists(signed, min_size=3, max_size=3)] * 3,
                  st.lists(number, min_size=3, max_size=3)),
    )  # fmt: skip
    return draw(st.lists(kinds, max_size=4))


def add_chain(graph: Graph, y: str, nodes: list[tuple]) -> str:
    for op, *parameters in nodes:
        if parameters and isinstance(parameters[-1], str):
            y = graph.node(op, parameters[0], y)
        else:
            y = graph.node(op, y, *parameters)
    return y


def every_value(graph: Graph, scale) -> str:
    """Accumulators that take all values of an 8-bit input, times the scales of three channels."""
    return graph.node("Conv", "global_in", graph.weights(np.ones((3, 1, 1, 1)), scale), group=3, kernel_shape=(1, 1))


ALL_SIGNED = np.repeat(np.arange(-128, 128).reshape(1, 1, 256, 1), 3, axis=3)


@MANY
@given(
    nodes=chains(),
    bits=st.integers(1, 8),
    signed=st.booleans(),
    narrow=st.booleans(),
    zero_point=st.integers(-4, 4),
    mode=st.sampled_from(MODES),
    scale=st.one_of(st.sampled_from([0.25, 0.5, 1.0, 2.0]), st.floats(1 / 64, 3.0, width=32)),
    weight_scale=st.lists(st.floats(1 / 64, 1.0, width=32), min_size=3, max_size=3),
)
def test_thresholds_of_any_chain(nodes, bits, signed, narrow, zero_point, mode, scale, weight_scale) -> None:
    if bits == 1:
        zero_point, narrow = 0, False
    if any(op in ("Sigmoid", "Tanh") for op, *_ in nodes):  # near their ends they are not monotone
        mode = "ROUND"
    graph = Graph((1, 3, 1, 256), "INT8")
    y = every_value(graph, np.array(weight_scale, np.float32).reshape(3, 1, 1, 1))
    y = add_chain(graph, y, nodes)
    y = graph.quant(y, scale, bits, int(signed), int(narrow), zero_point, mode)
    assert_same_integers(graph.model(y), ALL_SIGNED)


@FEW
@given(nodes=chains(), bits=st.integers(2, 8), scale=st.floats(1 / 64, 3.0, width=32))
def test_bisection_finds_the_thresholds_of_exhaustive_evaluation(nodes, bits, scale) -> None:
    graph = Graph((1, 3, 1, 256), "INT8")
    y = add_chain(graph, every_value(graph, np.full((3, 1, 1, 1), 0.1, np.float32)), nodes)
    model = graph.model(graph.quant(y, scale, bits, signed=1))
    every, halved = lower(model).network.stages[-1], lower(model, exhaustive_limit=0).network.stages[-1]
    assert isinstance(every, Threshold) and isinstance(halved, Threshold)
    np.testing.assert_array_equal(every.thresholds, halved.thresholds)
    np.testing.assert_array_equal(every.directions, halved.directions)
    assert every.base == halved.base


@pytest.mark.parametrize(
    ("mode", "expected"), [("ROUND", 0), ("HALF_UP", 1), ("HALF_DOWN", 0), ("FLOOR", 0), ("CEIL", 1)]
)
def test_half_ties_fall_as_the_reference_says(mode, expected) -> None:
    graph = Graph((1, 3, 1, 256), "INT8")
    y = graph.quant(every_value(graph, 0.5), 1.0, 4, signed=1, mode=mode)
    lowered = assert_same_integers(graph.model(y), ALL_SIGNED)
    threshold = lowered.network.stages[-1]
    assert isinstance(threshold, Threshold)
    assert threshold.base + int((threshold.thresholds[0] <= 1).sum()) == expected  # one half


def test_bipolar_quantizers_give_minus_and_plus_one() -> None:
    rng = np.random.default_rng(1)
    graph = Graph((1, 3, 4, 4), "BIPOLAR")
    weights = graph.node("BipolarQuant", rng.normal(size=(4, 3, 3, 3)), 0.5, domain=QONNX)
    y = graph.node("Conv", "global_in", weights, kernel_shape=(3, 3), pads=(1, 1, 1, 1))
    y = graph.normalize(y, [1, -1, 2, -2], [0.1, 0.2, 0, 0], np.zeros(4), np.ones(4))
    y = graph.node("BipolarQuant", y, 0.25, domain=QONNX)
    y = graph.node("Conv", y, graph.weights(rng.integers(-1, 2, (2, 4, 1, 1)), bits=2), kernel_shape=(1, 1))
    codes = rng.choice([-1, 1], (2, 4, 4, 3))
    lowered = assert_same_integers(graph.model(y), codes)
    assert lowered.network.tensors[lowered.network.stages[1].name].lo == -1
    assert lowered.network.stages[1].step == 2


def test_truncation_keeps_the_high_bits() -> None:
    graph = Graph((1, 3, 1, 256), "INT8")
    y = graph.node("Trunc", every_value(graph, 0.25), 0.25, 0.0, 8.0, 4.0, domain=QONNX, rounding_mode="FLOOR")
    lowered = assert_same_integers(graph.model(y), ALL_SIGNED)
    assert (lowered.network.output.lo, lowered.network.output.hi) == (-8, 7)


@pytest.mark.parametrize("zero_point", [0.0, 4.0])
def test_truncation_of_version_two_has_its_own_output_scale(zero_point) -> None:
    graph = Graph((1, 3, 1, 256), "INT8")
    y = every_value(graph, 0.25)
    parameters = (0.25, zero_point, 8.0, 2.0, 5.0)
    y = graph.node("Trunc", y, *parameters, domain=QONNX, rounding_mode="ROUND", signed=1, narrow=0)
    assert_same_integers(graph.model(y, quantizers=2), ALL_SIGNED)


def test_quantizer_parameters_may_differ_between_channels() -> None:
    graph = Graph((1, 3, 1, 256), "INT8")
    column = (1, 3, 1, 1)
    scale, zero_point = np.array([0.3, 1, 2]).reshape(column), np.array([0, 3, 2.5]).reshape(column)
    y = graph.quant(every_value(graph, 0.25), scale, 4, signed=1, zero_point=zero_point)
    lowered = assert_same_integers(graph.model(y), ALL_SIGNED)
    np.testing.assert_allclose(lowered.network.head.scale, scale.ravel())
    np.testing.assert_allclose(lowered.network.head.offset, [0, 0, -1])


def test_pixels_that_the_graph_takes_from_zero_to_one() -> None:
    graph = Graph((1, 3, 1, 256), None)
    y = graph.node("Sub", graph.node("Mul", "global_in", np.float32(2)), np.float32(1))
    model = graph.model(graph.quant(y, 1 / 8, 4, signed=1))
    pixels = np.repeat(np.arange(256).reshape(1, 1, 256, 1), 3, axis=3)
    lowered = assert_same_integers(model, pixels, input_datatype="UINT8", input_scale=1 / 255)
    assert stages_of(lowered) == ["Threshold"]


@pytest.mark.parametrize(("out_scale", "out_bias"), [(1.0, 0.0), (1.0, -4.0), (2.0, -7.0), (0.5, 0.3), (-1.0, 2.0)])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_multithreshold(out_scale, out_bias, layout) -> None:
    rng = np.random.default_rng(3)
    graph = Graph((1, 3, 1, 256), "INT8")
    y = every_value(graph, 1.0)
    if layout == "NHWC":
        y = graph.node("Transpose", y, perm=(0, 2, 3, 1))
    table = np.sort(rng.integers(-100, 100, (3, 7)), axis=1)
    attributes = {"out_dtype": "INT8", "out_scale": out_scale, "out_bias": out_bias, "data_layout": layout}
    y = graph.node("MultiThreshold", y, table, domain=QONNX, **attributes)
    assert_same_integers(graph.model(y), ALL_SIGNED)


def test_quantizing_integers_to_themselves_needs_no_stage() -> None:
    graph = Graph((1, 2, 3, 3), "UINT4")
    x = graph.quant(graph.node("Div", "global_in", 16.0), 1 / 16, 4)
    y = graph.node("Conv", x, graph.weights(np.ones((1, 2, 1, 1))), kernel_shape=(1, 1))
    assert stages_of(assert_same_integers(graph.model(y))) == ["Conv"]


@pytest.mark.parametrize("zero_point", [0, 3, -2])
def test_a_float_input_is_taken_as_its_quantizers_integers(zero_point) -> None:
    graph = Graph((1, 2, 4, 4), None)
    x = graph.quant("global_in", 0.125, 4, zero_point=zero_point)
    weights = graph.weights(np.arange(-9, 9).reshape(1, 2, 3, 3))
    y = graph.node("Conv", x, weights, kernel_shape=(3, 3), pads=(1, 1, 1, 1))
    lowered = assert_same_integers(graph.model(y))
    assert (lowered.network.input.lo, lowered.network.input.hi) == (-zero_point, 15 - zero_point)
    assert lowered.tensors["global_in"].scale == 0.125
    assert stages_of(lowered) == ["Conv"]


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


@pytest.mark.parametrize("form", ["squeeze", "reshape", "rank3", "channels last"])
def test_palettes(form) -> None:
    rng = np.random.default_rng(12)
    shapes = {"rank3": (1, 4, 6), "channels last": (1, 4, 6, 1)}
    graph = Graph(shapes.get(form, (1, 1, 4, 6)), "UINT4")
    codes = graph.node("Cast", "global_in", to=TensorProto.INT64)
    palette = graph.constant(rng.integers(0, 256, (16, 3)))
    x = graph.node("Gather", palette, codes, axis=0)
    if form == "squeeze":
        x = graph.node("Transpose", graph.node("Squeeze", x, graph.constant([1], np.int64)), perm=(0, 3, 1, 2))
    elif form == "reshape":
        x = graph.node("Transpose", graph.node("Reshape", x, graph.constant([1, 4, 6, 3], np.int64)), perm=(0, 3, 1, 2))
    elif form == "rank3":
        x = graph.node("Transpose", x, perm=(0, 3, 1, 2))
    else:
        x = graph.node("Transpose", graph.node("Squeeze", x, graph.constant([3], np.int64)), perm=(0, 3, 1, 2))
    y = graph.node("Conv", x, graph.weights(rng.integers(-3, 4, (2, 3, 3, 3))), kernel_shape=(3, 3), pads=(1, 1, 1, 1))
    lowered = assert_same_integers(graph.model(y))
    assert stages_of(lowered) == ["Lookup", "Conv"]
    assert lowered.network.input.shape == (4, 6, 1)


def test_levels_for_each_band_from_one_flat_table() -> None:
    rng = np.random.default_rng(13)
    levels = np.sort(rng.integers(0, 256, (3, 4)), axis=1)
    graph = Graph((1, 3, 4, 4), "UINT2")
    codes = graph.node("Cast", "global_in", to=TensorProto.INT64)
    offsets = graph.constant((np.arange(3) * 4).reshape(1, 3, 1, 1), np.int64)
    x = graph.node("Gather", graph.constant(levels.reshape(-1)), graph.node("Add", codes, offsets), axis=0)
    y = graph.node("Conv", x, graph.weights(rng.integers(-3, 4, (2, 3, 3, 3))), kernel_shape=(3, 3), pads=(1, 1, 1, 1))
    lowered = assert_same_integers(graph.model(y))
    lookup = lowered.network.stages[0]
    assert isinstance(lookup, Lookup)
    np.testing.assert_array_equal(lookup.table[..., 0], levels)


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


def test_a_relu_on_integers_without_a_quantizer_is_settled() -> None:
    graph = Graph((1, 3, 1, 256), "INT8")
    y = graph.node("Relu", graph.quant(every_value(graph, 0.25), 1.0, 4, signed=1))
    y = graph.node("Conv", y, graph.weights(np.ones((1, 3, 1, 1))), kernel_shape=(1, 1))
    assert stages_of(assert_same_integers(graph.model(y), ALL_SIGNED)) == ["Conv", "Threshold", "Threshold", "Conv"]


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


def test_integers_and_reals_are_inverse_and_refuse_what_does_not_fit() -> None:
    graph = Graph((1, 2, 3, 4), "INT4")
    y = graph.node("MaxPool", "global_in", kernel_shape=(1, 1))
    lowered = lower(graph.model(graph.quant(y, 0.5, 8, signed=1)))
    codes = np.random.default_rng(0).integers(-8, 8, (5, 3, 4, 2))
    reals = lowered.reals("global_in", codes)
    assert reals.shape == (5, 2, 3, 4)
    np.testing.assert_array_equal(lowered.integers("global_in", reals), codes)
    with pytest.raises(InputError, match="off"):
        lowered.integers("global_in", reals + 0.1)
    with pytest.raises(InputError, match="shape"):
        lowered.integers("global_in", reals[:, :1])
    with pytest.raises(InputError, match="known"):
        lowered.reals("elsewhere", codes)


def test_a_float32_sum_of_many_products_is_its_integer_and_half_a_step_is_not() -> None:
    rng = np.random.default_rng(1)
    integers, codes = np.sort(rng.integers(-7, 8, 1152))[::-1], rng.integers(0, 16, (50, 1152))
    scale = np.float32(0.0137)
    graph = Graph((1, 1152), "UINT4")
    y = graph.node("MatMul", "global_in", graph.weights(integers[:, np.newaxis], scale, bits=4))
    lowered = lower(graph.model(y))
    products = codes.astype(np.float32) * (integers.astype(np.float32) * scale)
    one_by_one = np.cumsum(products, axis=1, dtype=np.float32)[:, -1:]
    exact = (codes * integers).sum(axis=1, keepdims=True)
    assert np.abs(one_by_one / np.float64(scale) - exact).max() > 0.01
    np.testing.assert_array_equal(lowered.integers(y, one_by_one), exact)
    with pytest.raises(InputError, match="off"):
        lowered.integers(y, one_by_one + np.float32(0.4 * scale))


@pytest.fixture(scope="module")
def brevitas_models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("brevitas")
    script = Path(__file__).with_name("brevitas_export.py")
    done = subprocess.run([sys.executable, script, folder], capture_output=True, text=True, timeout=600, check=False)
    if "No module named" in done.stderr:
        pytest.skip(f"Brevitas is not installed: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return folder


def test_a_residual_network_of_brevitas(brevitas_models) -> None:
    model = ModelWrapper(str(brevitas_models / "residual.onnx")).transform(InferShapes())
    lowered = assert_same_integers(model)
    assert {"Conv", "Threshold", "Add", "MaxPool", "Dense"} == set(stages_of(lowered))
    assert lowered.network.input.bits == 6


def test_a_float_scaled_network_of_brevitas(brevitas_models) -> None:
    model = ModelWrapper(str(brevitas_models / "scaled.onnx")).transform(InferShapes())
    lowered = lower(model)
    assert stages_of(lowered) == ["Conv", "Threshold", "SumPool", "Dense"]
    codes = random_codes(lowered, np.random.default_rng(0), frames=1)
    context = run_qonnx(model, lowered.reals(lowered.input, codes))
    computed = reference.interpret(lowered.network, codes)
    for name, pair in lowered.tensors.items():
        np.testing.assert_array_equal(lowered.integers(name, context[name]), computed[pair.tensor], err_msg=name)
    assert_head_equals(lowered, computed[lowered.network.stages[-1].name], context[lowered.output])
