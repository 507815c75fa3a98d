"""Where bitswath keeps what it can make again: compiled simulators, synthesized stages.

Below `bitswath` in the user's cache folder: $XDG_CACHE_HOME, else ~/.cache; $BITSWATH_CACHE names another place
for all of it. Anything there may be deleted while no bitswath runs.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from bitswath.errors import BackendError, BackendTimeoutError

__all__ = ["cache_folder", "locked"]

_POLL_S = 0.1


def cache_folder(kind: str) -> Path:
    """The folder for one kind of thing, made if need be. Raises `BackendError` if it cannot be."""
    given = os.environ.get("BITSWATH_CACHE")
    folder = (Path(given) if given else _user_cache() / "bitswath") / kind
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BackendError(f"{folder}: cannot be made ({error.strerror}); set BITSWATH_CACHE to a folder") from error
    return folder.absolute()


@contextlib.contextmanager
def locked(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock file `path`, which one process has at a time; it is free again when that process ends.

    Raises `BackendTimeoutError` if another process has it for longer than `timeout_s`.
    """
    import fcntl

    deadline = time.monotonic() + timeout_s
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BackendTimeoutError(
                        f"{path}: another process has held this for {timeout_s:.0f} s; wait for it or end it"
                    ) from None
                time.sleep(_POLL_S)
        yield


def _user_cache() -> Path:
    given = os.environ.get("XDG_CACHE_HOME", "")
    return Path(given) if given and Path(given).is_absolute() else Path.home() / ".cache"
