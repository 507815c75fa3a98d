"""Plans compute their networks: random ones of every stage, unit by unit in numpy against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitswath.hw.planning.plan import plan
from bitswath.network.network import INPUT, Conv, Dense, Network, Stage, TensorSpec, Threshold
from tests import reference
from tests.hw.planning.units_model import results
from tests.networks import NetworkBuilder, Rng, network_of, random_codes


def assert_equal(network: Network, rng: Rng) -> None:
    codes = random_codes(network.input, 3, rng)
    hardware = plan(network, network.input.bits, 64, pixels=int(rng.choice([1, 2, 3, 4])))
    np.testing.assert_array_equal(results(hardware, codes), reference.output(network, codes).reshape(len(codes), -1))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_random_networks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    builder = NetworkBuilder(rng)
    spec, *first = builder.network.input, *builder.network.stages
    builder.network = network_of(spec.shape, 0, 2 ** int(rng.choice([1, 4, 8])) - 1, *first)
    for _ in range(rng.integers(1, 9)):
        builder.grow()
    assert_equal(builder.network, rng)


def levels(rng: Rng, channels: int) -> Threshold:
    """Signs, levels on a line and off it, offsets; rising and falling."""
    count = int(rng.choice([1, 3, 60]))
    slope, start = rng.uniform(0.5, 9, (channels, 1)), rng.integers(-60, 20, (channels, 1))
    rows = np.ceil(start + slope * np.arange(count)).astype(np.int64) + rng.integers(0, 2, (channels, count))
    directions = rng.choice([-1, 1], channels).astype(np.int8)
    base, step = (-1, 2) if count == 1 else (int(rng.integers(-9, 9)), int(rng.choice([-2, -1, 0, 1, 1, 3])))
    return Threshold("t", ("c",), np.maximum.accumulate(rows, axis=1), directions, base, step)


@pytest.mark.parametrize("seed", range(30))
def test_signed_codes_and_levels_of_every_kind(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bits, channels = int(rng.choice([1, 2, 4, 8])), int(rng.integers(1, 5))
    base, step = (-1, 2) if bits == 1 else (int(rng.integers(-200, 9)), int(rng.choice([1, 1, 3])))
    stages: list[Stage] = [
        Threshold("x", (INPUT,), np.arange(1, 2**bits)[np.newaxis], base=base, step=step),
        Conv("c", ("x",), rng.integers(-2, 3, (channels, 2, 2, 3)), pads=(1, 0, 0, 1)),
        levels(rng, channels),
        Dense("y", ("t",), rng.integers(-2, 3, (3, 20 * channels))),
    ]
    assert_equal(Network(TensorSpec((4, 5, 3), 0, 2**bits - 1), tuple(stages)), rng)
