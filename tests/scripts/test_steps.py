"""Steps are what the emulator's profile times, with the multiply-accumulates behind each."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from steps import kernel_shares, measure_steps, step_macs

from bitswath.backends.emulator import EmulatorBackend
from bitswath.codecs.packing import pack
from bitswath.network.network import INPUT, Add, Conv, Dense, Network, TensorSpec, Threshold
from tests.networks import random_codes, small_cnn

ONES = np.ones((3, 1, 1, 3), np.int8)
RESIDUAL = Network(
    TensorSpec((4, 4, 3), 0, 3),
    (
        Conv("c0", (INPUT,), ONES),
        Threshold("a0", ("c0",), np.array([[1, 2, 3]])),
        Conv("c1", ("a0",), ONES),
        Conv("c2", ("c1",), ONES),
        Add("sum", ("a0", "c2"), (1, 1)),
        Dense("fc", ("sum",), np.ones((2, 48), np.int8)),
    ),
)


def test_a_step_has_the_products_of_what_it_fuses() -> None:
    macs = step_macs(RESIDUAL, ["input", "a0", "c1", "c2", "sum", "fc"])
    assert macs == {"a0": 144, "c1": 144, "c2": 144, "sum": 0, "fc": 96}
    assert step_macs(RESIDUAL, ["a0", "fc"]) == {"a0": 144, "fc": 144 + 144 + 96}


@pytest.mark.parametrize("network", [small_cnn(), RESIDUAL], ids=["cnn", "residual"])
def test_the_steps_of_a_profile_are_the_whole_network(network: Network) -> None:
    codes = random_codes(network.input, 16, np.random.default_rng(2)).astype(np.uint8)
    bits = network.input.hi.bit_length()
    with EmulatorBackend(network, bits, threads=1) as backend:
        steps = measure_steps(network, partial(backend.profile, pack(codes, bits)), 16, count=3)
    assert next(iter(steps.values()))["kernel"] == "unpack"
    assert sum(step["share"] for step in steps.values()) == pytest.approx(1)
    macs = sum(step["gmac_per_s"] * step["us"] * 1e3 for step in steps.values() if step["gmac_per_s"])
    assert macs == pytest.approx(network.macs)


def test_a_steps_time_is_the_median_a_frame() -> None:
    profiles = iter([[("a", "k", 9.0)]] + [[("a", "k", seconds)] for seconds in (1e-3, 3e-3, 2e-3)])
    assert measure_steps(RESIDUAL, lambda: next(profiles), 10, 3)["a"]["us"] == pytest.approx(200)


def test_shares_of_steps_add_up_by_kernel() -> None:
    steps = {"a": ("x", 0.2), "b": ("y", 0.5), "c": ("x", 0.3)}
    shares = kernel_shares({name: {"kernel": kernel, "share": share} for name, (kernel, share) in steps.items()})
    assert shares == pytest.approx({"x": 0.5, "y": 0.5})
    assert list(kernel_shares({"a": {"kernel": "x", "share": 0.1}, "b": {"kernel": "y", "share": 0.9}})) == ["y", "x"]
