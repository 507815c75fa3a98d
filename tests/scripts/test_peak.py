"""The machine's units, by the names of the emulator's kernel sets."""

from __future__ import annotations

import pytest
from peak import Peak

from bitswath.backends.emulator import available_kernels
from bitswath.errors import BackendError


@pytest.fixture(scope="module")
def peak() -> Peak:
    try:
        return Peak()
    except BackendError as error:
        pytest.skip(str(error))


def test_the_peak_of_every_unit_can_be_measured(peak: Peak) -> None:
    rates = [peak.gmac_per_s(kind, cpu_time=True) for kind in peak.kinds]
    assert peak.kinds[-1] == "scalar" and min(rates) > 0
    assert rates[0] == max(rates), "the fastest comes first"


def test_two_processes_add_up(peak: Peak) -> None:
    assert peak.gmac_per_s(peak.kinds[0], processes=2) > 0


def test_every_kernel_set_has_its_unit(peak: Peak) -> None:
    assert {peak.unit(kernels) for kernels in available_kernels()} <= set(peak.kinds)
