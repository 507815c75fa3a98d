"""Beginnings of a network are what its blocks are timed by."""

from __future__ import annotations

import numpy as np
import pytest
from peak import Peak
from stages import beginning, block_ends, measure_blocks

from bitswath.backends.emulator import run
from bitswath.errors import BackendError
from bitswath.network import INPUT, Add, Conv, Dense, Network, TensorSpec, Threshold
from bitswath.packing import pack
from tests.networks import random_codes, small_cnn

ONES = np.ones((3, 1, 1, 3), np.int8)


def test_blocks_end_before_weights() -> None:
    assert block_ends(small_cnn()) == [3, 4]


def test_no_block_ends_inside_a_residual() -> None:
    network = Network(
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
    assert block_ends(network) == [2, 5, 6]


def test_a_beginning_computes_the_networks_tensor() -> None:
    network = small_cnn()
    codes = random_codes(network.input, 5, np.random.default_rng(1)).astype(np.uint8)
    whole = run(network, codes, taps=True)
    assert np.array_equal(run(beginning(network, 3), codes), whole["pool"][:, :1, :1])
    assert np.array_equal(run(beginning(network, 4), codes), whole["logits"])


def test_shares_are_of_the_whole() -> None:
    network = small_cnn()
    codes = random_codes(network.input, 64, np.random.default_rng(2)).astype(np.uint8)
    blocks = measure_blocks(network, 4, pack(codes, 4), rounds=3)
    assert [block.name for block in blocks] == ["conv", "logits"]
    assert sum(block.share for block in blocks) == pytest.approx(1)
    assert all(block.share >= 0 and block.gmac_per_s > 0 for block in blocks)


def test_the_peak_of_every_unit_can_be_measured() -> None:
    try:
        peak = Peak()
    except BackendError as error:
        pytest.skip(str(error))
    rates = [peak.gmac_per_s(kind) for kind in peak.kinds]
    assert peak.kinds[-1] == "scalar" and min(rates) > 0
    assert rates[0] == max(rates), "the fastest comes first"
    assert peak.gmac_per_s(peak.kinds[0], processes=2) > 0
