"""The peers run the bundle's own network: exactly where they claim to, nearly where not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import peers
import pytest
from peers import (
    Peer,
    best_of,
    exact_qcdq,
    float_peer,
    int8_peer,
    integers,
    onnx_path,
    qcdq_peer,
    qonnx_peer,
)
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.change_batchsize import ChangeBatchSize
from qonnx.transformation.fold_constants import FoldConstants
from qonnx.transformation.infer_shapes import InferShapes

from bitswath.backends.emulator import run
from bitswath.bundle.bundle import Bundle, load_bundle
from tests.paths import ZOO

CODES = np.random.default_rng(3).integers(0, 16, (6, 64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(ZOO / "synthetic-u4-w4a4.bsw")


def values(peer: Peer, bundle: Bundle) -> np.ndarray:
    return integers(bundle.network, peer.run(peer.feed(CODES[: peer.batch])))


@pytest.mark.parametrize("batch", [1, 6])
def test_qcdq_gives_the_emulators_integers(bundle: Bundle, batch: int) -> None:
    expected = run(bundle.network, CODES)
    optimized, mismatches = exact_qcdq(bundle, CODES, expected)
    assert mismatches == 0
    assert np.array_equal(values(qcdq_peer(onnx_path(bundle), batch, optimized), bundle), expected[:batch])


def test_qcdq_that_differs_is_reported(bundle: Bundle) -> None:
    expected = run(bundle.network, CODES)
    expected[2, 3] += 1
    assert exact_qcdq(bundle, CODES, expected) == (False, 1)


@pytest.mark.parametrize("batch", [1, 3])
def test_qonnx_gives_the_emulators_integers(bundle: Bundle, batch: int) -> None:
    expected = run(bundle.network, CODES[:batch])
    assert np.array_equal(values(qonnx_peer(onnx_path(bundle), batch), bundle), expected)


def test_the_8_bit_graph_decides_as_the_network_does(bundle: Bundle) -> None:
    expected = run(bundle.network, CODES)
    peer = int8_peer(bundle.network, 6, "nhwc")
    logits = peer.run(peer.feed(CODES))
    assert np.corrcoef(logits.ravel(), expected.ravel())[0, 1] > 0.995


def test_float_runs_the_same_layers_without_quantizers(bundle: Bundle) -> None:
    """As qonnx's executor runs them with quantizers that are too fine and too wide to be noticed."""
    peer = float_peer(onnx_path(bundle), 6)
    logits = peer.run(peer.feed(CODES))
    model = unnoticed_quantizers(onnx_path(bundle)).transform(ChangeBatchSize(6)).transform(InferShapes())
    feed = {model.graph.input[0].name: CODES.transpose(0, 3, 1, 2).astype(np.float32)}
    np.testing.assert_allclose(logits, execute_onnx(model, feed)[model.graph.output[0].name], rtol=0, atol=1e-3)


def unnoticed_quantizers(path: Path) -> ModelWrapper:
    """Those of activations with steps 2^12 times as small over a range 2^12 times as large; of weights as they are."""
    model = ModelWrapper(str(path)).transform(InferShapes()).transform(FoldConstants(exclude_op_types=[]))
    for node in model.get_nodes_by_op_type("Quant"):
        scale, bits = node.input[1], node.input[3]
        model.set_initializer(scale, model.get_initializer(scale) / np.float32(1 << 12))
        model.set_initializer(bits, model.get_initializer(bits) + np.float32(24))
    return model


def test_the_best_batch_is_the_one_of_the_highest_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    used_s = 0.0

    def peer_of(batch: int) -> Peer:
        def run(feed: np.ndarray) -> np.ndarray:
            nonlocal used_s
            used_s += 0.02 if batch == 4 else 0.03 * batch
            return feed

        return Peer("one with a clock of its own", batch, lambda codes: codes, run)

    monkeypatch.setattr(peers, "CPU_CLOCK", lambda: used_s)
    assert best_of(peer_of, CODES, (1, 2, 4)).batch == 4
