"""Quantizers with learned scales for tensorflow-model-optimization, 1 to 8 bits.

Weights are signed and narrow-range (1 bit: bipolar, -1 or +1), activations unsigned. Scales are
learned by gradient: Esser et al., "Learned Step Size Quantization", ICLR 2020, with its gradient
scale 1 / sqrt(elements * levels) and its initial scale 2 * mean|x| / sqrt(levels). Values are
rounded half to even, as QONNX's Quant with rounding mode ROUND does.

Importing this module selects legacy Keras, which tensorflow-model-optimization needs.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # TensorFlow's default only where there is AVX512-VNNI

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from tf_keras.src.mixed_precision.autocast_variable import enable_auto_cast_variables

__all__ = [
    "CUSTOM_OBJECTS",
    "ActivationQuantizer",
    "QuantizedOutput",
    "QuantizedWeights",
    "WeightQuantizer",
    "keras",
    "quantize",
    "tf",
    "tfmot_keras",
]

tf.get_logger().setLevel("ERROR")  # XLA-compiled quantizers are traced per layer on purpose

tfmot_keras = tfmot.quantization.keras
Quantizer: Any = tfmot_keras.quantizers.Quantizer
QuantizeConfig: Any = tfmot_keras.QuantizeConfig
QuantizeLayoutTransform: Any = tfmot_keras.QuantizeLayoutTransform
QuantizeScheme: Any = tfmot_keras.QuantizeScheme
QuantizeRegistry: Any = tfmot_keras.default_8bit.Default8BitQuantizeRegistry
SMALLEST_SCALE = 1e-6


@tf.custom_gradient
def _round_through(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    return tf.round(x), lambda upstream: upstream


def nearest_power_of_two(scale: tf.Tensor) -> tf.Tensor:
    """The power of two nearest in the logarithm; the gradient passes straight through."""
    return tf.pow(2.0, _round_through(tf.math.log(scale) / np.float32(np.log(2.0))))


@tf.function(jit_compile=True)  # one fused loop instead of seven passes over the tensor
def _fake_quantize(x: tf.Tensor, scale: tf.Tensor, lowest: float, highest: float) -> tf.Tensor:
    value = tf.cast(x, tf.float32) / scale
    return _narrowed(tf.round(tf.clip_by_value(value, lowest, highest)) * scale, x.dtype)


def _narrowed(x: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """float32 x in `dtype`, to bfloat16 by its bits, half to even: XLA's cast looks for NaN and takes five times as
    long (17 and 3 ms for 8.4 million values)."""
    if dtype != tf.bfloat16:
        return tf.cast(x, dtype)
    bits = tf.bitcast(x, tf.uint32)
    rounded = bits + 0x7FFF + (tf.bitwise.right_shift(bits, 16) & 1)
    return tf.bitcast(tf.cast(tf.bitwise.right_shift(rounded, 16), tf.uint16), tf.bfloat16)


@tf.function(jit_compile=True)
def _fake_quantize_gradients(
    x: tf.Tensor, scale: tf.Tensor, lowest: float, highest: float, upstream: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Gradient of each element to itself, and its share of the scale's."""
    value = tf.cast(x, tf.float32) * (1.0 / scale)
    clipped = tf.clip_by_value(value, lowest, highest)
    inside = tf.equal(value, clipped)
    to_scale = tf.cast(upstream, tf.float32) * (tf.round(clipped) - tf.where(inside, value, 0.0))
    return tf.where(inside, upstream, tf.zeros_like(upstream)), to_scale


def fake_quantize(x: tf.Tensor, scale: tf.Tensor, lowest: float, highest: float, gradient_scale: float) -> tf.Tensor:
    """``scale * round(clip(x / scale, lowest, highest))`` in x's dtype, computed in float32, with the gradients of LSQ.

    `scale`: float32, scalar or of x's rank with 1 where it is shared.
    """

    @tf.custom_gradient
    def forward(x: tf.Tensor, scale: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tuple[tf.Tensor, tf.Tensor]]]:
        def backward(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            to_x, to_scale = _fake_quantize_gradients(x, scale, lowest, highest, upstream)
            shared = [axis for axis in range(x.shape.rank) if scale.shape.rank == 0 or scale.shape[axis] == 1]
            summed = tf.reduce_sum(to_scale, shared)  # outside of XLA, which sums with one thread
            return to_x, tf.reshape(summed, tf.shape(scale)) * gradient_scale

        return _fake_quantize(x, scale, lowest, highest), backward

    return forward(x, scale)


@tf.custom_gradient
def _bipolar(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    return tf.where(x >= 0, tf.ones_like(x), -tf.ones_like(x)), lambda upstream: upstream


def _add_scale(layer: keras.layers.Layer, name: str, shape: Sequence[int], initializer: Any) -> tf.Variable:
    """Read as float32 whatever the layer computes in."""
    return layer.add_weight(f"{name}_scale", shape=shape, initializer=initializer, experimental_autocast=False)


class _Quantizer(Quantizer):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and bool(self.get_config() == other.get_config())

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((type(self), tuple(sorted(self.get_config().items()))))


class WeightQuantizer(_Quantizer):
    """Signed narrow-range weights with one learned scale per output channel or per tensor.

    Integers reach -(2^(bits-1) - 1) .. 2^(bits-1) - 1; with 1 bit, -1 and +1 (zero counts as +1).
    """

    def __init__(self, bits: int, per_channel: bool = True, power_of_two: bool = False) -> None:
        self.bits = bits
        self.per_channel = per_channel
        self.power_of_two = power_of_two

    @property
    def highest(self) -> int:
        return max((1 << (self.bits - 1)) - 1, 1)

    def build(self, tensor_shape: tf.TensorShape, name: str, layer: keras.layers.Layer) -> dict[str, tf.Variable]:
        rank = len(tensor_shape)
        shape = [1] * (rank - 1) + [tensor_shape[-1] if self.per_channel else 1]
        return {
            "scale": _add_scale(layer, name, shape, "zeros"),
            "calibrated": layer.add_weight(f"{name}_calibrated", shape=(), initializer="zeros", trainable=False),
        }

    def scale(self, weights: tf.Tensor, variables: dict[str, tf.Variable]) -> tf.Tensor:
        """The scale in use: learned, or before the first training step taken from the weights."""
        scale = tf.where(variables["calibrated"] > 0.5, variables["scale"], self._initial_scale(weights))
        scale = tf.maximum(tf.abs(scale), SMALLEST_SCALE)
        return nearest_power_of_two(scale) if self.power_of_two else scale

    def _initial_scale(self, weights: tf.Tensor) -> tf.Tensor:
        rank = len(weights.shape)
        axes = list(range(rank - 1)) if self.per_channel else list(range(rank))
        mean = tf.reduce_mean(tf.abs(weights), axes, keepdims=True)
        return mean if self.bits == 1 else 2.0 * mean / np.sqrt(np.float32(self.highest))

    def __call__(
        self, inputs: tf.Tensor, training: bool | None, weights: dict[str, tf.Variable], **kwargs: Any
    ) -> tf.Tensor:
        narrow = tf.convert_to_tensor(inputs).dtype
        with enable_auto_cast_variables(None):
            return tf.cast(self._quantized(tf.convert_to_tensor(inputs), training, weights), narrow)

    def _quantized(self, inputs: tf.Tensor, training: bool | None, weights: dict[str, tf.Variable]) -> tf.Tensor:
        if training:
            weights["scale"].assign(
                tf.where(weights["calibrated"] > 0.5, weights["scale"], self._initial_scale(inputs))
            )
            weights["calibrated"].assign(1.0)
        scale = self.scale(inputs, weights)
        per_scale = int(np.prod(inputs.shape)) / int(np.prod(scale.shape))
        gradient_scale = float(1.0 / np.sqrt(per_scale * self.highest))
        if self.bits == 1:
            damped = scale * gradient_scale + tf.stop_gradient(scale - scale * gradient_scale)
            return _bipolar(inputs / tf.stop_gradient(scale)) * damped
        return fake_quantize(inputs, scale, float(-self.highest), float(self.highest), gradient_scale)

    def get_config(self) -> dict[str, Any]:
        return {"bits": self.bits, "per_channel": self.per_channel, "power_of_two": self.power_of_two}


class ActivationQuantizer(_Quantizer):
    """Unsigned (or signed, for a residual branch) activations with one learned scale per tensor.

    Quantizers of one non-empty `tie` share their scale: see `quantize`.
    """

    def __init__(
        self,
        bits: int,
        power_of_two: bool = False,
        signed: bool = False,
        initial_range: float = 3.0,
        tie: str = "",
    ) -> None:
        self.bits = bits
        self.power_of_two = power_of_two
        self.signed = signed
        self.initial_range = initial_range
        self.tie = tie

    @property
    def lowest(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        return self.lowest + (1 << self.bits) - 1

    def build(self, tensor_shape: tf.TensorShape, name: str, layer: keras.layers.Layer) -> dict[str, tf.Variable]:
        initial = keras.initializers.Constant(self.initial_range / max(self.highest, 1))
        self._elements = float(np.prod([extent for extent in tensor_shape[1:] if extent]))
        return {"scale": _add_scale(layer, name, (), initial)}

    def scale(self, variables: dict[str, tf.Variable]) -> tf.Tensor:
        scale = tf.maximum(tf.abs(variables["scale"]), SMALLEST_SCALE)
        return nearest_power_of_two(scale) if self.power_of_two else scale

    def __call__(
        self, inputs: tf.Tensor, training: bool | None, weights: dict[str, tf.Variable], **kwargs: Any
    ) -> tf.Tensor:
        gradient_scale = float(1.0 / np.sqrt(self._elements * max(self.highest, 1)))
        return fake_quantize(inputs, self.scale(weights), float(self.lowest), float(self.highest), gradient_scale)

    def get_config(self) -> dict[str, Any]:
        return {
            "bits": self.bits,
            "power_of_two": self.power_of_two,
            "signed": self.signed,
            "initial_range": self.initial_range,
            "tie": self.tie,
        }


class _QuantizeConfig(QuantizeConfig):
    """Quantizes nothing; the two below each override what they quantize."""

    def __init__(self, quantizer: _Quantizer) -> None:
        self.quantizer = quantizer

    def get_weights_and_quantizers(self, layer: keras.layers.Layer) -> list[Any]:
        return []

    def set_quantize_weights(self, layer: keras.layers.Layer, quantize_weights: list[tf.Tensor]) -> None:
        pass

    def get_activations_and_quantizers(self, layer: keras.layers.Layer) -> list[Any]:
        return []

    def set_quantize_activations(self, layer: keras.layers.Layer, quantize_activations: list[Any]) -> None:
        pass

    def get_output_quantizers(self, layer: keras.layers.Layer) -> list[_Quantizer]:
        return []

    def get_config(self) -> dict[str, Any]:
        return {"quantizer": self.quantizer}


class QuantizedWeights(_QuantizeConfig):
    """Quantizes the kernel of a convolution or dense layer."""

    def get_weights_and_quantizers(self, layer: keras.layers.Layer) -> list[Any]:
        return [(getattr(layer, _kernel_name(layer)), self.quantizer)]

    def set_quantize_weights(self, layer: keras.layers.Layer, quantize_weights: list[tf.Tensor]) -> None:
        setattr(layer, _kernel_name(layer), quantize_weights[0])


class QuantizedOutput(_QuantizeConfig):
    """Quantizes what a layer puts out."""

    def get_output_quantizers(self, layer: keras.layers.Layer) -> list[_Quantizer]:
        return [self.quantizer]


def _kernel_name(layer: keras.layers.Layer) -> str:
    return "depthwise_kernel" if isinstance(layer, keras.layers.DepthwiseConv2D) else "kernel"


class _KeepLayout(QuantizeLayoutTransform):
    def apply(self, model: keras.Model, layer_quantize_map: dict[str, Any]) -> tuple[keras.Model, dict[str, Any]]:
        return model, layer_quantize_map


class _NothingByDefault(QuantizeRegistry):
    def supports(self, layer: keras.layers.Layer) -> bool:
        return False


class _AsAnnotated(QuantizeScheme):
    """No folding of batch normalization, no 8-bit input layer: only what is annotated."""

    def get_layout_transformer(self) -> _KeepLayout:
        return _KeepLayout()

    def get_quantize_registry(self) -> _NothingByDefault:
        return _NothingByDefault()


CUSTOM_OBJECTS: dict[str, type] = {
    "WeightQuantizer": WeightQuantizer,
    "ActivationQuantizer": ActivationQuantizer,
    "QuantizedWeights": QuantizedWeights,
    "QuantizedOutput": QuantizedOutput,
}


def quantize(annotated: keras.Model, custom_objects: dict[str, type] | None = None) -> keras.Model:
    """Apply the annotated quantizers; ties share the first quantizer's scale variable."""
    with tfmot_keras.quantize_scope({**CUSTOM_OBJECTS, **(custom_objects or {})}):
        model = tfmot_keras.quantize_apply(annotated, scheme=_AsAnnotated())
    shared: dict[str, dict[str, tf.Variable]] = {}
    for layer in model.layers:
        for quantizer in getattr(layer, "_output_quantizers", []):
            if getattr(quantizer, "tie", ""):
                layer._output_quantizer_vars = shared.setdefault(quantizer.tie, layer._output_quantizer_vars)
    return model
