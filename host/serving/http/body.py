"""Bodies of requests, read within limits, and clients that go away while they wait."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.types import Scope

from bitswath.serving.refusals import RequestError, busy
from bitswath.serving.scheduling.alarms import Alarms
from bitswath.serving.settings import Settings

__all__ = ["WHOLE", "Bodies", "header", "header_length"]

WHOLE = "bitswath.whole"
"""True in the scope of a request whose body is there before it is asked for."""

_PATIENCE_S = 0.05
"""Most answers are there before it is worth while to watch whether somebody waits for them."""


class Bodies:
    """Bodies of requests, and what all of them may take in memory together."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.held_bytes = 0
        self._alarms = Alarms()

    def read(self, request: Request, most_bytes: int | None = None) -> _Body:
        """A request's body, for ``async with``, counted as held while the block runs; `most_bytes`: what it may have,
        unless that of the settings.

        Raises `RequestError`: 413 for a longer one than is taken, if its length is said before anything was read; 415
        for a compressed one, 408 if it does not come in time, 503 if there is no room for it now.
        """
        return _Body(self, request, self.settings.max_request_bytes if most_bytes is None else most_bytes)

    def while_there(self, request: Request) -> _WhileThere:
        """A block, for ``with``, that ends by `ClientDisconnect` when nobody waits for its answer any more."""
        return _WhileThere(request, self._alarms)


class _Body:
    """One request's; a class, for the sake of the time that a generator would take."""

    def __init__(self, bodies: Bodies, request: Request, most_bytes: int) -> None:
        self._bodies, self._request, self._most_bytes = bodies, request, most_bytes
        self._parts: list[bytes] = []
        self._held_bytes = 0

    async def __aenter__(self) -> bytes:
        if header(self._request.scope, b"content-encoding") not in (None, "identity"):
            raise RequestError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected a body without Content-Encoding; send it as it is"
            )
        if int(header(self._request.scope, b"content-length") or 0) > self._most_bytes:
            raise _too_large(self._most_bytes)
        try:
            await self._read()
        except BaseException:
            self._let_go()
            raise
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    async def __aexit__(self, *error: object) -> None:
        self._let_go()

    async def _read(self) -> None:
        if self._request.scope.get(WHOLE):  # nothing is waited for
            await self._take_all()
            return
        try:
            with anyio.fail_after(self._bodies.settings.body_timeout_s):
                await self._take_all()
        except TimeoutError:
            raise RequestError(HTTPStatus.REQUEST_TIMEOUT, "the body did not come in time") from None

    async def _take_all(self) -> None:
        more = True
        while more:
            message = await self._request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            self._take(message.get("body", b""))
            more = message.get("more_body", False)

    def _take(self, part: bytes) -> None:
        bodies, size = self._bodies, len(part)
        if self._held_bytes + size > self._most_bytes:
            raise _too_large(self._most_bytes)
        if bodies.held_bytes + size > bodies.settings.max_memory_bytes:
            raise busy("requests at hand fill the memory that they may take")
        self._held_bytes += size
        bodies.held_bytes += size
        self._parts.append(part)

    def _let_go(self) -> None:
        self._bodies.held_bytes -= self._held_bytes


class _WhileThere:
    def __init__(self, request: Request, alarms: Alarms) -> None:
        self._request, self._alarms, self._task = request, alarms, asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._later = self._alarms.set(_PATIENCE_S, self._begin)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._alarms.off(self._later)
        if self._watcher is None:
            return
        left = self._watcher.done()
        self._watcher.cancel()
        if left and kind is asyncio.CancelledError:
            raise ClientDisconnect from None

    def _begin(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        if self._task is not None:
            self._task.cancel()


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of this name, in small letters."""
    for given, value in scope["headers"]:
        if given == name:
            text: str = value.decode("latin-1")
            return text
    return None


def header_length(request: Request) -> int | None:
    """Of the binary extension: bytes of JSON at the body's beginning. Raises `RequestError` for what is no number."""
    text = header(request.scope, b"inference-header-content-length")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise RequestError(
            HTTPStatus.BAD_REQUEST, f"Inference-Header-Content-Length: expected a number, got {text[:40]!r}"
        )
    return int(text)


def _too_large(most: int) -> RequestError:
    return RequestError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected a body of at most {most} bytes; send fewer at once"
    )
