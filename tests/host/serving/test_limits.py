"""What a client may not do: ask without a token, send too much or too slowly, or hold a device."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bitswath.errors import ConfigError
from bitswath.serving.access import Access
from tests.host.fake_backend import FakeBackend
from tests.host.serving.served import Reply, ask, binary, bundle, frames_of, logits_of, patches, serving, tensor
from tests.host.serving.test_faults import labels, on, until

INFER = "/v2/models/small/infer"
TOKEN, OTHER = "0123456789abcdef", "fedcba9876543210"


def connected(address: str) -> socket.socket:
    place = urlsplit(address)
    return socket.create_connection((str(place.hostname), place.port or 0), timeout=10)


def sent(address: str, content: bytes) -> Reply:
    """Bytes as they are, and what comes back."""
    with connected(address) as raw:
        raw.sendall(content)
        response = http.client.HTTPResponse(raw)
        response.begin()
        return Reply(response)


def head(length: int, *lines: str) -> bytes:
    return "\r\n".join([f"POST {INFER} HTTP/1.1", "Host: x", f"Content-Length: {length}", *lines, "", ""]).encode()


def test_what_draining_has_no_time_for_is_told_so(tmp_path: Path) -> None:
    with contextlib.ExitStack() as open_ones:
        with serving(bundle(tmp_path).path, drain_timeout_s=1) as address:
            half = open_ones.enter_context(connected(address))
            half.sendall(head(1000) + b"{")
            assert ask(address, "/v2/health/live").status == 200  # so the half one was taken, too
        response = http.client.HTTPResponse(half)
        response.begin()
        told = Reply(response)
    assert told.status == 503 and "stopped" in told.error


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[str, FakeBackend]]:
    """A server whose device answers nothing as long as `hold` is clear."""
    backends: list[FakeBackend] = []

    def make(made: Any) -> FakeBackend:
        backends.append(FakeBackend(made.network, 4))
        backends[-1].hold.clear()
        return backends[-1]

    with serving(bundle(tmp_path).path, devices_of=on(make, timeout_s=30), max_queue=40) as address:
        yield address, backends[0]
        backends[0].hold.set()


def test_tokens(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# of the rack\n{TOKEN}\n")
    with serving(bundle(tmp_path).path, token_file=file) as address:
        for path in ("/v2", "/v2/models/small", "/metrics", "/status", "/openapi.json", INFER):
            refused = ask(address, path, None if path != INFER else {"inputs": []})
            assert refused.status == 401 and refused.headers["WWW-Authenticate"] == "Bearer", path
            assert "Bearer TOKEN" in refused.error
        for wrong in ("Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {OTHER}", "Bearer \u00e9"):
            assert ask(address, "/v2", Authorization=wrong).status == 401
        assert ask(address, "/v2", Authorization=f"Bearer {TOKEN}").status == 200
        for path in ("/v2/health/live", "/v2/health/ready", "/"):
            assert ask(address, path).status == 200
        replaced = tmp_path / "new"
        replaced.write_text(f"{OTHER}\n")
        replaced.rename(file)
        until(lambda: ask(address, "/v2", Authorization=f"Bearer {OTHER}").status == 200)
        assert ask(address, "/v2", Authorization=f"Bearer {TOKEN}").status == 401
        file.write_text("")
        until(lambda: ask(address, "/v2", Authorization=f"Bearer {OTHER}").status == 401)


@pytest.mark.parametrize("content", ["", "# none\n", "short\n", "two words of it 123456\n"])
def test_a_file_without_good_tokens_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokens").write_text(content)
    with pytest.raises(ConfigError, match="expected tokens of 16 or more characters"):
        Access(tmp_path / "tokens")
    with pytest.raises(ConfigError, match="No such file"):
        Access(tmp_path / "nothing")


def test_tls(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    with serving(bundle(tmp_path).path, tls_cert=cert, tls_key=key) as address:
        assert address.startswith("https://")
        place = urlsplit(address)
        context = ssl.create_default_context(cafile=str(cert))
        connection = http.client.HTTPSConnection("127.0.0.1", place.port, context=context, timeout=10)
        connection.request("GET", "/v2/health/ready")
        assert Reply(connection.getresponse()).status == 200
        connection.close()
    key.write_text("no key")
    with (
        pytest.raises(ConfigError, match="cannot be used"),
        serving(tmp_path / "small.bsw", tls_cert=cert, tls_key=key),
    ):
        pass


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(ConfigError, match=f"127.0.0.1:{port}: cannot listen"),
            serving(bundle(tmp_path).path, port=port),
        ):
            pass


def test_too_much_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    with serving(bundle(tmp_path).path, max_request_bytes=2000, max_json_bytes=500) as address:
        with connected(address) as raw:
            raw.sendall(head(2001))  # and nothing of the body
            response = http.client.HTTPResponse(raw)
            response.begin()
            refused = Reply(response)
        assert refused.status == 413 and "at most 2000 bytes" in refused.error
        assert refused.headers["Connection"] == "close"
        chunked = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        assert sent(address, chunked + b"400\r\n" + b"x" * 1024 + b"\r\n400\r\n" + b"x" * 1024 + b"\r\n").status == 413
        refused = ask(address, INFER, {"inputs": [tensor("patches", patches(4))]})
        assert refused.status == 400 and "at most 500 bytes of JSON" in refused.error
        body, headers = binary({"frames": frames_of(patches(20))})
        assert ask(address, INFER, body, **headers).status == 200


def test_all_bodies_together_have_a_bound(held: tuple[str, FakeBackend], tmp_path: Path) -> None:
    with serving(bundle(tmp_path, "bounded").path, max_memory_bytes=1000) as address:
        body, headers = binary({"frames": frames_of(patches(60))})
        refused = ask(address, "/v2/models/bounded/infer", body, **headers)
    assert refused.status == 503 and refused.headers["Retry-After"] == "1" and "memory" in refused.error


def test_a_slow_client_is_not_waited_for_and_holds_nothing(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(serving(bundle(tmp_path).path, header_timeout_s=0.3, body_timeout_s=0.3))
        silent, half, slow = (stack.enter_context(connected(address)) for _ in range(3))
        half.sendall(b"POST /v2 HTTP/1.1\r\nHost:")
        slow.sendall(head(100) + b"{")
        assert labels(address) == (200, True)
        assert silent.recv(1) == b"" and half.recv(1) == b""
        response = http.client.HTTPResponse(slow)
        response.begin()
        late = Reply(response)
        assert late.status == 408 and "did not come in time" in late.error
        assert slow.recv(1) == b""


def test_heads_are_bounded_and_what_is_no_http_is_told_so(tmp_path: Path) -> None:
    with serving(bundle(tmp_path).path) as address:
        long = sent(address, b"GET /v2 HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000)
        assert long.status == 400 and long.error
        assert sent(address, b"nonsense\r\n\r\n").status == 400
        assert sent(address, head(5, "Content-Length: 7") + b"12345").status == 400
        assert ask(address, INFER, b"x" * 10, Content_Encoding="gzip").status == 415
        assert labels(address) == (200, True)


def test_connections_have_a_bound(tmp_path: Path) -> None:
    with serving(bundle(tmp_path).path, max_connections=3) as address:
        open_ones = [connected(address) for _ in range(3)]
        time.sleep(0.2)
        with connected(address) as more:
            assert more.recv(1) == b""
        for each in open_ones:
            each.close()
        until(lambda: not_refused(lambda: labels(address)) == (200, True))


def not_refused(step: Callable[[], Any]) -> Any:
    try:
        return step()
    except (ConnectionError, http.client.RemoteDisconnected):
        return None


def test_over_the_queues_bound_requests_are_told_to_come_again(held: tuple[str, FakeBackend]) -> None:
    address, backend = held
    got: list[Any] = []
    body = {"inputs": [tensor("patches", patches(20))]}
    threads = [threading.Thread(target=lambda: got.append(ask(address, INFER, body).status)) for _ in range(2)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        until(lambda n=number: backend.submitted + waiting(address) // 20 >= n)  # type: ignore[misc]
    refused = ask(address, INFER, body)
    assert refused.status == 503 and refused.headers["Retry-After"] == "1" and "frames wait" in refused.error
    backend.hold.set()
    for thread in threads:
        thread.join(10)
    assert got == [200, 200]


def waiting(address: str) -> int:
    told = ask(address, "/status").json["models"][0]["queue"]["frames"]
    return int(told)


def test_a_requests_own_time_is_kept(held: tuple[str, FakeBackend]) -> None:
    address, backend = held
    started = time.monotonic()
    body = {"parameters": {"timeout": 200_000}, "inputs": [tensor("patches", patches(2))]}
    late = ask(address, INFER, body)
    assert late.status == 504 and "0.2 s" in late.error and time.monotonic() - started < 5
    late = ask(address, INFER, body)
    assert late.status == 504
    assert waiting(address) == 0  # nothing is left of it in the queue
    backend.hold.set()
    assert labels(address) == (200, True)
    assert ask(address, INFER, {**body, "parameters": {"timeout": -1}}).status == 400
    assert ask(address, INFER, {**body, "parameters": {"timeout": "1"}}).status == 400


def test_who_goes_away_gives_up_its_share(held: tuple[str, FakeBackend]) -> None:
    address, backend = held
    body = json.dumps({"inputs": [tensor("patches", patches(5))]}).encode()
    first = connected(address)
    first.sendall(head(len(body)) + body)
    until(lambda: backend.submitted == 1)
    second = connected(address)
    second.sendall(head(len(body)) + body)
    until(lambda: waiting(address) == 5)
    second.close()
    until(lambda: waiting(address) == 0)
    first.close()
    gone = b'nv_inference_request_failure{model="small",reason="499",version="1"} 2.0'
    until(lambda: gone in ask(address, "/metrics").body)
    backend.hold.set()
    assert labels(address) == (200, True)
    assert backend.submitted == 2


def test_who_does_not_read_its_answer_holds_nobody_up(tmp_path: Path) -> None:
    batch = patches(20_000)
    body, headers = binary({"frames": frames_of(batch)}, parameters={"binary_data_output": True})
    length = headers["Inference_Header_Content_Length"]
    with serving(bundle(tmp_path).path, max_queue=1 << 20) as address:
        unread = []
        for _ in range(8):
            one = connected(address)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.sendall(head(len(body), f"Inference-Header-Content-Length: {length}") + body)
            unread.append(one)
        until(lambda: b'success{model="small",version="1"} 8.0' in ask(address, "/metrics").body)
        assert labels(address) == (200, True)
        reply = ask(address, INFER, body, **headers)
        assert reply.status == 200 and reply.outputs["labels"]["shape"] == [20_000]
        for one in unread:
            one.close()
    assert logits_of(batch).shape == (20_000, 3)
