"""Settling moves every boundary well away from every accumulator value, and little else."""

import numpy as np

from bitswath.models.nets.graph import layer_calls, plain_layer
from bitswath.models.nets.quantizers import keras
from bitswath.models.training.settle import _best_shifts, settle
from tests.models.small import random_codes, small_model


def test_boundaries_come_to_lie_between_integers() -> None:
    model, _ = small_model("vgg")
    report = settle(model)
    assert [entry.layer for entry in report] == ["act0", "act1"]
    assert all(entry.margin > 0.02 for entry in report)
    assert all(entry.margin >= entry.margin_before for entry in report)
    again = settle(model)
    assert all(entry.margin > 0.02 and entry.largest_shift <= 0.5 for entry in again)


def test_a_code_moves_by_one_at_most() -> None:
    model, spec = small_model("vgg")
    first = next(node.outputs for layer, node in layer_calls(model) if plain_layer(layer).name == "act0")
    activation = keras.Model(model.input, first)
    codes = random_codes(spec, 16, np.random.default_rng(0))
    before = activation(codes).numpy()
    settle(model)
    steps = np.rint((activation(codes).numpy() - before) / np.diff(np.unique(before)).min())
    assert np.abs(steps).max() <= 1
    assert (steps != 0).mean() < 0.1


def test_the_smallest_shift_that_is_enough_is_taken() -> None:
    boundaries = np.array([[0.5, 7.5], [3.0, 10.0], [0.02, 5.96]])
    shifts, before, after = _best_shifts(boundaries)
    np.testing.assert_allclose(before, [0.5, 0.0, 0.02], atol=1e-12)
    np.testing.assert_allclose(np.abs(shifts), [0.0, 0.05, 0.07], atol=1e-9)
    assert (after >= 0.05 - 1e-9).all()
