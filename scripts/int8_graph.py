"""The 8-bit graph that a user of an 8-bit runtime would deploy for an integer network, and its ONNX forms.

Codes become uint8 with a step that puts the largest code at 255 (a step of 1/17 for 4-bit codes), so that
the saturation of 8 bits is the saturation of the codes and ReLU costs nothing. Weights are int8, and
each row of thresholds becomes a scale and a bias: the line through its steps. This favours the
runtime: no Clip, no thresholds, and 8 bits where the network has fewer. Its results are therefore near
the network's, not equal to them. `build` walks a network and hands its operators to a `Builder`;
`litert_graph` has the one for LiteRT.

In ONNX the graph has three forms, which ONNX Runtime optimizes to different kernels:

- "qlinear": QLinearConv, channels first, as the ONNX standard has it.
- "qdq": float operators between DequantizeLinear and QuantizeLinear, which ONNX Runtime fuses.
- "nhwc": com.microsoft's QLinearConv and NhwcMaxPool, channels last, nothing to transpose.

ONNX Runtime 1.25 turns all three into the channels-last operators of the third; what is left to tell
apart is the transposition of the input. uint8 weights run at half the speed of int8, int8 activations
at a tenth (AVX512-VNNI, AMX).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bitswath.errors import ExportError
from bitswath.network.network import INPUT, Add, Conv, Dense, MaxPool, Network, Stage, SumPool, Threshold

__all__ = ["FORMS", "Builder", "Form", "Parameters", "Quantized", "affine_of", "build", "int8_model"]

Form = Literal["qlinear", "qdq", "nhwc"]
FORMS: tuple[Form, ...] = ("qlinear", "qdq", "nhwc")
MICROSOFT = "com.microsoft"
OPSET = 17
IR_VERSION = 10
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Quantized:
    """A uint8 tensor of the graph: ``code = scale * (value - zero)``."""

    name: str
    scale: float
    zero: int


@dataclass(frozen=True)
class Parameters:
    """Of a weighted stage that gives ``slopes * accumulator + offsets`` of codes.

    `weights`: int8, shaped as the stage's, negated where the output falls; `scales`: float64 (outputs,), theirs;
    `bias`: int32 (outputs,), in steps of the source's scale times them.
    """

    weights: NDArray[np.int8]
    scales: Floats
    bias: NDArray[np.int32]


class Builder(Protocol):
    """Takes the operators of an 8-bit graph one after the other; each gives its output tensor."""

    def conv(self, stage: Conv, source: Quantized, by: Parameters, target: Quantized) -> Quantized: ...

    def dense(
        self, stage: Dense, shape: tuple[int, ...], source: Quantized, by: Parameters, target: Quantized | None
    ) -> Quantized:
        """Of a source of `shape`, (H, W, C) or (C,). Without a `target` it ends the graph."""

    def max_pool(self, stage: MaxPool, source: Quantized) -> Quantized: ...

    def sum(self, name: str, inputs: list[Quantized], target: Quantized) -> Quantized:
        """`inputs` at scales that make their sum the target's code."""

    def mean(self, name: str, source: Quantized) -> Quantized:
        """Over the map."""


def affine_of(stage: Threshold, lo: Integers, hi: Integers) -> tuple[Floats, Floats]:
    """Slope and offset, (C or 1,) each, of the line ``slope * x + offset`` that `stage` rounds.

    `lo`, `hi`: of x, by channel or one for all. A step from code k to k + 1 between x = t - 1 and x = t puts
    k + 1/2 at t - 1/2. Thresholds that no x crosses are left out unless fewer than two remain. Slopes are negative
    where the output falls.
    """
    count = len(stage.thresholds)
    if count == 1:
        lo, hi = lo.min(keepdims=True), hi.max(keepdims=True)
    lines = []
    rows = (np.broadcast_to(values, count) for values in (stage.directions, lo, hi))
    for row, direction, *ends in zip(stage.thresholds.astype(np.float64), *rows):
        low, high = sorted(float(direction) * end for end in ends)
        chosen = (row > low) & (row <= high)
        if len(np.unique(row[chosen])) < 2:
            chosen[:] = True
        x, codes = row[chosen] - 0.5, np.flatnonzero(chosen) + 0.5
        slope, offset = np.polyfit(x, codes, 1) if len(np.unique(x)) > 1 else (1.0, codes.mean() - x.mean())
        lines.append((stage.step * slope * float(direction), stage.base + stage.step * offset))
    slopes, offsets = np.array(lines).T
    return slopes, offsets


def int8_model(network: Network, form: Form) -> onnx.ModelProto:
    """The graph of `network` in one of `FORMS`: uint8 input ``codes``, float output ``logits``, any batch.

    Input (N, C, H, W), or (N, H, W, C) for "nhwc"; the logits are the network's output integers, nearly.
    Raises `ExportError` for a stage without an 8-bit form.
    """
    graph = _Qdq() if form == "qdq" else _QLinear(channels_last=form == "nhwc")
    build(network, graph)
    return graph.model(network)


def build(network: Network, graph: Builder) -> None:
    """Hand the operators of `network` to `graph`: from the tensor ``codes``, the input's codes themselves, on.
    Raises `ExportError` for a stage without an 8-bit form."""
    tensors = {INPUT: Quantized("codes", 1.0, 0)}
    requantized = {stage.inputs[0]: stage for stage in network.stages if isinstance(stage, Threshold)}
    for stage in network.stages:
        if isinstance(stage, Threshold):
            continue  # emitted with the stage before it
        inputs = [tensors[name] for name in stage.inputs]
        threshold = requantized.get(stage.name)
        name = stage.name if threshold is None else threshold.name
        tensors[name] = _emit(graph, network, stage, inputs, threshold)


def _emit(
    graph: Builder, network: Network, stage: Stage, inputs: list[Quantized], threshold: Threshold | None
) -> Quantized:
    source = network.tensors[stage.inputs[0]]
    if isinstance(stage, Conv | Dense | Add) and threshold is not None:
        spec = network.tensors[threshold.name]
        step = (spec.hi - spec.lo) / 255
        target = Quantized(threshold.name, step, round(-spec.lo / step))
        slopes, offsets = affine_of(threshold, *_ranges(stage, network))
        if isinstance(stage, Add):
            return _sum(graph, stage, inputs, target, slopes, offsets)
        parameters = _parameters(stage, inputs[0].scale, slopes, offsets)
        if isinstance(stage, Conv):
            return graph.conv(stage, inputs[0], parameters, target)
        return graph.dense(stage, source.shape, inputs[0], parameters, target)
    if isinstance(stage, MaxPool):
        return graph.max_pool(stage, inputs[0])
    if isinstance(stage, SumPool) and stage.kernel == source.shape[:2] and not any(stage.pads):
        mean = graph.mean(stage.name, inputs[0])
        return Quantized(mean.name, mean.scale * stage.kernel[0] * stage.kernel[1], mean.zero)
    if isinstance(stage, Dense) and stage is network.stages[-1]:
        parameters = _parameters(stage, inputs[0].scale, np.ones(1), np.zeros(1))
        return graph.dense(stage, source.shape, inputs[0], parameters, None)
    raise ExportError(f"stage {stage.name!r}: {type(stage).__name__} has no 8-bit form here")


def _ranges(stage: Conv | Dense | Add, network: Network) -> tuple[Integers, Integers]:
    """Lowest and highest values of a stage, by channel where its weights tell."""
    if isinstance(stage, Add):
        spec = network.tensors[stage.name]
        return np.array([spec.lo]), np.array([spec.hi])
    return stage.channel_ranges(network.tensors[stage.inputs[0]])


def _parameters(stage: Conv | Dense, source_scale: float, slopes: Floats, offsets: Floats) -> Parameters:
    count = len(stage.weights)
    slopes, offsets = np.broadcast_to(slopes, count), np.broadcast_to(offsets, count)
    weights = stage.weights * np.sign(slopes).astype(np.int64).reshape(-1, *[1] * (stage.weights.ndim - 1))
    if weights.min() < -128 or weights.max() > 127:
        raise ExportError(f"stage {stage.name!r}: expected weights of 8 bits, got {weights.min()}..{weights.max()}")
    scales = np.abs(slopes)
    return Parameters(weights.astype(np.int8), scales, np.rint(offsets / (source_scale * scales)).astype(np.int32))


def _sum(
    graph: Builder, stage: Add, inputs: list[Quantized], target: Quantized, slopes: Floats, offsets: Floats
) -> Quantized:
    if len(inputs) != 2 or min(stage.multipliers) < 1 or len(slopes) > 1 or abs(offsets[0]) > 0.5:
        raise ExportError(f"stage {stage.name!r}: expected the sum of two tensors, requantized by one scale alone")
    scaled = [Quantized(i.name, i.scale * m * float(slopes[0]), i.zero) for i, m in zip(inputs, stage.multipliers)]
    return graph.sum(stage.name, scaled, target)


def _window(stage: Conv) -> dict[str, Any]:
    return {
        "kernel_shape": stage.weights.shape[1:3],
        "strides": stage.strides,
        "pads": stage.pads,
        "dilations": stage.dilations,
        "group": stage.groups,
    }


@dataclass(frozen=True)
class Constants:
    """Names of an operator's int8 weights and int32 bias with their scales and zero points."""

    weights: tuple[str, str, str]
    bias: tuple[str, str, str]


class _Graph:
    """Nodes and constants under construction; a subclass says how each operator looks in its form."""

    channels_last = False

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: Any, dtype: Any) -> str:
        self.constants[name] = numpy_helper.from_array(np.asarray(value, dtype), name)
        return name

    def node(self, operator: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], output, domain=domain, **attributes))
        return output

    def scale_and_zero(self, tensor: Quantized, reader: str = "") -> list[str]:
        """`reader`: whose view of the tensor this is, where its scale is not the tensor's own."""
        prefix = f"{tensor.name}_{reader}" if reader else tensor.name
        scale = self.constant(f"{prefix}_scale", tensor.scale, np.float32)
        return [scale, self.constant(f"{prefix}_zero", tensor.zero, np.uint8)]

    def parameters(self, name: str, weights: NDArray[np.int8], source: Quantized, by: Parameters) -> Constants:
        """`weights`: laid out as the operator wants them."""
        zeros = np.zeros(len(by.scales))
        return Constants(
            (
                self.constant(f"{name}_w", weights, np.int8),
                self.constant(f"{name}_w_scale", by.scales, np.float32),
                self.constant(f"{name}_w_zero", zeros, np.int8),
            ),
            (
                self.constant(f"{name}_b", by.bias, np.int32),
                self.constant(f"{name}_b_scale", source.scale * by.scales, np.float32),
                self.constant(f"{name}_b_zero", zeros, np.int32),
            ),
        )

    def conv(self, stage: Conv, source: Quantized, by: Parameters, target: Quantized) -> Quantized:
        constants = self.parameters(stage.name, by.weights.transpose(0, 3, 1, 2), source, by)
        return self.convolve(source, constants, target, _window(stage))

    def dense(
        self, stage: Dense, shape: tuple[int, ...], source: Quantized, by: Parameters, target: Quantized | None
    ) -> Quantized:
        weights = by.weights
        if len(shape) == 3 and not self.channels_last:
            weights = weights.reshape(-1, *shape).transpose(0, 3, 1, 2).reshape(len(weights), -1)
        flat = self.node("Flatten", [source.name], f"{stage.name}_flat")
        constants = self.parameters(stage.name, weights.T, source, by)
        return self.gemm(Quantized(flat, source.scale, source.zero), constants, target)

    def max_pool(self, stage: MaxPool, source: Quantized) -> Quantized:
        operator, domain = ("NhwcMaxPool", MICROSOFT) if self.channels_last else ("MaxPool", "")
        window = {"kernel_shape": stage.kernel, "strides": stage.strides, "pads": stage.pads}
        self.node(operator, [source.name], stage.name, domain, **window)
        return Quantized(stage.name, source.scale, source.zero)

    def convolve(self, source: Quantized, by: Constants, target: Quantized, window: dict[str, Any]) -> Quantized:
        raise NotImplementedError

    def gemm(self, source: Quantized, by: Constants, target: Quantized | None) -> Quantized:
        """Matrix product; without a `target` it ends the graph in floats."""
        raise NotImplementedError

    def sum(self, name: str, inputs: list[Quantized], target: Quantized) -> Quantized:
        raise NotImplementedError

    def mean(self, name: str, source: Quantized) -> Quantized:
        raise NotImplementedError

    def model(self, network: Network) -> onnx.ModelProto:
        height, width, channels = network.input.shape
        shape = (height, width, channels) if self.channels_last else (channels, height, width)
        graph = helper.make_graph(
            self.nodes,
            "int8",
            [helper.make_tensor_value_info("codes", TensorProto.UINT8, ("N", *shape))],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ("N", network.output.size))],
            list(self.constants.values()),
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


class _QLinear(_Graph):
    def __init__(self, channels_last: bool) -> None:
        super().__init__()
        self.channels_last = channels_last

    def convolve(self, source: Quantized, by: Constants, target: Quantized, window: dict[str, Any]) -> Quantized:
        inputs = [source.name, *self.scale_and_zero(source), *by.weights, *self.scale_and_zero(target), by.bias[0]]
        if self.channels_last:
            self.node("QLinearConv", inputs, target.name, MICROSOFT, channels_last=1, **window)
        else:
            self.node("QLinearConv", inputs, target.name, **window)
        return target

    def gemm(self, source: Quantized, by: Constants, target: Quantized | None) -> Quantized:
        inputs = [source.name, *self.scale_and_zero(source), *by.weights, by.bias[0]]
        inputs += self.scale_and_zero(target) if target else []
        self.node("QGemm", inputs, target.name if target else "logits", MICROSOFT)
        return target or Quantized("logits", 1.0, 0)

    def sum(self, name: str, inputs: list[Quantized], target: Quantized) -> Quantized:
        operands = [part for tensor in inputs for part in (tensor.name, *self.scale_and_zero(tensor, name))]
        self.node("QLinearAdd", [*operands, *self.scale_and_zero(target)], target.name, MICROSOFT)
        return target

    def mean(self, name: str, source: Quantized) -> Quantized:
        target = Quantized(name, source.scale, source.zero)
        inputs = [source.name, *self.scale_and_zero(source), *self.scale_and_zero(target)]
        self.node("QLinearGlobalAveragePool", inputs, name, MICROSOFT, channels_last=int(self.channels_last))
        return target


class _Qdq(_Graph):
    def real(self, tensor: Quantized, reader: str) -> str:
        inputs = [tensor.name, *self.scale_and_zero(tensor, reader)]
        return self.node("DequantizeLinear", inputs, f"{tensor.name}_{reader}_real")

    def constants_real(self, by: Constants, axis: int) -> list[str]:
        weights = self.node("DequantizeLinear", list(by.weights), f"{by.weights[0]}_real", axis=axis)
        return [weights, self.node("DequantizeLinear", list(by.bias), f"{by.bias[0]}_real", axis=0)]

    def quantize(self, name: str, target: Quantized) -> Quantized:
        self.node("QuantizeLinear", [name, *self.scale_and_zero(target)], target.name)
        return target

    def convolve(self, source: Quantized, by: Constants, target: Quantized, window: dict[str, Any]) -> Quantized:
        inputs = [self.real(source, target.name), *self.constants_real(by, axis=0)]
        return self.quantize(self.node("Conv", inputs, f"{target.name}_float", **window), target)

    def gemm(self, source: Quantized, by: Constants, target: Quantized | None) -> Quantized:
        name = f"{target.name}_float" if target else "logits"
        self.node("Gemm", [self.real(source, name), *self.constants_real(by, axis=1)], name)
        return self.quantize(name, target) if target else Quantized(name, 1.0, 0)

    def sum(self, name: str, inputs: list[Quantized], target: Quantized) -> Quantized:
        operands = [self.real(tensor, name) for tensor in inputs]
        return self.quantize(self.node("Add", operands, f"{name}_float"), target)

    def mean(self, name: str, source: Quantized) -> Quantized:
        target = Quantized(name, source.scale, source.zero)
        return self.quantize(self.node("GlobalAveragePool", [self.real(source, name)], f"{name}_float"), target)
