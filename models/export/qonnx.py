"""Keras to QONNX by walking the functional graph layer by layer.

Each Keras layer's output becomes a tensor of the same name, so that both sides can be compared
tensor by tensor (``act0`` is the quantized output of layer ``act0``). Layout is NCHW, batch 1.

Weights are stored as int8 with Cast and Mul in front of their Quant node: constant folding, the
first step of every QONNX tool, turns that into the usual float weights, and the file is a quarter
of the size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from bitswath.errors import ExportError
from bitswath.models.nets.architectures import InputSpec
from bitswath.models.nets.graph import layer_calls, plain_layer
from bitswath.models.nets.quantizers import ActivationQuantizer, WeightQuantizer, keras

__all__ = ["export_qonnx"]

QONNX_DOMAIN = "qonnx.custom_op.general"
OPSET = 13
INPUT_NAME = "codes"


@dataclass
class _Graph:
    """The ONNX graph under construction."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, value: Any, dtype: type[np.generic] = np.float32) -> str:
        array = np.array(value, dtype, order="C")
        self.initializers.append(onnx.numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], output, domain=domain, **attributes))
        return output

    def quantize(self, source: str, output: str, quantizer: ActivationQuantizer, scale: float) -> str:
        if quantizer.signed and quantizer.bits == 1:
            raise ExportError(f"layer {output!r}: one signed bit is bipolar in QONNX; expected at least 2 bits")
        inputs = [
            source,
            self.constant(f"{output}_scale", scale),
            self.constant(f"{output}_zero", 0),
            self.constant(f"{output}_bits", quantizer.bits),
        ]
        signed = int(quantizer.signed)
        return self.node("Quant", inputs, output, QONNX_DOMAIN, signed=signed, narrow=0, rounding_mode="ROUND")


def export_qonnx(model: keras.Model, spec: InputSpec) -> onnx.ModelProto:
    """QONNX of a quantization-aware model from `build_model` or of any Keras graph of its layers.

    The input ``codes`` is float32 (1, C, H, W) holding integers, annotated UINT<bits> (BINARY at one
    bit); the output is the logits. Raises `ExportError` naming a layer that has no QONNX form.
    """
    graph = _Graph()
    names: dict[int, str] = {}
    for layer, node in layer_calls(model):
        inputs = [names[id(tensor)] for tensor in node.keras_inputs]
        names[id(node.outputs)] = INPUT_NAME if not inputs else _export_layer(graph, layer, inputs)
    output = names[id(model.outputs[0])]
    return _finish(graph, output, spec, int(model.output_shape[-1]))


def _export_layer(graph: _Graph, wrapper: keras.layers.Layer, inputs: list[str]) -> str:
    layer = plain_layer(wrapper)
    convert = _CONVERTERS.get(type(layer).__name__)
    if convert is None:
        raise ExportError(f"layer {layer.name!r}: {type(layer).__name__} has no QONNX form here")
    quantizers = getattr(wrapper, "_output_quantizers", [])
    weighted = getattr(wrapper, "_weight_vars", [])
    kernel = _weight(graph, layer, *weighted[0]) if weighted else None
    output = f"{layer.name}_float" if quantizers else layer.name
    result = convert(graph, layer, inputs, output, kernel)
    if not quantizers:
        return result
    scale = quantizers[0].scale(wrapper._output_quantizer_vars).numpy()
    return graph.quantize(result, layer.name, quantizers[0], float(scale))


def _weight(graph: _Graph, layer: Any, kernel: Any, quantizer: WeightQuantizer, variables: Any) -> str:
    scale = quantizer.scale(kernel, variables).numpy()
    integers = np.round(quantizer(kernel, False, variables).numpy() / scale).astype(np.int8)
    integers, scale = _to_onnx_layout(layer, integers, scale)
    name = f"{layer.name}_kernel"
    scale_name = graph.constant(f"{name}_scale", scale if scale.size > 1 else scale.reshape(()))
    stored = graph.constant(f"{name}_integers", integers, np.int8)
    integral = graph.node("Cast", [stored], f"{name}_integral", to=TensorProto.FLOAT)
    dequantized = graph.node("Mul", [integral, scale_name], f"{name}_float")
    if quantizer.bits == 1:
        return graph.node("BipolarQuant", [dequantized, scale_name], name, QONNX_DOMAIN)
    zero, bits = graph.constant(f"{name}_zero", 0), graph.constant(f"{name}_bits", quantizer.bits)
    inputs = [dequantized, scale_name, zero, bits]
    return graph.node("Quant", inputs, name, QONNX_DOMAIN, signed=1, narrow=1, rounding_mode="ROUND")


def _to_onnx_layout(
    layer: Any, kernel: NDArray[np.int8], scale: NDArray[np.float32]
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    kind = type(layer).__name__
    if kind == "Conv2D":
        return kernel.transpose(3, 2, 0, 1), scale.transpose(3, 2, 0, 1)
    if kind == "DepthwiseConv2D":  # (h, w, channels, multiplier): output channel is c * multiplier + m
        height, width, channels, multiplier = kernel.shape
        return kernel.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width), scale
    return kernel, scale


def _convolution(graph: _Graph, layer: Any, inputs: list[str], output: str, kernel: str | None) -> str:
    _require(layer, layer.data_format == "channels_last", "channels_last data")
    depthwise = type(layer).__name__ == "DepthwiseConv2D"
    channels = int(layer.input_shape[-1])
    if kernel is None:
        raise ExportError(f"layer {layer.name!r}: its kernel is not quantized; annotate it with QuantizedWeights")
    bias = [graph.constant(f"{layer.name}_bias", layer.bias.numpy())] if layer.use_bias else []
    return _activated(
        graph,
        layer,
        output,
        lambda name: graph.node(
            "Conv",
            [inputs[0], kernel, *bias],
            name,
            kernel_shape=list(layer.kernel_size),
            strides=list(layer.strides),
            pads=_pads(layer, layer.kernel_size, layer.strides, layer.dilation_rate),
            dilations=list(layer.dilation_rate),
            group=channels if depthwise else layer.groups,
        ),
    )


def _dense(graph: _Graph, layer: Any, inputs: list[str], output: str, kernel: str | None) -> str:
    if kernel is None:
        raise ExportError(f"layer {layer.name!r}: its kernel is not quantized; annotate it with QuantizedWeights")
    if not layer.use_bias:
        return _activated(graph, layer, output, lambda name: graph.node("MatMul", [inputs[0], kernel], name))
    bias = graph.constant(f"{layer.name}_bias", layer.bias.numpy())
    product = graph.node("MatMul", [inputs[0], kernel], f"{output}_product")
    return _activated(graph, layer, output, lambda name: graph.node("Add", [product, bias], name))


def _activated(graph: _Graph, layer: Any, output: str, emit: Callable[[str], str]) -> str:
    name = layer.activation.__name__
    if name == "linear":
        return emit(output)
    _require(layer, name == "relu", f"a linear or relu activation, not {name}")
    return graph.node("Relu", [emit(f"{output}_linear")], output)


def _batchnorm(graph: _Graph, layer: Any, inputs: list[str], output: str, kernel: str | None) -> str:
    channels = layer.moving_mean.shape[0]
    gamma = layer.gamma.numpy() if layer.scale else np.ones(channels)
    beta = layer.beta.numpy() if layer.center else np.zeros(channels)
    names = [
        graph.constant(f"{layer.name}_{what}", value)
        for what, value in (
            ("gamma", gamma),
            ("beta", beta),
            ("mean", layer.moving_mean.numpy()),
            ("variance", layer.moving_variance.numpy()),
        )
    ]
    return graph.node("BatchNormalization", [inputs[0], *names], output, epsilon=float(layer.epsilon))


def _relu(graph: _Graph, layer: Any, inputs: list[str], output: str, kernel: str | None) -> str:
    _require(layer, not layer.negative_slope and not layer.threshold, "a plain ReLU")
    if layer.max_value is None:
        return graph.node("Relu", inputs, output)
    ends = [graph.constant(f"{output}_lowest", 0), graph.constant(f"{output}_highest", layer.max_value)]
    return graph.node("Clip", [inputs[0], *ends], output)


def _activation(graph: _Graph, layer: Any, inputs: list[str], output: str, kernel: str | None) -> str:
    name = layer.activation.__name__
    _require(layer, name in ("linear", "relu", "softmax"), f"a linear, relu or softmax activation, not {name}")
    if name == "linear":
        return inputs[0]
    return graph.node("Relu" if name == "relu" else "Softmax", inputs, output)


def _rescaling(graph: _Graph, layer: Any, inputs: list[str], output: str, kernel: str | None) -> str:
    offset = np.float32(layer.offset)
    scaled = graph.node(
        "Mul", [inputs[0], graph.constant(f"{output}_factor", layer.scale)], f"{output}_scaled" if offset else output
    )
    return graph.node("Add", [scaled, graph.constant(f"{output}_offset", offset)], output) if offset else scaled


def _lookup(graph: _Graph, layer: Any, inputs: list[str], output: str, kernel: str | None) -> str:
    """Codes to values, in the two forms that `bitswath.models.lowering` documents: palette and levels."""
    channels, entries, depth = layer.table.shape
    codes = graph.node("Cast", inputs, f"{output}_codes", to=TensorProto.INT64)
    if channels == 1:
        table = graph.constant(f"{output}_table", layer.table[0])
        rows = graph.node("Gather", [table, codes], f"{output}_rows", axis=0)  # (1, 1, H, W, D)
        axes = graph.constant(f"{output}_axes", [1], np.int64)
        pixels = graph.node("Squeeze", [rows, axes], f"{output}_pixels")
        return graph.node("Transpose", [pixels], output, perm=[0, 3, 1, 2])
    _require(layer, depth == 1, f"one value per code and band, not {depth}")
    starts = np.arange(channels).reshape(1, channels, 1, 1) * entries
    rows = graph.node("Add", [codes, graph.constant(f"{output}_starts", starts, np.int64)], f"{output}_rows")
    return graph.node("Gather", [graph.constant(f"{output}_table", layer.table.reshape(-1)), rows], output, axis=0)


def _pool(operator: str) -> Callable[..., str]:
    def convert(graph: _Graph, layer: Any, inputs: list[str], output: str, kernel: str | None) -> str:
        size, strides = list(layer.pool_size), list(layer.strides)
        pads = _pads(layer, size, strides, (1, 1))
        return graph.node(operator, inputs, output, kernel_shape=size, strides=strides, pads=pads)

    return convert


def _global_average(graph: _Graph, layer: Any, inputs: list[str], output: str, kernel: str | None) -> str:
    pooled = graph.node("GlobalAveragePool", inputs, f"{output}_map")
    return graph.node("Flatten", [pooled], output, axis=1)


def _flatten(graph: _Graph, layer: Any, inputs: list[str], output: str, kernel: str | None) -> str:
    """Keras flattens (H, W, C), ONNX (C, H, W): transposing first keeps Keras' order."""
    shape = layer.input_shape
    source = inputs[0]
    if len(shape) == 4 and shape[1] * shape[2] > 1:
        source = graph.node("Transpose", inputs, f"{output}_nhwc", perm=[0, 2, 3, 1])
    return graph.node("Flatten", [source], output, axis=1)


def _add(graph: _Graph, layer: Any, inputs: list[str], output: str, kernel: str | None) -> str:
    total = inputs[0]
    for index, term in enumerate(inputs[1:], 1):
        total = graph.node("Add", [total, term], output if index == len(inputs) - 1 else f"{output}_{index}")
    return total


def _concat(graph: _Graph, layer: Any, inputs: list[str], output: str, kernel: str | None) -> str:
    _require(layer, layer.axis in (-1, 3), f"concatenation of channels, not axis {layer.axis}")
    return graph.node("Concat", inputs, output, axis=1)


def _same(graph: _Graph, layer: Any, inputs: list[str], output: str, kernel: str | None) -> str:
    return inputs[0]


_CONVERTERS: dict[str, Callable[..., str]] = {
    "Activation": _activation,
    "Add": _add,
    "AveragePooling2D": _pool("AveragePool"),
    "BatchNormalization": _batchnorm,
    "CodeLookup": _lookup,
    "Concatenate": _concat,
    "Conv2D": _convolution,
    "Dense": _dense,
    "DepthwiseConv2D": _convolution,
    "Dropout": _same,
    "Flatten": _flatten,
    "GlobalAveragePooling2D": _global_average,
    "MaxPooling2D": _pool("MaxPool"),
    "ReLU": _relu,
    "Rescaling": _rescaling,
}


def _pads(layer: Any, kernel: Any, strides: Any, dilations: Any) -> list[int]:
    """ONNX pads; TensorFlow's SAME puts the odd pixel at the bottom and right."""
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    _require(layer, layer.padding == "same", f"padding valid or same, not {layer.padding}")
    before, after = [], []
    for extent, size, stride, dilation in zip(layer.input_shape[1:3], kernel, strides, dilations):
        total = max((-(-extent // stride) - 1) * stride + dilation * (size - 1) + 1 - extent, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return before + after


def _require(layer: Any, condition: bool, expected: str) -> None:
    if not condition:
        raise ExportError(f"layer {layer.name!r}: expected {expected}")


def _finish(graph: _Graph, output: str, spec: InputSpec, classes: int) -> onnx.ModelProto:
    from qonnx.core.datatype import DataType
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.infer_shapes import InferShapes

    height, width, channels = spec.shape
    source = helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, [1, channels, height, width])
    target = helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, classes])
    proto = helper.make_model(
        helper.make_graph(graph.nodes, "bitswath", [source], [target], graph.initializers),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(QONNX_DOMAIN, 1)],
        producer_name="bitswath",
    )
    wrapped = ModelWrapper(proto)
    wrapped.set_tensor_datatype(INPUT_NAME, DataType["BINARY" if spec.bits == 1 else f"UINT{spec.bits}"])
    return wrapped.transform(InferShapes()).model
