"""What FINN's steps made of a graph gives what qonnx's own operators give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.transformation.lower_convs_to_matmul import LowerConvsToMatMul

from bitswath.errors import LoweringError
from bitswath.models.lowering import lower
from tests import reference
from tests.models.graphs import FEW, QONNX, Graph, random_codes, run_qonnx
from tests.paths import DATA

MODEL = DATA / "models" / "tcn_im2col_finn.onnx"


def assert_equal(model: ModelWrapper, **options: Any) -> list[str]:
    """The network gives what qonnx computes with the graph's own operators."""
    lowered = lower(model, **options)
    codes = random_codes(lowered, np.random.default_rng(0))
    ours = lowered.network.head.dequantize(reference.output(lowered.network, codes))
    for frame, result in zip(lowered.reals(lowered.input, codes), ours):
        expected = run_qonnx(model, frame[None])[lowered.output]
        index = lowered.tensors[lowered.output].index.reshape(-1)
        np.testing.assert_array_equal(result.reshape(-1)[index], expected.reshape(-1))
    return [type(stage).__name__ for stage in lowered.network.stages]


@FEW
@given(
    seed=st.integers(0, 2**32 - 1),
    depthwise=st.booleans(),
    kernel=st.sampled_from([(3, 3), (1, 3), (2, 1)]),
    strides=st.sampled_from([(1, 1), (2, 1)]),
    pads=st.sampled_from([(0, 0, 0, 0), (1, 0, 1, 2)]),
    dilations=st.sampled_from([(1, 1), (2, 2)]),
)
def test_convolutions_that_qonnx_lowered(seed, depthwise, kernel, strides, pads, dilations) -> None:
    rng = np.random.default_rng(seed)
    graph = Graph((1, 4, 9, 8), "INT4")
    weights = rng.integers(-8, 8, (4 if depthwise else 3, 1 if depthwise else 4, *kernel)).astype(np.float32)
    attributes = {"kernel_shape": kernel, "strides": strides, "pads": pads, "dilations": dilations}
    y = graph.node("Conv", "global_in", weights, group=4 if depthwise else 1, **attributes)
    thresholds = np.sort(rng.integers(-200, 200, (len(weights), 7)), axis=1)
    y = graph.node("MultiThreshold", y, thresholds.astype(np.float32), domain=QONNX, out_dtype="UINT3")
    model = graph.model(y)
    model.set_tensor_datatype(graph.nodes[0].input[1], DataType["INT4"])
    model = model.transform(InferDataTypes()).transform(LowerConvsToMatMul()).transform(InferShapes())
    kinds = [node.op_type for node in model.graph.node]
    assert "Im2Col" in kinds and "Conv" not in kinds
    assert assert_equal(model) == ["Conv", "Threshold"]


def im2col(graph: Graph, x: str, shape: tuple[int, ...], **attributes: Any) -> str:
    given = {"stride": (1, 1), "kernel_size": (2, 2), "input_shape": str(shape), **attributes}
    return graph.node("Im2Col", x, domain=QONNX, **given)


def test_channels_last_all_the_way() -> None:
    rng = np.random.default_rng(1)
    graph = Graph((1, 6, 5, 3), "UINT4")
    y = graph.node("MatMul", im2col(graph, "global_in", (1, 6, 5, 3)), rng.integers(-8, 8, (12, 4)).astype(np.float32))
    thresholds = np.sort(rng.integers(-90, 90, (4, 15)), axis=1).astype(np.float32)
    attributes = {"out_dtype": "INT4", "out_bias": -8.0, "data_layout": "NHWC"}
    y = graph.node("MultiThreshold", y, thresholds, domain=QONNX, **attributes)
    y = graph.node("MatMul", im2col(graph, y, (1, 5, 4, 4)), rng.integers(-8, 8, (16, 2)).astype(np.float32))
    model = graph.model(graph.node("Flatten", y))
    model.set_tensor_layout("global_in", ["N", "H", "W", "C"])
    for node in model.graph.node:
        model.set_tensor_datatype(node.input[0], DataType["INT8"])
    model.set_tensor_datatype("global_in", DataType["UINT4"])
    assert assert_equal(model)[:3] == ["Conv", "Threshold", "Conv"]


def test_counted_agreements() -> None:
    rng = np.random.default_rng(2)
    graph = Graph((1, 40), "BINARY")
    y = graph.node("XnorPopcountMatMul", "global_in", rng.integers(0, 2, (40, 6)).astype(np.float32), domain=QONNX)
    thresholds = np.sort(rng.integers(10, 30, (6, 1)), axis=1).astype(np.float32)
    y = graph.node("MultiThreshold", y, thresholds, domain=QONNX, out_dtype="BINARY")
    y = graph.node("XnorPopcountMatMul", y, rng.integers(0, 2, (6, 4)).astype(np.float32), domain=QONNX)
    assert assert_equal(graph.model(y))[0] == "Dense"


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("kernel", "signed", "obits"), [(3, 1, 4), (2, 0, 4), (3, 0, 8)])
def test_quantized_averages(layout: str, kernel: int, signed: int, obits: int) -> None:
    shape = (1, 3, 6, 6) if layout == "NCHW" else (1, 6, 6, 3)
    graph = Graph(shape, "INT4" if signed else "UINT4")
    attributes = {"kernel": kernel, "stride": 2, "ibits": 4, "obits": obits, "signed": signed, "data_layout": layout}
    y = graph.node("DebugMarker", "global_in", domain=QONNX, export_debug_name="marked")
    y = graph.node("QuantAvgPool2d", y, domain=QONNX, **attributes)
    side = (6 - kernel) // 2 + 1
    reached = (1, 3, side, side) if layout == "NCHW" else (1, side, side, 3)
    model = graph.model(graph.node("Identity", y), shapes={"debugmarker0": shape, y: reached})
    model.set_tensor_layout("global_in", list(layout))
    assert assert_equal(model)[0] == "SumPool"


@pytest.mark.parametrize(
    "attributes", [{"start_idx": 0, "slice_length": 3, "step": 2}, {"start_idx": 2, "slice_length": 2}]
)
def test_streaming_slices(attributes: dict[str, int]) -> None:
    given = {"step": 1, **attributes}
    graph = Graph((1, 2, 6, 1), "INT4")
    domain = "finn.custom_op.fpgadataflow"
    y = graph.node("StreamingSlice", "global_in", domain=domain, axis=2, **given)
    lowered = lower(graph.unchecked(y))
    codes = random_codes(lowered, np.random.default_rng(0))
    start, length, step = given["start_idx"], given["slice_length"], given["step"]
    ours = lowered.network.head.dequantize(reference.output(lowered.network, codes))
    np.testing.assert_array_equal(ours, codes[:, start : start + length * step : step])


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (
            lambda g: g.node("Relu", im2col(g, "global_in", (1, 6, 5, 3))),
            r"\(Im2Col\): expected to be read by a MatMul",
        ),
        (
            lambda g: g.node("MatMul", im2col(g, "global_in", (1, 6, 5, 3), pad_value=1), np.ones((12, 4))),
            r"\(Im2Col\): pads with 1; expected 0",
        ),
        (
            lambda g: g.node("XnorPopcountMatMul", "global_in", np.full((3, 2), 0.5), domain=QONNX),
            r"\(XnorPopcountMatMul\): expected weights of 0 and 1",
        ),
        (
            lambda g: g.node("DuplicateStreams", "global_in", domain="finn.custom_op.fpgadataflow"),
            r"\(DuplicateStreams\): is made by a step of FINN's build",
        ),
    ],
)
def test_what_has_no_form_is_refused(build, reason) -> None:
    graph = Graph((1, 6, 5, 3), "UINT4")
    with pytest.raises(LoweringError, match=reason):
        lower(graph.unchecked(build(graph)))


@pytest.mark.skipif(not MODEL.exists(), reason=f"{MODEL} is not here")
def test_a_network_that_finn_streamlined() -> None:
    """A FINN build's graph, its hardware slice written as the Slice that it does."""
    lowered = lower(MODEL, exhaustive_limit=1 << 12)
    model = ModelWrapper(str(MODEL))
    (hardware,) = (node for node in model.graph.node if node.op_type == "StreamingSlice")
    bounds = {"starts": [0], "ends": [65], "axes": [1], "steps": [4]}
    for name, values in bounds.items():
        model.set_initializer(name, np.array(values))
    hardware.CopyFrom(helper.make_node("Slice", [hardware.input[0], *bounds], [hardware.output[0]]))
    model = model.transform(InferShapes())
    thresholds = next(model.get_initializer(n.input[1]) for n in model.graph.node if n.op_type == "MultiThreshold")
    thresholds = thresholds.reshape(-1)
    signal = np.random.default_rng(0).uniform(1.2 * thresholds[0], 1.2 * thresholds[-1], (1, 665)).astype(np.float32)
    codes = (signal[..., None] >= thresholds).sum(axis=-1)[:, :, None, None] - 128
    ours = lowered.network.head.dequantize(reference.output(lowered.network, codes))
    for result, frame in zip(ours, signal):
        np.testing.assert_array_equal(result, run_qonnx(model, frame.reshape(1, 1, 665, 1))["global_out"][0])
