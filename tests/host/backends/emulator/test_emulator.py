"""The emulator computes the integer network exactly: the same integers as plain numpy on int64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bitswath.backends.emulator import Kernel, _compile, available_kernels, run
from bitswath.errors import BackendError
from bitswath.network.network import INPUT, Add, Conv, Dense, MaxPool, Network, Threshold
from tests import reference
from tests.networks import network_of, random_codes, random_network, small_cnn, sorted_rows, uniform_rows

KERNELS = [
    pytest.param(k, marks=pytest.mark.skipif(k not in available_kernels(), reason=f"this CPU has no {k}"))
    for k in ("scalar", "avx2", "avxvnni", "avx512", "zen4", "amx")
]
every_kernel = pytest.mark.parametrize("kernel", KERNELS)


def assert_exact(network: Network, *kernels: Kernel, count: int = 4, seed: int = 0) -> None:
    codes = random_codes(network.input, count, np.random.default_rng(seed))
    expected = reference.interpret(network, codes)
    for kernel in kernels:
        taps = run(network, codes, taps=True, kernel=kernel, threads=1)
        assert list(taps) == list(expected)
        for name, values in expected.items():
            np.testing.assert_array_equal(taps[name], values, err_msg=f"{kernel}: {name}")
        fused = run(network, codes, kernel=kernel, threads=1)
        np.testing.assert_array_equal(fused, expected[network.stages[-1].name], err_msg=f"{kernel}, fused")


def kernels_of(network: Network, kernel: Kernel = "auto", fuse: bool = True) -> list[str]:
    return [name for _, name in _compile(network, 1, kernel, fuse=fuse).steps]


@dataclass(frozen=True)
class ConvCase:
    """One convolution; the fields are what may go wrong in a kernel."""

    shape: tuple[int, int, int] = (6, 7, 4)
    outputs: int = 16
    kernel: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1
    codes: tuple[int, int] = (0, 15)
    weights: tuple[int, int] = (-8, 7)

    def network(self) -> Network:
        rng = np.random.default_rng(7)
        shape = (self.outputs, *self.kernel, self.shape[2] // self.groups)
        weights = rng.integers(*self.weights, shape, endpoint=True)
        weights[0], weights[-1] = self.weights
        conv = Conv("conv", (INPUT,), weights, self.strides, self.pads, self.dilations, self.groups)
        return network_of(self.shape, *self.codes, conv)


CONVS = {
    "rgb": ConvCase((9, 8, 3), 16, pads=(1, 1, 1, 1)),
    "one channel, one output": ConvCase((5, 5, 1), 1),
    "odd outputs": ConvCase(outputs=37, pads=(1, 1, 1, 1)),
    "many outputs": ConvCase((5, 19, 8), 70),
    "whole blocks of outputs": ConvCase((7, 11, 12), 64, pads=(1, 1, 1, 1)),
    "whole blocks, rgb, strided": ConvCase((11, 12, 3), 32, strides=(2, 2), pads=(0, 0, 1, 1)),
    "whole blocks, grouped": ConvCase((6, 5, 16), 64, groups=2),
    "whole blocks, largest pairs": ConvCase((5, 9, 2), 32, kernel=(1, 1), codes=(0, 255), weights=(-64, 64)),
    "pointwise": ConvCase((5, 5, 6), 33, (1, 1)),
    "asymmetric pads": ConvCase(kernel=(4, 2), pads=(2, 0, 1, 1)),
    "strided": ConvCase((11, 12, 3), 20, strides=(2, 3), pads=(0, 1, 1, 0)),
    "dilated": ConvCase((12, 12, 5), 18, (3, 2), dilations=(2, 3), pads=(2, 1, 0, 3)),
    "grouped": ConvCase((6, 6, 12), 18, groups=3, pads=(1, 1, 1, 1)),
    "grouped, odd": ConvCase((6, 6, 15), 10, groups=5, dilations=(1, 2), pads=(0, 1, 0, 1)),
    "depthwise": ConvCase((7, 6, 24), 24, groups=24, pads=(1, 1, 1, 1)),
    "depthwise, even taps": ConvCase((9, 8, 40), 40, groups=40, kernel=(2, 3), dilations=(2, 1)),
    "depthwise, largest pairs": ConvCase((5, 9, 33), 33, groups=33, kernel=(1, 2), codes=(0, 255), weights=(-64, 64)),
    "depthwise, strided": ConvCase((7, 6, 9), 9, groups=9, strides=(2, 2), pads=(1, 0, 1, 1)),
    "depth multiplier": ConvCase((7, 6, 5), 15, groups=5, pads=(1, 1, 1, 1)),
    "8 bit, extremes": ConvCase(codes=(0, 255), weights=(-128, 127), pads=(1, 1, 1, 1)),
    "signed": ConvCase(codes=(-8, 7), pads=(1, 1, 1, 1)),
    "signed 8 bit": ConvCase(codes=(-128, 127), weights=(-128, 127)),
    "bipolar": ConvCase(codes=(-1, 1), weights=(-1, 1)),
    "16 bit weights": ConvCase((5, 5, 2), codes=(0, 255), weights=(-32768, 32767), kernel=(2, 2)),
    "16 bit, past 32": ConvCase(codes=(-32768, 32767), weights=(-32768, 32767)),
    "wide weights": ConvCase(weights=(-(10**12), 10**12)),
    "wide codes": ConvCase(codes=(-(10**12), 10**12), pads=(1, 0, 0, 1)),
    "wide depthwise": ConvCase((5, 5, 4), 4, groups=4, codes=(0, 10**9), weights=(-100, 100)),
    "24 bit": ConvCase(codes=(0, 2**24 - 1), weights=(-2, 1)),
    "all zero weights, wide codes": ConvCase(codes=(0, 10**12), weights=(0, 0)),
}


@every_kernel
@pytest.mark.parametrize("case", CONVS.values(), ids=CONVS.keys())
def test_convolution_is_exact(case: ConvCase, kernel: Kernel) -> None:
    assert_exact(case.network(), kernel)


@pytest.mark.parametrize(
    ("case", "kernel", "expected"),
    [
        (ConvCase(), "avx512", "vpdpbusd"),
        (ConvCase(codes=(-8, 7)), "avx512", "vpdpwssd"),
        (ConvCase(codes=(0, 255), weights=(-128, 127)), "avx512", "vpdpbusd"),
        (ConvCase(), "amx", "tdpbusd+interleave"),
        (ConvCase(), "avx2", "vpmaddubsw16"),
        (ConvCase((4, 4, 200), codes=(0, 63)), "avx2", "vpmaddubsw"),  # sums past 16 bits
        (ConvCase(), "avxvnni", "vpdpbusd"),
        (ConvCase(codes=(-8, 7)), "avxvnni", "vpdpwssd"),
        (ConvCase(codes=(0, 255), weights=(-128, 127)), "avx2", "vpmaddwd"),  # maddubs would saturate
        (ConvCase(codes=(-32768, 32767), weights=(-32768, 32767)), "avx2", "loop"),  # needs 64 bits
        (ConvCase((6, 6, 8), 8, groups=8), "avx2", "depthwise8"),
        (ConvCase((6, 6, 8), 8, groups=8, codes=(-8, 7)), "avx2", "depthwise16"),
        (ConvCase((6, 6, 8), 8, groups=8, codes=(0, 255), weights=(-127, 127), kernel=(1, 1)), "avx2", "depthwise16"),
        (ConvCase(), "scalar", "loop"),
    ],
)
def test_the_kernel_is_the_fastest_that_is_proved_exact(case: ConvCase, kernel: Kernel, expected: str) -> None:
    if kernel not in available_kernels():
        pytest.skip(f"this CPU has no {kernel}")
    assert kernels_of(case.network(), kernel) == [f"{expected}+store"]


def test_auto_takes_the_best_kernel_and_a_missing_one_is_an_error() -> None:
    network = ConvCase().network()
    assert _compile(network, 1, "auto", fuse=True).kernel == available_kernels()[-1]
    with pytest.raises(BackendError, match="sse9"):
        run(network, random_codes(network.input, 1, np.random.default_rng(0)), kernel=cast(Kernel, "sse9"))


@every_kernel
def test_dense_reads_a_bordered_tensor_in_h_w_c_order(kernel: Kernel) -> None:
    rng = np.random.default_rng(3)
    dense = Dense("dense", (INPUT,), rng.integers(-8, 8, (11, 5 * 4 * 3)))
    conv = Conv("conv", (INPUT,), rng.integers(-8, 8, (3, 3, 3, 3)), pads=(1, 2, 1, 2))
    flat = Dense("flat", ("dense",), rng.integers(-8, 8, (5, 11)))
    assert_exact(network_of((5, 4, 3), 0, 15, conv, dense, flat), kernel)


@every_kernel
def test_a_tensor_may_feed_convolutions_that_want_different_types(kernel: Kernel) -> None:
    rng = np.random.default_rng(4)
    narrow = Conv("narrow", (INPUT,), rng.integers(-8, 8, (9, 3, 3, 4)), pads=(1, 1, 1, 1))
    wide = Conv("wide", (INPUT,), rng.integers(-3000, 3000, (9, 1, 1, 4)))
    pool = MaxPool("pool", (INPUT,), (2, 2), (1, 1), (1, 0, 0, 1))
    after = Conv("after", ("pool",), rng.integers(-8, 8, (4, 1, 1, 4)))
    assert_exact(network_of((5, 4, 4), 0, 15, narrow, wide, pool, after), kernel)


def every_accumulator(hi: int, channels: int) -> tuple[Network, NDArray[np.int64]]:
    """A network input whose channels each hold every integer in -hi..hi, and the codes that do so."""
    codes = np.repeat(np.arange(-hi, hi + 1)[:, np.newaxis], channels, axis=1)
    return network_of((2 * hi + 1, 1, channels), -hi, hi, MaxPool("x", (INPUT,), (1, 1), (1, 1))), codes[None, :, None]


@every_kernel
@pytest.mark.parametrize("seed", range(6))
def test_uniform_thresholds_become_an_affine_map_that_is_exact_everywhere(seed: int, kernel: Kernel) -> None:
    rng = np.random.default_rng(seed)
    channels, count = int(rng.integers(1, 40)), int(rng.choice([1, 3, 7, 15, 63, 255]))
    bare, codes = every_accumulator(700, channels)
    rows, directions = uniform_rows(channels, count, rng), rng.choice([-1, 1], channels).astype(np.int8)
    threshold = Threshold("y", ("x",), rows, directions, int(rng.integers(-3, 3)), int(rng.choice([1, 2, -1])))
    network = Network(bare.input, (*bare.stages, threshold))
    assert kernels_of(network, kernel)[-1] == "threshold+affine"
    np.testing.assert_array_equal(run(network, codes, kernel=kernel), reference.output(network, codes))


@every_kernel
@pytest.mark.parametrize("hi", [30000, 2**40])
def test_lines_too_fine_for_32_bits_are_drawn_in_64(hi: int, kernel: Kernel) -> None:
    rng = np.random.default_rng(hi)
    scale, offset = rng.uniform(100, 200, (5, 1)), rng.uniform(-25000, -20000, (5, 1))
    rows = np.ceil((np.arange(255) + 0.5) * scale + offset).astype(np.int64)
    threshold = Threshold("y", (INPUT,), rows, np.array([1, -1, 1, -1, 1], np.int8), base=-5, step=3)
    network = network_of((60001, 1, 5), -hi, hi, threshold)
    codes = np.tile(np.arange(-30000, 30001)[:, None], (1, 5))[None, :, None]
    assert kernels_of(network, kernel) == ["threshold+affine64"]
    np.testing.assert_array_equal(run(network, codes, kernel=kernel), reference.output(network, codes))


@every_kernel
@pytest.mark.parametrize(
    ("count", "name"), [(5, "count"), (24, "count"), (25, "search"), (255, "search"), (300, "search")]
)
@pytest.mark.parametrize("hi", [500, 2**40])
def test_irregular_thresholds_are_counted_or_searched(count: int, name: str, hi: int, kernel: Kernel) -> None:
    rng = np.random.default_rng(count)
    rows = sorted_rows(130, count, 490, rng)
    rows[:, 0], rows[:, 1], rows[:, -1] = -499, -498, 499
    threshold = Threshold("y", (INPUT,), rows, rng.choice([-1, 1], 130).astype(np.int8), base=-2, step=3)
    network = network_of((1001, 1, 130), -hi, hi, threshold)
    codes = np.tile(np.arange(-500, 501)[:, None], (1, 130))[None, :, None]
    assert kernels_of(network, kernel) == [f"threshold+{name}"]
    np.testing.assert_array_equal(run(network, codes, kernel=kernel), reference.output(network, codes))


@every_kernel
@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize(
    "rows",
    [
        [[3, 3, 3]],
        [[-(2**61), 0, 2**61]],
        [[-(2**63), -(2**63)]],
        [[2**63 - 1]],
        [[-10, -9, 10, 11]],
        [[-11, -10, -9]],
        [[9, 10, 11]],
        [[]],
    ],
    ids=str,
)
def test_thresholds_on_and_beyond_the_ends_of_the_range(rows: list[list[int]], direction: int, kernel: Kernel) -> None:
    bare, codes = every_accumulator(10, 3)
    threshold = Threshold("y", ("x",), np.array(rows, np.int64).reshape(1, -1), np.array([direction], np.int8))
    network = Network(bare.input, (*bare.stages, threshold))
    np.testing.assert_array_equal(run(network, codes, kernel=kernel), reference.output(network, codes))


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_any_ascending_thresholds_are_exact_on_the_whole_range(seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels, count, reach = int(rng.integers(1, 5)), int(rng.integers(1, 12)), int(rng.choice([4, 20, 120]))
    bare, codes = every_accumulator(100, channels)
    rows = sorted_rows(channels, count, reach, rng)
    threshold = Threshold("y", ("x",), rows, rng.choice([-1, 1], channels).astype(np.int8))
    network = Network(bare.input, (*bare.stages, threshold))
    for kernel in available_kernels():
        np.testing.assert_array_equal(
            run(network, codes, kernel=kernel), reference.output(network, codes), err_msg=kernel
        )


@given(seed=st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_random_networks_are_exact_at_every_tensor(seed: int) -> None:
    assert_exact(random_network(seed), *available_kernels(), seed=seed)


def test_random_networks_reach_every_kernel() -> None:
    stages, finishes = set(), set()
    for seed in range(150):
        for kernel in kernels_of(random_network(seed)):
            stage, _, finish = kernel.partition("+")
            stages.add(stage)
            finishes.add(finish)
    expected = {"loop", "depthwise", "threshold", "add", "sum_pool", "max_pool", "concat", "lookup", "arg_max"}
    assert expected <= stages
    assert {"store", "affine", "affine64", "count", "search"} <= finishes


@pytest.mark.parametrize("count", [0, 1, 3, 257])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_batch_size_and_threads_do_not_change_the_result(count: int, threads: int) -> None:
    network = small_cnn()
    codes = random_codes(network.input, count, np.random.default_rng(count))
    outputs = run(network, codes, threads=threads)
    assert outputs.shape == (count, *network.output.shape)
    assert outputs.dtype == np.int32
    expected = [run(network, frame[np.newaxis], threads=1)[0] for frame in codes[:20]]
    np.testing.assert_array_equal(outputs[:20], np.reshape(expected, (-1, *network.output.shape)))
    np.testing.assert_array_equal(outputs, run(network, codes, threads=1))


def test_thresholds_and_pools_run_inside_the_stage_that_feeds_them() -> None:
    fused = kernels_of(small_cnn())
    unfused = kernels_of(small_cnn(), fuse=False)
    assert len(fused) == 2
    assert fused[0].endswith("+pool+narrow")
    assert len(unfused) == 4


def test_a_tensor_with_a_second_reader_is_not_fused_away() -> None:
    rng = np.random.default_rng(5)
    conv = Conv("conv", (INPUT,), rng.integers(-8, 8, (6, 1, 1, 3)))
    act = Threshold("act", ("conv",), uniform_rows(6, 7, rng))
    network = network_of((4, 4, 3), 0, 15, conv, act, Add("sum", ("conv", "act"), (1, -1)))
    assert len(kernels_of(network)) == 3
    assert_exact(network, "auto")


def test_outputs_past_32_bits_come_as_int64() -> None:
    network = ConvCase(codes=(0, 10**6), weights=(-(10**6), 10**6)).network()
    codes = random_codes(network.input, 3, np.random.default_rng(0))
    outputs = run(network, codes)
    assert outputs.dtype == np.int64
    assert int(np.abs(outputs).max()) > 2**40
    np.testing.assert_array_equal(outputs, reference.output(network, codes))


@pytest.mark.parametrize("margin", [-1, 0, 1])
def test_accumulators_on_either_side_of_32_bits(margin: int) -> None:
    largest = 2**31 - 2 + margin
    network = network_of((1,), 0, 1, Dense("y", (INPUT,), np.array([[largest], [-largest]])))
    assert run(network, np.ones((1, 1), np.uint8)).tolist() == [[largest, -largest]]
    thresholds = np.array([[largest - 1, largest], [-largest + 1, 1]])
    network = network_of((1,), 0, 1, *network.stages, Threshold("t", ("y",), thresholds))
    codes = np.array([[0], [1]], np.uint8)
    np.testing.assert_array_equal(run(network, codes), reference.output(network, codes))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.int64, np.uint64])
def test_codes_of_any_integer_dtype_and_layout(dtype: type[np.integer[Any]]) -> None:
    network = small_cnn()
    codes = random_codes(network.input, 4, np.random.default_rng(0))
    given_codes = np.asfortranarray(codes.astype(dtype))[::2]
    np.testing.assert_array_equal(run(network, given_codes), run(network, codes[::2]))
