"""The emulator computes the integer network exactly: the same integers as plain numpy on int64."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bitswath._native import Emulator
from bitswath.backends.emulator import Kernel, _compile, available_kernels, run
from bitswath.errors import BackendError, InputError, NetworkError
from bitswath.network import (
    INPUT,
    Add,
    ArgMax,
    Concat,
    Conv,
    Dense,
    Lookup,
    MaxPool,
    Network,
    Stage,
    SumPool,
    TensorSpec,
    Threshold,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))
import reference

Rng = np.random.Generator
KERNELS = [
    pytest.param(k, marks=pytest.mark.skipif(k not in available_kernels(), reason=f"this CPU has no {k}"))
    for k in ("scalar", "avx2", "avx512vnni")
]
every_kernel = pytest.mark.parametrize("kernel", KERNELS)


def random_codes(spec: TensorSpec, count: int, rng: Rng) -> NDArray[np.int64]:
    """Random codes; the first two frames are the extremes."""
    codes = rng.integers(spec.lo, spec.hi, (count, *spec.shape), endpoint=True)
    for frame, value in zip(range(count), (spec.lo, spec.hi)):
        codes[frame] = value
    return codes


def assert_exact(network: Network, kernel: Kernel = "auto", count: int = 4, seed: int = 0) -> None:
    codes = random_codes(network.input, count, np.random.default_rng(seed))
    expected = reference.interpret(network, codes)
    taps = run(network, codes, taps=True, kernel=kernel, threads=1)
    assert list(taps) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(taps[name], values, err_msg=f"{name} of {network.stages}")
    fused = run(network, codes, kernel=kernel, threads=1)
    np.testing.assert_array_equal(fused, expected[network.stages[-1].name], err_msg="fused")


def kernels_of(network: Network, kernel: Kernel = "auto", fuse: bool = True) -> list[str]:
    return [name for _, name in _compile(network, 1, kernel, fuse=fuse).steps]


def network_of(shape: tuple[int, ...], lo: int, hi: int, *stages: Stage) -> Network:
    return Network(TensorSpec(shape, lo, hi), stages)


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
    "pointwise": ConvCase((5, 5, 6), 33, (1, 1)),
    "asymmetric pads": ConvCase(kernel=(4, 2), pads=(2, 0, 1, 1)),
    "strided": ConvCase((11, 12, 3), 20, strides=(2, 3), pads=(0, 1, 1, 0)),
    "dilated": ConvCase((12, 12, 5), 18, (3, 2), dilations=(2, 3), pads=(2, 1, 0, 3)),
    "grouped": ConvCase((6, 6, 12), 18, groups=3, pads=(1, 1, 1, 1)),
    "grouped, odd": ConvCase((6, 6, 15), 10, groups=5, dilations=(1, 2), pads=(0, 1, 0, 1)),
    "depthwise": ConvCase((7, 6, 24), 24, groups=24, pads=(1, 1, 1, 1)),
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
        (ConvCase(), "avx512vnni", "vpdpbusd"),
        (ConvCase(codes=(-8, 7)), "avx512vnni", "vpdpwssd"),
        (ConvCase(codes=(0, 255), weights=(-128, 127)), "avx512vnni", "vpdpbusd"),
        (ConvCase(), "avx2", "vpmaddubsw"),
        (ConvCase(codes=(0, 255), weights=(-128, 127)), "avx2", "vpmaddwd"),  # maddubs would saturate
        (ConvCase(codes=(-32768, 32767), weights=(-32768, 32767)), "avx2", "loop"),  # needs 64 bits
        (ConvCase((6, 6, 8), 8, groups=8), "avx2", "depthwise"),
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
    with pytest.raises(BackendError, match="amx"):
        run(network, random_codes(network.input, 1, np.random.default_rng(0)), kernel="amx")  # type: ignore[call-overload]


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


def uniform_rows(channels: int, count: int, rng: Rng) -> NDArray[np.int64]:
    scale, offset = rng.uniform(0.3, 60, (channels, 1)), rng.uniform(-300, 300, (channels, 1))
    return np.ceil((np.arange(count) + 0.5) * scale + offset).astype(np.int64)


def sorted_rows(channels: int, count: int, reach: int, rng: Rng) -> NDArray[np.int64]:
    return np.sort(rng.integers(-reach, reach, (channels, count), endpoint=True), axis=1)


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
@pytest.mark.parametrize(("count", "name"), [(5, "count"), (24, "count"), (25, "search"), (255, "search"), (300, "search")])
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
        np.testing.assert_array_equal(run(network, codes, kernel=kernel), reference.output(network, codes), err_msg=kernel)


class NetworkBuilder:
    """Grows a random valid network stage by stage."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        shape = tuple(int(n) for n in rng.integers(1, (8, 9, 7)))
        lo, hi = [(0, 1), (0, 15), (0, 255), (-8, 7), (-128, 127), (0, 65535), (-70000, 2**33)][rng.integers(7)]
        self.network = network_of(shape, lo, hi, MaxPool("s0", (INPUT,), (1, 1), (1, 1)))

    def grow(self) -> None:
        names = list(self.network.tensors)
        source = names[-1] if self.rng.random() < 0.7 else names[self.rng.integers(len(names))]
        spec = self.network.tensors[source]
        if max(-spec.lo, spec.hi) > 2**40:
            stage: Stage = self._threshold(source, spec)
        else:
            makers = [self._threshold, self._add, self._concat, self._dense]
            makers += [self._conv, self._conv, self._depthwise, self._pool] if len(spec.shape) == 3 else [self._arg_max]
            makers += [self._lookup] if 0 <= spec.lo and spec.hi < 256 else []
            stage = makers[self.rng.integers(len(makers))](source, spec)
        self.network = Network(self.network.input, (*self.network.stages, stage))

    @property
    def _name(self) -> str:
        return f"s{len(self.network.stages)}"

    def _int(self, lo: int, hi: int) -> int:
        return int(self.rng.integers(lo, hi, endpoint=True))

    def _weights(self, *shape: int) -> NDArray[np.int64]:
        reach = int(self.rng.choice([1, 7, 127, 128, 3000, 40000]))
        return self.rng.integers(-reach, reach, shape)

    def _threshold(self, source: str, spec: TensorSpec) -> Threshold:
        channels, count = spec.shape[-1], self._int(1, 40)
        rows = np.sort(self.rng.integers(spec.lo - 3, spec.hi + 3, (channels, count), endpoint=True), axis=1)
        directions = self.rng.choice([-1, 1], channels)
        rows = np.where(directions[:, None] > 0, rows, -rows[:, ::-1])
        return Threshold(self._name, (source,), rows, directions.astype(np.int8), self._int(-4, 4), self._int(-2, 2))

    def _window(self, spec: TensorSpec) -> dict[str, Any]:
        kernel = tuple(self._int(1, min(3, size)) for size in spec.shape[:2])
        pads = tuple(self._int(0, size - 1) for size in kernel * 2)
        return {"kernel": kernel, "strides": (self._int(1, 2), self._int(1, 3)), "pads": pads}

    def _conv(self, source: str, spec: TensorSpec) -> Conv:
        window, channels = self._window(spec), spec.shape[2]
        groups = int(self.rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
        weights = self._weights(groups * self._int(1, 20), *window.pop("kernel"), channels // groups)
        dilated = all(spec.shape[i] + window["pads"][i] + window["pads"][i + 2] > 2 * weights.shape[1 + i] for i in (0, 1))
        return Conv(self._name, (source,), weights, **window, dilations=(2, 2) if dilated else (1, 1), groups=groups)

    def _depthwise(self, source: str, spec: TensorSpec) -> Conv:
        window, channels = self._window(spec), spec.shape[2]
        return Conv(self._name, (source,), self._weights(channels, *window.pop("kernel"), 1), **window, groups=channels)

    def _dense(self, source: str, spec: TensorSpec) -> Dense:
        return Dense(self._name, (source,), self._weights(self._int(1, 20), spec.size))

    def _pool(self, source: str, spec: TensorSpec) -> Stage:
        pool = MaxPool if self.rng.random() < 0.5 else SumPool
        return pool(self._name, (source,), **self._window(spec))

    def _add(self, source: str, spec: TensorSpec) -> Add:
        peers = [name for name, other in self.network.tensors.items() if other.shape == spec.shape]
        inputs = (source, *self.rng.choice(peers, self._int(1, 2)).tolist())
        return Add(self._name, inputs, tuple(self._int(-3, 3) for _ in inputs))

    def _concat(self, source: str, spec: TensorSpec) -> Concat:
        peers = [name for name, other in self.network.tensors.items() if other.shape[:-1] == spec.shape[:-1]]
        return Concat(self._name, (source, *self.rng.choice(peers, self._int(0, 2)).tolist()))

    def _lookup(self, source: str, spec: TensorSpec) -> Lookup:
        reach = int(self.rng.choice([4, 100, 60000, 2**35]))
        table = self.rng.integers(-reach, reach, (spec.shape[-1], spec.hi + self._int(1, 3), self._int(1, 3)))
        return Lookup(self._name, (source,), table)

    def _arg_max(self, source: str, spec: TensorSpec) -> ArgMax:
        return ArgMax(self._name, (source,))


def random_network(seed: int) -> Network:
    rng = np.random.default_rng(seed)
    builder = NetworkBuilder(rng)
    for _ in range(rng.integers(1, 9)):
        builder.grow()
    return builder.network


@every_kernel
@given(seed=st.integers(0, 2**32))
@settings(max_examples=120, deadline=None)
def test_random_networks_are_exact_at_every_tensor(kernel: Kernel, seed: int) -> None:
    assert_exact(random_network(seed), kernel, seed=seed)


def test_random_networks_reach_every_kernel() -> None:
    stages, finishes = set(), set()
    for seed in range(150):
        for kernel in kernels_of(random_network(seed)):
            stage, _, finish = kernel.partition("+")
            stages.add(stage)
            finishes.add(finish)
    expected = {"loop", "depthwise", "threshold", "add", "sum_pool", "max_pool", "concat", "lookup", "arg_max"}
    assert expected <= stages
    assert {"store", "affine", "count", "search"} <= finishes


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


def small_cnn(hi: int = 15, shape: tuple[int, int, int] = (8, 8, 3)) -> Network:
    rng = np.random.default_rng(11)
    channels, bound = shape[2], 15
    return network_of(
        shape,
        0,
        hi,
        Conv("conv", (INPUT,), rng.integers(-8, 8, (12, 3, 3, channels)), pads=(1, 1, 1, 1)),
        Threshold("act", ("conv",), uniform_rows(12, bound, rng)),
        MaxPool("pool", ("act",), (2, 2), (2, 2)),
        Dense("logits", ("pool",), rng.integers(-8, 8, (10, shape[0] // 2 * (shape[1] // 2) * 12))),
    )


def test_thresholds_run_inside_the_stage_that_feeds_them() -> None:
    fused = kernels_of(small_cnn())
    unfused = kernels_of(small_cnn(), fuse=False)
    assert len(fused) == 3
    assert fused[0].endswith("+affine")
    assert len(unfused) == 4


def test_a_tensor_with_a_second_reader_is_not_fused_away() -> None:
    rng = np.random.default_rng(5)
    conv = Conv("conv", (INPUT,), rng.integers(-8, 8, (6, 1, 1, 3)))
    act = Threshold("act", ("conv",), uniform_rows(6, 7, rng))
    network = network_of((4, 4, 3), 0, 15, conv, act, Add("sum", ("conv", "act"), (1, -1)))
    assert len(kernels_of(network)) == 3
    assert_exact(network)


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


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((2, 8, 8, 3), np.float32), "integer array, got float32"),
        (np.zeros((2, 8, 8, 3), bool), "integer array, got bool"),
        ([[1]], "integer array, got list"),
        (np.zeros((8, 8, 3), np.uint8), r"shape \(N, 8, 8, 3\), got \(8, 8, 3\)"),
        (np.zeros((1, 8, 8, 4), np.uint8), r"got \(1, 8, 8, 4\)"),
        (np.full((1, 8, 8, 3), 16, np.uint8), r"frame 0: expected codes in 0..15, got 16"),
        (np.full((1, 8, 8, 3), -1, np.int8), "expected codes in 0..15, got -1"),
        (np.full((1, 8, 8, 3), 2**64 - 1, np.uint64), "got 18446744073709551615"),
    ],
)
def test_codes_that_do_not_fit_are_refused(codes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(small_cnn(), codes)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_bad_frame_is_named(threads: int) -> None:
    codes = np.zeros((40, 8, 8, 3), np.uint8)
    codes[17, 3, 2, 1], codes[18:30] = 99, 77
    with pytest.raises(InputError, match=r"frame 17: expected codes in 0..15, got 99"):
        run(small_cnn(), codes, threads=threads)


def test_threads_below_one_are_refused() -> None:
    with pytest.raises(InputError, match="1 or more threads"):
        run(small_cnn(), np.zeros((1, 8, 8, 3), np.uint8), threads=0)


def native(stages: list[dict[str, Any]], shape: tuple[int, ...] = (4, 4, 2), lo: int = 0, hi: int = 15) -> Emulator:
    return Emulator((shape, lo, hi), [{"name": f"s{i}", "inputs": (INPUT,), **s} for i, s in enumerate(stages)], 1)


def ints(*shape: int) -> NDArray[np.int64]:
    return np.ones(shape, np.int64)


CONV = {"op": "Conv", "weights": ints(3, 3, 3, 2)}
POOL = {"op": "MaxPool", "kernel": (2, 2), "strides": (2, 2)}
ACT = {"op": "Threshold", "thresholds": ints(2, 3), "directions": ints(2)}
MALFORMED: dict[str, dict[str, Any]] = {
    "unknown operator": {"op": "Softmax"},
    "unknown input": {**CONV, "inputs": ("nowhere",)},
    "itself as input": {**CONV, "inputs": ("s0",)},
    "no input": {**CONV, "inputs": ()},
    "two inputs": {**CONV, "inputs": (INPUT, INPUT)},
    "taken name": {**CONV, "name": INPUT},
    "rank 3 weights": {**CONV, "weights": ints(3, 3, 3)},
    "empty weights": {**CONV, "weights": ints(0, 3, 3, 2)},
    "empty kernel": {**CONV, "weights": ints(3, 0, 3, 2)},
    "int32 weights": {**CONV, "weights": ints(3, 3, 3, 2).astype(np.int32)},
    "weights out of order": {**CONV, "weights": np.asfortranarray(ints(3, 3, 3, 2))},
    "float weights": {**CONV, "weights": ints(3, 3, 3, 2).astype(np.float64)},
    "input channels": {**CONV, "weights": ints(3, 3, 3, 4)},
    "groups 0": {**CONV, "groups": 0},
    "groups beyond": {**CONV, "groups": 4},
    "outputs not in groups": {**CONV, "weights": ints(3, 3, 3, 1), "groups": 2},
    "kernel too large": {**CONV, "weights": ints(3, 5, 3, 2)},
    "stride 0": {**CONV, "strides": (0, 1)},
    "stride text": {**CONV, "strides": "ab"},
    "stride huge": {**CONV, "strides": (2**63, 1)},
    "stride past 26 bits": {**CONV, "strides": (2**62, 1)},
    "dilation -1": {**CONV, "dilations": (-1, 1)},
    "dilation huge": {**CONV, "dilations": (2**62, 1)},
    "pads negative": {**CONV, "pads": (0, 0, 0, -1)},
    "pads huge": {**CONV, "pads": (2**25, 2**25, 0, 0)},
    "pads past 64 bits": {**CONV, "pads": (2**63 - 1, 2**63 - 1, 0, 0)},
    "three pads": {**CONV, "pads": (0, 0, 0)},
    "weights past 62 bits": {**CONV, "weights": np.full((3, 3, 3, 2), 2**62)},
    "most negative weight": {**CONV, "weights": np.full((3, 3, 3, 2), -(2**63))},
    "dense size": {"op": "Dense", "weights": ints(3, 31)},
    "dense rank": {"op": "Dense", "weights": ints(3, 32, 1)},
    "threshold rank": {**ACT, "thresholds": ints(2)},
    "threshold rows": {**ACT, "thresholds": ints(3, 2)},
    "threshold order": {**ACT, "thresholds": np.array([[2, 1], [1, 2]])},
    "directions 0": {**ACT, "directions": ints(2) * 0},
    "directions length": {**ACT, "directions": ints(3)},
    "no directions": {**ACT, "directions": ints(0)},
    "base huge": {**ACT, "base": 2**63 - 1},
    "step huge": {**ACT, "step": 2**62},
    "pool pads": {**POOL, "pads": (2, 0, 0, 0)},
    "pool kernel": {**POOL, "kernel": (5, 1)},
    "pool kernel 0": {**POOL, "kernel": (0, 1)},
    "sum of too many": {"op": "SumPool", "kernel": (2**26, 2**26), "strides": (1, 1), "pads": (2**26,) * 4},
    "add of one": {"op": "Add", "multipliers": (1,)},
    "add without multipliers": {"op": "Add", "inputs": (INPUT, INPUT), "multipliers": ()},
    "add past 62 bits": {"op": "Add", "inputs": (INPUT, INPUT), "multipliers": (2**61, 2**61)},
    "concat of none": {"op": "Concat", "inputs": ()},
    "lookup rank": {"op": "Lookup", "table": ints(2, 16)},
    "lookup channels": {"op": "Lookup", "table": ints(3, 16, 1)},
    "lookup entries": {"op": "Lookup", "table": ints(2, 15, 1)},
    "lookup empty": {"op": "Lookup", "table": ints(2, 16, 0)},
    "lookup past 62 bits": {"op": "Lookup", "table": np.full((2, 16, 1), -(2**63))},
    "arg max of a map": {"op": "ArgMax"},
}


@pytest.mark.parametrize("stage", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_stage_is_refused_by_the_native_side_itself(stage: dict[str, Any]) -> None:
    with pytest.raises(NetworkError):
        native([stage])


@pytest.mark.parametrize(
    ("shape", "lo", "hi"),
    [((), 0, 1), ((0, 4, 2), 0, 1), ((-1, 4, 2), 0, 1), ((2**40,), 0, 1), ((2**13, 2**13, 2), 0, 1), ((2**21,), 0, 1)]
    + [((4, 4, 2), 1, 0), ((4, 4, 2), 0, 2**63 - 1), ((4, 4, 2), -(2**63), 0)],
)
def test_a_malformed_input_is_refused(shape: tuple[int, ...], lo: int, hi: int) -> None:
    with pytest.raises(NetworkError):
        native([{**POOL, "kernel": (1, 1)}], shape, lo, hi)


def test_a_network_without_stages_or_too_large_for_memory_is_refused() -> None:
    with pytest.raises(NetworkError, match="at least one stage"):
        native([])
    with pytest.raises(NetworkError, match="1 GiB"):
        native([{"op": "Add", "inputs": (INPUT, INPUT), "multipliers": (2**40, 1)}] * 3, (2**13, 2**12, 2))
    with pytest.raises(NetworkError, match="too large padded"):
        tall, wide = {**CONV, "pads": (2**14, 0, 0, 0)}, {**CONV, "pads": (0, 2**14, 0, 0)}
        native([tall, wide], (1024, 1024, 2))


def test_concat_refuses_maps_of_different_size() -> None:
    with pytest.raises(NetworkError, match="height and width"):
        native([POOL, {"op": "Concat", "inputs": (INPUT, "s0")}])
    with pytest.raises(NetworkError, match="one shape"):
        native([POOL, {"op": "Add", "inputs": (INPUT, "s0"), "multipliers": (1, 1)}])


def test_values_past_62_bits_are_refused_not_wrapped() -> None:
    stages = [{"op": "Add", "inputs": (f"s{i - 1}" if i else INPUT,) * 2, "multipliers": (2**20, 0)} for i in range(3)]
    with pytest.raises(NetworkError, match="62 bits"):
        native(stages, (1,), 0, 15)


@pytest.mark.parametrize("values", [np.full((3, 1, 1, 3), 2**63, np.uint64), np.full((3, 1, 1, 3), 0.5)])
def test_weights_that_are_not_int64_are_refused(values: NDArray[Any]) -> None:
    network = network_of((8, 8, 3), 0, 15, Conv("conv", (INPUT,), values))
    with pytest.raises(NetworkError, match="'conv': expected integers that fit int64"):
        run(network, np.zeros((1, 8, 8, 3), np.uint8))
