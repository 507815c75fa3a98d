"""Nodes that leave out, repeat, reorder and fill in elements, and constants that differ by position."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.graphs import FEW, Graph, assert_same_integers, powers, stages_of

Node = Callable[[Graph, str], str]
IMAGE = (1, 4, 6, 8)


def ints(graph: Graph, values: object) -> str:
    return graph.constant(values, np.int64)


def resize(factor_h: float, factor_w: float, **attributes: object) -> Node:
    return lambda g, x: g.node(
        "Resize", x, g.constant([]), g.constant([1, 1, factor_h, factor_w]), mode="nearest", **attributes
    )


def cut(starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> Node:
    return lambda g, x: g.node("Slice", x, *(ints(g, v) for v in (starts, ends, axes, steps)))


def padded(amounts: list[int], value: float | None = None, **attributes: object) -> Node:
    fill = [] if value is None else [np.float32(value)]
    return lambda g, x: g.node("Pad", x, ints(g, amounts), *fill, **attributes)


def shuffled(graph: Graph, x: str) -> str:
    y = graph.node("Reshape", x, ints(graph, [1, 2, 2, 6, 8]))
    y = graph.node("Transpose", y, perm=(0, 2, 1, 3, 4))
    return graph.node("Reshape", y, ints(graph, [1, 4, 6, 8]))


MOVES: dict[str, Node] = {
    "slice_rows": cut([1], [5], [2], [1]),
    "slice_with_steps_backwards": cut([-1, 0], [-100, 8], [2, 3], [-2, 3]),
    "slice_channels": cut([1], [3], [1], [1]),
    "second_half_of_a_split": lambda g, x: g.node("Split", x, ints(g, [1, 3]), outputs=2, axis=1),
    "gather_columns": lambda g, x: g.node("Gather", x, ints(g, [7, 0, 0, 3]), axis=3),
    "nearest_twice": resize(2, 2, coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    "nearest_half_pixel": resize(3, 2, coordinate_transformation_mode="half_pixel"),
    "nearest_smaller": resize(0.5, 0.5, coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    "depth_to_space": lambda g, x: g.node("DepthToSpace", x, blocksize=2),
    "depth_to_space_crd": lambda g, x: g.node("DepthToSpace", x, blocksize=2, mode="CRD"),
    "space_to_depth": lambda g, x: g.node("SpaceToDepth", x, blocksize=2),
    "tile": lambda g, x: g.node("Tile", x, ints(g, [1, 2, 1, 2])),
    "pad_reflect": padded([0, 0, 1, 2, 0, 0, 2, 1], mode="reflect"),
    "pad_edge": padded([0, 0, 1, 2, 0, 0, 2, 1], mode="edge"),
    "pad_with_a_value": padded([0, 0, 1, 0, 0, 0, 0, 2], 3.0),
    "pad_channels": padded([0, 1, 0, 0, 0, 2, 0, 0]),
    "pad_and_cut": padded([0, 0, -1, 1, 0, 0, 2, -3]),
    "channel_shuffle": shuffled,
    "transposed_image": lambda g, x: g.node("Transpose", x, perm=(0, 1, 3, 2)),
    "mean_over_columns": lambda g, x: g.node("ReduceMean", x, axes=[3], keepdims=1),
    "mean_over_channels": lambda g, x: g.node("ReduceMean", x, axes=[1], keepdims=1),
    "largest_over_rows": lambda g, x: g.node("ReduceMax", x, axes=[2], keepdims=1),
    "concat_of_rows": lambda g, x: g.node("Concat", x, cut([1], [5], [2], [1])(g, x), axis=2),
    "concat_of_channels": lambda g, x: g.node("Concat", x, cut([1], [3], [1], [1])(g, x), axis=1),
    "sum_with_one_row": lambda g, x: g.node("Add", x, cut([2], [3], [2], [1])(g, x)),
    "sum_with_means": lambda g, x: g.node("Add", x, g.node("GlobalAveragePool", x)),
}


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("scales", ["one", "each"])
def test_what_is_moved_keeps_its_integers(name: str, scales: str) -> None:
    """Before and after a convolution: of the input's channels with scales of their own, and with one."""
    rng = np.random.default_rng(len(name))
    graph = Graph(IMAGE, "UINT4")
    factor = powers(rng, 4, 1, 1, 1) if scales == "each" and name not in ("depth_to_space", "depth_to_space_crd") else 1
    if scales == "each" and name in ("mean_over_channels", "sum_with_means", "pad_with_a_value"):
        factor = np.float32(0.5)
    y = graph.node("Conv", "global_in", graph.weights(rng.integers(-7, 8, (4, 1, 1, 1)), factor), group=4)
    y = MOVES[name](graph, y)
    y = graph.quant(y, 0.5, 5, signed=1)
    lowered = assert_same_integers(graph.model(graph.node("Relu", y)))
    if name.startswith(("slice", "nearest", "tile", "gather", "pad")):
        assert "Take" in stages_of(lowered)


@pytest.mark.parametrize(
    "name", [n for n in MOVES if not n.startswith(("pad", "largest", "mean", "sum", "concat", "depth"))]
)
def test_a_pending_chain_moves_along(name: str) -> None:
    """Batch normalization with a negative gain, moved, then quantized."""
    rng = np.random.default_rng(7)
    graph = Graph(IMAGE, "UINT4")
    y = graph.node("Conv", "global_in", graph.weights(rng.integers(-7, 8, (4, 4, 1, 1))))
    y = graph.normalize(y, [1, -0.7, 2, 1.3], rng.normal(size=4), rng.normal(size=4), [1, 2, 3, 0.5])
    y = MOVES[name](graph, graph.node("Relu", y))
    assert_same_integers(graph.model(graph.quant(y, 0.37, 4)))


SHAPES: dict[str, tuple[int, ...]] = {"image": (1, 4, 5, 6), "sequence": (1, 4, 30), "flat": (1, 120)}


@pytest.mark.parametrize("kind", SHAPES)
def test_constants_that_differ_by_position(kind: str) -> None:
    rng = np.random.default_rng(3)
    graph = Graph(SHAPES[kind], "UINT4")
    y = graph.node("Mul", "global_in", rng.choice([-2.0, 0.5, 1.5], SHAPES[kind]))
    y = graph.node("Add", y, rng.integers(-8, 9, SHAPES[kind]) / 4)
    y = graph.quant(y, 0.5, 4, signed=1)
    weights = graph.weights(rng.integers(-7, 8, (120, 3)))
    lowered = assert_same_integers(graph.model(graph.node("MatMul", graph.node("Flatten", y), weights)))
    assert stages_of(lowered) == [*(["Take"] if kind != "flat" else []), "Threshold", "Dense"]


def test_normalization_of_flattened_features() -> None:
    rng = np.random.default_rng(5)
    graph = Graph((1, 3, 4, 4), "UINT4")
    y = graph.node("Flatten", graph.node("Conv", "global_in", graph.weights(rng.integers(-3, 4, (5, 3, 2, 2)))))
    y = graph.normalize(y, rng.normal(size=45), rng.normal(size=45), rng.normal(size=45), rng.uniform(0.5, 2, 45))
    y = graph.quant(graph.node("Relu", y), 0.3, 3)
    lowered = assert_same_integers(graph.model(graph.node("MatMul", y, graph.weights(rng.integers(-3, 4, (45, 3))))))
    assert stages_of(lowered) == ["Conv", "Take", "Threshold", "Dense"]


def test_thresholds_by_position_go_back_into_an_image() -> None:
    rng = np.random.default_rng(6)
    graph = Graph((1, 2, 4, 4), "UINT4")
    y = graph.quant(graph.node("Add", "global_in", rng.integers(-5, 6, (1, 2, 4, 4))), 1.0, 4, signed=1)
    y = graph.node("Conv", y, graph.weights(rng.integers(-3, 4, (3, 2, 3, 3))), pads=(1, 1, 1, 1))
    lowered = assert_same_integers(graph.model(y))
    assert stages_of(lowered) == ["Take", "Threshold", "Take", "Conv"]


@FEW
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
    ceil=st.booleans(),
    include=st.booleans(),
    sums=st.booleans(),
)
def test_averages_over_fewer_values_at_the_border(kernel, strides, pads, ceil, include, sums) -> None:
    kernel = tuple(max(k, max(p) + 1) for k, p in zip(kernel, (pads[::2], pads[1::2])))
    graph = Graph((1, 2, 7, 6), "UINT4")
    x = graph.node("Add", "global_in", np.float32(0.5)) if sums and not include else "global_in"
    y = graph.node(
        "AveragePool", x, kernel_shape=kernel, strides=strides, pads=pads, ceil_mode=int(ceil),
        count_include_pad=int(include),
    )  # fmt: skip
    assert_same_integers(graph.model(graph.quant(y, 0.77, 4), opset=19))


@FEW
@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilations=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pads=st.tuples(*[st.integers(0, 3)] * 4),
    extra=st.integers(0, 1),
    groups=st.sampled_from([1, 2]),
)
def test_transposed_convolutions(kernel, strides, dilations, pads, extra, groups) -> None:
    output = [s * 3 + d * (k - 1) + 1 + e - pads[a] - pads[a + 2]
              for a, (k, s, d, e) in enumerate(zip(kernel, strides, dilations, (extra, 0)))]  # fmt: skip
    if min(output) < 1 or extra >= strides[0]:
        return
    rng = np.random.default_rng(sum(kernel) + sum(pads))
    graph = Graph((1, 4, 4, 4), "UINT4")
    weights = graph.weights(rng.integers(-7, 8, (4, 6 // groups, *kernel)), powers(rng, 1, 6 // groups, 1, 1))
    y = graph.node(
        "ConvTranspose", "global_in", weights, rng.integers(-3, 4, 6), kernel_shape=kernel, strides=strides,
        dilations=dilations, pads=pads, group=groups, output_padding=(extra, 0),
    )  # fmt: skip
    assert_same_integers(graph.model(graph.quant(y, 2.0, 6, signed=1)))


def test_a_transposed_convolution_of_a_sequence_and_one_of_a_given_size() -> None:
    rng = np.random.default_rng(8)
    graph = Graph((1, 3, 9), "UINT4")
    y = graph.node(
        "ConvTranspose", "global_in", graph.weights(rng.integers(-7, 8, (3, 2, 4))), strides=[2], pads=[1, 1]
    )
    y = graph.quant(y, 2.0, 4, signed=1)
    y = graph.node(
        "ConvTranspose", y, graph.weights(rng.integers(-7, 8, (2, 2, 3))), strides=[3], auto_pad="SAME_UPPER"
    )
    assert_same_integers(graph.model(y))


def test_a_product_along_columns_is_one_along_channels() -> None:
    rng = np.random.default_rng(9)
    graph = Graph((1, 3, 4, 5), "UINT4")
    y = graph.node("MatMul", "global_in", graph.weights(rng.integers(-7, 8, (5, 2))))
    assert_same_integers(graph.model(graph.node("Relu", graph.quant(y, 2.0, 4, signed=1))))


@pytest.mark.parametrize("name", ["slice_rows", "slice_channels", "nearest_twice", "space_to_depth", "channel_shuffle"])
def test_a_graph_input_may_be_moved_before_it_is_quantized(name: str) -> None:
    graph = Graph(IMAGE, None)
    y = graph.quant(MOVES[name](graph, "global_in"), 1.0, 4)
    y = graph.node("GlobalAveragePool", graph.quant(graph.node("Mul", y, np.float32(1.5)), 2.0, 4))
    lowered = assert_same_integers(graph.model(y), input_datatype="FLOAT32", input_scale=1.0)
    assert lowered.network.input.hi == 15
