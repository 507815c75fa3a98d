"""The fully 8-bit TFLite flatbuffer that a user of LiteRT would deploy for an integer network.

Operators are those of `int8_graph`, channels last, with LiteRT's int8 codes: uint8 less 128. A sum there takes each
input at the one scale that its tensor has, so tensors get the scales that make every sum its target's code; the scales
of a convolution's weights take them up. Logits are int8 too; their range is what some codes give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from int8_graph import Parameters, Quantized, build
from numpy.typing import NDArray
from tflite_file import PADDINGS, TfliteFile, same_pads

from bitswath.backends.emulator import run
from bitswath.errors import ExportError
from bitswath.network.network import Conv, Dense, MaxPool, Network

__all__ = ["litert_model"]

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
    return _data(graph, batch)


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
        if stage.pads == same_pads((height, width), stage.weights.shape[1:3], stage.strides, stage.dilations):
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


def _data(graph: _Graph, batch: int) -> bytes:
    file, scales = TfliteFile(), graph.scales()
    tensors = {
        name: file.tensor(
            name, (batch, *graph.shapes[name]), np.int8, scale=[scales[name]], zeroPoint=[tensor.zero - ZERO]
        )
        for name, tensor in graph.tensors.items()
    }
    for operation in graph.operations:
        name = operation.output.name
        inputs = [tensors[source.name] for source in operation.inputs]
        if operation.by is not None:
            inputs += _parameters(file, operation, operation.by, scales)
        if operation.constant is not None:
            inputs.append(file.constant(f"{name}_constant", operation.constant))
        file.operator(operation.operator, inputs, tensors[name], **operation.options)
    return file.data(tensors["codes"], tensors["logits"])


def _parameters(file: TfliteFile, operation: Operation, by: Parameters, scales: dict[str, float]) -> list[int]:
    """Weights and bias, with the scales that make an accumulator's step one of the bias."""
    (source,), name = operation.inputs, operation.output.name
    steps = source.scale * by.scales * scales[name] / operation.output.scale
    zeros, weights = [0] * len(steps), steps / scales[source.name]
    return [
        file.constant(
            f"{name}_weights", by.weights, scale=list(weights), zeroPoint=zeros, quantizedDimension=operation.axis
        ),
        file.constant(f"{name}_bias", by.bias, scale=list(steps), zeroPoint=zeros, quantizedDimension=0),
    ]
