"""LiteRT's flatbuffer computes the network, as nearly as 8 bits can, and XNNPACK takes it whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from litert_graph import litert_model
from numpy.typing import NDArray
from tensorflow.lite.python.interpreter import Interpreter

from bitswath.bundle.bundle import load_bundle
from bitswath.errors import ExportError
from bitswath.network.network import INPUT, Add, Conv, Dense, MaxPool, Network, SumPool, Threshold
from tests.paths import ZOO
from tests.reference import output
from tests.scripts.test_int8_graph import NETWORKS, activation, codes_of, shown, weights

pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")


def interpreter(network: Network, codes: NDArray[np.uint8]) -> Interpreter:
    made = Interpreter(model_content=litert_model(network, codes, len(codes)), num_threads=1)
    made.allocate_tensors()
    return made


def run(network: Network, codes: NDArray[np.uint8]) -> NDArray[np.float64]:
    made = interpreter(network, codes)
    (entry,), (logits,) = made.get_input_details(), made.get_output_details()
    made.set_tensor(entry["index"], (codes.astype(np.int16) - 128).astype(np.int8))
    made.invoke()
    scale, zero = logits["quantization"]
    result: NDArray[np.float64] = scale * (made.get_tensor(logits["index"]).astype(np.float64) - zero)
    return result


CASES = NETWORKS | {
    "same padding, strided": shown(
        Conv("c0", (INPUT,), weights(4, 3, 3, 3), strides=(2, 2), pads=(0, 1, 1, 1)), activation("a0", "c0", 4)
    ),
    "dilated": shown(
        Conv("c0", (INPUT,), weights(4, 3, 3, 3), pads=(2, 2, 2, 2), dilations=(2, 2)), activation("a0", "c0", 4)
    ),
    "depthwise, two of each": shown(
        Conv("c0", (INPUT,), weights(6, 3, 3, 1), pads=(1, 1, 1, 1), groups=3), activation("a0", "c0", 6)
    ),
    "unlike weights of a sum": shown(
        Conv("c0", (INPUT,), weights(4, 1, 1, 3)),
        activation("a0", "c0", 4),
        Conv("c1", ("a0",), weights(4, 1, 1, 4)),
        Threshold("branch", ("c1",), np.arange(-70, 80, 10)[None]),
        MaxPool("p0", ("a0",), (2, 2), (1, 1)),
        MaxPool("p1", ("branch",), (2, 2), (1, 1)),
        Add("sum", ("p0", "p1"), (1, 3)),
        Threshold("a1", ("sum",), np.arange(2, 61, 4)[None]),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_code_is_within_a_rounding_of_the_network(name: str) -> None:
    network = CASES[name]
    codes = codes_of(network)
    expected = output(network, codes)
    assert len(np.unique(expected)) > 3, "the network must not be all of one code"
    roundings = 1.5 if "sum" in network.tensors else 1.0
    assert np.abs(run(network, codes) - expected).max() <= roundings


def test_a_sum_over_the_map_is_its_mean_at_another_scale() -> None:
    network = shown(
        Conv("c0", (INPUT,), weights(4, 1, 1, 3)), activation("a0", "c0", 4), SumPool("s", ("a0",), (6, 5), (1, 1))
    )
    codes = codes_of(network)
    assert np.abs(run(network, codes) - output(network, codes)).max() <= 30 * 0.3


@pytest.mark.parametrize("name", CASES)
def test_xnnpack_takes_the_whole_graph(name: str) -> None:
    made = interpreter(CASES[name], codes_of(CASES[name]))
    (delegate,) = (node for node in made._get_ops_details() if node["op_name"] == "DELEGATE")
    assert made.get_input_details()[0]["index"] in delegate["inputs"]
    assert list(delegate["outputs"]) == [made.get_output_details()[0]["index"]]


@pytest.mark.parametrize("name", ["synthetic-u4-w4a4", "eurosat-separable-u4-w4a4"])
def test_a_trained_network_decides_alike(name: str) -> None:
    network = load_bundle(ZOO / f"{name}.bsw").network
    codes = codes_of(network, 6)
    assert np.corrcoef(run(network, codes).ravel(), output(network, codes).ravel())[0, 1] > 0.995


def test_sums_that_weigh_a_tensor_differently_are_named() -> None:
    stages = NETWORKS["residual"].stages
    unlike = tuple(replace(stage, multipliers=(1, 3)) if isinstance(stage, Add) else stage for stage in stages[:-1])
    again = Add("again", ("a0", "a1"), (1, 1))
    network = shown(*unlike, again, Threshold("a2", ("again",), np.arange(1, 30, 2)[None]))
    with pytest.raises(ExportError, match="'a0'"):
        litert_model(network, codes_of(network), 1)


def test_a_padded_pool_is_named() -> None:
    network = shown(MaxPool("p0", (INPUT,), (2, 2), (2, 2), (0, 0, 0, 1)))
    with pytest.raises(ExportError, match="'p0'"):
        litert_model(network, codes_of(network), 1)


def test_weights_beyond_8_bits_are_named() -> None:
    network = Network(NETWORKS["dense"].input, (Dense("fc", (INPUT,), np.full((2, 90), 200)),))
    with pytest.raises(ExportError, match="'fc'"):
        litert_model(network, codes_of(network), 1)
