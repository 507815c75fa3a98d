"""Requests to a server as fast as connections take them: prints the rate, the latencies and its own CPU time as JSON.

python scripts/serve_load.py HOST:PORT REQUEST_FILE CONNECTIONS SECONDS

REQUEST_FILE holds a whole HTTP/1.1 request, head and body, which every connection sends again as soon as its answer is
there. Sockets and a selector, no more: it shares the cores with the server, and is to cost little beside it.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from pathlib import Path

TIMEOUT_S = 60.0


class Connection:
    """Sends, and once the whole answer is there, sends again."""

    def __init__(self, place: tuple[str, int], request: bytes) -> None:
        self.socket = socket.create_connection(place, TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self._got, self._wanted, self._sent = b"", 0, 0.0
        self.taken: list[float] = []
        self.failed = 0

    def send(self) -> None:
        self._sent = time.perf_counter()
        self.socket.sendall(self._request)

    def receive(self) -> bool:
        """Read what is there; whether the answer is whole. Raises `ConnectionError` if none will come."""
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the server closed a connection instead of answering")
        self._got = self._got + data if self._got else data
        if not self._wanted:
            self._wanted = self._length()
        if not self._wanted or len(self._got) < self._wanted:
            return False
        self.taken.append(time.perf_counter() - self._sent)
        self._got, self._wanted = b"", 0
        return True

    def _length(self) -> int:
        """Bytes of the whole answer; 0 as long as its head is not there."""
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return 0
        head = self._got[:end].lower()
        _, found, after = head.partition(b"content-length:")
        if not found:
            raise ValueError(f"expected an answer with its length, got {head!r}")
        self.failed += not head.startswith(b"http/1.1 200")
        return end + 4 + int(after.split(b"\r\n", 1)[0])


def load(place: tuple[str, int], request: bytes, connections: int, seconds: float) -> dict[str, float]:
    """What `connections` at once got in so many seconds. Raises `ConnectionError`, `TimeoutError`."""
    made = [Connection(place, request) for _ in range(connections)]
    with selectors.DefaultSelector() as selector:
        for one in made:
            selector.register(one.socket, selectors.EVENT_READ, one)
        started, used, waiting = time.perf_counter(), time.process_time(), len(made)
        for one in made:
            one.send()
        while waiting:
            ready = selector.select(TIMEOUT_S)
            if not ready:
                raise TimeoutError(f"{waiting} requests were not answered within {TIMEOUT_S:g} s")
            for key, _ in ready:
                if key.data.receive():
                    if time.perf_counter() - started < seconds:
                        key.data.send()
                    else:
                        waiting -= 1
        took, used = time.perf_counter() - started, time.process_time() - used
    for one in made:
        one.socket.close()
    taken = sorted(each for one in made for each in one.taken)
    return {
        "requests": len(taken),
        "requests_per_s": len(taken) / took,
        "p50_ms": 1e3 * taken[len(taken) // 2],
        "p99_ms": 1e3 * taken[min(len(taken) * 99 // 100, len(taken) - 1)],
        "client_cpu_ms": 1e3 * used / len(taken),
        "failed": sum(one.failed for one in made),
    }


if __name__ == "__main__":
    place, path, connections, seconds = sys.argv[1:]
    host, port = place.split(":")
    print(json.dumps(load((host, int(port)), Path(path).read_bytes(), int(connections), float(seconds))))
