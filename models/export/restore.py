"""A bundle's QONNX file back to the Keras model it was exported from.

The exporter names every parameter after its layer, so the fake-quantized Keras network can be rebuilt
from the training configuration in the manifest and the parameters in ``model.onnx``: its integer
weights and scales are those that were trained, and only the latent float weights are rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from bitswath.bundle.bundle import Bundle
from bitswath.errors import BundleError
from bitswath.models.nets.architectures import InputSpec, build_model, input_spec
from bitswath.models.nets.config import TrainConfig
from bitswath.models.nets.graph import plain_layer
from bitswath.models.nets.quantizers import keras

__all__ = ["restore_keras"]

Parameters = dict[str, NDArray[Any]]


def restore_keras(bundle: Bundle, config: TrainConfig) -> keras.Model:
    """The fake-quantized Keras model of a bundle that bitswath trained as `config` says.

    Raises `BundleError` if configuration and parameters do not fit together.
    """
    if bundle.onnx_path is None:
        raise BundleError(f"{bundle.path}: has no model.onnx to restore a model from; export it again")
    spec: InputSpec = input_spec(bundle.codec, bundle.manifest.input.patch_shape)
    model = build_model(config.architecture, spec, len(bundle.classes), config.widths)
    parameters = {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load(bundle.onnx_path).graph.initializer}
    for layer in model.layers:
        try:
            _restore_layer(layer, parameters)
        except (KeyError, ValueError) as error:
            raise BundleError(
                f"{bundle.onnx_path}: has no parameters that fit layer {layer.name!r} ({error})"
            ) from error
    return model


def _restore_layer(wrapper: Any, parameters: Parameters) -> None:
    layer = plain_layer(wrapper)
    for kernel, _, variables in getattr(wrapper, "_weight_vars", []):
        integers = parameters[f"{layer.name}_kernel_integers"].astype(np.float32)
        scale = parameters[f"{layer.name}_kernel_scale"]
        kernel.assign(_to_keras_layout(layer, integers * scale, kernel.shape))
        variables["scale"].assign(_to_keras_layout(layer, scale, variables["scale"].shape))
        variables["calibrated"].assign(1.0)
    if getattr(layer, "use_bias", False):
        layer.bias.assign(parameters[f"{layer.name}_bias"])
    if isinstance(layer, keras.layers.BatchNormalization):
        for variable, what in (
            (layer.gamma, "gamma"),
            (layer.beta, "beta"),
            (layer.moving_mean, "mean"),
            (layer.moving_variance, "variance"),
        ):
            variable.assign(parameters[f"{layer.name}_{what}"])
    if getattr(wrapper, "_output_quantizers", []):
        wrapper._output_quantizer_vars["scale"].assign(parameters[f"{layer.name}_scale"])


def _to_keras_layout(layer: Any, values: NDArray[np.float32], shape: Any) -> NDArray[np.float32]:
    if values.ndim == 0 or values.size == 1:
        return values.reshape(shape)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return values.reshape(shape[2], shape[3], *values.shape[2:]).transpose(2, 3, 0, 1)
    if isinstance(layer, keras.layers.Conv2D):
        return values.transpose(2, 3, 1, 0)
    return values
