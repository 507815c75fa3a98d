"""The numpy reference agrees with float frameworks on the cases where a slip is easy."""

from __future__ import annotations

import numpy as np
import pytest

from bitswath.network.network import Conv, Lookup, MaxPool, SumPool, Threshold
from tests import reference


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_convolution_equals_scipy_correlation(groups: int) -> None:
    signal = pytest.importorskip("scipy.signal")
    rng = np.random.default_rng(groups)
    x, weights = rng.integers(-8, 8, (2, 9, 8, 4)), rng.integers(-8, 8, (8, 3, 2, 4 // groups))
    stage = Conv("y", ("x",), weights, (2, 1), (1, 0, 2, 1), (2, 3), groups)
    spread = np.zeros((8, 5, 4, 4 // groups), np.int64)
    spread[:, ::2, ::3] = weights
    wide = np.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0)))
    expected = np.zeros_like(reference.compute(stage, x))
    for channel in range(8):
        first = channel // (8 // groups) * (4 // groups)
        for i in range(4 // groups):
            expected[..., channel] += np.stack(
                [signal.correlate2d(frame[..., first + i], spread[channel, ..., i], "valid")[::2] for frame in wide]
            )
    np.testing.assert_array_equal(reference.compute(stage, x), expected)


def test_threshold_counts_and_follows_direction() -> None:
    stage = Threshold("y", ("x",), np.array([[0, 2], [-1, 3]]), np.array([1, -1], np.int8), base=-1, step=2)
    x = np.array([[-1, -4], [0, -3], [2, 2]])
    np.testing.assert_array_equal(reference.compute(stage, x), [[-1, 3], [1, 3], [3, -1]])


def test_pools_pad_as_documented() -> None:
    x = -np.ones((1, 2, 2, 1), np.int64)
    assert (reference.compute(MaxPool("y", ("x",), (2, 2), (2, 2), (1, 1, 1, 1)), x) == -1).all()
    assert (reference.compute(SumPool("y", ("x",), (2, 2), (1, 1), (1, 1, 1, 1)), x)[0, 1, 1] == -4).all()


def test_lookup_keeps_bands_of_a_channel_together() -> None:
    table = np.arange(12).reshape(2, 2, 3)
    y = reference.compute(Lookup("y", ("x",), table), np.array([[[[0, 1]]]]))
    np.testing.assert_array_equal(y.ravel(), [0, 1, 2, 9, 10, 11])
