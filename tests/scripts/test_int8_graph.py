"""The 8-bit graph computes the network, as nearly as 8 bits with one scale a channel can."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from int8_graph import FORMS, Form, affine_of, int8_model
from numpy.typing import NDArray

from bitswath.errors import ExportError
from bitswath.network.network import (
    INPUT,
    Add,
    Concat,
    Conv,
    Dense,
    MaxPool,
    Network,
    Stage,
    SumPool,
    TensorSpec,
    Threshold,
)
from tests.networks import uniform_rows
from tests.reference import compute, output

RNG = np.random.default_rng(7)
SHAPE = (6, 5, 3)


def run(network: Network, form: Form, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        int8_model(network, form).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = codes if form == "nhwc" else np.ascontiguousarray(codes.transpose(0, 3, 1, 2))
    result: NDArray[np.float32] = session.run(None, {"codes": feed})[0]
    return result


def weights(*shape: int) -> NDArray[np.int64]:
    return RNG.integers(-7, 8, shape)


def codes_of(network: Network, count: int = 4) -> NDArray[np.uint8]:
    return RNG.integers(0, 16, (count, *network.input.shape), np.uint8)


def shown(*stages: Stage) -> Network:
    """The network of `stages` with its last tensor handed out as it is: an identity product after it."""
    network = Network(TensorSpec(SHAPE, 0, 15), stages)
    size = network.output.size
    return Network(network.input, (*stages, Dense("shown", (stages[-1].name,), np.eye(size, dtype=np.int8))))


def activation(name: str, source: str, channels: int) -> Threshold:
    steps, starts = RNG.uniform(4, 12, (channels, 1)), RNG.uniform(-60, 0, (channels, 1))
    return Threshold(name, (source,), np.ceil(starts + steps * np.arange(15)).astype(np.int64))


def residual() -> Network:
    """Its branch is half of its other input, less 8."""
    return shown(
        Conv("c0", (INPUT,), weights(6, 3, 3, 3), pads=(1, 1, 1, 1)),
        activation("a0", "c0", 6),
        Conv("c1", ("a0",), np.eye(6, dtype=np.int8).reshape(6, 1, 1, 6)),
        Threshold("branch", ("c1",), np.arange(1, 31, 2)[None], base=-8),
        Add("sum", ("branch", "a0"), (1, 1)),
        Threshold("a1", ("sum",), np.arange(1, 16)[None]),
    )


NETWORKS = {
    "strided": shown(
        Conv("c0", (INPUT,), weights(8, 3, 3, 3), strides=(2, 2), pads=(0, 1, 1, 0)), activation("a0", "c0", 8)
    ),
    "falling": shown(
        Conv("c0", (INPUT,), weights(4, 1, 1, 3)),
        Threshold("a0", ("c0",), np.arange(-105, 45, 10)[None], np.array([-1], np.int8)),
    ),
    "depthwise": shown(
        Conv("c0", (INPUT,), weights(3, 3, 3, 1), pads=(1, 1, 1, 1), groups=3), activation("a0", "c0", 3)
    ),
    "pooled": shown(
        Conv("c0", (INPUT,), weights(4, 3, 3, 3), pads=(1, 1, 1, 1)),
        activation("a0", "c0", 4),
        MaxPool("p0", ("a0",), (2, 2), (2, 2)),
    ),
    "residual": residual(),
    "dense": shown(Dense("d0", (INPUT,), weights(12, 90)), activation("a0", "d0", 12)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_code_is_within_a_rounding_of_the_network(name: str, form: Form) -> None:
    network = NETWORKS[name]
    codes = codes_of(network)
    expected = output(network, codes)
    assert len(np.unique(expected)) > 3, "the network must not be all of one code"
    roundings = 1.5 if name == "residual" else 1.0
    assert np.abs(run(network, form, codes) - expected).max() <= roundings


def test_forms_agree_with_each_other() -> None:
    network = NETWORKS["residual"]
    codes = codes_of(network)
    first, *others = (run(network, form, codes) for form in FORMS)
    for other in others:
        assert np.abs(first - other).max() <= 1.01 / 17, "more than one step of 8 bits"


@pytest.mark.parametrize("form", FORMS)
def test_a_sum_over_the_map_is_its_mean_at_another_scale(form: Form) -> None:
    network = shown(
        Conv("c0", (INPUT,), weights(4, 1, 1, 3)), activation("a0", "c0", 4), SumPool("s", ("a0",), (6, 5), (1, 1))
    )
    codes = codes_of(network)
    assert np.abs(run(network, form, codes) - output(network, codes)).max() <= 30 * 0.3


@pytest.mark.parametrize("direction", [-1, 1])
def test_the_line_through_even_thresholds_rounds_to_their_codes(direction: int) -> None:
    rows = np.sort(uniform_rows(5, 15, RNG), axis=1)
    stage = Threshold("t", ("x",), rows, np.full(5, direction, np.int8), base=-8)
    slopes, offsets = affine_of(stage, np.array([-2000]), np.array([2000]))
    x = np.arange(-2000, 2001)[:, None] * np.ones((1, 5), np.int64)
    line = np.clip(slopes * x + offsets, -8, 7)
    assert np.abs(line - compute(stage, x)).max() < 0.75
    assert (np.rint(line) == compute(stage, x)).mean() > 0.97


def test_thresholds_out_of_reach_do_not_bend_the_line() -> None:
    stage = Threshold("t", ("x",), np.array([[10, 20, 30, 200], [100, 200, 300, 400]]))
    slopes, offsets = affine_of(stage, np.array([0, 0]), np.array([100, 1000]))
    assert slopes == pytest.approx([0.1, 0.01]) and offsets == pytest.approx([0.5 - 9.5 * 0.1, 0.5 - 99.5 * 0.01])


def test_one_threshold_is_a_step_where_it_lies() -> None:
    slopes, offsets = affine_of(Threshold("t", ("x",), np.array([[5]])), np.array([0]), np.array([100]))
    assert [np.clip(np.rint(slopes[0] * x + offsets[0]), 0, 1) for x in (4, 5)] == [0, 1]


def test_a_stage_without_an_8_bit_form_is_named() -> None:
    network = Network(TensorSpec(SHAPE, 0, 15), (Concat("joined", (INPUT, INPUT)),))
    with pytest.raises(ExportError, match="'joined'"):
        int8_model(network, "qdq")
