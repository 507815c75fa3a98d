"""The emulator's peers on the same network: ONNX Runtime in three ways, and qonnx's own executor.

Each takes codes uint8 (N, H, W, C), as many as its batch, and is set up as well as its tool allows:

- int8: the graph of `int8_graph`, the fastest of its forms, at the fastest batch, all optimizations.
- QCDQ: the bundle's QONNX with QuantizeLinear, Clip, DequantizeLinear for its quantizers; weights folded.
  All optimizations but those of quantized graphs, which would requantize weights to 8 bits and give other
  integers; where batch normalization folded into weights does so too, none at all. See `exact_qcdq`.
- float32: the bundle's QONNX without quantizers of activations; all optimizations.
- qonnx: `execute_onnx` on the bundle's QONNX, weights folded.

ONNX Runtime's threads do not spin after a run, which would slow the next engine; on one core there are none.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import onnx
import onnxruntime as ort
from benchmark import CPU_CLOCK, WALL_CLOCK, Clock, Measure, interleaved, timed
from int8_graph import FORMS, Form, int8_model
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.change_batchsize import ChangeBatchSize
from qonnx.transformation.fold_constants import FoldConstants
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.transformation.qonnx_to_qcdq import QuantToQCDQ

from bitswath.bundle.bundle import Bundle
from bitswath.errors import BundleError
from bitswath.network.network import Network

__all__ = [
    "BATCHES",
    "Peer",
    "best_int8",
    "best_of",
    "exact_qcdq",
    "float_peer",
    "int8_peer",
    "integers",
    "onnx_path",
    "qcdq_peer",
    "qonnx_peer",
]

Codes = NDArray[np.uint8]
BATCHES = (4, 16, 64)  # beyond, activations leave the cache and the rate falls
TRIALS = 3
TRIAL_S = 0.03


class Measured(Protocol):
    """What can be measured like a peer."""

    def measure(self, codes: Codes, clock: Clock = ..., least_s: float = ...) -> Measure: ...


Timed = TypeVar("Timed", bound=Measured)


@dataclass(frozen=True)
class Peer:
    """A runtime set up for one network and one batch. `run(feed(codes))` gives float logits (N, classes)."""

    name: str
    batch: int
    feed: Callable[[Codes], NDArray[Any]]
    run: Callable[[NDArray[Any]], NDArray[Any]]

    def measure(self, codes: Codes, clock: Clock = WALL_CLOCK, least_s: float = 0.0) -> Measure:
        """Patches per second on as many of `codes` as a batch has; their conversion is not counted. See `timed`."""
        feed = self.feed(codes[: self.batch])
        return timed(lambda: self.run(feed), self.batch, clock, least_s)


def int8_peer(network: Network, batch: int, form: Form, threads: int = 1) -> Peer:
    """ONNX Runtime on the 8-bit graph in one form."""
    run = _session(int8_model(network, form), threads, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
    return Peer(f"ONNX Runtime int8, {form}", batch, np.ascontiguousarray if form == "nhwc" else channels_first, run)


def best_int8(network: Network, codes: Codes, threads: int = 1) -> Peer:
    """The fastest form and batch of the 8-bit graph."""
    form = FORMS[_fastest([int8_peer(network, 16, form, threads) for form in FORMS], codes)]
    return best_of(lambda batch: int8_peer(network, batch, form, threads), codes)


def qcdq_peer(path: Path, batch: int, optimized: bool = True, threads: int = 1) -> Peer:
    """ONNX Runtime on QCDQ, with every optimization that leaves quantizers alone, or with none."""
    model = _folded(path, qcdq=True).transform(ChangeBatchSize(batch))
    levels = ort.GraphOptimizationLevel
    level = levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    run = _session(model.model, threads, level, {"session.disable_quant_qdq": "1"})
    return Peer(f"ONNX Runtime QCDQ, {'optimized' if optimized else 'not optimized'}", batch, float_channels_first, run)


def exact_qcdq(bundle: Bundle, codes: Codes, expected: NDArray[np.integer]) -> tuple[bool, int]:
    """Whether QCDQ may be optimized and still give the `expected` integers for `codes`, and how many values
    differ in the setting to be used: 0, unless even without optimizations some do."""
    mismatches = 0
    for optimized in (True, False):
        peer = qcdq_peer(onnx_path(bundle), len(codes), optimized)
        mismatches = int((integers(bundle.network, peer.run(peer.feed(codes))) != expected).sum())
        if not mismatches:
            break
    return optimized, mismatches


def integers(network: Network, logits: NDArray[np.floating]) -> NDArray[np.int64]:
    """The network's output integers behind the logits that a float runtime gives."""
    return np.rint((logits - network.head.offset) / network.head.scale).astype(np.int64)


def float_peer(path: Path, batch: int, threads: int = 1) -> Peer:
    """ONNX Runtime in float32: weights folded, quantizers of activations left out."""
    model = _folded(path).transform(ChangeBatchSize(batch))
    for node in [node for node in model.graph.node if node.op_type == "Quant"]:
        source, target = node.input[0], node.output[0]
        for consumer in model.graph.node:
            consumer.input[:] = [source if name == target else name for name in consumer.input]
        model.graph.node.remove(node)
    run = _session(model.model, threads, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
    return Peer("ONNX Runtime float32", batch, float_channels_first, run)


def qonnx_peer(path: Path, batch: int) -> Peer:
    """qonnx's node-by-node executor. It has no setting for threads and takes all cores; CPU time counts them all."""
    model = _folded(path).transform(ChangeBatchSize(batch)).transform(InferShapes())
    source, target = model.graph.input[0].name, model.graph.output[0].name
    return Peer(
        "qonnx execute_onnx", batch, float_channels_first, lambda feed: execute_onnx(model, {source: feed})[target]
    )


def best_of(make: Callable[[int], Timed], codes: Codes, batches: tuple[int, ...] = BATCHES) -> Timed:
    """The peer at the batch at which it is fastest."""
    peers = [make(batch) for batch in batches]
    return peers[_fastest(peers, codes)]


def _fastest(peers: Sequence[Measured], codes: Codes) -> int:
    measures = {str(index): peer.measure(codes, CPU_CLOCK, TRIAL_S) for index, peer in enumerate(peers)}
    rates = interleaved(measures, TRIALS)
    return int(np.argmax([statistics.median(values) for values in rates.values()]))


def onnx_path(bundle: Bundle) -> Path:
    """Raises `BundleError` if the bundle has no QONNX model."""
    if bundle.onnx_path is None:
        raise BundleError(f"{bundle.path}: has no model.onnx for the peers to run; export it again")
    return bundle.onnx_path


def channels_first(codes: Codes) -> Codes:
    return np.ascontiguousarray(codes.transpose(0, 3, 1, 2))


def float_channels_first(codes: Codes) -> NDArray[np.float32]:
    return channels_first(codes).astype(np.float32)


@cache
def _folded(path: Path, qcdq: bool = False) -> ModelWrapper:
    """The QONNX model, or its QCDQ form, with constants folded."""
    model = ModelWrapper(str(path)).transform(InferShapes())
    model = model.transform(FoldConstants(exclude_op_types=[]))
    return model.transform(QuantToQCDQ()) if qcdq else model


def _session(
    model: onnx.ModelProto, threads: int, level: ort.GraphOptimizationLevel, settings: dict[str, str] | None = None
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = level
    options.log_severity_level = 3  # errors only: which constants it drops is not of interest
    for setting, value in {"session.intra_op.allow_spinning": "0", **(settings or {})}.items():
        options.add_session_config_entry(setting, value)
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda feed: session.run(None, {name: feed})[0]
