"""Peers whose pins collide with this environment's: each has one of its own below .cache/, and a process there.

A peer is given the 8-bit graph of `int8_graph` in QDQ form, and interleaved with all others like them.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmark import CPU_CLOCK, WALL_CLOCK, Clock, Measure
from int8_graph import int8_model
from numpy.typing import NDArray

from bitswath.errors import BackendError
from bitswath.network.network import Network

__all__ = ["ENGINES", "OutsidePeer", "outside_peer"]

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "peers"
WORKER = Path(__file__).with_name("peer_worker.py")
ENGINES: Mapping[str, tuple[str, ...]] = {
    "openvino": ("openvino>=2026.4", "numpy"),
    "onnxruntime": ("onnxruntime>=1.27", "numpy"),
}
"""What pip installs for each engine: the newest."""
SHOWN = {"openvino": "OpenVINO", "onnxruntime": "newest ONNX Runtime"}


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
    command = [_python(engine), str(WORKER), engine, str(_model(network)), str(batch), str(threads)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    version = process.stdout.readline().strip()
    if not version:
        raise BackendError(f"{SHOWN[engine]}: expected its version, but its process ended")
    return OutsidePeer(f"{SHOWN[engine]} {version} int8, qdq", batch, process)


@cache
def _python(engine: str) -> str:
    folder = CACHE / engine
    python, installed = folder / "bin" / "python", folder / "installed"
    wanted = " ".join(ENGINES[engine])
    if not installed.exists() or installed.read_text() != wanted:
        try:
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *ENGINES[engine]], check=True)
        except subprocess.CalledProcessError as error:
            raise BackendError(f"{SHOWN[engine]}: cannot be installed: {error}") from error
        installed.write_text(wanted)
    return str(python)


def _model(network: Network) -> Path:
    data = int8_model(network, "qdq").SerializeToString()
    path = CACHE / f"{hashlib.sha256(data).hexdigest()[:16]}.onnx"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return path
