"""Bodies of requests, read within limits, and clients that go away while they wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus

import anyio
from starlette.requests import ClientDisconnect, Request

from bitswath.serving.refusals import RequestError, busy
from bitswath.serving.settings import Settings

__all__ = ["Bodies", "header_length", "while_there"]

_PATIENCE_S = 0.05
"""Most answers are there before it is worth while to watch whether somebody waits for them."""


class Bodies:
    """What all requests' bodies may take in memory together."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.held_bytes = 0

    @contextlib.asynccontextmanager
    async def read(self, request: Request, most_bytes: int | None = None) -> AsyncIterator[bytes]:
        """A request's body, counted as held while the block runs.

        Raises `RequestError`: 413 for a longer one than is taken, if its length is said before anything was read; 415
        for a compressed one, 408 if it does not come in time, 503 if there is no room for it now.
        """
        most = self._settings.max_request_bytes if most_bytes is None else most_bytes
        declared = int(request.headers.get("content-length", 0))
        if request.headers.get("content-encoding", "identity") != "identity":
            raise RequestError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected a body without Content-Encoding; send it as it is"
            )
        if declared > most:
            raise _too_large(most)
        parts: list[bytes] = []
        held = 0
        try:
            with anyio.fail_after(self._settings.body_timeout_s):
                async for part in request.stream():
                    if held + len(part) > most:
                        raise _too_large(most)
                    if self.held_bytes + len(part) > self._settings.max_memory_bytes:
                        raise busy("requests at hand fill the memory that they may take")
                    held += len(part)
                    self.held_bytes += len(part)
                    parts.append(part)
            yield parts[0] if len(parts) == 1 else b"".join(parts)
        except TimeoutError:
            raise RequestError(HTTPStatus.REQUEST_TIMEOUT, "the body did not come in time") from None
        finally:
            self.held_bytes -= held


@contextlib.asynccontextmanager
async def while_there(request: Request) -> AsyncIterator[None]:
    """A block that ends by `ClientDisconnect` when nobody waits for its answer any more."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    watchers: list[asyncio.Task[None]] = []

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        if task is not None:
            task.cancel()

    later = loop.call_later(_PATIENCE_S, lambda: watchers.append(loop.create_task(watch())))
    try:
        yield
    except asyncio.CancelledError:
        if watchers and watchers[0].done():
            raise ClientDisconnect from None
        raise
    finally:
        later.cancel()
        for watcher in watchers:
            watcher.cancel()


def header_length(request: Request) -> int | None:
    """Of the binary extension: bytes of JSON at the body's beginning. Raises `RequestError` for what is no number."""
    text = request.headers.get("inference-header-content-length")
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
