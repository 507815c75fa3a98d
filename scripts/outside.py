"""Peers whose pins collide with this environment's: each has one of its own below .cache/, and a process there.

Of 8 bits, a peer is given the graph of `int8_graph`, in QDQ form or as `litert_graph` writes it; of one bit, that of
`larq_graph`. It is interleaved with all others like them. What it logs goes to a file there.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from benchmark import CPU_CLOCK, WALL_CLOCK, Clock, Measure
from int8_graph import int8_model
from larq_graph import larq_model
from litert_graph import litert_model
from numpy.typing import NDArray

from bitswath.errors import BackendError
from bitswath.network.network import Network

__all__ = ["ENGINES", "INT8", "OutsidePeer", "outside_peer"]

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "peers"
WORKER = Path(__file__).with_name("peer_worker.py")
CODES = 64
"""Random ones, whose logits set the range of 8-bit logits."""


def _qdq(network: Network, _batch: int) -> bytes:
    data: bytes = int8_model(network, "qdq").SerializeToString()
    return data


def _tflite(network: Network, batch: int) -> bytes:
    entry = network.input
    codes = np.random.default_rng(0).integers(entry.lo, entry.hi + 1, (CODES, *entry.shape), np.uint8)
    return litert_model(network, codes, batch)


@dataclass(frozen=True)
class Engine:
    """`form`: what is said of its graph; `packages`: what pip installs, the newest; `model`: the file it takes for a
    network and a batch."""

    shown: str
    form: str
    packages: tuple[str, ...]
    model: Callable[[Network, int], bytes]


ENGINES: Mapping[str, Engine] = {
    "openvino": Engine("OpenVINO", "int8, qdq", ("openvino>=2026.4", "numpy"), _qdq),
    "onnxruntime": Engine("newest ONNX Runtime", "int8, qdq", ("onnxruntime>=1.27", "numpy"), _qdq),
    "litert": Engine("LiteRT", "int8, XNNPACK", ("ai-edge-litert>=2.3", "numpy"), _tflite),
    "larq": Engine("larq-compute-engine", "1 bit", ("larq-compute-engine>=0.16", "numpy<2"), larq_model),
}
INT8 = ("openvino", "onnxruntime", "litert")
"""Those that take any network in 8 bits."""


@dataclass(frozen=True)
class OutsidePeer:
    """A runtime set up for one network and one batch in a process of its own; measures as `peers.Peer` does."""

    name: str
    batch: int
    process: subprocess.Popen[str]

    def measure(self, _codes: NDArray[Any], clock: Clock = WALL_CLOCK, least_s: float = 0.0) -> Measure:
        """Patches per second on codes of its own."""
        kind = "cpu" if clock is CPU_CLOCK else "wall"
        return lambda: float(self._ask(f"rate {kind} {least_s}"))

    def latencies_s(self, count: int) -> list[float]:
        """Of so many runs, one after the other."""
        return list(map(float, self._ask(f"singles {count}").split()))

    def outputs(self) -> NDArray[np.float64]:
        """Of `peer_worker.codes` for its batch, flat; not of every engine."""
        return np.array(self._ask("outputs").split(), np.float64)

    def _ask(self, question: str) -> str:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise BackendError(f"{self.name}: expected an answer to {question!r}, but its process ended")
        return answer


def outside_peer(engine: str, network: Network, batch: int, threads: int = 1) -> OutsidePeer:
    """Raises `BackendError` where the engine cannot be installed or does not take the graph."""
    chosen = ENGINES[engine]
    model = _file(chosen.model(network, batch))
    command = [_python(engine), str(WORKER), engine, str(model), str(batch), str(threads)]
    log = CACHE / f"{engine}.log"
    with log.open("w") as messages:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=messages, text=True)
    assert process.stdout is not None
    version = process.stdout.readline().strip()
    if not version:
        raise BackendError(f"{chosen.shown}: expected its version, but its process ended: {log.read_text()[-500:]}")
    return OutsidePeer(f"{chosen.shown} {version} {chosen.form}", batch, process)


@cache
def _python(engine: str) -> str:
    chosen, folder = ENGINES[engine], CACHE / engine
    python, installed = folder / "bin" / "python", folder / "installed"
    wanted = " ".join(chosen.packages)
    if not installed.exists() or installed.read_text() != wanted:
        try:
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *chosen.packages], check=True)
        except subprocess.CalledProcessError as error:
            raise BackendError(f"{chosen.shown}: cannot be installed: {error}") from error
        installed.write_text(wanted)
    return str(python)


def _file(model: bytes) -> Path:
    path = CACHE / hashlib.sha256(model).hexdigest()[:16]
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model)
    return path
