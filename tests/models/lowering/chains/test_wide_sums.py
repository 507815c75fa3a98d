"""Sums of an accumulator and a narrow tensor give the graph's own levels, but where float32 itself cannot tell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitswath.errors import LoweringError
from bitswath.models.lowering import lower
from tests import reference
from tests.models.graphs import FEW, Graph, random_codes, run_qonnx, stages_of


def pair(graph: Graph, x: str, scale: Any, zero: int) -> str:
    parameters = [graph.constant(np.float32(scale)), graph.constant(zero, np.int8)]
    return graph.node("DequantizeLinear", graph.node("QuantizeLinear", x, *parameters), *parameters)


@FEW
@given(
    seed=st.integers(0, 2**32 - 1),
    op=st.sampled_from(["Add", "Sub"]),
    per_channel=st.booleans(),
    first=st.booleans(),
    negative=st.booleans(),
)
def test_a_residual_that_alone_was_quantized(seed, op, per_channel, first, negative) -> None:
    """As TensorRT's tools leave it: the convolution's sums go into the Add as they are."""
    rng = np.random.default_rng(seed)
    graph = Graph((1, 4, 12, 12), "INT8")
    x = graph.node("Mul", "global_in", np.float32(rng.uniform(0.01, 0.1)))
    scale = rng.uniform(0.001, 0.01, (4, 1, 1, 1) if per_channel else ()).astype(np.float32)
    weights = graph.weights(rng.integers(-127, 128, (4, 4, 3, 3)), scale)
    y = graph.node("Conv", x, weights, kernel_shape=(3, 3), pads=(1, 1, 1, 1))
    if negative:
        factor = rng.uniform(0.5, 2, (1, 4, 1, 1)) * rng.choice([-1, 1], (1, 4, 1, 1))
        y = graph.node("Mul", y, factor.astype(np.float32))
    rest = pair(graph, x, rng.uniform(0.01, 0.1), int(rng.integers(-20, 20)))
    y = graph.node(op, *((y, rest) if first else (rest, y)))
    y = pair(graph, graph.node("Relu", y), rng.uniform(0.05, 0.2), -128)
    model = graph.model(y)
    lowered = lower(model)
    assert {"Lookup", "Add"} <= set(stages_of(lowered))
    codes = random_codes(lowered, rng)
    ours = lowered.network.head.dequantize(reference.output(lowered.network, codes))
    index = lowered.tensors[lowered.output].index[0]
    for frame, result in zip(lowered.reals(lowered.input, codes), ours):
        expected = run_qonnx(model, frame[None])[lowered.output][0]
        steps = np.abs(result.reshape(-1)[index] - expected) / lowered.network.head.scale
        assert steps.max() < 1.5 and (steps > 0.5).mean() < 0.002


def test_two_accumulators_are_refused() -> None:
    graph = Graph((1, 4, 6, 6), "INT8")
    parts = [
        graph.node("Conv", "global_in", graph.weights(np.full((4, 4, 3, 3), 99), scale), kernel_shape=(3, 3))
        for scale in (0.0123, 0.0771)
    ]
    with pytest.raises(LoweringError, match=r"\(Add\): adds tensors whose scales .* no small integer ratio"):
        lower(graph.model(pair(graph, graph.node("Add", *parts), 0.5, 0)))
