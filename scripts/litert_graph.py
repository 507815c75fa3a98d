"""The fully 8-bit TFLite flatbuffer that a user of LiteRT would deploy for an integer network.

Operators are those of `int8_graph`, channels last, with LiteRT's int8 codes: uint8 less 128. A sum there takes each
input at the one scale that its tensor has, so tensors get the scales that make every sum its target's code; the scales
of a convolution's weights take them up. Logits are int8 too; their range is what some codes give.

The schema is the one that TensorFlow ships, read alone: TensorFlow must not enter a process that measures.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import flatbuffers
import numpy as np
from int8_graph import Parameters, Quantized, build
from numpy.typing import NDArray

from bitswath.backends.emulator import run
from bitswath.errors import DependencyError, ExportError
from bitswath.network.network import Conv, Dense, MaxPool, Network

__all__ = ["litert_model"]

VERSION = 3
IDENTIFIER = b"TFL3"
OPERATORS = {
    "CONV_2D": ("Conv2DOptions", 3),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", 3),
    "FULLY_CONNECTED": ("FullyConnectedOptions", 4),
    "MAX_POOL_2D": ("Pool2DOptions", 2),
    "ADD": ("AddOptions", 2),
    "MEAN": ("ReducerOptions", 2),
    "PAD": ("PadOptions", 2),
}
"""Their options' type, and their first version with int8."""
PADDINGS = {"SAME": 0, "VALID": 1}
ZERO = 128
"""What int8 codes are below those of uint8."""


def litert_model(network: Network, codes: NDArray[np.uint8], batch: int) -> bytes:
    """The flatbuffer of `network`: input ``codes``, int8 (batch, H, W, C), 128 below the codes; output ``logits``,
    int8 (batch, classes), by their scale and zero point nearly the network's output integers.

    `codes`: typical ones (N, H, W, C), whose logits the output's range holds. Raises `ExportError` for a stage without
    an 8-bit form, `DependencyError` without TensorFlow.
    """
    logits = run(network, codes)
    lo, hi = min(int(logits.min()), 0), max(int(logits.max()), 1)
    scale = (hi - lo) / 255
    graph = _Graph(network, Quantized("logits", scale, round(-lo / scale)))
    build(network, graph)
    return _File(graph, batch).data()


@dataclass(frozen=True)
class Operation:
    """`inputs`: as this operation sees them; `options`: its schema's, by name; `by`: of a weighted one, with the
    axis of its outputs."""

    operator: str
    inputs: list[Quantized]
    output: Quantized
    options: dict[str, Any]
    by: Parameters | None = None
    axis: int = 0
    constant: NDArray[np.int32] | None = None


class _Graph:
    """A network's operations in order, and their tensors' shapes without the batch axis. See `int8_graph.Builder`."""

    def __init__(self, network: Network, logits: Quantized) -> None:
        self.operations: list[Operation] = []
        self.tensors = {"codes": Quantized("codes", 1.0, 0)}
        self.shapes = {name: spec.shape for name, spec in network.tensors.items()}
        self.shapes |= {"codes": network.input.shape, "logits": network.output.shape}
        self.logits = logits

    def conv(self, stage: Conv, source: Quantized, by: Parameters, target: Quantized) -> Quantized:
        source, padding = self.padded(stage, source)
        options = {
            "padding": PADDINGS[padding],
            **_along("stride", stage.strides),
            **_along("dilation", stage.dilations, "Factor"),
        }
        if stage.groups == 1 or stage.weights.shape[3] > 1:
            return self.add(Operation("CONV_2D", [source], target, options, by))
        options["depthMultiplier"] = len(stage.weights) // stage.groups
        by = Parameters(by.weights.transpose(3, 1, 2, 0), by.scales, by.bias)
        return self.add(Operation("DEPTHWISE_CONV_2D", [source], target, options, by, axis=3))

    def dense(
        self, stage: Dense, shape: tuple[int, ...], source: Quantized, by: Parameters, target: Quantized | None
    ) -> Quantized:
        return self.add(Operation("FULLY_CONNECTED", [source], target or self.logits, {}, by))

    def max_pool(self, stage: MaxPool, source: Quantized) -> Quantized:
        if any(stage.pads):
            raise ExportError(f"stage {stage.name!r}: expected a pool without padding")
        sizes = {"filterHeight": stage.kernel[0], "filterWidth": stage.kernel[1]}
        options = {"padding": PADDINGS["VALID"], **_along("stride", stage.strides), **sizes}
        return self.add(Operation("MAX_POOL_2D", [source], Quantized(stage.name, source.scale, source.zero), options))

    def sum(self, name: str, inputs: list[Quantized], target: Quantized) -> Quantized:
        return self.add(Operation("ADD", inputs, target, {}))

    def mean(self, name: str, source: Quantized) -> Quantized:
        target = Quantized(name, source.scale, source.zero)
        return self.add(Operation("MEAN", [source], target, {"keepDims": True}, constant=np.array([1, 2], np.int32)))

    def padded(self, stage: Conv, source: Quantized) -> tuple[Quantized, str]:
        """The convolution's source and kind of padding; any that LiteRT has no kind for is an operation before it."""
        height, width, channels = self.shapes[source.name]
        top, left, bottom, right = stage.pads
        if not any(stage.pads):
            return source, "VALID"
        if stage.pads == _same(stage, height, width):
            return source, "SAME"
        target = Quantized(f"{stage.name}_padded", source.scale, source.zero)
        self.shapes[target.name] = (top + height + bottom, left + width + right, channels)
        pads = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        return self.add(Operation("PAD", [source], target, {}, constant=pads)), "VALID"

    def add(self, operation: Operation) -> Quantized:
        self.operations.append(operation)
        self.tensors[operation.output.name] = operation.output
        return operation.output

    def scales(self) -> dict[str, float]:
        """Of every tensor: what operations without weights need, from the last back; a code's own elsewhere.
        Raises `ExportError` where two sums need the same tensor at different scales."""
        found: dict[str, float] = {}
        for operation in reversed(self.operations):
            scale = found.setdefault(operation.output.name, operation.output.scale)
            for source in operation.inputs if operation.by is None else []:
                wanted = source.scale * scale / operation.output.scale
                if not np.isclose(found.setdefault(source.name, wanted), wanted):
                    raise ExportError(f"tensor {source.name!r}: expected sums that weigh it alike")
        return {name: tensor.scale for name, tensor in self.tensors.items()} | found


def _along(name: str, pair: Sequence[int], suffix: str = "") -> dict[str, int]:
    return {f"{name}H{suffix}": pair[0], f"{name}W{suffix}": pair[1]}


def _same(stage: Conv, *sizes: int) -> tuple[int, ...]:
    """TensorFlow's "SAME" padding of a map of these sizes: (top, left, bottom, right)."""
    before, after = [], []
    for size, kernel, stride, dilation in zip(sizes, stage.weights.shape[1:3], stage.strides, stage.dilations):
        whole = max(-(-size // stride) * stride - stride + dilation * (kernel - 1) + 1 - size, 0)
        before.append(whole // 2)
        after.append(whole - whole // 2)
    return (*before, *after)


class _File:
    """The graph in the schema's objects."""

    def __init__(self, graph: _Graph, batch: int) -> None:
        self.graph = graph
        self.scales = graph.scales()
        self.buffers = [_made("Buffer")]  # the first stands for none
        self.tensors: list[Any] = []
        self.indices = {
            name: self.tensor(name, (batch, *graph.shapes[name]), "INT8", [self.scales[name]], tensor.zero - ZERO)
            for name, tensor in graph.tensors.items()
        }

    def data(self) -> bytes:
        operators = [self.operator(operation) for operation in self.graph.operations]
        ends = {"inputs": [self.indices["codes"]], "outputs": [self.indices["logits"]]}
        codes = [
            _made("OperatorCode", builtinCode=code, deprecatedBuiltinCode=code, version=version)
            for code, version in ((getattr(_schema().BuiltinOperator, name), of[1]) for name, of in OPERATORS.items())
        ]
        subgraph = _made("SubGraph", operators=operators, tensors=self.tensors, **ends)
        model = _made("Model", version=VERSION, subgraphs=[subgraph], buffers=self.buffers, operatorCodes=codes)
        builder = flatbuffers.Builder()
        builder.Finish(model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())

    def operator(self, operation: Operation) -> Any:
        options, _ = OPERATORS[operation.operator]
        inputs = [self.indices[source.name] for source in operation.inputs]
        if operation.by is not None:
            inputs += self.parameters(operation, operation.by)
        if operation.constant is not None:
            inputs.append(
                self.tensor(
                    f"{operation.output.name}_constant", operation.constant.shape, "INT32", data=operation.constant
                )
            )
        return _made(
            "Operator",
            opcodeIndex=list(OPERATORS).index(operation.operator),
            inputs=inputs,
            outputs=[self.indices[operation.output.name]],
            builtinOptionsType=getattr(_schema().BuiltinOptions, options),
            builtinOptions=_made(options, **operation.options),
        )

    def parameters(self, operation: Operation, by: Parameters) -> list[int]:
        """Weights and bias. What the operation sees as a step of its source's code is one of the tensor's scale."""
        (source,), name = operation.inputs, operation.output.name
        steps = source.scale * by.scales * self.scales[name] / operation.output.scale
        weights = steps / self.scales[source.name]
        return [
            self.tensor(f"{name}_weights", by.weights.shape, "INT8", weights, axis=operation.axis, data=by.weights),
            self.tensor(f"{name}_bias", by.bias.shape, "INT32", steps, data=by.bias),
        ]

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        kind: str,
        scales: Sequence[float] | NDArray[np.float64] = (),
        zero: int = 0,
        axis: int = 0,
        data: NDArray[np.signedinteger] | None = None,
    ) -> int:
        """The index of a new tensor, constant if it has `data`."""
        quantization = _made(
            "QuantizationParameters", scale=list(scales), zeroPoint=[zero] * len(scales), quantizedDimension=axis
        )
        if data is not None:
            self.buffers.append(_made("Buffer", data=np.frombuffer(data.tobytes(), np.uint8)))
        self.tensors.append(
            _made(
                "Tensor",
                name=name,
                shape=list(shape),
                type=getattr(_schema().TensorType, kind),
                buffer=0 if data is None else len(self.buffers) - 1,
                quantization=quantization if len(scales) else None,
            )
        )
        return len(self.tensors) - 1


def _made(kind: str, **values: Any) -> Any:
    """An object of the schema with these fields."""
    found = getattr(_schema(), f"{kind}T")()
    for name, value in values.items():
        setattr(found, name, value)
    return found


@cache
def _schema() -> ModuleType:
    tensorflow = importlib.util.find_spec("tensorflow")
    if tensorflow is None or tensorflow.origin is None:
        raise DependencyError("expected TensorFlow, whose TFLite schema is needed; install bitswath[train]")
    path = Path(tensorflow.origin).parent / "lite" / "python" / "schema_py_generated.py"
    spec = importlib.util.spec_from_file_location("tflite_schema", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
