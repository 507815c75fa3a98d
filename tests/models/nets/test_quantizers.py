"""Quantizers give a few integers times a scale, and learn that scale."""

import numpy as np
import pytest

from bitswath.models.nets.quantizers import ActivationQuantizer, WeightQuantizer, fake_quantize, keras, tf


class Holder(keras.layers.Layer):  # type: ignore[misc]
    """Somewhere for a quantizer's variables to live."""


def quantized(quantizer: object, values: np.ndarray, training: bool = True) -> tuple[np.ndarray, np.ndarray]:
    variables = quantizer.build(values.shape, "x", Holder())  # type: ignore[attr-defined]
    result = quantizer(tf.constant(values), training, variables).numpy()  # type: ignore[operator]
    if isinstance(quantizer, WeightQuantizer):
        return result, quantizer.scale(tf.constant(values), variables).numpy()
    return result, quantizer.scale(variables).numpy()  # type: ignore[attr-defined]


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("per_channel", [True, False])
def test_weights_are_narrow_range_integers_times_their_scale(bits: int, per_channel: bool) -> None:
    weights = np.random.default_rng(bits).normal(0, 1, (3, 3, 4, 8)).astype(np.float32)
    result, scale = quantized(WeightQuantizer(bits, per_channel), weights)
    assert scale.shape == ((1, 1, 1, 8) if per_channel else (1, 1, 1, 1))
    integers = result / scale
    assert np.abs(integers - np.rint(integers)).max() < 1e-4
    highest = max(2 ** (bits - 1) - 1, 1)
    assert set(np.unique(np.rint(integers))) <= (set(range(-highest, highest + 1)) if bits > 1 else {-1.0, 1.0})


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("signed", [True, False])
def test_activations_are_clipped_integers_times_their_scale(bits: int, signed: bool) -> None:
    values = np.random.default_rng(bits).normal(0, 4, (2, 5, 5, 3)).astype(np.float32)
    quantizer = ActivationQuantizer(bits, signed=signed)
    result, scale = quantized(quantizer, values)
    expected = np.clip(np.rint(values / scale), quantizer.lowest, quantizer.highest)
    assert np.array_equal(np.rint(result / scale), expected)
    assert quantizer.highest - quantizer.lowest == 2**bits - 1


def test_power_of_two_scales_are_powers_of_two() -> None:
    weights = np.random.default_rng(0).normal(0, 1, (3, 3, 4, 8)).astype(np.float32)
    for quantizer in (WeightQuantizer(4, True, power_of_two=True), ActivationQuantizer(4, power_of_two=True)):
        _, scale = quantized(quantizer, weights)
        assert np.array_equal(np.log2(scale), np.rint(np.log2(scale)))


def test_halves_round_to_even() -> None:
    halves = tf.constant(np.arange(0.5, 7, 1, np.float32))
    assert np.array_equal(fake_quantize(halves, tf.constant(1.0), 0.0, 15.0, 1.0).numpy(), [0, 2, 2, 4, 4, 6, 6])


def test_what_is_narrowed_is_the_nearest_bfloat16() -> None:
    rng = np.random.default_rng(5)
    values = (rng.normal(0, 1, 20000) * 2.0 ** rng.integers(-20, 20, 20000)).astype(np.float32)
    values = tf.concat([tf.cast(values, tf.bfloat16), tf.constant([np.inf, -np.inf, -0.0, 0.0], tf.bfloat16)], 0)
    scale = tf.constant(0.37)  # products are seldom bfloat16 numbers, some lie halfway between two
    result = fake_quantize(values, scale, -1e9, 1e9, 1.0)
    wide = tf.cast(values, tf.float32) / scale
    expected = tf.cast(tf.round(tf.clip_by_value(wide, -1e9, 1e9)) * scale, tf.bfloat16)
    assert result.dtype == tf.bfloat16
    assert np.array_equal(result.numpy(), expected.numpy())


@pytest.mark.parametrize("shape", [(), (1, 1, 1, 3)])
def test_gradients_are_those_of_lsq(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(0, 3, (4, 4, 2, 3)).astype(np.float32)
    upstream = rng.normal(0, 1, x.shape).astype(np.float32)
    scale = np.full(shape, 0.7, np.float32)
    with tf.GradientTape() as tape:
        source, learned = tf.Variable(x), tf.Variable(scale)
        total = tf.reduce_sum(fake_quantize(source, learned, -3.0, 3.0, 0.25) * upstream)
    to_x, to_scale = tape.gradient(total, [source, learned])
    value = x / 0.7
    inside = np.abs(value) < 3
    assert np.array_equal(to_x, np.where(inside, upstream, 0))
    slope = np.where(inside, np.rint(value) - value, np.sign(value) * 3) * upstream
    expected = 0.25 * (slope.sum() if shape == () else slope.sum((0, 1, 2)).reshape(shape))
    np.testing.assert_allclose(to_scale, expected, rtol=1e-4, atol=1e-4)


def test_the_scale_starts_from_the_weights() -> None:
    weights = np.random.default_rng(0).normal(0, 1, (3, 3, 4, 2)).astype(np.float32)
    _, scale = quantized(WeightQuantizer(4), weights)
    np.testing.assert_allclose(scale.ravel(), 2 * np.abs(weights).mean((0, 1, 2)) / np.sqrt(7), rtol=1e-5)
