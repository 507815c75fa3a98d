"""What has no integer form is refused in one line that names node, operator and reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from bitswath.errors import LoweringError
from bitswath.models.lowering import lower
from tests.models.graphs import QONNX, Graph

CASES: dict[str, tuple[str, Callable[[Graph], str]]] = {}


def refused(reason: str) -> Callable[[Callable[[Graph], str]], Callable[[Graph], str]]:
    def register(build: Callable[[Graph], str]) -> Callable[[Graph], str]:
        CASES[build.__name__.strip("_")] = (reason, build)
        return build

    return register


def conv(graph: Graph, x: str = "global_in", channels: int = 4, **attributes) -> str:
    weights = graph.weights(np.ones((4, channels, 3, 3)))
    return graph.node("Conv", x, weights, kernel_shape=(3, 3), pads=(1, 1, 1, 1), **attributes)


@refused(r"'LRN_0' \(LRN\): this operator has no integer form")
def _unknown_operator(graph: Graph) -> str:
    return graph.node("LRN", "global_in", size=3)


@refused("pads with 0.5, which is no integer of its input's scale")
def _padding_with_a_half(graph: Graph) -> str:
    return graph.node("Pad", "global_in", graph.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64), np.float32(0.5))


@refused(r"interpolates \(linear\)")
def _interpolation(graph: Graph) -> str:
    return graph.node("Resize", "global_in", graph.constant([]), graph.constant([1, 1, 2, 2]), mode="linear")


@refused("along the batch axis, which must stay 1 frame")
def _batch_repeated(graph: Graph) -> str:
    return graph.node("Tile", "global_in", graph.constant([2, 1, 1, 1], np.int64))


@refused("joins tensors of shapes")
def _sum_of_shapes_that_do_not_fit(graph: Graph) -> str:
    return graph.node("Add", "global_in", graph.node("MaxPool", "global_in", kernel_shape=(2, 2)))


@refused("expected integer or quantized weights, got floats")
def _float_weights(graph: Graph) -> str:
    return graph.node("Conv", "global_in", np.full((4, 4, 3, 3), 0.3), kernel_shape=(3, 3))


@refused(r"\(Conv\): needs integers, but Sigmoid 'Sigmoid_2' before it is not quantized")
def _no_quantizer(graph: Graph) -> str:
    return conv(graph, graph.node("Sigmoid", conv(graph)))


@refused("in no small integer ratio")
def _unequal_scales_in_a_sum(graph: Graph) -> str:
    return graph.node("Add", graph.quant(conv(graph), 1.0, 4), graph.quant(conv(graph), 0.7123, 4))


@refused(r"'MatMul_2' \(MatMul\): multiplies two computed tensors, as attention does")
def _attention(graph: Graph) -> str:
    return graph.node("MatMul", conv(graph), "global_in")


@refused(r"\(Mul\): expected one computed tensor and constants, or two that are functions of one .*, got others")
def _gate(graph: Graph) -> str:
    return graph.node("Mul", graph.quant(conv(graph), 1.0, 4), "global_in")


@refused("needs integers, but Sigmoid")
def _nonlinear_sum(graph: Graph) -> str:
    return graph.node("Add", graph.node("Sigmoid", conv(graph)), "global_in")


@refused("no integer multiples of each other")
def _input_scales_within_an_output(graph: Graph) -> str:
    x = graph.quant("global_in", np.array([0.3, 1, 0.7, 2]).reshape(1, 4, 1, 1), 3)
    return conv(graph, x)


@refused("real zero is not an integer zero")
def _padding_after_an_offset(graph: Graph) -> str:
    return conv(graph, graph.node("Add", "global_in", np.float32(0.5)))


@refused("pools values that fall as their integers rise")
def _minimum_pool(graph: Graph) -> str:
    y = graph.node("MaxPool", graph.node("Neg", conv(graph)), kernel_shape=(2, 2))
    return conv(graph, graph.node("Neg", y))


@refused("unknown rounding mode 'ROUND_SOMEHOW'")
def _rounding_mode(graph: Graph) -> str:
    return graph.quant(conv(graph), 1.0, 4, mode="ROUND_SOMEHOW")


@refused("expected a positive scale")
def _zero_scale(graph: Graph) -> str:
    return graph.quant(conv(graph), 0.0, 4)


@refused("parameters; scale, zero point and width must be initializers")
def _dynamic_scale(graph: Graph) -> str:
    return graph.node("Quant", conv(graph), "global_in", 0.0, 4.0, domain=QONNX, signed=1, narrow=0)


@refused("can only end the graph")
def _softmax_inside(graph: Graph) -> str:
    y = graph.node("Softmax", graph.node("Flatten", graph.node("GlobalAveragePool", "global_in")), axis=1)
    return graph.node("MatMul", y, graph.weights(np.ones((4, 2))))


@refused("a 1-bit signed quantizer with a zero point")
def _bipolar_zero_point(graph: Graph) -> str:
    return graph.quant(conv(graph), 1.0, 1, signed=1, zero_point=1)


@refused("outside the integers 0..7 of the table")
def _short_table(graph: Graph) -> str:
    codes = graph.node("Cast", "global_in", to=TensorProto.INT64)
    return graph.node("Gather", graph.constant(np.arange(8)), codes, axis=0)


@refused("divides a constant by a tensor")
def _reciprocal(graph: Graph) -> str:
    return graph.node("Div", np.float32(1), conv(graph))


@refused(r"'Relu_2' \(Relu\): gives reals that stand for no integers; put a Quant behind it")
def _float_end(graph: Graph) -> str:
    weights = graph.weights(np.full((4, 4, 1, 1), 3), 0.37)
    bias = np.full(4, 0.21)
    return graph.node("Relu", graph.node("Conv", "global_in", weights, bias, kernel_shape=(1, 1)))


@refused("joins along the batch axis")
def _batch_concat(graph: Graph) -> str:
    return graph.node("Concat", "global_in", "global_in", axis=0)


@refused("thresholds would be needed")
def _too_many_thresholds(graph: Graph) -> str:
    y = graph.node("MatMul", graph.node("Flatten", "global_in"), graph.weights(np.full((100, 1), 127)))
    return graph.quant(graph.node("Mul", y, np.float32(64)), 1.0, 30)


@refused("an input of at least the kernel's")
def _kernel_larger_than_image(graph: Graph) -> str:
    return graph.node("MaxPool", graph.node("MaxPool", "global_in", kernel_shape=(4, 4)), kernel_shape=(3, 3))


@refused(r"\(QLinearConv\): expected one zero point of 8 or 16 bits, got float")
def _operator_of_integers(graph: Graph) -> str:
    return graph.node("QLinearConv", "global_in", *np.ones((7, 1)))


@refused(r"\(QLinearWhere\): is an operator of a QOperator graph that is not read; .*QuantFormat\.QDQ")
def _operator_of_integers_of_onnx_runtime(graph: Graph) -> str:
    return graph.node("QLinearWhere", "global_in", np.ones((4, 4)), domain="com.microsoft")


@refused(r"\(DynamicQuantizeLinear\): computes its scales anew for each input, .*quantize_static")
def _scales_of_each_input(graph: Graph) -> str:
    return graph.node("DynamicQuantizeLinear", "global_in")


@refused(r"\(FusedConv\): belongs to ONNX Runtime's own domain 'com\.microsoft', .* without .* optimizations")
def _fused_operator(graph: Graph) -> str:
    return graph.node("FusedConv", "global_in", np.ones((4, 4, 1, 1)), domain="com.microsoft")


@refused(r"\(Relu\): belongs to the domain 'ai\.onnx\.ml', which is not read")
def _known_operator_of_another_domain(graph: Graph) -> str:
    return graph.node("Relu", "global_in", domain="ai.onnx.ml")


@refused(r"\(Normalizer\): belongs to the domain 'ai\.onnx\.ml', which is not read")
def _constant_of_another_domain(graph: Graph) -> str:
    return graph.node("Normalizer", np.ones((1, 4)), domain="ai.onnx.ml")


@refused(r"\(Im2Col\): expected to be read by a MatMul")
def _convolution_that_finn_lowered(graph: Graph) -> str:
    return graph.node("Im2Col", "global_in", domain=QONNX)


@refused(r"\(StreamingFIFO\): is made by a step of FINN's build")
def _hardware_operator(graph: Graph) -> str:
    return graph.node("StreamingFIFO", "global_in", domain="finn.custom_op.fpgadataflow")


@refused(r"\(GlobalAveragePool\): has no channels-last form")
def _operator_without_a_channels_last_form(graph: Graph) -> str:
    return graph.node("GlobalAveragePool", "global_in", domain="qonnx.custom_op.channels_last")


@refused(r"\(Conv\): takes only constants")
def _convolution_of_constants(graph: Graph) -> str:
    return graph.node("Conv", np.ones(8), np.ones((8, 3, 3, 3)), np.ones(8), kernel_shape=(3, 3))


@refused(r"does not keep to its operator's specification \(.*\); export the model again")
def _missing_input(graph: Graph) -> str:
    return graph.node("Conv", "global_in", kernel_shape=(3, 3))


@refused(r"does not keep to its operator's specification")
def _attribute_of_another_type(graph: Graph) -> str:
    return graph.node("MaxPool", "global_in", kernel_shape=1.5)


@refused("expected a bit width of 1 to 64, got 1e\\+09")
def _absurd_width(graph: Graph) -> str:
    return graph.quant(conv(graph), 1.0, 1e9)


@pytest.mark.parametrize("case", CASES)
def test_refusal_names_node_operator_and_reason(case: str) -> None:
    reason, build = CASES[case]
    graph = Graph((1, 4, 5, 5), "UINT4")
    model = graph.unchecked(build(graph))
    with pytest.raises(LoweringError, match=reason) as caught:
        lower(model)
    assert str(caught.value).startswith("node '")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("op", ["Conv", "Trunc"])
def test_an_input_without_integers_is_refused(op: str) -> None:
    graph = Graph((1, 4, 5, 5), None)
    if op == "Conv":
        y = conv(graph)
    else:
        y = graph.node("Trunc", "global_in", 0.25, 0.0, 8.0, 4.0, domain=QONNX, rounding_mode="FLOOR")
    with pytest.raises(LoweringError, match="--input-datatype UINT8"):
        lower(graph.unchecked(y))
    if op != "Trunc":
        assert lower(graph.unchecked(y), input_datatype="INT6").network.input.bits == 6


def test_an_input_quantized_in_two_ways_is_refused() -> None:
    graph = Graph((1, 4, 5, 5), None)
    y = graph.node("Add", graph.quant("global_in", 1.0, 4), graph.quant("global_in", 0.5, 4))
    with pytest.raises(LoweringError, match="quantize it once"):
        lower(graph.unchecked(y))


@pytest.mark.parametrize("datatype", ["FLOAT16", "UNIT8"])
def test_an_input_datatype_must_be_integer(datatype: str) -> None:
    graph = Graph((1, 4, 5, 5), None)
    with pytest.raises(LoweringError, match="such as UINT8"):
        lower(graph.unchecked(graph.quant("global_in", 1.0, 4)), input_datatype=datatype)


@pytest.mark.parametrize("shape", [(1, 4, 0, 5), (1, 4, 5, 5, 5), (4,)])
def test_an_input_shape_must_be_fixed(shape: tuple[int, ...]) -> None:
    graph = Graph(shape, "UINT4")
    with pytest.raises(LoweringError, match="expected a fixed shape"):
        lower(graph.unchecked(graph.node("Relu", "global_in")))


def test_files_that_are_no_models_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"\xff\xfenot a model")
    with pytest.raises(LoweringError, match=r"broken\.onnx: not an ONNX file"):
        lower(tmp_path / "broken.onnx")
    with pytest.raises(LoweringError, match=r"absent\.onnx: cannot be read"):
        lower(tmp_path / "absent.onnx")


def test_a_graph_needs_an_output_that_is_computed() -> None:
    graph = Graph((1, 4, 5, 5), "UINT4")
    with pytest.raises(LoweringError, match="expected an output computed from the input"):
        lower(graph.unchecked(graph.node("Relu", np.ones(3))))


@pytest.mark.parametrize(("version", "known"), [(1, False), (999, False), (7, True)])
def test_operator_sets_that_onnx_runtime_does_not_execute_are_refused(version: int, known: bool) -> None:
    graph = Graph((1, 4, 5, 5), "UINT4")
    model = graph.unchecked(conv(graph), opset=version)
    if known:
        assert lower(model).network.macs
        return
    with pytest.raises(LoweringError, match=f"operator set {version}, read are 7 to"):
        lower(model)


def test_an_input_annotation_that_is_no_datatype_is_refused() -> None:
    model = (graph := Graph((1, 4, 5, 5), "UINT4")).unchecked(conv(graph))
    (annotation,) = model.graph.quantization_annotation
    annotation.quant_parameter_tensor_names[0].value = "UNIT4"
    with pytest.raises(LoweringError, match=r"no datatype of QONNX .* --input-datatype"):
        lower(model)
    model.graph.quantization_annotation.append(annotation)
    with pytest.raises(LoweringError, match="annotated 2 times"):
        lower(model)


def test_an_input_that_no_memory_holds_is_refused() -> None:
    graph = Graph((1, 4, 1 << 20, 1 << 20), "UINT4")
    with pytest.raises(LoweringError, match="expected at most 268,435,456 values"):
        lower(graph.unchecked(graph.node("Relu", "global_in")))


def test_an_input_that_is_the_output_is_refused() -> None:
    graph = Graph((1, 4, 5, 5), "UINT4")
    with pytest.raises(LoweringError, match="output 'global_in': no node computes it"):
        lower(graph.unchecked("global_in"))
