"""Small networks with lively statistics, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from bitswath.models.nets.architectures import InputSpec, build_model
from bitswath.models.nets.config import ArchitectureConfig, WidthsConfig
from bitswath.models.nets.quantizers import keras

ARCHITECTURES = {
    "vgg": ArchitectureConfig(kind="vgg", widths=(6, "M", 8, "M")),
    "vgg-pool": ArchitectureConfig(kind="vgg", widths=(6, "M", 8), head="pool"),
    "vgg16": ArchitectureConfig(kind="vgg16", multiplier=1 / 64),
    "resnet": ArchitectureConfig(kind="resnet", widths=(6, 8), head="pool"),
    "separable": ArchitectureConfig(kind="separable", widths=(6, 8, 8), head="pool"),
}


def small_model(
    name: str, weights: int = 4, activations: int = 4, spec: InputSpec | None = None, **widths: Any
) -> tuple[keras.Model, InputSpec]:
    """An untrained quantized model whose scales and batch normalizations have seen random codes.

    Half of the gains are negative, so that thresholds fall as well as rise.
    """
    rng = np.random.default_rng(11)
    keras.utils.set_random_seed(11)
    size = 32 if name == "vgg16" else 12
    spec = spec or InputSpec((size, size, 3), 4)
    model = build_model(ARCHITECTURES[name], spec, 5, WidthsConfig(weights=weights, activations=activations, **widths))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            channels = layer.gamma.shape[0]
            layer.gamma.assign(rng.uniform(0.5, 1.5, channels) * rng.choice([-1, 1], channels))
            layer.beta.assign(rng.normal(0, 0.5, channels))
    for _ in range(12):
        model(random_codes(spec, 8, rng), training=True)
    return model, spec


def random_codes(spec: InputSpec, count: int, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 2**spec.bits, (count, *spec.shape)).astype(np.float32)
