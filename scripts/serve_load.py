"""Requests to a server as fast as connections take them: prints the rate and the latencies as JSON.

python scripts/serve_load.py HOST:PORT REQUEST_FILE CONNECTIONS SECONDS

REQUEST_FILE holds a whole HTTP/1.1 request, head and body, which every connection sends again as soon as its answer is
there. Nothing but Python's own library: it is to cost little beside the server.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path


class Connection(asyncio.Protocol):
    """Sends, waits for the whole answer, and sends again until `until`."""

    def __init__(self, request: bytes, until: float, done: asyncio.Future[None]) -> None:
        self._request, self._until, self._done = request, until, done
        self._got, self._wanted, self._sent = bytearray(), -1, 0.0
        self.taken: list[float] = []
        self.failed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self.failed += 1
            self._done.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._got += data
        if self._wanted < 0:
            end = self._got.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._got[:end].lower()
            length = head.find(b"content-length:")
            if length < 0:
                raise ValueError(f"expected an answer with its length, got {bytes(head)!r}")
            self._wanted = end + 4 + int(head[length + 15 :].split(b"\r\n")[0])
            self.failed += not head.startswith(b"http/1.1 200")
        if len(self._got) < self._wanted:
            return
        now = time.perf_counter()
        self.taken.append(now - self._sent)
        self._got, self._wanted = bytearray(), -1
        if now < self._until:
            self._send()
        else:
            self._done.set_result(None)
            self._transport.close()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)


async def load(host: str, port: int, request: bytes, connections: int, seconds: float) -> dict[str, float]:
    loop, started = asyncio.get_running_loop(), time.perf_counter()
    made = []
    for _ in range(connections):
        done = loop.create_future()
        _, one = await loop.create_connection(
            lambda done=done: Connection(request, started + seconds, done), host, port
        )
        made.append((one, done))
    for _, done in made:
        await done
    took = time.perf_counter() - started
    taken = sorted(each for one, _ in made for each in one.taken)
    return {
        "requests_per_s": len(taken) / took,
        "p50_ms": 1e3 * taken[len(taken) // 2],
        "p99_ms": 1e3 * taken[min(len(taken) * 99 // 100, len(taken) - 1)],
        "failed": sum(one.failed for one, _ in made),
    }


if __name__ == "__main__":
    place, path, connections, seconds = sys.argv[1:]
    host, port = place.split(":")
    print(json.dumps(asyncio.run(load(host, int(port), Path(path).read_bytes(), int(connections), float(seconds)))))
