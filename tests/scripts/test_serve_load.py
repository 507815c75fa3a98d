"""The load of the benchmark: it counts whole answers, and tells what came of the others."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from serve_load import load

from tests.host.serving.served import ask, binary, bundle, frames_of, patches, serving

HEAD = (
    "POST /v2/models/{}/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nInference-Header-Content-Length: {}\r\n\r\n"
)


@contextmanager
def saying(*parts: bytes) -> Iterator[tuple[str, int]]:
    """A server that sends these one after the other, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            with closing(listening.accept()[0]) as one:
                for part in parts:
                    one.recv(1000)
                    one.sendall(part)

        thread = threading.Thread(target=answer)
        thread.start()
        yield listening.getsockname()
        thread.join(10)


def test_every_answer_of_a_server_is_counted(tmp_path: Path) -> None:
    body, headers = binary({"frames": frames_of(patches(1))})
    (length,) = headers.values()
    with serving(bundle(tmp_path).path) as address:
        place = urlsplit(address)
        for name, wrong in (("small", False), ("nothing", True)):
            told = load((place.hostname, place.port), HEAD.format(name, len(body), length).encode() + body, 3, 0.2)
            assert told["requests"] >= 3 and told["failed"] == (told["requests"] if wrong else 0)
            assert 0 < told["p50_ms"] <= told["p99_ms"] and told["client_cpu_ms"] > 0
            if not wrong:
                counted = ask(address, "/v2/models/small/stats").json["model_stats"][0]
                assert counted["inference_stats"]["success"]["count"] == told["requests"]


def test_an_answer_in_pieces_is_one_and_one_cut_off_is_an_error() -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    with saying(whole) as place:
        assert load(place, b"x", 1, 0.0)["requests"] == 1
    with saying(whole[:-2]) as place, pytest.raises(ConnectionError, match="instead of answering"):
        load(place, b"x", 1, 0.0)
    with saying(b"HTTP/1.1 200 OK\r\n\r\n") as place, pytest.raises(ValueError, match="with its length"):
        load(place, b"x", 1, 0.0)
