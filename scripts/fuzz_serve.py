"""A million wrong requests to a server: none is answered by 500, with more than a line, wrongly, or never.

python scripts/fuzz_serve.py [--requests 1000000] [--sockets 0.02] [--seed 0] [--json FILE]

Documents, lengths, binary data, images, addresses and methods are changed at random (tests/host/serving/damage.py).
Most go straight to the application; a share goes through sockets, where lengths lie, too, and clients leave. In between
good requests are asked, whose answers must be right.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import random
import sys
import tempfile
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

from benchmark import Facts, machine, versions

sys.path.append(str(Path(__file__).resolve().parents[1]))

from bitswath.serving.access import Access
from bitswath.serving.energy import Energy
from bitswath.serving.http.app import http_application
from bitswath.serving.metrics import Metrics
from bitswath.serving.repository import Repository
from bitswath.serving.service import Service
from bitswath.serving.settings import Settings
from tests.host.serving.damage import Sent, drawn
from tests.host.serving.served import binary, bundle, emulators, frames_of, logits_of, patches, serving

__all__ = ["fuzz"]

TIMEOUT_S = 60.0
GOOD_EVERY = 1000
AT_ONCE = 16
PATIENCE_S = 0.3
"""How long a server waits for what never comes; a fifth of the lengths that lie have it wait."""
_REFUSED = (*range(400, 500), 504)
"""Also for a time-out of a microsecond."""


def fuzz(requests: int, seed: int, sockets: float = 0.02) -> Facts:
    """Send so many; how they were answered. Raises `AssertionError` that names the seed of the request."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = str(bundle(Path(folder)).path)
        by_socket = round(requests * sockets)
        counts = asyncio.run(_inside(path, requests - by_socket, seed))
        with serving(path, body_timeout_s=PATIENCE_S, header_timeout_s=PATIENCE_S) as address:
            counts += asyncio.run(_outside(address, by_socket, seed + requests))
    took_s = time.monotonic() - started
    return {
        "requests": requests,
        "through_sockets": by_socket,
        "answered": dict(sorted(counts.items())),
        "seconds": round(took_s, 1),
        "requests_per_s": round(requests / took_s),
        "seed": seed,
    }


async def _inside(path: str, requests: int, seed: int) -> Counter[str]:
    """Straight to the application."""
    settings = Settings(watch_s=0)
    repository = Repository([path], emulators(), settings)
    service = Service(repository, settings)
    application = http_application(service, Access(None), Metrics(repository, Energy()))
    await repository.start()
    counts: Counter[str] = Counter()
    numbers = iter(range(seed, seed + requests))

    async def some() -> None:
        for number in numbers:
            sent = drawn(random.Random(number))
            try:
                status, body = await asyncio.wait_for(_asked(application, sent), TIMEOUT_S)
                _check(sent, status, body)
                if number % GOOD_EVERY == 0:
                    await _good(application, number)
                    print(f"\r{number - seed:,} requests", end="", file=sys.stderr, flush=True)
            except Exception as error:
                deque(numbers, maxlen=0)  # so that the others end, who may take being cancelled for a client that left
                raise AssertionError(f"seed {number}: {sent.damage}: {type(error).__name__} {error}") from error
            counts[str(status)] += 1

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    print(file=sys.stderr)
    await repository.close(5.0)
    service.close()
    return counts


async def _asked(application: Any, sent: Sent) -> tuple[int, bytes]:
    path, _, query = sent.path.partition("?")
    headers = [(b"host", b"x"), (b"content-length", str(len(sent.body)).encode())]
    headers += [(name.encode(), value.encode("latin-1")) for name, value in sent.headers]
    if sent.length is not None:
        headers.append((b"inference-header-content-length", sent.length.encode()))
    scope = {
        "type": "http",
        "method": sent.method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("x", 80),
        "scheme": "http",
        "http_version": "1.1",
    }
    messages = [{"type": "http.request", "body": sent.body, "more_body": False}]
    told: dict[str, Any] = {"body": b""}

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await asyncio.sleep(2 * TIMEOUT_S)  # who leaves is not what is tried here
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        told["status"] = message.get("status", told.get("status"))
        told["body"] += message.get("body", b"")

    await application(scope, receive, send)
    return told["status"], told["body"]


def _check(sent: Sent, status: int, body: bytes) -> None:
    """An answer, or one line of why not."""
    assert status == 200 or status in _REFUSED, f"status {status}: {body[:300]!r}"
    if status in _REFUSED and sent.method != "HEAD":
        document = json.loads(body)
        if set(document) in ({"ready", "live"}, {"name", "ready"}):
            return
        assert set(document) == {"error"}, body
        assert document["error"] and "\n" not in document["error"] and len(document["error"]) <= 500, body


async def _good(application: Any, number: int) -> None:
    batch = patches(3, number)
    content, headers = binary({"frames": frames_of(batch)}, outputs=[{"name": "labels"}])
    (length,) = headers.values()
    status, body = await _asked(application, Sent("POST", "/v2/models/small/infer", content, length))
    assert status == 200, body
    assert json.loads(body)["outputs"][0]["data"] == logits_of(batch).argmax(1).tolist()


async def _outside(address: str, requests: int, seed: int) -> Counter[str]:
    """Through sockets, with lengths that lie and clients that leave."""
    host, port = address.removeprefix("http://").split(":")
    counts: Counter[str] = Counter()
    numbers = iter(range(seed, seed + requests))

    async def some() -> None:
        for number in numbers:
            rng = random.Random(number)
            sent = drawn(rng)
            try:
                counts[await asyncio.wait_for(_through(host, int(port), sent, rng), TIMEOUT_S)] += 1
            except Exception as error:
                deque(numbers, maxlen=0)  # so that the others end, who may take being cancelled for a client that left
                raise AssertionError(f"seed {number}: {sent.damage}: {type(error).__name__} {error}") from error

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return counts


async def _through(host: str, port: int, sent: Sent, rng: random.Random) -> str:
    """One request; the status that came, or how the connection ended."""
    lie = rng.choice((0, 0, 0, -1, 1, 7, -len(sent.body), 10**12))
    lines = [f"{sent.method} {sent.path} HTTP/1.1", "Host: x", f"Content-Length: {len(sent.body) + lie}"]
    lines += [f"{name}: {value}" for name, value in sent.headers]
    lines += [] if sent.length is None else [f"Inference-Header-Content-Length: {sent.length}"]
    content = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1", "replace") + sent.body
    if rng.random() < 0.1:
        content = bytes(rng.randrange(256) if rng.random() < 0.02 else byte for byte in content)
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(content)
        await writer.drain()
        if rng.random() < 0.1:
            return "left"
        first = await reader.readline()
        if not first:
            return "closed"
        status = int(first.split(b" ")[1])
        assert status in (200, *_REFUSED), first + await reader.read(500)
        return str(status)
    except ConnectionError:
        return "closed"
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--sockets", type=float, default=0.02, help="share that goes through sockets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # it warns of every request that is no HTTP
    facts = fuzz(chosen.requests, chosen.seed, chosen.sockets)
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):20} {value}")
    if chosen.json:
        chosen.json.write_text(json.dumps({**facts, "machine": machine(), "versions": versions()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
