"""A network whose answer is the label."""

from __future__ import annotations

import numpy as np
import pytest

from bitswath.backends.emulator import EmulatorBackend
from bitswath.codecs.packing import pack
from bitswath.errors import NetworkError
from bitswath.network.network import INPUT, Dense, Head, Network, TensorSpec, labelled


def network(scale: np.ndarray, offset: np.ndarray, name: str = "label") -> Network:
    weights = np.random.default_rng(3).integers(-8, 8, (5, 12)).astype(np.int8)
    return Network(TensorSpec((12,), 0, 15), (Dense(name, (INPUT,), weights),), Head(scale, offset))


def test_the_label_is_that_of_the_largest_score() -> None:
    scores = network(np.full(1, 0.25), np.full(1, 3.0))
    frames = pack(np.random.default_rng(4).integers(0, 16, (200, 12), np.uint8), 4)
    with EmulatorBackend(scores, 4) as given, EmulatorBackend(labelled(scores), 4) as taken:
        integers, labels = (one.collect(one.submit(frames)) for one in (given, taken))
    assert np.array_equal(labels.reshape(-1), integers.argmax(axis=1)) and len(np.unique(labels)) > 3


@pytest.mark.parametrize(
    ("scale", "offset"), [(np.ones(5), np.zeros(1)), (np.ones(1), np.zeros(5)), (-np.ones(1), np.zeros(1))]
)
def test_scores_whose_order_is_another_have_none(scale: np.ndarray, offset: np.ndarray) -> None:
    with pytest.raises(NetworkError, match="one positive scale"):
        labelled(network(scale, offset))
