"""Convolutions of one- and two-bit codes with one- and two-bit weights: bit-serial, and exact."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bitswath.backends.emulator import Kernel, _compile, available_kernels, run
from bitswath.network.network import INPUT, Conv, Dense, MaxPool, Network, Stage, Threshold
from tests import reference
from tests.networks import Rng, network_of, random_codes

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
KERNELS = [kernel for kernel in available_kernels() if kernel not in ("amx", "neondot")]  # those never count bits
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
    irregular: bool = False
    seed: int = 0

    def network(self) -> Network:
        rng = np.random.default_rng(self.seed)
        weights = rng.choice(self.levels, (self.outputs, *self.kernel, self.shape[2] // self.groups))
        weights[0], weights[-1] = self.levels[0], self.levels[-1]
        stages: list[Stage] = [Conv("conv", (INPUT,), weights, self.strides, self.pads, self.dilations, self.groups)]
        if self.thresholds:
            stages.append(self.threshold(weights, rng))
        if self.pooled:
            stages.append(MaxPool("pool", ("act",), (2, 2), (2, 2)))
        return network_of(self.shape, 0, self.hi, *stages)

    def threshold(self, weights: NDArray[np.int64], rng: Rng) -> Threshold:
        """Around the middle of the sums; if irregular, anywhere in their range and beyond, some of them twice."""
        lo = np.minimum(weights, 0).sum(axis=(1, 2, 3))[:, np.newaxis] * self.hi
        hi = np.maximum(weights, 0).sum(axis=(1, 2, 3))[:, np.newaxis] * self.hi
        if self.irregular:
            rows = np.sort(rng.integers(lo - 3, hi + 4, (self.outputs, self.thresholds)), axis=1)
            rows[::3, -1] = rows[::3, 0]
            rows = np.sort(rows, axis=1)
        else:
            step = rng.uniform(1, (hi - lo) ** 0.5 + 1, (self.outputs, 1))
            steps = np.arange(self.thresholds) - self.thresholds / 2 + rng.uniform(-1, 1, (self.outputs, 1))
            rows = np.ceil((hi + lo) / 2 + step * steps).astype(np.int64)
        directions = rng.choice([-1, 1], self.outputs) if self.falling else np.ones(self.outputs, np.int64)
        rows = np.where(directions[:, np.newaxis] > 0, rows, -rows[:, ::-1])
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
    "pooled, sums of one sign": Case((8, 8, 100), hi=3, levels=(0, 1), thresholds=3, pooled=True),
    "irregular": Case(hi=3, thresholds=3, irregular=True, falling=True),
    "irregular, one threshold": Case(thresholds=1, irregular=True, falling=True),
    "irregular, pooled": Case((8, 12, 32), thresholds=3, irregular=True, pooled=True),
    "sums past 16 bits": Case((2, 2, 4096), hi=3, levels=(-2, -1, 0, 1)),
    "one window": Case((1, 1, 512), 70, (1, 1), pads=(0, 0, 0, 0), hi=3),
    **{name: Case(hi=3, levels=levels, thresholds=3) for name, levels in WEIGHTS.items()},
}


@every_kernel
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_convolution_is_exact(case: Case, kernel: Kernel) -> None:
    assert_exact(case.network(), kernel)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    thresholds = draw(st.integers(0, 4))
    return Case(
        shape=(draw(st.integers(8, 13)), draw(st.integers(8, 19)), groups * draw(st.integers(1, 70))),
        outputs=groups * draw(st.integers(1, 140 // groups)),
        kernel=kernel,
        strides=draw(st.tuples(st.integers(1, 2), st.integers(1, 3))),
        pads=(*draw(st.tuples(*(st.integers(0, kernel[i % 2] - 1) for i in range(4)))),),
        dilations=draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
        groups=groups,
        hi=draw(st.integers(1, 3)),
        levels=draw(st.sampled_from(list(WEIGHTS.values()))),
        thresholds=thresholds,
        pooled=thresholds > 0 and draw(st.booleans()),
        falling=draw(st.booleans()),
        irregular=draw(st.booleans()),
        seed=draw(st.integers(0, 2**32)),
    )


@given(cases())
@settings(max_examples=40, deadline=None)
def test_random_convolutions_are_exact(case: Case) -> None:
    assert_exact(case.network(), *available_kernels(), count=2)


@pytest.mark.parametrize(
    ("case", "kernel", "expected"),
    [
        (CASES["W1A1"], "scalar", "popcount"),
        (CASES["W1A1"], "avx2", "quads"),
        (CASES["W1A2"], "avx2", "quads"),
        (CASES["W2A2"], "avx2", "winograd-vpmaddubsw16"),
        (replace(CASES["W2A2"], strides=(2, 2)), "avx2", "quads"),
        (CASES["W1A2"], "avxvnni", "quads"),
        (CASES["W1A2"], "avx512", "quads512"),
        (
            Case(outputs=16, shape=(9, 13, 16), strides=(1, 2)),
            "avx2",
            "vpmaddubsw16",
        ),  # half of a block would go to waste
        (Case((6, 6, 16), 16, groups=16), "avx2", "depthwise8"),
        (CASES["W1A1"], "amx", "tdpbusd"),
        (Case(hi=4, strides=(2, 2)), "avx2", "vpmaddubsw16"),
        (Case(levels=(-2, -1, 0, 1, 2), strides=(2, 2)), "avx2", "vpmaddubsw16"),
    ],
)
def test_bits_are_taken_where_they_pay(case: Case, kernel: Kernel, expected: str) -> None:
    if kernel not in available_kernels():
        pytest.skip(f"this CPU has no {kernel}")
    assert kernels_of(case.network(), kernel) == [f"{expected}+store"]


@every_kernel
def test_dense_stages_of_bits_are_exact(kernel: Kernel) -> None:
    rng = np.random.default_rng(5)
    dense = Dense("dense", (INPUT,), rng.choice([-1, 1], (70, 4 * 4 * 32)))
    network = network_of((4, 4, 32), 0, 3, dense)
    assert kernels_of(network, kernel)[0].partition("+")[0] in BIT_KERNELS
    assert_exact(network, kernel)
