"""A request that is not answered: why, and what a client is told."""

from __future__ import annotations

import logging
from http import HTTPStatus

from bitswath.errors import BackendError, BackendTimeoutError, BitswathError, InputError

__all__ = ["RequestError", "busy", "logged_refusal", "refusal"]

_LONGEST = 500
_log = logging.getLogger("bitswath.serving")


class RequestError(InputError):
    """A request is refused. `status`: of HTTP; `retry_after_s`: when it may be sent again, where that helps."""

    def __init__(self, status: HTTPStatus, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after_s = status, retry_after_s


def busy(message: str, retry_after_s: int = 1) -> RequestError:
    """There is no room, or no device, at the moment."""
    return RequestError(HTTPStatus.SERVICE_UNAVAILABLE, message, retry_after_s)


def refusal(error: BaseException) -> RequestError:
    """What a client is told of an error: one line, and whether it was its request's fault.

    A device's is named with its type. Anything that is no `BitswathError` is a fault of the server's own, of which a
    client is told no more than that.
    """
    if isinstance(error, RequestError):
        return error
    if isinstance(error, BackendTimeoutError | BackendError):
        return RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, _one_line(f"{type(error).__name__}: {error}"))
    if isinstance(error, BitswathError):
        return RequestError(HTTPStatus.BAD_REQUEST, _one_line(str(error)))
    return RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed on this request; its log says why")


def logged_refusal(path: str, error: Exception) -> RequestError:
    """`refusal`, with a line in the log where it is the server's fault or a device's: the server's own has its
    traceback there. `path`: of the request, or its method's name."""
    told = refusal(error)
    if told.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        cause = error.__cause__ or error
        own = None if isinstance(cause, BitswathError) else cause
        _log.error("request failed", extra={"path": path, "reason": str(error)}, exc_info=own)
    return told


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
