"""`Lowered` turns QONNX tensors into integers and back, and refuses what does not fit."""

from __future__ import annotations

import numpy as np
import pytest

from bitswath.errors import InputError
from bitswath.models.lowering import lower
from tests.models.graphs import (
    Graph,
)


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


def test_sums_that_float32_cannot_tell_are_compared_within_their_rounding() -> None:
    rng = np.random.default_rng(2)
    integers, codes = rng.integers(-127, 128, 4096), rng.integers(0, 256, (20, 4096))
    scale = np.float32(0.0137)
    graph = Graph((1, 4096), "UINT8")
    y = graph.node("MatMul", "global_in", graph.weights(integers[:, np.newaxis], scale))
    lowered = lower(graph.model(y))
    assert y in lowered.coarse
    products = codes.astype(np.float32) * (integers.astype(np.float32) * scale)
    one_by_one = np.cumsum(products, axis=1, dtype=np.float32)[:, -1:]
    exact = (codes * integers).sum(axis=1, keepdims=True)
    with pytest.raises(InputError, match="off"):
        lowered.integers(y, one_by_one)
    np.testing.assert_array_equal(lowered.integers(y, one_by_one, exact), exact)
    with pytest.raises(InputError, match="off"):
        lowered.integers(y, one_by_one, exact + 100_000)


def test_a_bias_beyond_float32s_digits_hides_the_integers_of_its_sum() -> None:
    codes = np.random.default_rng(3).integers(0, 16, (20, 8))
    graph = Graph((1, 8), "UINT4")
    y = graph.node("Gemm", "global_in", graph.weights(np.arange(8)[:, np.newaxis], 2.0**-30), [1.0])
    lowered = lower(graph.model(y))
    assert y in lowered.coarse
    exact = codes @ np.arange(8)[:, np.newaxis]
    real = np.float32(1.0) + exact.astype(np.float32) * np.float32(2.0**-30)
    assert (lowered.integers(y, real) != exact).any()
    np.testing.assert_array_equal(lowered.integers(y, real, exact), exact)
    assert (lowered.integers(y, real + np.float32(0.001), exact) != exact).all()
