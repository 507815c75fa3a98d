"""A compiled simulator as a process: frames into its pipe, records out of it.

`harness/simulate.cpp` is the other end. A thread reads the records, so that neither pipe ever stays full.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.rtl.stuck import StreamState, explain
from bitswath.builds.design import Design
from bitswath.builds.words import Words
from bitswath.errors import BackendError, BackendTimeoutError

__all__ = ["Counts", "Frame", "Pacing", "Simulator", "last_line"]

_FRAMES, _REPORT = 1, 2
_READY, _FRAME, _COUNTERS, _STUCK, _ALIVE = range(5)
_STUCK_ROWS = ("transfers", "stalls", "starved", "valid", "ready", "sink_valid", "sink_ready")
"""What a record of a stuck design tells of every stream, in this order."""
_CLOSE_S = 5.0
_START_S = 60.0
_MAX_MESSAGE = 64 << 20


@dataclass(frozen=True)
class Pacing:
    """How the ends of a simulation behave.

    `stall`: share of cycles in which each end pauses, in random runs from `seed`; `interval`: cycles from a
    frame's first word to the next one's at the input, its words spread evenly, 0 for as fast as they are taken;
    `dead_cycles`: after so many without any transfer the design counts as dead; `frame_cycles`: after so many
    without a finished frame, too; `capacities`: beats each stream's queue holds in a model with gauges, 0 for no
    bound.
    """

    stall: float = 0.0
    seed: int = 0
    interval: int = 0
    dead_cycles: int = 1 << 17
    frame_cycles: int = 1 << 32
    capacities: tuple[int, ...] = ()


@dataclass(frozen=True)
class Frame:
    """One frame's packed output words (bytes) and the cycles of its first word in and its last word out."""

    first_in: int
    last_out: int
    words: bytes


@dataclass(frozen=True)
class Counts:
    """Of a simulation so far; arrays int64 in the order of the design's streams.

    `transfers`: beats the source gave; `stalls`: cycles in which the source had to wait; `starved`: cycles in
    which the sink had to; `high_water`: most beats in the queue, in models with gauges.
    """

    cycles: int
    transfers: NDArray[np.int64]
    stalls: NDArray[np.int64]
    starved: NDArray[np.int64]
    high_water: NDArray[np.int64]


class Simulator:
    """A running simulation of `design`; `model` as `compiled` gives it, `rtl` the folder with its memory files.

    `trace`: the waveform, in models that write one; `plus`: plusargs for the design's own code.
    The process is ended by `close`, and on its own once its pipe closes.
    """

    def __init__(
        self,
        model: Path,
        design: Design,
        rtl: Path,
        pacing: Pacing,
        log: Path,
        *,
        trace: Path | None = None,
        plus: Sequence[str] = (),
    ) -> None:
        self.design = design
        self.log = log
        self._ready = threading.Condition()
        self._frames: deque[Frame] = deque()
        self._counts: deque[Counts] = deque()
        self._failure: BackendError | None = None
        self._done = self._records = 0
        self._started = self._closing = False
        with log.open("wb") as output:
            try:
                self._process = subprocess.Popen(
                    [str(model.absolute()), *_arguments(design, pacing, trace), *(f"+{one}" for one in plus)],
                    cwd=rtl,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=output,
                    bufsize=0,
                    start_new_session=True,
                )
            except OSError as error:
                raise BackendError(
                    f"{model}: cannot be started ({error.strerror}); delete it to compile anew"
                ) from error
        self._input, output_pipe = _pipes(self._process)
        os.set_blocking(self._input.fileno(), False)
        self._reader = threading.Thread(target=self._read, args=(output_pipe,), daemon=True)
        self._reader.start()
        try:
            self._wait(lambda: self._started, _START_S, "start")
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def progress(self) -> int:
        """Grows while it simulates, however slowly: with each frame, and with every few thousand cycles."""
        return self._records

    def send(self, frames: Words, timeout_s: float) -> None:
        """Give it frames as words of the input."""
        word_bytes = self.design.input.width // 8
        size = max(1, _MAX_MESSAGE // self.design.input.frame_bytes)
        ends = np.concatenate([[0], np.cumsum(frames.counts)]) * word_bytes
        for start in range(0, len(frames.counts), size):
            counts = frames.counts[start : start + size]
            data = frames.data[ends[start] : ends[start + len(counts)]]
            head = struct.pack("<I", len(counts)) + counts.astype("<u4").tobytes()
            self._write(_FRAMES, head + data.tobytes(), timeout_s)

    def take(self, timeout_s: float) -> Frame:
        """The next frame's answer, in order. Raises `BackendError`, `BackendTimeoutError`."""
        self._wait(lambda: bool(self._frames), timeout_s, "answer")
        return self._frames.popleft()

    def wait_for(self, frames: int, timeout_s: float) -> None:
        """Wait until so many frames in all are done. Raises `BackendError`, `BackendTimeoutError`."""
        self._wait(lambda: self._done >= frames, timeout_s, f"finish {frames} frames")

    def counts(self, timeout_s: float) -> Counts:
        """The counters, once all frames given so far are done."""
        self._write(_REPORT, b"", timeout_s)
        self._wait(lambda: bool(self._counts), timeout_s, "report")
        return self._counts.popleft()

    def close(self) -> None:
        """End the process; more than once is fine."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._input.close()
        try:
            self._process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(_CLOSE_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
        with contextlib.suppress(OSError):
            if not self.log.stat().st_size:
                self.log.unlink()

    def _wait(self, ready: Callable[[], bool], timeout_s: float, what: str) -> None:
        with self._ready:
            self._ready.wait_for(lambda: ready() or self._failure is not None, timeout_s)
            if ready():
                return
            if self._failure is not None:
                raise self._failure
        raise BackendTimeoutError(f"the simulator did not {what} within {timeout_s:g} s; see {self.log}")

    def _write(self, tag: int, payload: bytes, timeout_s: float) -> None:
        view = memoryview(struct.pack("<II", tag, len(payload)) + payload)
        deadline = time.monotonic() + timeout_s
        while view:
            if self._failure is not None:
                raise self._failure
            try:
                written = self._input.write(view)
            except (BrokenPipeError, ValueError):
                self._wait(lambda: False, _CLOSE_S, "say why it ended")
                return
            if written:
                view = view[written:]
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                self._fail(BackendTimeoutError(f"the simulator took no frames for {timeout_s:g} s; see {self.log}"))
                continue
            select.select([], [self._input], [], min(left, 0.5))

    def _read(self, pipe: IO[bytes]) -> None:
        while head := _exactly(pipe, 8):
            tag, size = struct.unpack("<II", head)
            payload = _exactly(pipe, size)
            if len(payload) < size:
                break
            with self._ready:
                self._record(tag, payload)
                self._ready.notify_all()
        self._fail(self._end())

    def _record(self, tag: int, payload: bytes) -> None:
        streams = len(self.design.streams)
        self._records += 1
        if tag == _FRAME:
            first_in, last_out = struct.unpack_from("<QQ", payload)
            self._frames.append(Frame(first_in, last_out, payload[16:]))
            self._done += 1
        elif tag == _COUNTERS:
            values = np.frombuffer(payload, "<i8")
            self._counts.append(Counts(int(values[0]), *values[1:].reshape(4, streams)))
        elif tag == _STUCK:
            values = np.frombuffer(payload, "<i8")
            rows = dict(zip(_STUCK_ROWS, values[6:].reshape(len(_STUCK_ROWS), streams)))
            state = StreamState(**{field.name: rows[field.name] for field in fields(StreamState)})
            self._failure = explain(self.design, [int(value) for value in values[:6]], state, self.log)
        elif tag == _READY:
            link = (streams, self.design.input.width // 8, self.design.output.width // 8)
            if struct.unpack("<QQQ", payload) != link:
                self._failure = BackendError("the cached simulator is of another design; delete it to compile anew")
            self._started = True

    def _end(self) -> BackendError:
        if self._closing:
            return BackendError("the simulator is closed; open it again")
        code = self._process.wait()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return BackendError(f"the simulator {how}{last_line(self.log)}; see {self.log}")

    def _fail(self, error: BackendError) -> None:
        with self._ready:
            self._failure = self._failure or error
            self._ready.notify_all()


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise BackendError("the simulator was started without pipes")
    return process.stdin, process.stdout


def _arguments(design: Design, pacing: Pacing, trace: Path | None) -> list[str]:
    options = {
        "out_words": design.output.words,
        "stall": pacing.stall,
        "seed": pacing.seed,
        "interval": pacing.interval,
        "dead": pacing.dead_cycles,
        "limit": pacing.frame_cycles,
        "capacities": ",".join(map(str, pacing.capacities)),
        "trace": trace.absolute() if trace else "",
        "half_ps": round(0.5e12 / design.clock_hz),
    }
    return [f"{name}={value}" for name, value in options.items()]


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    parts, left = [], count
    while left and (part := pipe.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def last_line(log: Path) -> str:
    """What a program said last, for an error's message."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return f" after saying {' '.join(lines[-1].split())[:200]!r}" if lines else ""
