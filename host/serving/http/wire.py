"""uvicorn's HTTP/1.1 with the limits that it has not: how long a request's head may take, and answers nobody reads.

An answer goes out in one piece. uvicorn writes its head and its body one after the other, and with the second call to
the system, and the second time that the client wakes up, writing took as long as all that is done for a small request.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from bitswath.serving.http.body import WHOLE
from bitswath.serving.settings import Settings

__all__ = ["wire"]

_SMALL_BYTES = 64 << 10


class _InOnePiece:
    """A transport that keeps what is written to it as long as `unfinished` says that the rest of it is to come."""

    def __init__(self, transport: asyncio.Transport, unfinished: Callable[[], bool]) -> None:
        self._transport, self._unfinished = transport, unfinished
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        if len(data) > _SMALL_BYTES:
            self._flush()
            self._transport.write(data)
            return
        self._parts.append(data)
        if not self._unfinished():
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        self._transport.write(b"".join(self._parts))
        self._parts.clear()


def wire(settings: Settings) -> type[H11Protocol]:
    """The protocol of one connection. Refused by it, and not by the application, are connections beyond
    `max_connections`, which are closed, and what is no HTTP, which gets 400."""

    class Wire(H11Protocol):
        _head: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(_InOnePiece(transport, lambda: self.conn.our_state is h11.SEND_BODY))  # type: ignore[arg-type]
            if len(self.connections) > settings.max_connections:
                transport.abort()
                return
            self._watch_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_is_there()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            scope: Any = self.scope
            state = self.conn.their_state
            if state is not h11.IDLE:
                self._head_is_there()
                if state in (h11.DONE, h11.MUST_CLOSE) and scope is not None:
                    scope[WHOLE] = True
            elif self.conn.trailing_data[0] and self._head is None:
                self._watch_head()

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            self.loop.call_later(settings.body_timeout_s, self.transport.abort)  # unless the answer was read meanwhile

        def send_400_response(self, msg: str) -> None:
            body = json.dumps({"error": msg}).encode()
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                    self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

        def _watch_head(self) -> None:
            self._head = self.loop.call_later(settings.header_timeout_s, self._late)

        def _head_is_there(self) -> None:
            if self._head is not None:
                self._head.cancel()
                self._head = None

        def _late(self) -> None:
            self._head = None
            self.transport.close()

    return Wire
