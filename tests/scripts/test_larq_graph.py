"""larq-compute-engine's flatbuffer gives a one-bit network's integers, by what its documentation says of operators.

The engine itself needs an environment of its own; `bench_emulator` compares its integers in every run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flatbuffers import flexbuffers
from larq_graph import larq_model
from numpy.typing import NDArray
from tflite_file import schema

from bitswath.errors import ExportError
from bitswath.network.network import INPUT, Conv, Dense, MaxPool, Network, Stage, TensorSpec, Threshold
from tests.reference import output

Floats = NDArray[np.float64]
RNG = np.random.default_rng(5)


def signs(words: NDArray[np.int32], channels: int) -> Floats:
    """(..., channels) of 1, or -1 where the bit is set."""
    bits = np.unpackbits(words.astype("<i4").view(np.uint8), axis=-1, bitorder="little")
    return 1.0 - 2.0 * bits[..., :channels]


def packed(negative: NDArray[np.bool_]) -> NDArray[np.int32]:
    filled = np.pad(negative, [(0, 0)] * (negative.ndim - 1) + [(0, -negative.shape[-1] % 32)])
    return np.packbits(filled, axis=-1, bitorder="little").view("<i4")


def windows(x: Floats, kernel: tuple[int, int], strides: tuple[int, int], same: bool, pad: float) -> Floats:
    """(N, H, W, *kernel, C)."""
    if same:
        wholes = [max(-(-n // s) * s - s + k - n, 0) for n, k, s in zip(x.shape[1:3], kernel, strides)]
        x = np.pad(x, [(0, 0), *((w // 2, w - w // 2) for w in wholes), (0, 0)], constant_values=pad)
    view = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(1, 2))[:, :: strides[0], :: strides[1]]
    return np.moveaxis(view, 3, -1)


def conv(x: Floats, w: Floats, bias: Floats, *, padding: int, strideH: int, strideW: int, **_: int) -> Floats:  # noqa: N803
    seen = windows(x, w.shape[1:3], (strideH, strideW), padding == 0, 0.0)
    return np.einsum("nhwyxc,oyxc->nhwo", seen, w) + bias


def bconv(x: Any, w: Any, _scale: None, _bias: None, most: Any, **options: int) -> NDArray[np.int32]:
    channels, strides = options["channels_in"], (options["stride_height"], options["stride_width"])
    assert options["pad_values"] == 1
    seen = windows(signs(x, channels), w.shape[1:3], strides, options["padding"] == 0, 1.0)
    sums = np.einsum("nhwyxc,oyxc->nhwo", seen, signs(w, channels))
    return packed((np.prod(seen.shape[3:]) - sums) / 2 > most)


def pool(x: Any, *, filter_height: int, filter_width: int, stride_height: int, stride_width: int, **_: int) -> Any:
    seen = windows(x, (filter_height, filter_width), (stride_height, stride_width), False, 0.0)
    return np.bitwise_and.reduce(seen.reshape(*seen.shape[:3], -1, seen.shape[-1]), axis=3)


OPERATORS: dict[str, Callable[..., Any]] = {
    "CONV_2D": conv,
    "LceQuantize": lambda x: packed(x < 0),
    "LceBconv2d": bconv,
    "LceBMaxPool2d": pool,
    "PADV2": lambda x, pads, value: np.pad(x, pads, constant_values=value[0]),
    "FULLY_CONNECTED": lambda x, w, bias, **_: x.reshape(len(x), -1) @ w.T + bias,
}


def run(network: Network, codes: NDArray[np.uint8]) -> Floats:
    made = schema().ModelT.InitFromPackedBuf(larq_model(network, len(codes)), 0)
    names = {number: name for name, number in vars(schema().BuiltinOperator).items()}
    dtypes = {0: np.float32, 2: np.int32}
    (graph,) = made.subgraphs
    values: dict[int, Any] = {-1: None, graph.inputs[0]: codes.astype(np.float64)}
    for index, tensor in enumerate(graph.tensors):
        if tensor.buffer:
            values[index] = made.buffers[tensor.buffer].data.view(dtypes[tensor.type]).reshape(tensor.shape)
    for node in graph.operators:
        code = made.operatorCodes[node.opcodeIndex]
        name = code.customCode.decode() if code.customCode else names[code.builtinCode]
        inputs = [values[i] for i in node.inputs]
        (out,) = node.outputs
        if name == "LceDequantize":
            values[out] = signs(inputs[0], graph.tensors[out].shape[-1])
            continue
        custom = node.customOptions is not None and len(node.customOptions)
        options = flexbuffers.Loads(bytes(node.customOptions)) if custom else vars(node.builtinOptions or object)
        values[out] = OPERATORS[name](*inputs, **(options if custom or name in ("CONV_2D", "FULLY_CONNECTED") else {}))
        assert list(values[out].shape) == list(graph.tensors[out].shape), name
    result: Floats = values[graph.outputs[0]]
    return result


def threshold(index: int, channels: int) -> Threshold:
    directions = RNG.choice([-1, 1], channels).astype(np.int8)
    return Threshold(f"act{index}", (f"conv{index}",), RNG.integers(-6, 7, (channels, 1)), directions)


def network(*stages: Stage, size: int, channels: int) -> Network:
    last = stages[-1].name
    fc = Dense("fc", (last,), RNG.choice([-1, 1], (5, size * size * channels)))
    return Network(TensorSpec((8, 8, 3), 0, 15), (*stages, fc))


def bipolar(index: int, source: str, outputs: int, inputs: int, **window: Any) -> Conv:
    window = {"pads": (1, 1, 1, 1)} | window
    return Conv(f"conv{index}", (source,), RNG.choice([-1, 1], (outputs, 3, 3, inputs)), **window)


def first(channels: int) -> tuple[Stage, Stage]:
    return bipolar(0, INPUT, channels, 3), threshold(0, channels)


POOL = MaxPool("pool", ("act1",), (2, 2), (2, 2))
NETWORKS = {
    "not pooled": network(*first(16), bipolar(1, "act0", 40, 16), threshold(1, 40), size=8, channels=40),
    "pooled at the end": network(*first(20), bipolar(1, "act0", 8, 20), threshold(1, 8), POOL, size=4, channels=8),
    "pooled, then padded": network(
        *first(7), bipolar(1, "act0", 16, 7), threshold(1, 16), POOL, bipolar(2, "pool", 9, 16), threshold(2, 9),
        size=4, channels=9,
    ),
    "many channels": network(
        *first(33), bipolar(1, "act0", 64, 33), threshold(1, 64), POOL, bipolar(2, "pool", 9, 64), threshold(2, 9),
        size=4, channels=9,
    ),
    "other pads": network(
        *first(16), bipolar(1, "act0", 9, 16, strides=(2, 2), pads=(1, 1, 0, 0)), threshold(1, 9), size=4, channels=9
    ),
    "no pads": network(*first(16), bipolar(1, "act0", 9, 16, pads=(0, 0, 0, 0)), threshold(1, 9), size=6, channels=9),
    "first pooled": network(
        *first(16), MaxPool("pool", ("act0",), (2, 2), (2, 2)), bipolar(1, "pool", 9, 16), threshold(1, 9),
        size=4, channels=9,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_integers_are_the_networks(name: str) -> None:
    codes = RNG.integers(0, 16, (3, 8, 8, 3), np.uint8)
    expected = output(NETWORKS[name], codes)
    assert len(np.unique(expected)) > 3, "the network must not be all of one code"
    np.testing.assert_array_equal(run(NETWORKS[name], codes), expected)


@pytest.mark.parametrize(
    ("stages", "match"),
    [
        ((*first(16), bipolar(1, "act0", 9, 16), MaxPool("pool", ("conv1",), (2, 2), (2, 2))), "'conv1'"),
        ((*first(16), Conv("conv1", ("act0",), np.full((8, 3, 3, 16), 2)), threshold(1, 8)), "weights of -1 and 1"),
        ((*first(16), bipolar(1, INPUT, 9, 3), threshold(1, 9)), "chain"),
        ((bipolar(0, INPUT, 8, 3), Threshold("act0", ("conv0",), np.array([[0, 1]]))), "0..2"),
    ],
)
def test_what_has_no_form_is_named(stages: tuple[Stage, ...], match: str) -> None:
    with pytest.raises(ExportError, match=match):
        larq_model(Network(TensorSpec((8, 8, 3), 0, 15), stages), 1)
