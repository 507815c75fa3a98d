"""Servers for tests: a small bundle whose answers are written down a second time, and a server of it in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from bitswath.accelerator import Accelerator
from bitswath.accelerator import open as open_accelerator
from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.codecs.uniform import UniformCodec
from bitswath.network.network import Head
from bitswath.serving.repository import DevicesOf
from bitswath.serving.run import serve
from bitswath.serving.settings import Settings
from tests.host.kinds import linear

SHAPE = (4, 5, 2)
CLASSES = ("forest", "river", "sea lake")
WEIGHTS = np.random.default_rng(7).integers(-7, 8, (3, 40))
HEAD = Head(np.array([0.5]), np.array([-3.0]))
FRAME_BYTES = 20
WAIT_S = 30.0


def bundle(path: Path, name: str = "small", weights: NDArray[Any] = WEIGHTS, **changes: Any) -> Bundle:
    values: dict[str, Any] = {"codec": UniformCodec(4), "patch_shape": SHAPE, "classes": CLASSES, **changes}
    return save_bundle(path / f"{name}.bsw", network=linear(weights, SHAPE, 4, HEAD), **values)


def patches(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), np.uint8)


def logits_of(batch: NDArray[np.uint8], weights: NDArray[Any] = WEIGHTS) -> NDArray[np.float32]:
    """What the bundle computes: the four high bits, a matrix and a scale."""
    codes = (batch >> 4).reshape(len(batch), 40).astype(np.int64)
    return (codes @ weights.T * 0.5 - 3).astype(np.float32)


def frames_of(batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two codes a byte, the first in the low bits."""
    codes = (batch >> 4).reshape(len(batch), FRAME_BYTES, 2)
    return (codes[..., 0] | codes[..., 1] << 4).astype(np.uint8)


def emulators(count: int = 1) -> DevicesOf:
    def devices_of(made: Bundle) -> dict[str, Callable[[], Accelerator]]:
        return {f"emulator-{number}": partial(open_accelerator, made, "emulator", threads=1) for number in range(count)}

    return devices_of


@contextlib.contextmanager
def serving(*paths: Path | str, devices_of: DevicesOf | None = None, **settings: Any) -> Iterator[str]:
    """The address of a server that runs in a thread until the block ends; with a `grpc_port`, that for gRPC too, after
    a space."""
    loop, stop, addresses = asyncio.new_event_loop(), asyncio.Event(), []
    ready = threading.Event()

    def started(http: str, grpc: str | None) -> None:
        addresses.append(f"{http} {grpc}" if grpc else http)
        ready.set()

    chosen = Settings(**{"port": 0, "watch_s": 0.0, "drain_timeout_s": 5.0, **settings})
    running = serve([str(path) for path in paths], devices_of or emulators(), chosen, started=started, stop=stop)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            loop.run_until_complete(running)
        except BaseException as error:
            failures.append(error)
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(WAIT_S)
        if failures:
            raise failures[0]
        yield addresses[0]
    finally:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)
        thread.join(WAIT_S)
        assert not thread.is_alive(), "the server did not stop"
        loop.close()


class Reply:
    """An answer: `status`, `headers`, `body`; as `json`, or its outputs by name as `outputs`."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def json(self) -> Any:
        length = self.headers["Inference-Header-Content-Length"]
        return json.loads(self.body if length is None else self.body[: int(length)])

    @property
    def outputs(self) -> dict[str, Any]:
        return {entry["name"]: entry for entry in self.json["outputs"]}

    @property
    def error(self) -> str:
        """The line of an error; fails if it is none, or more than one line."""
        assert set(self.json) == {"error"}, self.body
        line: str = self.json["error"]
        assert line and "\n" not in line and "Traceback" not in line, line
        return line


def ask(address: str, path: str, body: Any = None, method: str | None = None, **headers: str) -> Reply:
    """One request; a body that is no bytes goes as JSON. Underscores of header names are hyphens."""
    place = urlsplit(address)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=WAIT_S)
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with contextlib.closing(connection):
        connection.request(method or ("GET" if body is None else "POST"), path, content, named)
        return Reply(connection.getresponse())


def tensor(name: str, array: NDArray[Any], datatype: str = "UINT8") -> dict[str, Any]:
    return {"name": name, "shape": list(array.shape), "datatype": datatype, "data": array.tolist()}


def binary(inputs: dict[str, NDArray[Any]], **more: Any) -> tuple[bytes, dict[str, str]]:
    """A body with binary tensors, and the header that says where they begin."""
    parts = [array.tobytes() for array in inputs.values()]
    entries = [
        {
            "name": name,
            "shape": list(array.shape),
            "datatype": "UINT8",
            "parameters": {"binary_data_size": array.nbytes},
        }
        for name, array in inputs.items()
    ]
    header = json.dumps({"inputs": entries, **more}).encode()
    return header + b"".join(parts), {"Inference_Header_Content_Length": str(len(header))}
