"""No network and no codes can make the emulator read out of bounds, overflow or guess: they are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bitswath._native import Emulator
from bitswath.backends.emulator import _parameters, run
from bitswath.errors import InputError, NetworkError
from bitswath.network.network import INPUT, Conv
from tests.networks import network_of, random_codes, random_network, small_cnn


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
TAKE = {"op": "Take", "shape": (1, 2, 3), "index": np.arange(6)}
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
    "take rank": {**TAKE, "shape": (2, 3)},
    "take count": {**TAKE, "shape": (7,)},
    "take of nothing": {**TAKE, "shape": (0,), "index": ints(0)},
    "take index rank": {**TAKE, "index": ints(3, 2)},
    "take past the end": {**TAKE, "index": np.array([0, 1, 2, 3, 4, 32])},
    "take before the start": {**TAKE, "index": np.array([0, 1, 2, 3, 4, -2])},
    "take far before the start": {**TAKE, "index": np.array([0, 1, 2, 3, 4, -(2**63)])},
    "take shape past 64 bits": {**TAKE, "shape": (2**62, 2**62, 6)},
    "take fill past 62 bits": {**TAKE, "fill": 2**62},
    "arg max of a map": {"op": "ArgMax"},
}


@pytest.mark.parametrize("stage", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_stage_is_refused_by_the_native_side_itself(stage: dict[str, Any]) -> None:
    with pytest.raises(NetworkError):
        native([stage])


@pytest.mark.parametrize(
    ("shape", "lo", "hi"),
    [
        ((), 0, 1),
        ((0, 4, 2), 0, 1),
        ((-1, 4, 2), 0, 1),
        ((2**40,), 0, 1),
        ((2**13, 2**13, 2), 0, 1),
        ((2**21,), 0, 1),
        ((4, 4, 2), 1, 0),
        ((4, 4, 2), 0, 2**63 - 1),
        ((4, 4, 2), -(2**63), 0),
    ],
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


@given(st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_a_mutated_network_is_refused_or_runs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(seed)
    stages = [_parameters(stage) for stage in network.stages]
    mutate(stages[rng.integers(len(stages))], rng)
    spec = network.input
    try:
        emulator = Emulator((spec.shape, spec.lo, spec.hi), stages, 1)
    except NetworkError:
        return
    codes = random_codes(spec, 2, rng)
    np.testing.assert_array_equal(emulator.run_codes(codes), emulator.run_codes(codes))


def mutate(stage: dict[str, Any], rng: np.random.Generator) -> None:
    """Change one parameter: an integer, one of a tuple, or an array's shape."""
    key = rng.choice([key for key, value in stage.items() if not isinstance(value, str) and key != "inputs"] or ["op"])
    odd = int(rng.choice([-1, 0, 1, 2, 3, 5, 17, 2**31, 2**62, -(2**63)]))
    value = stage[key]
    if isinstance(value, np.ndarray):
        shape = list(value.shape)
        shape[rng.integers(len(shape))] = int(rng.integers(0, 5))
        stage[key] = np.resize(value, shape)
    elif isinstance(value, tuple):
        index = int(rng.integers(len(value)))
        stage[key] = (*value[:index], odd, *value[index + 1 :])
    else:
        stage[key] = odd


def test_values_past_62_bits_are_refused_not_wrapped() -> None:
    stages = [{"op": "Add", "inputs": (f"s{i - 1}" if i else INPUT,) * 2, "multipliers": (2**20, 0)} for i in range(3)]
    with pytest.raises(NetworkError, match="62 bits"):
        native(stages, (1,), 0, 15)


@pytest.mark.parametrize("values", [np.full((3, 1, 1, 3), 2**63, np.uint64), np.full((3, 1, 1, 3), 0.5)])
def test_weights_that_are_not_int64_are_refused(values: NDArray[Any]) -> None:
    network = network_of((8, 8, 3), 0, 15, Conv("conv", (INPUT,), values))
    with pytest.raises(NetworkError, match="'conv': expected integers that fit int64"):
        run(network, np.zeros((1, 8, 8, 3), np.uint8))
