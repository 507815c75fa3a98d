"""The quick look: kernels that run here, and rates that fit each other."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from bitswath.backends.emulator import available_kernels
from bitswath.bench.quick import quick, sentence
from bitswath.commands.bench import command
from tests.networks import small_cnn
from tests.paths import ZOO


def test_rates_are_of_the_kernels_that_are_named() -> None:
    network = small_cnn()
    found = quick(network, 4)
    assert (found.kernel, found.available) == (available_kernels()[-1], available_kernels())
    assert found.gmac_per_s == pytest.approx(found.patches_per_s * network.macs / 1e9)
    assert 0 < found.share == pytest.approx(found.gmac_per_s / found.reach_gmac_per_s)
    assert f"{found.share:.0%}" in sentence(found)


def test_the_command_names_the_quickest_kernels() -> None:
    done = CliRunner().invoke(command, [str(ZOO / "synthetic-u4-w4a4.bsw"), "--quick"])
    assert done.exit_code == 0, done.output
    assert f"Kernels {available_kernels()[-1]}" in done.output
    assert CliRunner().invoke(command, ["x.bsw", "--quick", "--backend", "rtl"]).exit_code != 0
