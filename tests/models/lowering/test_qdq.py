"""Graphs of QuantizeLinear and DequantizeLinear give the integers that ONNX Runtime computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from bitswath.errors import LoweringError
from bitswath.models.lowering import Lowered, lower
from tests import reference
from tests.models.graphs import ALL_SIGNED, FEW, MANY, Graph, assert_same_integers, every_value, stages_of

TYPES = (np.uint8, np.int8)


def pair(graph: Graph, x: str, scale: Any, zero: Any, clip: tuple[int, int] | None = None, **axis: int) -> str:
    """QuantizeLinear, perhaps Clip, DequantizeLinear."""
    parameters = [np.float32(scale), zero]
    scale, zero = graph.constant(parameters[0]), graph.constant(zero, zero.dtype)
    y = graph.node("QuantizeLinear", x, scale, zero, **axis)
    if clip is not None:
        y = graph.node("Clip", y, *(graph.constant(end, parameters[1].dtype) for end in clip))
    return graph.node("DequantizeLinear", y, scale, zero, **axis)


def stored(graph: Graph, integers: Any, scale: Any, zero: Any = None, **axis: int) -> str:
    """Weights that the file holds as int8."""
    zero = np.zeros(np.shape(scale), np.int8) if zero is None else zero
    inputs = (graph.constant(integers, np.int8), graph.constant(scale), graph.constant(zero, np.int8))
    return graph.node("DequantizeLinear", *inputs, **axis)


def runtime(model: Any, frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """What ONNX Runtime gives for frames (N, ...), one at a time, node by node as the graph says."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, str) else model.SerializeToString()
    session = onnxruntime.InferenceSession(source, options)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: frame[None]})[0] for frame in frames])


def network_output(lowered: Lowered, integers: NDArray[np.int64]) -> NDArray[np.float32]:
    return lowered.network.head.dequantize(reference.output(lowered.network, integers))


def entered(lowered: Lowered, pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The integers with which the network begins, of pixels (N, H, W, C)."""
    assert lowered.entry is not None
    return (pixels[..., None] >= lowered.entry.thresholds).sum(axis=-1) + lowered.network.input.lo


@MANY
@given(
    dtype=st.sampled_from(TYPES),
    scale=st.lists(st.floats(1 / 64, 3.0, width=32), min_size=3, max_size=3),
    zero=st.lists(st.integers(-128, 127), min_size=3, max_size=3),
    per_channel=st.booleans(),
    clip=st.one_of(st.none(), st.tuples(st.integers(-100, 0), st.integers(1, 100))),
)
def test_a_pair_is_one_quantizer_of_any_zero_point(dtype, scale, zero, per_channel, clip) -> None:
    shift = 0 if dtype is np.int8 else 128
    ends = None if clip is None else (clip[0] + shift, clip[1] + shift)
    graph = Graph((1, 3, 1, 256), "INT8")
    y = every_value(graph, np.array([0.25, 0.5, 1.0], np.float32).reshape(3, 1, 1, 1))
    if per_channel:
        y = pair(graph, y, scale, np.add(zero, shift).astype(dtype), ends, axis=1)
    else:
        y = pair(graph, y, scale[0], dtype(zero[0] + shift), ends)
    lowered = assert_same_integers(graph.model(y), ALL_SIGNED)
    assert stages_of(lowered) == ["Conv", "Threshold"]
    assert not np.any(lowered.network.head.offset)  # real zero is integer zero


@FEW
@given(seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from(TYPES), per_channel=st.booleans())
def test_a_network_of_pairs_equals_onnx_runtime(seed, dtype, per_channel) -> None:
    """Scales are powers of two, so that float sums are exact."""
    rng = np.random.default_rng(seed)
    shift = 0 if dtype is np.int8 else 128
    graph = Graph((1, 3, 9, 9), None)
    x = pair(graph, "global_in", 1 / 128, dtype(shift - 128 + rng.integers(0, 50)))
    scale = 2.0 ** -rng.integers(2, 6, 6) if per_channel else np.float32(1 / 8)
    axis = {"axis": 0} if per_channel else {}
    weights = stored(graph, rng.integers(-128, 128, (6, 3, 3, 3)), scale, **axis)
    bias = graph.node("DequantizeLinear", graph.constant(rng.integers(-999, 999, 6), np.int32), np.float32(2**-10))
    y = graph.node("Conv", x, weights, bias, kernel_shape=(3, 3), pads=(1, 1, 1, 1))
    y = pair(graph, graph.node("Relu", y), 1 / 16, dtype(shift - 128))
    y = pair(graph, graph.node("MaxPool", y, kernel_shape=(2, 2), strides=(2, 2)), 1 / 16, dtype(shift - 128))
    y = graph.node("Flatten", pair(graph, graph.node("LeakyRelu", y), 1 / 16, dtype(shift + rng.integers(-9, 9))))
    zero = rng.integers(-5, 5)
    y = graph.node("Gemm", y, stored(graph, rng.integers(-99, 99, (4, 96)), 1 / 32, zero), transB=1)
    model = graph.model(pair(graph, y, 4.0, dtype(shift)))
    lowered = lower(model, input_scale=1 / 255)
    pixels = rng.integers(0, 256, (6, 9, 9, 3), np.uint8)
    fed = (pixels.transpose(0, 3, 1, 2) * (1 / 255)).astype(np.float32)
    np.testing.assert_array_equal(network_output(lowered, entered(lowered, pixels)), runtime(model.model, fed))


@pytest.mark.parametrize("zero", [np.uint16(30000), np.int16(-5)])
def test_a_pair_of_sixteen_bits(zero: Any) -> None:
    graph = Graph((1, 3, 1, 256), "INT8")
    y = pair(graph, every_value(graph, np.float32(0.77)), 0.37 / 256, zero)
    lowered = assert_same_integers(graph.model(y, opset=21), ALL_SIGNED)
    assert lowered.network.output.bits > 15


@pytest.mark.parametrize(
    ("zero", "reason"),
    [(np.int32(3), "no zero point for 32-bit integers"), (np.int8(3), "a zero point of one type")],
)
def test_constants_on_which_onnx_runtime_would_abort_are_refused(zero: Any, reason: str) -> None:
    graph = Graph((1, 4), "INT8")
    inputs = (graph.constant([1, 2, 3, 4], np.int32), np.float32(0.5), graph.constant(zero, zero.dtype))
    y = graph.node("Add", "global_in", graph.node("DequantizeLinear", *inputs))
    with pytest.raises(LoweringError, match=rf"\(DequantizeLinear\): expected .*{reason}"):
        lower(graph.unchecked(y))


def test_halves_apart_and_zero_points_left_out() -> None:
    graph = Graph((1, 3, 1, 256), "INT8")
    y = graph.node("QuantizeLinear", every_value(graph, 0.25), np.float32(0.5))
    y = graph.node("Transpose", graph.node("MaxPool", y, kernel_shape=(1, 2)), perm=(0, 2, 3, 1))
    y = graph.node("DequantizeLinear", y, np.float32(0.5))
    lowered = assert_same_integers(graph.model(y), ALL_SIGNED)
    assert (lowered.network.output.lo, lowered.network.output.hi) == (0, 64)


def test_integers_at_both_ends() -> None:
    graph = Graph((1, 4, 5, 5), "UINT8")
    x = graph.node("Cast", "global_in", to=TensorProto.UINT8)
    x = graph.node("DequantizeLinear", x, np.float32(0.25), graph.constant(3, np.uint8))
    y = graph.node("Conv", x, stored(graph, np.arange(16).reshape(4, 4, 1, 1) - 8, 0.5), kernel_shape=(1, 1))
    y = graph.node("QuantizeLinear", y, np.float32(8), graph.constant(-20, np.int8))
    lowered = assert_same_integers(graph.model(y, element=TensorProto.INT8))
    np.testing.assert_array_equal(lowered.network.head.scale, 1)


class Readings(CalibrationDataReader):
    def __init__(self, frames: NDArray[np.float32]) -> None:
        self.frames = iter(frames)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        frame = next(self.frames, None)
        return None if frame is None else {"x": frame[None]}


def float_classifier(path: Path, end: str, rng: np.random.Generator) -> None:
    weights = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 8, 3, 3), "b2": (8,), "w3": (128, 5), "b3": (5,)}
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["c", "w2", "b2"], ["d"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("LeakyRelu", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["g"]),
        helper.make_node(end, ["g"], ["y"]),
    ]
    for index, node in enumerate(nodes):
        node.name = f"{node.op_type}_{index}"
    graph = helper.make_graph(
        nodes, "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])],
        [numpy_helper.from_array(rng.normal(0, 0.2, shape).astype(np.float32), k) for k, shape in weights.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


@pytest.mark.parametrize(
    ("end", "per_channel", "activations"),
    [
        ("Identity", False, QuantType.QUInt8),
        ("Identity", True, QuantType.QInt8),
        ("Sigmoid", True, QuantType.QUInt8),
        ("Softmax", False, QuantType.QInt8),
    ],
)
def test_onnx_runtimes_own_quantizer(tmp_path: Path, end: str, per_channel: bool, activations: QuantType) -> None:
    rng = np.random.default_rng(7)
    float_classifier(tmp_path / "float.onnx", end, rng)
    patches = rng.integers(0, 256, (40, 8, 8, 3), np.uint8)
    fed = (patches.transpose(0, 3, 1, 2) * (1 / 255)).astype(np.float32)
    quantized = str(tmp_path / "qdq.onnx")
    quantize_static(
        str(tmp_path / "float.onnx"), quantized, Readings(fed[:20]), quant_format=QuantFormat.QDQ,
        per_channel=per_channel, activation_type=activations, weight_type=QuantType.QInt8,
    )  # fmt: skip
    lowered = lower(quantized, input_scale=1 / 255)
    ours, theirs = network_output(lowered, entered(lowered, patches[20:])), runtime(quantized, fed[20:])
    if end == "Softmax":  # quantized behind the logits: left out, and said
        assert lowered.left_out == ("Softmax", "QuantizeLinear", "DequantizeLinear")
        chosen = np.take_along_axis(theirs, ours.argmax(axis=1)[:, None], axis=1)
        np.testing.assert_array_equal(chosen[:, 0], theirs.max(axis=1))
    else:
        steps = np.abs(ours - theirs) / lowered.network.head.scale
        assert steps.max() < 1.5  # a float sum on a rounding boundary may fall to either side
        assert (steps > 0.5).mean() < 0.02


@pytest.mark.parametrize(
    ("reason", "parameters"),
    [
        ("expected a positive scale", ([0.0], np.uint8(0))),
        ("expected integers of 8 or 16 bits", (1.0, np.float32(0))),
    ],
)
def test_parameters_without_integer_form_are_refused(reason: str, parameters: tuple[Any, Any]) -> None:
    graph = Graph((1, 3, 4, 4), "INT8")
    with pytest.raises(LoweringError, match=rf"\((Q|Deq)uantizeLinear\): {reason}"):
        lower(graph.unchecked(pair(graph, "global_in", *parameters)))


@pytest.mark.parametrize(("scale", "reached"), [(1 / 255, 2), (1.0, 256), (4.0, 65)])
def test_how_many_levels_declared_pixels_reach_is_known(scale: float, reached: int) -> None:
    """A pair made for pixels from 0 to 1 saturates for pixels as they are."""
    graph = Graph((1, 3, 4, 4), "UINT8")
    x = pair(graph, "global_in", scale, np.uint8(0), clip=(0, 255))
    y = graph.node("Conv", x, stored(graph, np.ones((2, 3, 1, 1)), 1.0), kernel_shape=(1, 1))
    quantizer = lower(graph.model(y)).quantizer
    assert scale == 1.0 or (quantizer is not None and (quantizer.reached, quantizer.levels) == (reached, 256))
    assert scale != 1.0 or quantizer is None
