"""Convolutions of 3 x 3 by Winograd's form: chosen where it is exact and pays, and equal to every product summed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitswath.backends.emulator import EmulatorBackend, Kernel, available_kernels
from bitswath.codecs.packing import pack
from bitswath.network.network import INPUT, Conv, Network, Threshold
from tests import reference
from tests.host.backends.emulator.test_emulator_bits import Case, assert_exact, kernels_of
from tests.networks import network_of, random_codes

KERNELS = [kernel for kernel in available_kernels() if kernel != "scalar"]
every_kernel = pytest.mark.parametrize("kernel", KERNELS)
FOUR_BITS = Case((10, 12, 64), hi=15, levels=tuple(range(-8, 8)))
CASES = {
    "W4A4": FOUR_BITS,
    "thresholds": replace(FOUR_BITS, thresholds=15),
    "falling": replace(FOUR_BITS, thresholds=15, falling=True),
    "pooled": replace(FOUR_BITS, thresholds=15, falling=True, pooled=True),
    "small sums": replace(FOUR_BITS, levels=(-2, -1, 0, 1, 2), thresholds=15, pooled=True),
    "irregular": replace(FOUR_BITS, thresholds=15, irregular=True, falling=True),
    "irregular, small sums": replace(FOUR_BITS, levels=(-1, 0, 1), thresholds=9, irregular=True, pooled=True),
    "five bits": replace(FOUR_BITS, hi=31, thresholds=31),
    "six bits": replace(FOUR_BITS, hi=63),
    "odd rows": replace(FOUR_BITS, shape=(11, 12, 64), thresholds=15),
    "odd columns": replace(FOUR_BITS, shape=(10, 13, 64), thresholds=15),
    "odd, pooled": replace(FOUR_BITS, shape=(11, 13, 64), thresholds=15, pooled=True),
    "two windows": replace(FOUR_BITS, shape=(3, 4, 64), pads=(0, 0, 0, 0)),
    "odd channels": replace(FOUR_BITS, shape=(8, 10, 73), outputs=37, thresholds=15),
    "few channels": replace(FOUR_BITS, shape=(12, 12, 5), outputs=64, thresholds=15),
    "no padding": replace(FOUR_BITS, pads=(0, 0, 0, 0), thresholds=15),
    "padding of two": replace(FOUR_BITS, pads=(2, 0, 1, 2), thresholds=15),
    "seven bits": replace(FOUR_BITS, hi=127, thresholds=31, falling=True),
    "thin": replace(FOUR_BITS, shape=(9, 16, 16), outputs=16, thresholds=15, pooled=True),
    "thin, odd rows": replace(FOUR_BITS, shape=(7, 15, 20), outputs=23, thresholds=15, falling=True),
    "wide rows": replace(FOUR_BITS, shape=(4, 150, 32), outputs=32, thresholds=15, pooled=True),
}


def extreme(weight: int, channels: int, lo: int, hi: int) -> Network:
    """Every product at its largest, rows of alternating sign at some outputs."""
    weights = np.full((16, 3, 3, channels), weight)
    weights[1::3, :, 1] = -weight if weight > -8 else 7
    weights[2::3, 1] = 0
    return network_of((6, 8, channels), lo, hi, Conv("conv", (INPUT,), weights, pads=(1, 1, 1, 1)))


@every_kernel
@pytest.mark.parametrize("name", CASES)
def test_windows_are_exact(name: str, kernel: Kernel) -> None:
    assert_exact(CASES[name].network(), kernel)


@every_kernel
@pytest.mark.parametrize(
    ("lo", "hi"),
    [(0, 15), (0, 31), (0, 63), (0, 64), (0, 127), (0, 128), (-64, 63), (-8, 7), (-16, 15), (-32, 31), (-15, 0)],
)
@pytest.mark.parametrize("weight", [-8, 7, -1, 14, -15])
@pytest.mark.parametrize("channels", [16, 33, 512])
def test_ranges_at_their_edge_are_exact(weight: int, channels: int, lo: int, hi: int, kernel: Kernel) -> None:
    assert_exact(extreme(weight, channels, lo, hi), kernel)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_convolution_is_exact(data: st.DataObject) -> None:
    def integer(lo: int, hi: int) -> int:
        return data.draw(st.integers(lo, hi))

    pads = (integer(0, 2), integer(0, 2), integer(0, 2), integer(0, 2))
    most = data.draw(st.sampled_from([1, 2, 7, 8]))
    case = Case(
        (integer(4, 11), integer(4, 18), data.draw(st.sampled_from([4, 16, 24, 31, 64, 80]))),
        data.draw(st.sampled_from([8, 16, 33, 64])),
        pads=pads,
        hi=data.draw(st.sampled_from([3, 7, 15, 31, 63])),
        levels=tuple(range(-most, most + 1)),
        thresholds=data.draw(st.sampled_from([0, 1, 15])),
        falling=data.draw(st.booleans()),
        irregular=data.draw(st.booleans()),
        seed=integer(0, 2**32 - 1),
    )
    assert_exact(replace(case, pooled=bool(case.thresholds)).network(), *KERNELS, count=2)


@pytest.mark.skipif("avx2" not in KERNELS, reason="chosen by what other sets' kernels cost")
def test_it_is_chosen_where_it_is_exact_and_pays() -> None:
    def first(case: Case) -> str:
        return kernels_of(case.network(), "avx2")[0].partition("+")[0]

    assert first(FOUR_BITS) == "winograd-vpmaddubsw"
    assert first(replace(FOUR_BITS, shape=(10, 12, 32), levels=(-1, 0, 1), thresholds=15)) == "winograd-vpmaddubsw16"
    for other in (
        replace(FOUR_BITS, strides=(2, 2)),
        replace(FOUR_BITS, dilations=(2, 2)),
        replace(FOUR_BITS, groups=2),
        replace(FOUR_BITS, kernel=(1, 3)),
        replace(FOUR_BITS, shape=(10, 12, 3)),
        replace(FOUR_BITS, shape=(1, 12, 64)),
        replace(FOUR_BITS, hi=255),
    ):
        assert not first(other).startswith("winograd")


@every_kernel
def test_it_is_left_out_on_request(kernel: Kernel) -> None:
    network = CASES["pooled"].network()
    codes = random_codes(network.input, 3, np.random.default_rng(0))
    frames = pack(codes.astype(np.uint8), 4)
    with EmulatorBackend(network, 4, threads=1, kernel=kernel, winograd=False) as backend:
        results = backend.collect(backend.submit(frames))
        taken = [name for _, name, _ in backend.profile(frames)]
    assert not any(name.startswith("winograd") for name in taken)
    np.testing.assert_array_equal(results, reference.interpret(network, codes)["pool"])


@every_kernel
def test_signed_inputs_are_exact_and_keep_bytes(kernel: Kernel) -> None:
    rng = np.random.default_rng(3)
    first = Conv("conv0", (INPUT,), rng.integers(-2, 3, (32, 3, 3, 3)), pads=(1, 1, 1, 1))
    levels = Threshold("act0", ("conv0",), np.arange(-30, 30, 4)[np.newaxis], np.ones(1, np.int8), base=-8)
    second = Conv("conv1", ("act0",), rng.integers(-8, 8, (48, 3, 3, 32)), pads=(1, 1, 1, 1))
    network = network_of((9, 12, 3), 0, 15, first, levels, second)
    assert_exact(network, kernel)
    if kernel == "avx2":
        assert kernels_of(network, kernel)[-1].startswith("winograd")
