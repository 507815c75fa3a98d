"""Networks that ONNX Runtime quantized to 8 bits, in both of its forms, give its integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from bitswath.models.lowering import Lowered, lower
from tests import reference
from tests.paths import DATA

QLINEAR = DATA / "models" / "qlinear_tinycnn_mbv2_esp.onnx"
DORY = DATA / "models" / "dory_residual_int8.onnx"
PIXEL = 1 / 255
PRODUCTS = ("QLinearConv", "QLinearMatMul", "QGemm")
"""Their inputs begin with integers, scale and zero point of one factor, then of the other."""
QUICK = 1 << 12
"""Evaluations before thresholds are bisected, which is as exact and sooner done."""


class Readings(CalibrationDataReader):
    def __init__(self, frames: NDArray[np.float32]) -> None:
        self.frames = iter(frames)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        frame = next(self.frames, None)
        return None if frame is None else {"x": frame[None]}


def residual_network(path: Path, end: str, pooling: str, rng: np.random.Generator) -> None:
    """Every kind of node that has a QOperator of its own."""
    shapes = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 1, 3, 3), "w3": (8, 8, 1, 1), "w4": (6, 14, 1, 1), "w5": (5, 6)}
    shapes |= {"w6": (5, 4), "b5": (5,)}
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w2"], ["c"], group=8, pads=[1, 1, 1, 1]),
        helper.make_node("LeakyRelu", ["c"], ["d"], alpha=0.1),
        helper.make_node("Conv", ["d", "w3"], ["e"]),
        helper.make_node("Add", ["b", "e"], ["f"]),
        helper.make_node("MaxPool", ["f"], ["g"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Concat", ["x", "x"], ["h"], axis=1),
        helper.make_node(pooling, ["h"], ["i"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Concat", ["g", "i"], ["j"], axis=1),
        helper.make_node("Conv", ["j", "w4"], ["k"]),
        helper.make_node("GlobalAveragePool", ["k"], ["l"]),
        helper.make_node("Flatten", ["l"], ["m"]),
        helper.make_node("Gemm", ["m", "w5", "b5"], ["n"], transB=1),
        helper.make_node("MatMul", ["n", "w6"], ["o"]),
        helper.make_node(end, ["o"], ["y"]),
    ]
    for index, node in enumerate(nodes):
        node.name = f"{node.op_type}_{index}"
    initializers = [numpy_helper.from_array(rng.normal(0, 0.3, s).astype(np.float32), k) for k, s in shapes.items()]
    graph = helper.make_graph(
        nodes, "residual",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 12, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        initializers,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)


def unsaturated(path: str | Path) -> ModelProto:
    """The same model with unsigned weights where they meet unsigned integers: ONNX Runtime's sums of signed ones with
    those saturate at 16 bits on AVX2 without VNNI."""
    model = onnx.load(path)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type not in PRODUCTS or constants[node.input[2]].data_type != TensorProto.UINT8:
            continue
        for index in (3, 5):
            tensor = constants[node.input[index]]
            if tensor.data_type == TensorProto.INT8:
                node.input[index] += " unsigned"
                moved = (numpy_helper.to_array(tensor).astype(np.int16) + 128).astype(np.uint8)
                model.graph.initializer.append(numpy_helper.from_array(moved, node.input[index]))
    return model


def run(path: str | Path, frames: NDArray[np.float32]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(unsaturated(path).SerializeToString(), options)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: frame[None]})[0] for frame in frames])


def network_output(lowered: Lowered, pixels: NDArray[np.uint8]) -> NDArray[Any]:
    assert lowered.entry is not None
    codes = (pixels[..., None] >= lowered.entry.thresholds).sum(axis=-1) + lowered.network.input.lo
    return lowered.network.head.dequantize(reference.output(lowered.network, codes))


@pytest.mark.parametrize("form", [QuantFormat.QOperator, QuantFormat.QDQ])
@pytest.mark.parametrize(
    ("activations", "weights", "per_channel", "end"),
    [
        (QuantType.QUInt8, QuantType.QInt8, True, "Identity"),
        (QuantType.QUInt8, QuantType.QUInt8, False, "Sigmoid"),
        (QuantType.QInt8, QuantType.QInt8, True, "Sigmoid"),
    ],
)
def test_a_residual_network(
    tmp_path: Path, form: Any, activations: Any, weights: Any, per_channel: bool, end: str
) -> None:
    rng = np.random.default_rng(3)
    pooling = "AveragePool" if form == QuantFormat.QOperator else "MaxPool"
    residual_network(tmp_path / "float.onnx", end, pooling, rng)
    pixels = rng.integers(0, 256, (30, 12, 12, 3), np.uint8)
    frames = (pixels.transpose(0, 3, 1, 2) * PIXEL).astype(np.float32)
    quantized = tmp_path / "quantized.onnx"
    quantize_static(
        str(tmp_path / "float.onnx"), str(quantized), Readings(frames[:10]), quant_format=form,
        per_channel=per_channel, activation_type=activations, weight_type=weights,
    )  # fmt: skip
    kinds = {node.op_type for node in onnx.load(quantized).graph.node}
    assert form == QuantFormat.QDQ or {"QLinearConv", "QLinearAdd", "QLinearConcat", "QGemm"} <= kinds
    lowered = lower(quantized, input_scale=PIXEL)
    ours, theirs = network_output(lowered, pixels), run(quantized, frames)
    steps = np.abs(ours - theirs) / lowered.network.head.scale
    if form == QuantFormat.QOperator:
        np.testing.assert_array_equal(ours, theirs)
    else:  # a float sum on a rounding boundary may fall to either side
        assert steps.max() < 1.5 and (steps > 0.5).mean() < 0.02


@pytest.mark.skipif(not QLINEAR.exists(), reason=f"{QLINEAR} is not here")
def test_a_mobile_network_of_operators_on_integers() -> None:
    lowered = lower(QLINEAR, input_scale=1 / 63.75, input_offset=-2.0, exhaustive_limit=QUICK)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    frames = (pixels * (1 / 63.75) - 2.0).astype(np.float32).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(network_output(lowered, pixels), run(QLINEAR, frames))


@pytest.mark.skipif(not DORY.exists(), reason=f"{DORY} is not here")
def test_an_integer_graph_with_a_residual_sum(tmp_path: Path) -> None:
    """Kappa, lambda and divisions of integers; the last Sigmoid is left out."""
    lowered = lower(DORY, input_datatype="UINT8", exhaustive_limit=QUICK)
    assert lowered.left_out == ("Sigmoid",)
    model = onnx.load(DORY)
    model.graph.output[0].name = model.graph.node[-1].input[0]
    model.graph.node.pop()
    onnx.save(model, tmp_path / "logits.onnx")
    coarse = np.random.default_rng(0).integers(0, 256, (2, 20, 20, 1))
    codes = coarse.repeat(10, axis=1).repeat(10, axis=2)
    ours = lowered.network.head.dequantize(reference.output(lowered.network, codes))
    np.testing.assert_array_equal(ours, run(tmp_path / "logits.onnx", codes.transpose(0, 3, 1, 2).astype(np.float32)))
