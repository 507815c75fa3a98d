"""Sums of two tensors of unrelated scales give the levels that the graph's own arithmetic gives for every pair."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bitswath.errors import LoweringError
from bitswath.models.lowering import Lowered, lower
from bitswath.models.lowering.chains.sums import simplest
from bitswath.network.network import Add
from tests.models.graphs import FEW, MANY, Graph, assert_same_integers, stages_of

EVERY_PAIR = np.stack(np.meshgrid(np.arange(-128, 128), np.arange(-128, 128), indexing="ij"), axis=2)[None]


def multipliers(lowered: Lowered) -> tuple[int, ...]:
    return next(stage.multipliers for stage in lowered.network.stages if isinstance(stage, Add))


def halves(graph: Graph) -> list[str]:
    """The two channels of the graph's input, each a tensor of its own."""
    weights = (graph.weights([[[[1]], [[0]]]]), graph.weights([[[[0]], [[1]]]]))
    parts = [graph.node("Conv", "global_in", w, kernel_shape=(1, 1)) for w in weights]
    return [graph.quant(part, 1.0, 8, signed=1) for part in parts]


def pair(graph: Graph, x: str, scale: Any, zero: int) -> str:
    parameters = [graph.constant(np.float32(scale)), graph.constant(zero, np.int8)]
    return graph.node("DequantizeLinear", graph.node("QuantizeLinear", x, *parameters), *parameters)


@MANY
@given(
    scales=st.tuples(*[st.floats(1 / 64, 1.0, width=32)] * 3),
    zero=st.integers(-128, 127),
    op=st.sampled_from(["Add", "Sub"]),
    relu=st.booleans(),
)
@example(scales=(17822 * 761 / 2**24, 6663 * 761 / 2**24, 1.0), zero=127, op="Sub", relu=True)  # a ratio of integers
def test_the_level_of_every_pair_is_the_graphs(scales, zero, op, relu) -> None:
    graph = Graph((1, 2, 256, 256), "INT8")
    a, b = (graph.node("Mul", x, np.float32(scale)) for x, scale in zip(halves(graph), scales))
    y = graph.node(op, a, b)
    y = pair(graph, graph.node("Relu", y) if relu else y, scales[2], zero)
    lowered = assert_same_integers(graph.model(y), EVERY_PAIR)
    assert stages_of(lowered)[-2:] == ["Add", "Threshold"]
    assert max(map(abs, multipliers(lowered))) < 1024


def test_the_steps_of_a_chain_are_rounded_as_in_the_graph() -> None:
    graph = Graph((1, 2, 256, 256), "INT8")
    a, b = halves(graph)
    a = graph.node("Mul", graph.node("Mul", a, np.float32(0.7)), np.float32(1 / 0.7))
    b = graph.node("Sub", graph.node("Div", b, np.float32(3)), np.float32(0.1))
    assert_same_integers(graph.model(pair(graph, graph.node("Add", a, b), 0.77, 0)), EVERY_PAIR)


def test_ties_that_float32_breaks_this_way_and_that_are_looked_up() -> None:
    graph = Graph((1, 2, 256, 256), "INT8")
    a, b = halves(graph)
    a = graph.node("Mul", graph.node("Mul", a, np.float32(0.7)), np.float32(1 / 0.7))
    b = graph.node("Mul", graph.node("Div", b, np.float32(3)), np.float32(0.6))
    lowered = assert_same_integers(graph.model(pair(graph, graph.node("Add", a, b), 0.4, 0)), EVERY_PAIR)
    assert stages_of(lowered)[-4:] == ["Threshold", "Lookup", "Add", "Threshold"]


@FEW
@given(seed=st.integers(0, 2**32 - 1), falls=st.booleans(), op=st.sampled_from(["Add", "Sub"]))
def test_scales_that_differ_by_channel_are_looked_up(seed, falls, op) -> None:
    rng = np.random.default_rng(seed)
    graph = Graph((1, 6, 16, 16), "INT8")
    parts = [graph.quant(graph.node("Mul", "global_in", np.float32(s)), s, 8, signed=1) for s in (0.31, 0.173)]
    factor = rng.uniform(0.5, 2, (1, 6, 1, 1)).astype(np.float32)
    y = graph.node(op, graph.node("Mul", parts[0], factor), parts[1])
    y = graph.quant(graph.node("Neg", y) if falls else y, 2.3, 4, signed=1)
    assert "Lookup" in stages_of(assert_same_integers(graph.model(y)))


def test_scales_of_each_channel_share_multipliers() -> None:
    rng = np.random.default_rng(0)
    graph = Graph((1, 6, 8, 8), "INT8")
    parts = [graph.quant(graph.node("Mul", "global_in", np.float32(s)), s, 8, signed=1) for s in (0.31, 0.173)]
    factor = rng.uniform(0.9, 1.1, (1, 6, 1, 1)).astype(np.float32)
    y = graph.quant(graph.node("Mul", graph.node("Add", *parts), factor), 2.3, 4, signed=1)
    assert "Add" in stages_of(assert_same_integers(graph.model(y)))


def test_scales_in_a_small_ratio_keep_their_multipliers() -> None:
    graph = Graph((1, 2, 256, 256), "INT8")
    a, b = halves(graph)
    y = graph.node("Add", graph.node("Mul", a, np.float32(0.75)), graph.node("Mul", b, np.float32(0.5)))
    lowered = assert_same_integers(graph.model(pair(graph, y, 0.9, 3)), EVERY_PAIR)
    assert multipliers(lowered) == (3, 2)


@FEW
@given(scale=st.floats(0.125, 2.0, width=32))
def test_what_quantizes_the_sum_may_fall(scale) -> None:
    graph = Graph((1, 2, 256, 256), "INT8")
    a, b = (graph.node("Mul", x, np.float32(s)) for x, s in zip(halves(graph), (0.5, scale)))
    assert_same_integers(graph.model(pair(graph, graph.node("Neg", graph.node("Add", a, b)), 1.3, 3)), EVERY_PAIR)


def test_two_quantizers_and_a_pooling_read_one_sum() -> None:
    graph = Graph((1, 2, 8, 8), "INT8")
    a, b = (graph.node("Mul", x, np.float32(s)) for x, s in zip(halves(graph), (0.511, 0.137)))
    y = graph.node("Add", a, b)
    first = graph.quant(graph.node("MaxPool", graph.node("Relu", y), kernel_shape=(2, 2), strides=(2, 2)), 0.9, 4)
    second = graph.quant(graph.node("MaxPool", y, kernel_shape=(2, 2), strides=(2, 2)), 2.0, 4, signed=1)
    assert_same_integers(graph.model(graph.node("Concat", first, second, axis=1)))


@pytest.mark.parametrize("behind", ["Conv", "Slice", "nothing"])
def test_a_sum_that_is_needed_as_it_is_is_refused(behind: str) -> None:
    graph = Graph((1, 2, 8, 8), "INT8")
    y = graph.node("Add", *(graph.node("Mul", x, np.float32(s)) for x, s in zip(halves(graph), (0.511, 0.137))))
    if behind == "Conv":
        y = graph.node("Conv", y, graph.weights(np.ones((1, 1, 1, 1))), kernel_shape=(1, 1))
    if behind == "Slice":
        y = graph.node("Slice", y, *(graph.constant([v], np.int64) for v in (0, 4, 2)))
    with pytest.raises(
        LoweringError, match=r"\(Add\): adds tensors whose scales .* no small integer ratio; put a quan"
    ):
        lower(graph.model(y))


def test_what_orders_no_weighted_sum_is_refused() -> None:
    graph = Graph((1, 2, 8, 8), "INT8")
    a, b = (graph.node("Mul", x, np.float32(s)) for x, s in zip(halves(graph), (0.511, 0.137)))
    y = graph.quant(graph.node("Abs", graph.node("Add", a, b)), 1.0, 4)
    with pytest.raises(LoweringError, match=r"no thresholds for the sum .*: it both rises and falls"):
        lower(graph.model(y))


@MANY
@given(low=st.fractions(0, 9, max_denominator=300), width=st.fractions(Fraction(1, 10**5), 3))
def test_the_simplest_fraction_lies_between_and_no_simpler_one_does(low, width) -> None:
    found = simplest(low, low + width)
    assert low < found < low + width
    for denominator in range(1, found.denominator):
        numerator = low * denominator // 1 + 1
        assert numerator >= (low + width) * denominator
    assert simplest(low, None) == low // 1 + 1


@FEW
@given(scale=st.floats(1 / 64, 1.0, width=32), bits=st.sampled_from([3, 8]), rest=st.sampled_from([0.25, 0.5, 2 / 3]))
def test_sums_of_one_scale_tie_half_the_time(scale, bits, rest) -> None:
    graph = Graph((1, 2, 256, 256), "INT8")
    real = [graph.node("Mul", half, np.float32(scale)) for half in halves(graph)]
    a, b = (graph.quant(half, np.float32(scale), bits, signed=1) for half in real)
    y = graph.quant(graph.node("Add", a, b), np.float32(scale / rest), bits, signed=1)
    assert_same_integers(graph.model(y), EVERY_PAIR)
