"""The flatbuffer of larq-compute-engine for a network of one bit, exactly.

A bit there stands for s = -1 (set) or 1, products are counted by exclusive or, pads are s = 1 and pools keep the larger
s. A code x of 0 or 1 is s = 1 - 2 x, so that pads are zeros; where it is pooled, s = 2 x - 1, and what pads it then is
an operator of its own. The first convolution, of codes of more bits, and the last product are of floats, as that
engine's own converter makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tflite_file import PADDINGS, TfliteFile, same_pads

from bitswath.errors import ExportError
from bitswath.network.network import INPUT, Conv, Dense, MaxPool, Network, Stage, Threshold

__all__ = ["larq_model"]

WORD = 32
LARGEST = 2**31 - 1
NONE = -1
Integers = NDArray[np.int64]


def larq_model(network: Network, batch: int) -> bytes:
    """Input float32 (batch, H, W, C), the codes; output float32 (batch, classes), the network's integers.

    Raises `ExportError` for what is no chain of convolutions by -1 and 1 with codes of one bit between them, 2-D
    max-pools, and a product at the end.
    """
    graph = _Graph(network, batch)
    for stage, threshold in _pairs(network):
        graph.add(stage, threshold)
    return graph.file.data(graph.source.number, graph.tensor.number)


def _pairs(network: Network) -> list[tuple[Stage, Threshold | None]]:
    """Stages in a chain, each with the threshold after it."""
    stages = network.stages
    names = [INPUT, *(stage.name for stage in stages)]
    if any(stage.inputs != (before,) for stage, before in zip(stages, names)):
        raise ExportError("expected a chain of stages")
    after = [*stages[1:], None]
    return [
        (stage, follower if isinstance(follower, Threshold) else None)
        for stage, follower in zip(stages, after)
        if not isinstance(stage, Threshold)
    ]


@dataclass(frozen=True)
class Tensor:
    """`number`: in the file; `shape`: (H, W, C) or (C,) of codes x, which are ``(1 + sign * s) / 2``, or floats if
    `sign` is 0."""

    number: int
    shape: tuple[int, ...]
    sign: int


class _Graph:
    """Grows by a stage at a time from its last `tensor`."""

    def __init__(self, network: Network, batch: int) -> None:
        self.file = TfliteFile()
        self.network = network
        self.batch = batch
        self.pooled = {stage.inputs[0] for stage in network.stages if isinstance(stage, MaxPool)}
        self.source = self.tensor = self.floats("codes", network.input.shape)

    def add(self, stage: Stage, threshold: Threshold | None) -> None:
        if isinstance(stage, Conv) and threshold is not None and stage.groups == 1:
            self.tensor = self.bconv(stage, threshold) if self.tensor.sign else self.conv(stage, threshold)
        elif isinstance(stage, MaxPool) and self.tensor.sign == 1 and not any(stage.pads):
            self.tensor = self.pool(stage)
        elif isinstance(stage, Dense) and stage is self.network.stages[-1] and self.tensor.sign:
            self.tensor = self.dense(stage)
        else:
            raise ExportError(f"stage {stage.name!r}: {type(stage).__name__} has no form for larq-compute-engine here")

    def floats(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return Tensor(self.file.tensor(name, (self.batch, *shape), np.float32), shape, 0)

    def bits(self, name: str, shape: tuple[int, ...], sign: int) -> Tensor:
        words = -(-shape[-1] // WORD)
        return Tensor(self.file.tensor(name, (self.batch, *shape[:-1], words), np.int32), shape, sign)

    def codes(self, threshold: Threshold) -> Tensor:
        spec = self.network.tensors[threshold.name]
        if (spec.lo, spec.hi) != (0, 1):
            raise ExportError(f"stage {threshold.name!r}: expected codes of 0 and 1, got {spec.lo}..{spec.hi}")
        return self.bits(threshold.name, spec.shape, 1 if threshold.name in self.pooled else -1)

    def conv(self, stage: Conv, threshold: Threshold) -> Tensor:
        """Of floats that are negative where the bit is to be set."""
        out, padding = self.codes(threshold), self.padding(stage)
        if padding is None:
            raise ExportError(
                f"stage {stage.name!r}: expected no pads or those of TensorFlow's 'SAME', got {stage.pads}"
            )
        directions, limits = _step(threshold)
        weights = out.sign * directions.reshape(-1, 1, 1, 1) * stage.weights
        inputs = [
            self.tensor.number,
            self.file.constant(f"{stage.name}_weights", weights.astype(np.float32)),
            self.file.constant(f"{stage.name}_bias", _each(out.sign * (0.5 - limits), stage).astype(np.float32)),
        ]
        sums = self.floats(stage.name, out.shape)
        strides = {"strideH": stage.strides[0], "strideW": stage.strides[1]}
        dilations = {"dilationHFactor": stage.dilations[0], "dilationWFactor": stage.dilations[1]}
        self.file.operator("CONV_2D", inputs, sums.number, padding=PADDINGS[padding], **strides, **dilations)
        self.file.operator("LceQuantize", [sums.number], out.number)
        return out

    def bconv(self, stage: Conv, threshold: Threshold) -> Tensor:
        """A bit is set where more than so many of the K products are -1.

        With p such products the accumulator is ``(sum of w + sign * (K - 2 * p)) / 2``; weights are negated where it
        would otherwise be the few that set the bit.
        """
        if not (np.abs(stage.weights) == 1).all():
            raise ExportError(f"stage {stage.name!r}: expected weights of -1 and 1")
        source, padding = self.padded(stage)
        out = self.codes(threshold)
        directions, limits = _step(threshold)
        flat = stage.weights.reshape(len(stage.weights), -1)
        none = (directions * flat.sum(axis=1) + out.sign * flat.shape[1]) // 2
        most = limits - none - 1 if out.sign < 0 else none - limits
        signed = directions.reshape(-1, 1, 1, 1) * source.sign * out.sign * stage.weights
        inputs = [
            source.number,
            self.file.constant(f"{stage.name}_weights", _packed(signed < 0)),
            NONE,
            NONE,
            self.file.constant(f"{stage.name}_most", _each(np.clip(most, -LARGEST, LARGEST), stage).astype(np.int32)),
        ]
        height, width = stage.dilations
        self.file.operator(
            "LceBconv2d",
            inputs,
            out.number,
            channels_in=source.shape[-1],
            dilation_height_factor=height,
            dilation_width_factor=width,
            fused_activation_function=0,
            pad_values=1,
            padding=PADDINGS[padding],
            **_strides(stage),
        )
        return out

    def padding(self, stage: Conv) -> str | None:
        """What TensorFlow calls the pads, None if nothing."""
        if not any(stage.pads):
            return "VALID"
        size, kernel = self.tensor.shape[:2], stage.weights.shape[1:3]
        return "SAME" if stage.pads == same_pads(size, kernel, stage.strides, stage.dilations) else None

    def padded(self, stage: Conv) -> tuple[Tensor, str]:
        """The source with what is left of its padding; where a code of 0 is s = -1, none."""
        source, padding = self.tensor, self.padding(stage)
        if padding == "VALID" or (padding and source.sign < 0):
            return source, padding
        height, width, channels = source.shape
        top, left, bottom, right = stage.pads
        if channels > WORD and channels % WORD:
            raise ExportError(f"stage {stage.name!r}: expected whole words of channels to pad, got {channels} channels")
        word = 0 if source.sign < 0 else (1 << min(channels, WORD)) - 1
        out = self.bits(f"{stage.name}_padded", (top + height + bottom, left + width + right, channels), source.sign)
        pads = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        constants = {"pads": pads, "pad": np.array([word], np.uint32).view(np.int32)}
        inputs = [self.file.constant(f"{stage.name}_{name}", values) for name, values in constants.items()]
        self.file.operator("PADV2", [source.number, *inputs], out.number)
        return out, "VALID"

    def pool(self, stage: MaxPool) -> Tensor:
        out = self.bits(stage.name, self.network.tensors[stage.name].shape, self.tensor.sign)
        height, width = stage.kernel
        sizes = {"filter_height": height, "filter_width": width, "padding": PADDINGS["VALID"]}
        self.file.operator("LceBMaxPool2d", [self.tensor.number], out.number, **sizes, **_strides(stage))
        return out

    def dense(self, stage: Dense) -> Tensor:
        signs, out = self.floats(f"{stage.name}_signs", self.tensor.shape), self.floats("logits", (len(stage.weights),))
        weights = self.file.constant(f"{stage.name}_weights", (self.tensor.sign * stage.weights / 2).astype(np.float32))
        bias = self.file.constant(f"{stage.name}_bias", (stage.weights.sum(axis=1) / 2).astype(np.float32))
        self.file.operator("LceDequantize", [self.tensor.number], signs.number)
        self.file.operator("FULLY_CONNECTED", [signs.number, weights, bias], out.number)
        return out


def _step(threshold: Threshold) -> tuple[Integers, Integers]:
    """Directions and limits, (C or 1,) each: a code is 1 where ``direction * x >= limit``."""
    return threshold.directions.astype(np.int64), threshold.thresholds[:, 0]


def _each(values: NDArray[Any], stage: Conv) -> NDArray[Any]:
    return np.broadcast_to(values, len(stage.weights))


def _strides(stage: Conv | MaxPool) -> dict[str, int]:
    return {"stride_height": stage.strides[0], "stride_width": stage.strides[1]}


def _packed(bits: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Along the last axis, the first in a word's lowest bit."""
    filled = np.zeros((*bits.shape[:-1], -(-bits.shape[-1] // WORD) * WORD), bool)
    filled[..., : bits.shape[-1]] = bits
    return np.packbits(filled, axis=-1, bitorder="little").view("<i4")
