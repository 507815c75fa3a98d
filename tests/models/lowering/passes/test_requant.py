"""Integer graphs of Deeploy and DORY give what integer arithmetic gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from bitswath.errors import LoweringError
from bitswath.models.lowering import lower
from tests import reference
from tests.models.graphs import FEW, Graph, assert_same_integers


def tensor(value: float) -> Any:
    return numpy_helper.from_array(np.array([value], np.float32))


def requantized(x: NDArray[np.int64], mul: Any, add: Any, shift: int, lowest: int, highest: int) -> NDArray[np.int64]:
    """Deeploy's kernel, `RequantShift_s32_s8_NHWC`: half the divisor is added before the shift."""
    return np.clip((x * mul + add + ((1 << shift) >> 1)) >> shift, lowest, highest)


@FEW
@given(
    seed=st.integers(0, 2**32 - 1),
    signed=st.booleans(),
    bits=st.sampled_from([8, 4]),
    shift=st.integers(0, 24),
    domain=st.sampled_from(["", "ai.onnx.contrib"]),
)
def test_requant_shift(seed, signed, bits, shift, domain) -> None:
    rng = np.random.default_rng(seed)
    weights, frame = rng.integers(-128, 128, (4, 3, 3, 3)), rng.integers(0, 256, (1, 5, 5, 3))
    mul, add = rng.integers(-300, 300, (4, 1, 1)), rng.integers(-(2**28), 2**28, (4, 1, 1)) >> (24 - shift)
    graph = Graph((1, 3, 5, 5), "UINT8")
    y = graph.node("Conv", "global_in", weights.astype(np.float32), kernel_shape=(3, 3))
    attributes = {"div": tensor(1 << shift), "n_levels_out": tensor(1 << bits), "signed": tensor(signed)}
    y = graph.node("RequantShift", y, mul.astype(np.float32), add.astype(np.float32), domain=domain, **attributes)
    network = lower(graph.unchecked(y), exhaustive_limit=1 << 12).network
    sums = reference.output(lower_conv(graph), frame)
    lowest, highest = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    expected = requantized(sums, mul.reshape(-1), add.reshape(-1), shift, lowest, highest)
    np.testing.assert_array_equal(network.head.dequantize(reference.output(network, frame)), expected)


def test_a_sequence_has_the_parameters_of_an_image() -> None:
    rng = np.random.default_rng(1)
    weights, frame = rng.integers(-128, 128, (4, 3, 5)), rng.integers(0, 256, (1, 1, 9, 3))
    mul, add = rng.integers(-300, 300, (4, 1, 1)), rng.integers(-(2**20), 2**20, (4, 1, 1))
    graph = Graph((1, 3, 9), "UINT8")
    sums = graph.node("Conv", "global_in", weights.astype(np.float32), kernel_shape=(5,))
    attributes = {"div": tensor(1 << 16), "n_levels": tensor(256), "signed": tensor(1)}
    y = graph.node("RequantShift", sums, mul.astype(np.float32), add.astype(np.float32), **attributes)
    network = lower(graph.unchecked(y, shapes={sums: (1, 4, 5)})).network
    accumulators = reference.output(lower_conv(graph), frame)
    expected = requantized(accumulators, mul.reshape(-1), add.reshape(-1), 16, -128, 127)
    np.testing.assert_array_equal(network.head.dequantize(reference.output(network, frame)), expected)


def lower_conv(graph: Graph) -> Any:
    """The network of the graph's first node alone."""
    first = Graph(graph.shape, graph.datatype)
    first.nodes, first.constants = graph.nodes[:1], graph.constants
    return lower(first.unchecked(graph.nodes[0].output[0])).network


def test_products_beyond_float32_are_exact() -> None:
    """From 2^24 on float32 skips integers; the shift must not see that."""
    graph = Graph((1, 1, 1, 256), "UINT8")
    y = graph.node("Conv", "global_in", np.full((1, 1, 1, 1), 127, np.float32), kernel_shape=(1, 1))
    attributes = {"div": tensor(2**16), "n_levels_out": tensor(256), "signed": tensor(0)}
    y = graph.node("RequantShift", y, np.full(1, 65537, np.float32), np.full(1, -(2**15) - 1, np.float32), **attributes)
    codes = np.arange(256).reshape(1, 1, 256, 1)
    network = lower(graph.unchecked(y)).network
    expected = requantized(codes * 127, 65537, -(2**15) - 1, 16, 0, 255)
    np.testing.assert_array_equal(network.head.dequantize(reference.output(network, codes)), expected)


@pytest.mark.parametrize(("attribute", "value"), [("div", 3), ("n_levels_out", 200)])
def test_levels_and_divisors_that_are_no_powers_of_two_are_refused(attribute: str, value: int) -> None:
    graph = Graph((1, 1, 4, 4), "UINT8")
    attributes = {"div": tensor(4), "n_levels_out": tensor(16), "signed": tensor(0), attribute: tensor(value)}
    y = graph.node("RequantShift", "global_in", np.ones(1), np.zeros(1), **attributes)
    with pytest.raises(LoweringError, match=r"\(RequantShift\): expected powers of two as div and n_levels"):
        lower(graph.unchecked(y))


@FEW
@given(seed=st.integers(0, 2**32 - 1), element=st.sampled_from([TensorProto.INT64, TensorProto.INT32]))
def test_integer_arithmetic_truncates(seed, element) -> None:
    """DORY: kappa and lambda in float, then a product and a quotient of integers, clipped as floats."""
    rng = np.random.default_rng(seed)
    dtype = np.int64 if element == TensorProto.INT64 else np.int32
    graph = Graph((1, 3, 6, 6), "UINT8")
    y = graph.node("Conv", "global_in", rng.integers(-9, 10, (4, 3, 3, 3)).astype(np.float32), kernel_shape=(3, 3))
    y = graph.node("Mul", rng.integers(-99, 99, (1, 4, 1, 1)).astype(np.float32), y)
    y = graph.node("Add", y, rng.integers(-(10**5), 10**5, (1, 4, 1, 1)).astype(np.float32))
    y = graph.node("Cast", y, to=element)
    y = graph.node("Mul", y, graph.constant(rng.integers(1, 50), dtype))
    y = graph.node("Div", y, graph.constant(rng.integers(1000, 2**20), dtype))
    y = graph.node("Cast", graph.node("Cast", y, to=TensorProto.INT64), to=TensorProto.FLOAT)
    y = graph.node("Clip", y, np.float32(-5), np.float32(99))
    y = graph.node("Conv", y, rng.integers(-9, 10, (2, 4, 1, 1)).astype(np.float32), kernel_shape=(1, 1))
    assert_same_integers(graph.model(y))


def test_a_cast_to_integers_truncates_what_is_none() -> None:
    graph = Graph((1, 1, 1, 256), "INT8")
    y = graph.node("Cast", graph.node("Mul", "global_in", np.float32(0.3)), to=TensorProto.INT8)
    y = graph.node("Conv", graph.node("Cast", y, to=TensorProto.FLOAT), np.ones((1, 1, 1, 1)), kernel_shape=(1, 1))
    codes = np.arange(-128, 128).reshape(1, 1, 256, 1)
    lowered = lower(graph.model(y))
    expected = np.trunc(codes.astype(np.float32) * np.float32(0.3))
    np.testing.assert_array_equal(lowered.network.head.dequantize(reference.output(lowered.network, codes)), expected)


def test_a_cast_that_does_not_hold_its_integers_is_refused() -> None:
    graph = Graph((1, 1, 1, 256), "INT8")
    y = graph.node("Cast", graph.node("Mul", "global_in", np.float32(1.3)), to=TensorProto.INT8)
    with pytest.raises(LoweringError, match=r"casts -166\.\.165 to INT8, which does not hold them all"):
        lower(graph.model(graph.node("Cast", y, to=TensorProto.FLOAT)))
