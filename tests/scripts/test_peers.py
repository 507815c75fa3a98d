"""The peers run the bundle's own network: exactly where they claim to, nearly where not."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
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

from bitswath.backends.emulator import run
from bitswath.bundle import Bundle, load_bundle

ZOO = Path(__file__).resolve().parents[2] / "models" / "zoo"
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
    smooth = np.kron(CODES[:, ::16, ::16], np.ones((1, 16, 16, 1), np.uint8))  # nearer to images than noise is
    peer = float_peer(onnx_path(bundle), 6)
    logits = peer.run(peer.feed(smooth))
    assert logits.shape == (6, bundle.network.output.size)
    assert np.corrcoef(logits.ravel(), run(bundle.network, smooth).ravel())[0, 1] > 0.8


def test_the_best_batch_is_the_one_of_the_highest_rate() -> None:
    def spin(seconds: float) -> None:
        ends = time.process_time() + seconds
        while time.process_time() < ends:
            pass

    def peer_of(batch: int) -> Peer:
        seconds = 0.02 if batch == 4 else 0.03 * batch
        return Peer("spinner", batch, lambda codes: codes, lambda feed: spin(seconds) or feed)

    assert best_of(peer_of, CODES, (1, 2, 4)).batch == 4
