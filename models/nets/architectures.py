"""The networks: a small VGG, VGG16, residual and depthwise-separable ones.

All take integer codes as float32 (N, H, W, C), scale them to 0..1 and end in logits. With
`widths=None` the plain float network of the same shape is built, for a warm-up or a teacher.
Layers that carry bits are named (``conv0``, ``act0``, ``fc``), so that a configuration may
override their widths.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bitswath.codecs.base import Codec
from bitswath.errors import ConfigError
from bitswath.models.nets.config import ArchitectureConfig, LayerWidths, WidthsConfig
from bitswath.models.nets.quantizers import (
    ActivationQuantizer,
    QuantizedOutput,
    QuantizedWeights,
    WeightQuantizer,
    keras,
    quantize,
    tf,
    tfmot_keras,
)

__all__ = ["CUSTOM_LAYERS", "InputSpec", "Precision", "build_model", "input_spec"]

Precision = Literal["float32", "bfloat16"]
DEFAULT_WIDTHS: dict[str, tuple[int | Literal["M"], ...]] = {
    "vgg": (16, 16, "M", 32, 32, "M", 64, 64, "M", 128, 128, "M", 128, "M"),
    "resnet": (16, 32, 64),
    "resnet8": (16, 32, 64),
    "resnet20": (16, 32, 64),
    "separable": (16, 32, 64, 64, 128, 128),
}
BLOCKS = {"resnet": 2, "resnet8": 1, "resnet20": 3}
"""Residual blocks of each width. resnet8 is MLPerf Tiny's, resnet20 that of He et al. 2016 for CIFAR-10, both with
convolutions of one pixel where the width changes."""

VGG16_WIDTHS = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")
VGG16_DENSE = 4096
BATCHNORM_MOMENTUM = 0.9  # 0.99 leaves validation at chance for the first epochs of a short schedule


@dataclass(frozen=True)
class InputSpec:
    """What a network is fed: codes (H, W, C) of `bits` width, and their integer values if looked up.

    `table`: (C, 2^bits, D) integers that replace each code (a palette's colours), or None where the
    codes are used as numbers; `highest`: the largest value after that, which is scaled to 1.
    """

    shape: tuple[int, int, int]
    bits: int
    table: NDArray[np.integer] | None = None

    @property
    def highest(self) -> int:
        return 2**self.bits - 1 if self.table is None else int(self.table.max())


class CodeLookup(keras.layers.Layer):
    """Codes (N, H, W, C) to their integer values (N, H, W, C * D), as the network's Lookup stage does."""

    def __init__(self, table: list[list[list[int]]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = np.asarray(table, np.int32)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        bands, entries, depth = self.table.shape
        rows = tf.cast(inputs, tf.int32) + entries * np.arange(bands, dtype=np.int32)
        values = tf.gather(tf.constant(self.table.reshape(-1, depth), tf.float32), rows)
        return tf.reshape(values, (-1, *inputs.shape[1:-1], bands * depth))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "table": self.table.tolist()}


CUSTOM_LAYERS: dict[str, type] = {"CodeLookup": CodeLookup}


class _Builder:
    """Adds named layers with their widths; counts the convolutions."""

    def __init__(self, widths: WidthsConfig | None) -> None:
        self.widths = widths
        self.convolutions = 0
        self.names: set[str] = set()

    def _override(self, name: str) -> LayerWidths:
        self.names.add(name)
        return self.widths.layers.get(name, LayerWidths()) if self.widths else LayerWidths()

    def _weighted(self, layer: keras.layers.Layer, x: tf.Tensor, per_channel: bool) -> tf.Tensor:
        override = self._override(layer.name)
        if self.widths is None:
            return layer(x)
        bits = override.weights or self.widths.weights
        quantizer = WeightQuantizer(bits, per_channel, self.widths.power_of_two)
        return tfmot_keras.quantize_annotate_layer(layer, QuantizedWeights(quantizer))(x)

    def quantized(self, layer: keras.layers.Layer, x: Any, **quantizer: Any) -> tf.Tensor:
        override = self._override(layer.name)
        if self.widths is None:
            return layer(x)
        bits = override.activations or self.widths.activations
        if quantizer.get("signed"):
            bits = max(bits, 2)  # one signed bit is -1 and 0 to Keras, -1 and +1 to QONNX
        output = QuantizedOutput(ActivationQuantizer(bits, self.widths.power_of_two, **quantizer))
        return tfmot_keras.quantize_annotate_layer(layer, output)(x)

    def conv(self, x: tf.Tensor, channels: int, kernel: int = 3, stride: int = 1, depthwise: bool = False) -> tf.Tensor:
        """Convolution and batch normalization; the activation is the caller's."""
        name = f"conv{self.convolutions}"
        common = {"strides": stride, "padding": "same", "use_bias": False, "name": name}
        if depthwise:
            layer = keras.layers.DepthwiseConv2D(kernel, depthwise_initializer="he_normal", **common)
        else:
            layer = keras.layers.Conv2D(channels, kernel, kernel_initializer="he_normal", **common)
        per_channel = self.widths.per_channel if self.widths and not depthwise else False
        x = self._weighted(layer, x, per_channel)
        x = keras.layers.BatchNormalization(momentum=BATCHNORM_MOMENTUM, name=f"bn{self.convolutions}")(x)
        self.convolutions += 1
        return x

    def relu(self, x: tf.Tensor, **quantizer: Any) -> tf.Tensor:
        return self.quantized(keras.layers.ReLU(name=f"act{self.convolutions - 1}"), x, **quantizer)

    def signed(self, x: tf.Tensor, tie: str) -> tf.Tensor:
        """A residual branch before its sum: signed, on the scale that the other branch has too."""
        layer = keras.layers.Activation("linear", name=f"branch{self.convolutions - 1}")
        return self.quantized(layer, x, signed=True, tie=tie)

    def dense(self, x: tf.Tensor, units: int, name: str) -> tf.Tensor:
        layer = keras.layers.Dense(units, use_bias=False, name=name)
        return self._weighted(layer, x, per_channel=False)

    def check_overrides(self) -> None:
        unknown = sorted(set(self.widths.layers) - self.names) if self.widths else []
        if unknown:
            raise ConfigError(
                f"widths.layers: no layer {', '.join(unknown)}; there are {', '.join(sorted(self.names))}"
            )


def input_spec(codec: Codec, patch_shape: tuple[int, int, int]) -> InputSpec:
    """What the network is fed: a palette's codes are names of colours and are looked up, others are numbers."""
    return InputSpec(codec.code_shape(patch_shape), codec.bits, None if codec.numeric else codec.values)


def build_model(
    architecture: ArchitectureConfig,
    spec: InputSpec,
    classes: int,
    widths: WidthsConfig | None = None,
    precision: Precision = "float32",
) -> keras.Model:
    """The network of a configuration, quantization-aware unless `widths` is None.

    Input: float32 codes (N, H, W, C); output: logits (N, classes), float32 unless `precision` is "bfloat16": then they
    and all that passes between layers are bfloat16, but no weight, scale or statistic is. Raises `ConfigError` where
    the configuration does not fit the input.
    """
    builder = _Builder(widths)
    with _computing_in(precision):
        codes = x = keras.Input(spec.shape, name="codes", dtype="float32")
        if spec.table is not None:
            x = CodeLookup(spec.table.tolist(), name="lookup", dtype="float32")(x)
        x = keras.layers.Rescaling(1.0 / spec.highest, name="scale")(x)
        x = _BODIES[architecture.kind](builder, x, architecture)
        x = _head(builder, x, architecture, classes)
        builder.check_overrides()
        model = keras.Model(codes, x, name=architecture.kind)
        return model if widths is None else quantize(model, CUSTOM_LAYERS)


@contextlib.contextmanager
def _computing_in(precision: Precision) -> Iterator[None]:
    """Layers built meanwhile compute so; their variables stay float32."""
    policies = keras.mixed_precision
    before = policies.global_policy()
    policies.set_global_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        policies.set_global_policy(before)


def _vgg(builder: _Builder, x: tf.Tensor, architecture: ArchitectureConfig) -> tf.Tensor:
    for index, width in enumerate(_widths(architecture)):
        if width == "M":
            if min(x.shape[1:3]) < 2:
                raise ConfigError(
                    f"architecture.widths: pool at position {index} meets a {x.shape[1:3]} map; use fewer"
                )
            x = keras.layers.MaxPooling2D(2, name=f"pool{index}")(x)
        else:
            x = builder.relu(builder.conv(x, width, 3 if builder.convolutions else architecture.stem_kernel))
    return x


def _resnet(builder: _Builder, x: tf.Tensor, architecture: ArchitectureConfig) -> tf.Tensor:
    widths = _plain_widths(architecture)
    tie = "sum"
    stem = builder.conv(x, widths[0], architecture.stem_kernel, architecture.stem_stride)
    x = builder.relu(stem, tie=tie)
    for index, width in enumerate(widths):
        for block in range(BLOCKS[architecture.kind]):
            stride = 2 if index and not block else 1
            branch = builder.relu(builder.conv(x, width, stride=stride))
            branch = builder.conv(branch, width)
            if stride > 1 or x.shape[-1] != width:
                tie = f"shortcut{index}"
                branch = builder.signed(branch, tie)
                shortcut = builder.signed(builder.conv(x, width, kernel=1, stride=stride), tie)
            else:
                branch, shortcut = builder.signed(branch, tie), x
            total = keras.layers.Add(name=f"add{index}_{block}")([branch, shortcut])
            tie = f"sum{index}_{block}"
            x = builder.quantized(keras.layers.ReLU(name=f"act_{tie}"), total, tie=tie)
    return x


def _separable(builder: _Builder, x: tf.Tensor, architecture: ArchitectureConfig) -> tf.Tensor:
    widths = _plain_widths(architecture)
    x = builder.relu(builder.conv(x, widths[0], architecture.stem_kernel, stride=2))
    for before, width in pairwise(widths):
        x = builder.relu(builder.conv(x, before, stride=2 if width > before else 1, depthwise=True))
        x = builder.relu(builder.conv(x, width, kernel=1))
    return x


_BODIES = {"vgg": _vgg, "vgg16": _vgg, **dict.fromkeys(BLOCKS, _resnet), "separable": _separable}


def _head(builder: _Builder, x: tf.Tensor, architecture: ArchitectureConfig, classes: int) -> tf.Tensor:
    if architecture.head == "pool":
        x = keras.layers.GlobalAveragePooling2D(name="mean", dtype="float32")(x)
    else:
        x = keras.layers.Flatten(name="flatten")(x)
    if architecture.kind == "vgg16" and architecture.head == "dense":
        for index in range(2):
            x = builder.dense(x, max(8, int(VGG16_DENSE * architecture.multiplier)), f"dense{index}")
            x = keras.layers.BatchNormalization(momentum=BATCHNORM_MOMENTUM, name=f"dense_bn{index}")(x)
            x = builder.quantized(keras.layers.ReLU(name=f"dense_act{index}"), x)
    if architecture.dropout:
        x = keras.layers.Dropout(architecture.dropout, name="dropout")(x)
    return builder.dense(x, classes, "fc")


def _widths(architecture: ArchitectureConfig) -> list[int | Literal["M"]]:
    widths: Any = architecture.widths
    if widths is None:
        widths = VGG16_WIDTHS if architecture.kind == "vgg16" else DEFAULT_WIDTHS[architecture.kind]
    return [width if width == "M" else max(1, round(width * architecture.multiplier)) for width in widths]


def _plain_widths(architecture: ArchitectureConfig) -> list[int]:
    widths = _widths(architecture)
    if "M" in widths or len(widths) < 2:
        raise ConfigError(f"architecture.widths: {architecture.kind} takes at least two channel counts and no 'M'")
    return [int(width) for width in widths]
