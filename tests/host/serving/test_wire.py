"""What goes over a connection: answers in one piece and in order, whatever way requests come in."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.serving.served import ask, binary, bundle, logits_of, patches, serving, tensor
from tests.host.serving.test_limits import connected

INFER = "/v2/models/small/infer"


def asking(seed: int, *lines: str) -> tuple[bytes, bytes]:
    """Head and body of a request for the labels of three patches."""
    document = {"id": str(seed), "inputs": [tensor("patches", patches(3, seed))], "outputs": [{"name": "labels"}]}
    body = json.dumps(document).encode()
    head = [f"POST {INFER} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode(), body


def answers(raw: socket.socket, count: int) -> Iterator[tuple[bytes, bytes]]:
    """Heads and bodies, one after the other."""
    got = b""
    for _ in range(count):
        while b"\r\n\r\n" not in got:
            got += received(raw)
        head, _, got = got.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(got) < length:
            got += received(raw)
        yield head, got[:length]
        got = got[length:]
    assert got == b""


def received(raw: socket.socket) -> bytes:
    data = raw.recv(1 << 16)
    assert data, "closed too early"
    return data


def check(body: bytes, seed: int) -> None:
    told = json.loads(body)
    assert told["id"] == str(seed)
    assert told["outputs"][0]["data"] == logits_of(patches(3, seed)).argmax(1).tolist()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(bundle(tmp_path_factory.mktemp("served")).path) as found:
        yield found


def test_an_answer_is_one_piece(address: str) -> None:
    with connected(address) as raw:
        for seed in range(20):
            raw.sendall(b"".join(asking(seed)))
            whole = received(raw)
            check(whole.partition(b"\r\n\r\n")[2], seed)


def test_requests_sent_without_waiting_are_answered_in_order(address: str) -> None:
    with connected(address) as raw:
        raw.sendall(b"".join(part for seed in range(5) for part in asking(seed)))
        for seed, (head, body) in enumerate(answers(raw, 5)):
            assert head.startswith(b"HTTP/1.1 200")
            check(body, seed)


def test_a_request_may_come_byte_by_byte(address: str) -> None:
    with connected(address) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        content = b"".join(asking(1))
        for at in range(0, len(content), 40):
            raw.sendall(content[at : at + 40])
            time.sleep(0.001)
        ((_, body),) = answers(raw, 1)
        check(body, 1)


def test_who_asks_whether_to_go_on_is_told_at_once(address: str) -> None:
    head, body = asking(2, "Expect: 100-continue")
    with connected(address) as raw:
        raw.sendall(head)
        assert received(raw).startswith(b"HTTP/1.1 100")
        raw.sendall(body)
        ((_, answer),) = answers(raw, 1)
        check(answer, 2)


def test_who_wants_the_connection_closed_has_it_closed_after_the_answer(address: str) -> None:
    with connected(address) as raw:
        raw.sendall(b"".join(asking(3, "Connection: close")))
        ((head, answer),) = answers(raw, 1)
        assert b"connection: close" in head.lower()
        check(answer, 3)
        assert raw.recv(1) == b""


def test_of_head_only_the_head_is_sent(address: str) -> None:
    with connected(address) as raw:
        raw.sendall(b"HEAD /v2 HTTP/1.1\r\nHost: x\r\n\r\n")
        got = received(raw)
        assert got.startswith(b"HTTP/1.1 200") and got.endswith(b"\r\n\r\n") and b"content-length" in got
        raw.sendall(b"".join(asking(4)))
        ((_, answer),) = answers(raw, 1)
        check(answer, 4)


def test_requests_with_one_document_have_each_their_own_data(address: str) -> None:
    for seed in range(4):
        body, headers = binary({"patches": patches(2, seed)}, outputs=[{"name": "logits"}])
        for damaged in (body[:-1], body + b"x"):
            assert ask(address, INFER, damaged, **headers).status == 400
        reply = ask(address, INFER, body, **headers)
        assert reply.outputs["logits"]["data"] == logits_of(patches(2, seed)).reshape(-1).tolist()


def test_a_large_answer_is_whole(tmp_path: Path) -> None:
    batch = patches(20_000)
    body, headers = binary({"patches": batch}, outputs=[{"name": "logits"}])
    with serving(bundle(tmp_path).path, max_queue=1 << 20) as found:
        reply = ask(found, INFER, body, **headers)
    assert len(reply.body) > 200_000
    assert reply.outputs["logits"]["data"] == logits_of(batch).reshape(-1).tolist()
