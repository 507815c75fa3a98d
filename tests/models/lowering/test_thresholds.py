"""Chains of elementwise nodes and their quantizers become the thresholds that qonnx would compute."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitswath.models.lowering import lower
from bitswath.network.network import Threshold
from tests.models.graphs import (
    ALL_SIGNED,
    FEW,
    MANY,
    QONNX,
    Graph,
    assert_same_integers,
    every_value,
    stages_of,
)

MODES = ("ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")


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
    assert type(every) is type(halved)
    if not isinstance(every, Threshold) or not isinstance(halved, Threshold):
        return  # the quantizer gives the integers back as they are
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


def test_a_relu_on_integers_without_a_quantizer_is_settled() -> None:
    graph = Graph((1, 3, 1, 256), "INT8")
    y = graph.node("Relu", graph.quant(every_value(graph, 0.25), 1.0, 4, signed=1))
    y = graph.node("Conv", y, graph.weights(np.ones((1, 3, 1, 1))), kernel_shape=(1, 1))
    assert stages_of(assert_same_integers(graph.model(y), ALL_SIGNED)) == ["Conv", "Threshold", "Threshold", "Conv"]


@pytest.mark.parametrize("op", ["HardSwish", "Abs", "Gelu", "Mish", "Elu"])
def test_what_rises_and_falls_is_the_difference_of_two_that_rise(op: str) -> None:
    rng = np.random.default_rng(1)
    graph = Graph((1, 3, 16, 16), "INT8")
    y = graph.node("Conv", "global_in", graph.weights(rng.integers(-9, 10, (3, 3, 1, 1)), 0.0625))
    y = graph.node("Sub", y, rng.normal(size=(1, 3, 1, 1)))
    y = graph.quant(graph.node(op, y), 0.05, 8, signed=1)
    lowered = assert_same_integers(graph.model(y, opset=20 if op == "Gelu" else 18))
    if op in ("Abs", "HardSwish"):
        assert stages_of(lowered) == ["Conv", "Threshold", "Threshold", "Add", "Threshold"]
        assert lowered.network.output.bits == (7 if op == "Abs" else 8)


@pytest.mark.parametrize("gate", ["Sigmoid", "HardSigmoid", "square", "quotient"])
@pytest.mark.parametrize("quantized", ["no", "input", "gate", "both"])
def test_two_tensors_that_are_functions_of_one(gate: str, quantized: str) -> None:
    """x * Sigmoid(x), as it is trained, and with a quantizer between any two nodes, as an int8 file has it."""
    rng = np.random.default_rng(2)
    graph = Graph((1, 3, 9, 8), "UINT4")
    y = graph.node("Conv", "global_in", graph.weights(rng.integers(-9, 10, (4, 3, 1, 1)), 0.0625), rng.normal(size=4))
    y = graph.normalize(y, [1.2, -0.7, 2, 1.3], rng.normal(size=4), rng.normal(size=4), [1, 2, 3, 0.5])
    x = graph.quant(y, 0.0625, 7, signed=1) if quantized in ("input", "both") else y
    g = x
    if gate == "quotient":
        g = graph.node("Add", graph.node("Exp", graph.node("Neg", x)), np.float32(1))
    elif gate != "square":
        g = graph.node(gate, x)
    if quantized in ("gate", "both"):
        g = graph.quant(g, 1 / 32, 8 if gate == "square" else 6, signed=int(gate == "square"))
        g = graph.node("Add", g, np.float32(0.5)) if gate == "quotient" else g
    y = graph.quant(graph.node("Div" if gate == "quotient" else "Mul", x, g), 0.125, 5, signed=1)
    assert_same_integers(graph.model(y))
