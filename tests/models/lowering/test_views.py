"""Sequences and channels-last graphs give the network of their twin on (N, C, H, W)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.cleanup import cleanup_model

from bitswath.models.lowering import Lowered, lower
from bitswath.network.network import Network
from tests import reference
from tests.models.graphs import FEW, Graph, assert_same_integers, powers, stages_of


def assert_equal_networks(left: Network, right: Network) -> None:
    """Of equal outputs for random codes."""
    codes = np.random.default_rng(0).integers(left.input.lo, left.input.hi + 1, (3, *left.input.shape))
    np.testing.assert_array_equal(
        reference.output(left, codes), reference.output(right, codes.reshape(3, *right.input.shape))
    )
    np.testing.assert_array_equal(left.head.scale, right.head.scale)


def sequence_network(axes: int, seed: int, groups: int = 1, **attributes: object) -> Lowered:
    """The same network on (N, C, L), (N, C, 1, L) and (N, C, L, 1), told by where the length stands."""
    rng = np.random.default_rng(seed)
    image = {2: lambda v, one=1: [v], 3: lambda v, one=1: [one, v], -1: lambda v, one=1: [v, one]}[axes]
    spatial = lambda array: array if axes == 2 else np.expand_dims(array, 2 if axes == 3 else array.ndim)  # noqa: E731
    pads = lambda a, b: [*image(a, 0), *image(b, 0)]  # noqa: E731
    graph = Graph(spatial(np.zeros((1, 4, 24))).shape, "UINT4")
    kernel, strides, dilations = attributes["kernel"], attributes["strides"], attributes["dilations"]
    weights = spatial(rng.integers(-7, 8, (6, 4 // groups, kernel)))
    column = spatial(powers(rng, 6, 1, 1))
    y = graph.node(
        "Conv", "global_in", graph.weights(weights, column), rng.integers(-9, 9, 6), kernel_shape=image(kernel),
        strides=image(strides), dilations=image(dilations), pads=pads(*attributes["pads"]), group=groups,
    )  # fmt: skip
    y = graph.normalize(y, [1, -1, 2, 1, 1, -2], np.zeros(6), rng.integers(-4, 5, 6), np.ones(6))
    y = graph.quant(graph.node("Relu", y), 0.5, 4)
    y = graph.node("MaxPool", y, kernel_shape=image(2), strides=image(2), pads=pads(1, 0))
    amounts = [0, 0, *image(1, 0), 0, 0, *image(2, 0)]
    y = graph.node("Pad", y, graph.constant(amounts, np.int64))
    y = graph.node("Conv", y, graph.weights(spatial(rng.integers(-3, 4, (5, 6, 2)))), kernel_shape=image(2))
    y = graph.quant(y, 4.0, 4, signed=1)
    y = graph.node("AveragePool", y, kernel_shape=image(2), strides=image(1))
    y = graph.node("Flatten", graph.node("GlobalAveragePool", y))
    y = graph.node("MatMul", y, graph.weights(rng.integers(-7, 8, (5, 3))))
    return assert_same_integers(graph.model(y))


@FEW
@given(
    seed=st.integers(0, 2**32 - 1),
    kernel=st.integers(1, 3),
    strides=st.integers(1, 2),
    dilations=st.integers(1, 2),
    pads=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    groups=st.sampled_from([1, 2]),
)
def test_a_sequence_is_an_image_of_height_or_width_one(seed, kernel, strides, dilations, pads, groups) -> None:
    given = {"groups": groups, "kernel": kernel, "strides": strides, "dilations": dilations, "pads": pads}
    flat, tall, wide = (sequence_network(axes, seed, **given) for axes in (2, -1, 3))
    assert flat.network.input.shape == (1, 24, 4)
    assert_equal_networks(flat.network, wide.network)
    assert_equal_networks(flat.network, tall.network)


def test_a_padded_sequence_that_nothing_takes_in_is_padded_by_a_stage() -> None:
    graph = Graph((1, 3, 8), "UINT4")
    y = graph.node("Pad", "global_in", graph.constant([0, 0, 2, 0, 0, 1], np.int64))
    y = graph.quant(graph.node("Relu", y), 2.0, 3)
    y = graph.node("Conv", y, graph.weights(np.ones((2, 3, 3))), kernel_shape=(3,))
    assert stages_of(assert_same_integers(graph.model(y))) == ["SumPool", "Threshold", "Conv"]


def test_a_sequence_that_is_transposed_first_has_its_channels_last() -> None:
    graph = Graph((1, 9, 2), "UINT4")
    y = graph.node("Transpose", "global_in", perm=(0, 2, 1))
    y = graph.node("Conv", y, graph.weights(np.arange(12).reshape(2, 2, 3) - 6), kernel_shape=(3,), pads=(1, 1))
    assert assert_same_integers(graph.model(y)).network.input.shape == (1, 9, 2)


def test_a_channels_last_image_that_is_resized_keeps_its_channels_last() -> None:
    graph = Graph((1, 2, 4, 4), "UINT4")
    y = graph.node("Conv", "global_in", graph.weights(np.arange(6).reshape(3, 2, 1, 1) - 3), kernel_shape=(1, 1))
    y = graph.quant(graph.node("Transpose", y, perm=(0, 2, 3, 1)), 4.0, 4, signed=1)
    y = graph.node("Resize", y, graph.constant([]), graph.constant([1, 2, 2, 1]), mode="nearest", nearest_mode="floor",
                   coordinate_transformation_mode="asymmetric")  # fmt: skip
    y = graph.node("Transpose", y, perm=(0, 3, 1, 2))
    y = graph.node("Conv", y, graph.weights(np.arange(54).reshape(2, 3, 3, 3) % 7 - 3), kernel_shape=(3, 3))
    lowered = assert_same_integers(graph.model(y))
    assert stages_of(lowered) == ["Conv", "Threshold", "Take", "Conv"]


def images() -> ModelWrapper:
    rng = np.random.default_rng(4)
    graph = Graph((1, 3, 8, 8), "UINT4")
    weights = graph.weights(rng.integers(-7, 8, (6, 3, 3, 3)), powers(rng, 6, 1, 1, 1))
    y = graph.node(
        "Conv", "global_in", weights, kernel_shape=(3, 3), pads=(1, 0, 1, 2), strides=(1, 1), dilations=(1, 1), group=1
    )
    y = graph.normalize(y, [1, -1, 2, 1, 1, -2], np.zeros(6), rng.integers(-4, 5, 6), np.ones(6))
    y = graph.quant(graph.node("Relu", y), 0.5, 4)
    y = graph.node("MaxPool", y, kernel_shape=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0))
    depthwise = graph.weights(rng.integers(-3, 4, (6, 1, 3, 3)))
    y = graph.node(
        "Conv", y, depthwise, kernel_shape=(3, 3), group=6, strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1)
    )
    y = graph.node("Flatten", graph.quant(y, 8.0, 4, signed=1))
    y = graph.node("MatMul", y, graph.weights(rng.integers(-7, 8, (24, 3))))
    return graph.model(y)


@pytest.mark.parametrize("channels_last_input", [False, True])
def test_the_channels_last_form_of_qonnx_lowers_to_the_same_network(channels_last_input: bool) -> None:
    first = images()
    last = cleanup_model(first).transform(ConvertToChannelsLastAndClean(make_input_channels_last=channels_last_input))
    assert any(node.domain == "qonnx.custom_op.channels_last" for node in last.graph.node)
    lowered = assert_same_integers(last.transform(InferShapes()))
    assert lowered.network.input.shape == (8, 8, 3)
    assert_equal_networks(lower(first).network, lowered.network)
