"""What a graph may begin with: integers, pixels, palettes and levels."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from bitswath.network.network import Lookup
from tests.models.graphs import (
    Graph,
    assert_same_integers,
    stages_of,
)


def test_pixels_that_the_graph_takes_from_zero_to_one() -> None:
    graph = Graph((1, 3, 1, 256), None)
    y = graph.node("Sub", graph.node("Mul", "global_in", np.float32(2)), np.float32(1))
    model = graph.model(graph.quant(y, 1 / 8, 4, signed=1))
    pixels = np.repeat(np.arange(256).reshape(1, 1, 256, 1), 3, axis=3)
    lowered = assert_same_integers(model, pixels, input_datatype="UINT8", input_scale=1 / 255)
    assert stages_of(lowered) == ["Threshold"]


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
