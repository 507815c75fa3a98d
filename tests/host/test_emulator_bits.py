"""Convolutions of one- and two-bit codes with one- and two-bit weights: bit-serial, and exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bitswath.backends.emulator import Kernel, _compile, available_kernels, run
from bitswath.network import INPUT, Conv, Dense, MaxPool, Network, Stage, Threshold
from tests import reference
from tests.networks import Rng, network_of, random_codes, sorted_rows

WEIGHTS = {
    "bipolar": (-1, 1),
    "zero or one": (0, 1),
    "ternary": (-1, 0, 1),
    "two bits": (-2, -1, 0, 1),
    "unsigned": (0, 1, 2, 3),
    "odd levels": (-3, -1, 1, 3),
    "negative": (-1, 0),
    "scaled": (-40, 20),
    "constant": (1,),
}
KERNELS = [
    pytest.param(k, marks=pytest.mark.skipif(k not in available_kernels(), reason=f"this CPU has no {k}"))
    for k in ("scalar", "avx2", "avxvnni", "avx512", "neon")
]
every_kernel = pytest.mark.parametrize("kernel", KERNELS)
BIT_KERNELS = ("popcount", "quads", "quads512", "vpopcntd", "vcnt")


@dataclass(frozen=True)
class Case:
    """One convolution or dense stage, with a threshold and a pool after it if told so."""

    shape: tuple[int, int, int] = (9, 13, 64)
    outputs: int = 64
    kernel: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (1, 1, 1, 1)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1
    hi: int = 1
    levels: tuple[int, ...] = (-1, 1)
    thresholds: int = 0
    pooled: bool = False
    falling: bool = False
    seed: int = 0

    def network(self) -> Network:
        rng = np.random.default_rng(self.seed)
        weights = rng.choice(self.levels, (self.outputs, *self.kernel, self.shape[2] // self.groups))
        weights[0], weights[-1] = self.levels[0], self.levels[-1]
        stages: list[Stage] = [
            Conv("conv", (INPUT,), weights, self.strides, self.pads, self.dilations, self.groups),
        ]
        if self.thresholds:
            stages.append(self.threshold(weights, rng))
        if self.pooled:
            stages.append(MaxPool("pool", ("act",), (2, 2), (2, 2)))
        return network_of(self.shape, 0, self.hi, *stages)

    def threshold(self, weights: NDArray[np.int64], rng: Rng) -> Threshold:
        reach = int(np.abs(weights).sum(axis=(1, 2, 3)).max()) * self.hi
        step = rng.uniform(0.5, reach ** 0.5 + 1, (self.outputs, 1))
        rows = np.ceil((np.arange(self.thresholds) - self.thresholds / 2) * step + rng.normal(0, step)).astype(np.int64)
        directions = rng.choice([-1, 1], self.outputs) if self.falling else np.ones(self.outputs, np.int64)
        return Threshold("act", ("conv",), rows, directions.astype(np.int8))


def assert_exact(network: Network, *kernels: Kernel, count: int = 3, seed: int = 0) -> None:
    codes = random_codes(network.input, count, np.random.default_rng(seed))
    expected = reference.interpret(network, codes)
    for kernel in kernels:
        taps = run(network, codes, taps=True, kernel=kernel, threads=1)
        for name, values in expected.items():
            np.testing.assert_array_equal(taps[name], values, err_msg=f"{kernel}: {name}, seed {seed}")
        fused = run(network, codes, kernel=kernel, threads=1)
        np.testing.assert_array_equal(fused, expected[network.stages[-1].name], err_msg=f"{kernel}, fused, seed {seed}")


def kernels_of(network: Network, kernel: Kernel) -> list[str]:
    return [name for _, name in _compile(network, 1, kernel, fuse=True).steps]


CASES = {
    "W1A1": Case(),
    "W1A2": Case(hi=3),
    "W2A1": Case(levels=(-2, -1, 0, 1)),
    "W2A2": Case(hi=3, levels=(-2, -1, 0, 1)),
    "codes to 2": Case(hi=2),
    "odd outputs": Case(outputs=45, hi=3),
    "many outputs": Case((5, 19, 32), 200, hi=3),
    "odd channels": Case((7, 8, 37), 64, hi=3),
    "few channels": Case((7, 8, 3), 64, hi=3),
    "pointwise": Case((5, 7, 96), 64, (1, 1), pads=(0, 0, 0, 0)),
    "strided": Case((11, 12, 64), strides=(2, 3), pads=(0, 1, 1, 0), hi=3),
    "dilated": Case((12, 12, 32), kernel=(3, 2), dilations=(2, 3), pads=(2, 1, 0, 3), hi=3),
    "grouped": Case((6, 6, 96), 96, groups=3, hi=3),
    "grouped, odd outputs": Case((6, 6, 64), 34, groups=2),
    "wide kernel": Case((12, 14, 32), kernel=(7, 5), pads=(3, 2, 3, 2), hi=3),
    "thresholds": Case(hi=3, thresholds=3),
    "one threshold": Case(thresholds=1),
    "falling": Case(hi=3, thresholds=3, falling=True),
    "pooled": Case((8, 12, 64), hi=3, thresholds=3, pooled=True, falling=True),
    "pooled, odd": Case((9, 13, 64), thresholds=1, pooled=True),
    "one window": Case((1, 1, 512), 70, (1, 1), pads=(0, 0, 0, 0), hi=3),
    **{name: Case(hi=3, levels=levels, thresholds=3) for name, levels in WEIGHTS.items()},
}


@every_kernel
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_convolution_is_exact(case: Case, kernel: Kernel) -> None:
    assert_exact(case.network(), kernel)
