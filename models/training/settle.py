"""Moves a trained network's quantizer boundaries away from where rounding decides.

An activation quantizer turns an accumulator into a code at 2^bits - 1 boundaries. Where a boundary
lies on, or a rounding error away from, an integer accumulator, two float runtimes may disagree about
the code. Moving the batch normalization's offset by at most half an accumulator step puts every
boundary of a channel between two integers, as far from both as their number allows, so that float32
in any order of summation, the integer thresholds, and the hardware give the same code. Fifteen
boundaries leave a margin of a thirtieth of a step or more, far beyond rounding; the 255 of 8-bit
activations leave some 1/500, which sums of many thousands in float32 may still bridge. The margin
that was reached is reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.models.nets.graph import producers
from bitswath.models.nets.quantizers import ActivationQuantizer, WeightQuantizer, keras

__all__ = ["Settled", "settle"]

CANDIDATES = 201
ENOUGH = 0.05
"""Distance from an integer accumulator, in accumulator steps, beyond which a smaller shift is preferred."""


@dataclass(frozen=True)
class Settled:
    """What `settle` did to one activation layer, in accumulator steps."""

    layer: str
    margin_before: float
    margin: float
    largest_shift: float


def settle(model: keras.Model) -> list[Settled]:
    """Shift batch-normalization offsets in place; one report per convolution-fed activation.

    Layers whose quantizer is not fed by convolution (or dense) and batch normalization are left alone:
    between sums of equal scale every runtime computes the same float32 operations.
    """
    sources = producers(model)
    settled = []
    for wrapper in model.layers:
        quantizers = getattr(wrapper, "_output_quantizers", [])
        norm = sources.get(wrapper.name)
        weighted = sources.get(norm.name) if isinstance(norm, keras.layers.BatchNormalization) else None
        if quantizers and getattr(weighted, "_weight_vars", []):
            settled.append(_settle_layer(wrapper, quantizers[0], norm, weighted, _input_scale(sources, weighted)))
    return settled


def _settle_layer(
    wrapper: Any, quantizer: ActivationQuantizer, norm: Any, weighted: Any, input_scale: float
) -> Settled:
    kernel, weight_quantizer, variables = weighted._weight_vars[0]
    step = input_scale * _channel_scales(kernel, weight_quantizer, variables, norm)
    gain = norm.gamma.numpy().astype(np.float64) / np.sqrt(
        norm.moving_variance.numpy().astype(np.float64) + norm.epsilon
    )
    offset = norm.beta.numpy() - norm.moving_mean.numpy().astype(np.float64) * gain
    if weighted.layer.use_bias:
        offset += weighted.layer.bias.numpy() * gain
    per_step = gain * step
    live = np.abs(per_step) > 1e-12
    per_step = np.where(live, per_step, 1.0)
    scale = float(quantizer.scale(wrapper._output_quantizer_vars).numpy())
    levels = (np.arange(quantizer.lowest, quantizer.highest) + 0.5) * scale
    boundaries = (levels[None, :] - offset[:, None]) / per_step[:, None]
    shifts, before, after = _best_shifts(boundaries)
    shifts = np.where(live, shifts, 0.0)
    norm.beta.assign((norm.beta.numpy() - shifts * per_step).astype(np.float32))
    return Settled(
        wrapper.layer.name,
        float(before[live].min(initial=0.5)),
        float(after[live].min(initial=0.5)),
        float(np.abs(shifts).max()),
    )


def _best_shifts(boundaries: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Per channel (rows of `boundaries`) the smallest shift with margin enough, else the one of most margin."""
    candidates = np.linspace(-0.5, 0.5, CANDIDATES)
    candidates = candidates[np.argsort(np.abs(candidates), kind="stable")]
    moved = boundaries[:, None, :] + candidates[None, :, None]
    margins = np.abs(moved - np.rint(moved)).min(axis=2)
    enough = margins >= ENOUGH - 1e-9
    chosen = np.where(enough.any(axis=1), enough.argmax(axis=1), margins.argmax(axis=1))
    rows = np.arange(len(boundaries))
    return candidates[chosen], margins[:, 0], margins[rows, chosen]


def _channel_scales(kernel: Any, quantizer: WeightQuantizer, variables: Any, norm: Any) -> NDArray[np.float64]:
    scale = quantizer.scale(kernel, variables).numpy().astype(np.float64).reshape(-1)
    return np.broadcast_to(scale, norm.moving_mean.shape)


def _input_scale(sources: dict[str, Any], layer: Any) -> float:
    """Real value of one integer step of what `layer` reads."""
    factor = 1.0
    while (layer := sources.get(layer.name)) is not None:
        if getattr(layer, "_output_quantizers", []):
            return factor * float(layer._output_quantizers[0].scale(layer._output_quantizer_vars).numpy())
        if isinstance(layer, keras.layers.Rescaling):
            factor *= float(layer.scale)
        elif isinstance(layer, keras.layers.GlobalAveragePooling2D):
            factor /= float(np.prod(layer.input_shape[1:3]))
    return factor
