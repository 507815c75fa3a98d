"""A compiled system as a process: requests into its pipe, replies out of it. `harness/system.cpp` is the other end."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bitswath.backends.rtl.simulator import last_line
from bitswath.errors import BackendError, BackendTimeoutError

__all__ = ["Process", "Reply"]

_REQUEST = struct.Struct("<IIII")
_REPLY = struct.Struct("<IIQ")
_START_S, _CLOSE_S = 60.0, 5.0


@dataclass(frozen=True)
class Reply:
    """`interrupts`: a bit an engine; `cycles`: of the clock since the process began."""

    value: int
    interrupts: int
    cycles: int


class Process:
    """A running system. `options`: as system.cpp lists them, without those of the interrupts; `descriptors`: files
    that it shares; `engines`: how many there are. Any thread may ask; one request is under way at a time.

    Raises `BackendError` if it does not start.
    """

    def __init__(
        self, model: Path, folder: Path, options: Mapping[str, object], descriptors: Sequence[int], engines: int
    ) -> None:
        self._lock = threading.Lock()
        self._closing = False
        self._log = model.with_name(f"run-{os.getpid()}-{secrets.token_hex(4)}.log")
        self.cycles = 0
        """As the last reply said."""
        pipes = [os.pipe() for _ in range(engines)]
        self._signals = [os.fdopen(seen, "rb", buffering=0) for seen, _ in pipes]
        ends = {f"{end}{i}": fd for i, pipe in enumerate(pipes) for end, fd in zip(("seen", "signal"), pipe)}
        given = [f"{key}={value}" for key, value in {**options, **ends}.items()]
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [str(model.absolute()), *given],
                    cwd=folder,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    bufsize=0,
                    pass_fds=[*descriptors, *ends.values()],
                    start_new_session=True,
                )
        except OSError as error:
            raise BackendError(f"{model}: cannot be started ({error.strerror}); delete it to compile anew") from error
        finally:
            for _, end in pipes:
                os.close(end)
        try:
            with self._lock:
                self._reply(time.monotonic() + _START_S, "start")
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, kind: int, first: int, second: int, third: int, timeout_s: float) -> Reply:
        """Raises `BackendTimeoutError` if the reply is late, `BackendError` if the process has ended; it is of no
        more use after either."""
        deadline = time.monotonic() + timeout_s
        if not self._lock.acquire(timeout=timeout_s):
            raise BackendTimeoutError(f"the simulated system was busy for {timeout_s:g} s; reset it")
        try:
            self._request(_REQUEST.pack(kind, first, second, third))
            return self._reply(deadline, f"reply within {timeout_s:g} s")
        except BaseException:  # a reply that nobody takes would be taken for the next one's
            self._process.kill()
            raise
        finally:
            self._lock.release()

    def wait_signal(self, engine: int, timeout_s: float) -> None:
        """Until the engine's interrupt line is high, the process has ended, or the time is up."""
        with self._lock:
            if self._closing:
                raise self._ended()
            line = os.dup(self._signals[engine].fileno())
        try:
            select.select([line], [], [], max(0.0, timeout_s))
        finally:
            os.close(line)

    def close(self) -> None:
        """End the process; more than once is fine."""
        self._closing = True
        self._process.kill()
        self._process.wait(_CLOSE_S)
        with self._lock:
            for pipe in (self._process.stdin, self._process.stdout, *self._signals):
                if pipe is not None:
                    pipe.close()
        with contextlib.suppress(OSError):
            if not self._log.stat().st_size:
                self._log.unlink()

    def _request(self, packed: bytes) -> None:
        if self._closing or self._process.stdin is None:
            raise self._ended()
        try:
            self._process.stdin.write(packed)
        except OSError:
            raise self._ended() from None

    def _reply(self, deadline: float, what: str) -> Reply:
        pipe, taken = self._process.stdout, b""
        if pipe is None:
            raise self._ended()
        while len(taken) < _REPLY.size:
            left = deadline - time.monotonic()
            if left <= 0:
                raise BackendTimeoutError(f"the simulated system did not {what}; reset it; see {self._log}")
            if select.select([pipe], [], [], left)[0]:
                part = pipe.read(_REPLY.size - len(taken))
                if not part:
                    raise self._ended()
                taken += part
        reply = Reply(*_REPLY.unpack(taken))
        self.cycles = reply.cycles
        return reply

    def _ended(self) -> BackendError:
        if self._closing:
            return BackendError("the simulated system was closed or reset meanwhile; ask again or open it again")
        code = self._process.wait(_CLOSE_S)
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return BackendError(f"the simulated system {how}{last_line(self._log)}; reset it; see {self._log}")
