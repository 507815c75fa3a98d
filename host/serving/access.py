"""Who may ask: tokens of a file, read again when it changes."""

from __future__ import annotations

import hmac
import logging
import time
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

from bitswath.errors import ConfigError
from bitswath.serving.refusals import RequestError

__all__ = ["Access"]

_SHORTEST = 16
_MOST_BYTES = 1 << 20
_LOOK_EVERY_S = 1.0
_log = logging.getLogger("bitswath.serving")


class Access:
    """The tokens of `path`, one a line, lines with ``#`` left out; None: everyone may ask.

    A file that cannot be read any more, or holds something else, lets nobody in: replace it in one step (``mv``).
    Raises `ConfigError` if that is so from the beginning.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._digests: tuple[bytes, ...] = ()
        self._stamp: tuple[int, int, int] | None = None
        self._looked_at = time.monotonic()
        if path is not None:
            self._stamp, self._digests = _stamp(path), _read(path)

    @property
    def open_to_all(self) -> bool:
        return self._path is None

    def client(self, authorization: str | None) -> str | None:
        """Whose token it is, as a name of its own; None where everyone may ask. Raises `RequestError` 401."""
        if self._path is None:
            return None
        self._refresh(self._path)
        scheme, _, token = (authorization or "").partition(" ")
        digest = sha256(token.strip().encode()).digest()
        known = [hmac.compare_digest(digest, each) for each in self._digests]  # all of them, whichever it is
        if scheme.lower() != "bearer" or not any(known):
            raise RequestError(
                HTTPStatus.UNAUTHORIZED, "expected the header 'Authorization: Bearer TOKEN' with a known token"
            )
        return digest.hex()[:16]

    def _refresh(self, path: Path) -> None:
        now = time.monotonic()
        if now - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = now
        try:
            stamp = _stamp(path)
            if stamp == self._stamp:
                return
            self._digests, self._stamp = _read(path), stamp
            _log.info("tokens read again", extra={"tokens": len(self._digests)})
        except ConfigError as error:
            if self._digests:
                _log.error("tokens cannot be read, nobody is let in", extra={"reason": str(error)})
            self._digests, self._stamp = (), None


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: Path) -> tuple[bytes, ...]:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    lines = [line.strip() for line in content.splitlines()]
    tokens = [line for line in lines if line and not line.startswith(b"#")]
    if not tokens or len(content) > _MOST_BYTES or any(len(token) < _SHORTEST or b" " in token for token in tokens):
        raise ConfigError(f"{path}: expected tokens of {_SHORTEST} or more characters without spaces, one a line")
    return tuple(sha256(token).digest() for token in tokens)
