"""What every board has in common: two DMA engines between memory and the accelerator, and two pairs of buffers.

A thread owns the device. While one transfer runs it fills the other pair's input and empties its output, so that
the device rests only between the end of a transfer and the start of the next. Boards (backends/pynq.py,
backends/xrt.py) say how buffers are had, how an engine is started, and how the bitstream is loaded again.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.base import Ticket
from bitswath.backends.board.interface import Board, Buffer, Engine
from bitswath.backends.board.overlay import Frames, Overlay
from bitswath.errors import BackendError, BackendTimeoutError, BitswathError, BundleError, InputError

__all__ = ["DmaBackend"]

_PAIRS = 2
_FIRST_PAUSE_S = 20e-6
_LAST_PAUSE_S = 2e-3
_LONGEST_PAUSE_S = 0.05
_GRACE_S = 2.0
"""How long `close` lets a transfer end by itself before the bitstream is loaded again to stop it."""
_MAX_TRANSFER_BYTES = 64 << 20
_JOIN_S = 30.0
_DOWNLOAD_S = 30.0
"""How long loading the bitstream may take at least."""

_kept: list[Buffer] = []
"""Memory that a device may still write to, because it could not be stopped: never given to anything else."""
_opened: weakref.WeakSet[DmaBackend] = weakref.WeakSet()

Values = NDArray[np.signedinteger]
_Self = TypeVar("_Self", bound="DmaBackend")


@dataclass
class _Batch:
    """Frames under way. `taken`: rows given to transfers, `answers`: of those that are back."""

    number: int
    frames: NDArray[np.uint8]
    taken: int = 0
    back: int = 0
    answers: list[Values] = field(default_factory=list)


@dataclass(frozen=True)
class _Pair:
    given: Buffer
    taken: Buffer


@dataclass(frozen=True)
class _Transfer:
    pair: _Pair
    batch: _Batch
    rows: int
    fill_s: float


@dataclass
class _Reset:
    done: threading.Event = field(default_factory=threading.Event)
    error: BackendError | None = None


class _AbandonedError(Exception):
    """The transfer under way is not waited for any more."""


class DmaBackend:
    """An overlay on a board behind the `Backend` interface. The backend closes the board, also if this fails.

    `output_shape`: of a frame's answer, by default (values,). `frames_per_transfer`: most frames that the engines move
    at one start; larger batches are split. `transfer_timeout_s`: the longest that one transfer may take.
    After a fault (a late device, a bus error) everything raises it until `reset`. Raises `BackendError`, `InputError`.
    """

    def __init__(
        self,
        board: Board,
        overlay: Overlay,
        *,
        output_shape: tuple[int, ...] | None = None,
        frames_per_transfer: int = 64,
        transfer_timeout_s: float = 60.0,
    ) -> None:
        self._board, self._closed, self._moving = board, False, False
        self._process = os.getpid()
        self._buffers: list[Buffer] = []
        self._worker: threading.Thread | None = None
        self._lock = threading.Condition()
        try:
            self._shape = _checked_shape(overlay.output, output_shape)
            if frames_per_transfer < 1 or not transfer_timeout_s > 0:
                raise InputError(
                    "expected 1 or more frames_per_transfer and transfer_timeout_s above 0, "
                    f"got {frames_per_transfer} and {transfer_timeout_s}"
                )
            self.overlay, self.packing = overlay, overlay.input.packing
            self._input, self._output = overlay.input, overlay.output
            largest = max(self._input.frame_bytes, self._output.frame_bytes)
            self._most = max(1, min(frames_per_transfer, _MAX_TRANSFER_BYTES // largest))
            self.frames_in_flight = _PAIRS * self._most
            self._timeout_s = transfer_timeout_s
            for _ in range(_PAIRS):
                self._allocate(board.idma, self._input)
                self._allocate(board.odma, self._output)
        except BaseException:
            self.close()
            raise
        self._free = self._pairs()
        self._queue: deque[_Batch] = deque()
        self._batches: dict[int, _Batch] = {}
        self._frames = self._tickets = self._void = 0
        self._spent = np.zeros(3)
        self._last_rows, self._last_s = 0, 0.0
        self._fault: BackendError | None = None
        self._reset: _Reset | None = None
        self._worker = threading.Thread(target=self._work, name="bitswath-dma", daemon=True)
        self._worker.start()
        _opened.add(self)

    @property
    def clock_hz(self) -> float | None:
        """As read back from the board."""
        return self._board.clock_hz

    @property
    def device(self) -> Hashable:
        """See `OnDevice.device`."""
        return self._board.device

    def submit(self, frames: NDArray[np.uint8]) -> Ticket:
        """Start on packed frames uint8 (N, frame_bytes). See `Backend.submit`."""
        rows = _checked_frames(self._input, frames)
        deadline = time.monotonic() + self._timeout_s
        with self._lock:
            while True:
                self._check_usable()
                if self._frames == 0 or self._frames + len(rows) <= self.frames_in_flight:
                    break
                if not self._lock.wait(max(0.0, deadline - time.monotonic())):
                    raise BackendTimeoutError(f"no room for {len(rows)} frames within {self._timeout_s:g} s")
            batch = _Batch(self._tickets, rows)
            self._tickets += 1
            self._batches[batch.number] = batch
            if len(rows):
                self._frames += len(rows)
                self._queue.append(batch)
                self._lock.notify_all()
            return Ticket(batch.number, len(rows))

    def collect(self, ticket: Ticket, timeout_s: float | None = None) -> Values:
        """int32 or int64 (N, *output shape). See `Backend.collect`."""
        with self._lock:
            if timeout_s is None:
                timeout_s = self._timeout_s * (2 + -(-self._frames // self._most))
            deadline = time.monotonic() + timeout_s
            while True:
                batch = self._outstanding(ticket)
                if batch.back == len(batch.frames):
                    del self._batches[ticket.number]
                    break
                self._check_usable()
                if not self._lock.wait(max(0.0, deadline - time.monotonic())):
                    raise BackendTimeoutError(f"no answer to {ticket.frames} frames within {timeout_s:g} s")
        answers = batch.answers or [self._output.read(np.zeros((0, self._output.frame_bytes), np.uint8))]
        return np.concatenate(answers).reshape(len(batch.frames), *self._shape)

    def steps(self, frames: NDArray[np.uint8]) -> dict[str, float]:
        """See `Stepped.steps`. Frames of several transfers overlap them; then the sum is more than passes."""
        with self._lock:
            before = self._spent.copy()
        self.collect(self.submit(frames))
        with self._lock:
            spent = self._spent - before
        return dict(zip(("fill", "transfer, compute", "unpack"), spent.tolist()))

    def reset(self, timeout_s: float | None = None) -> None:
        """Load the bitstream again. See `Resettable.reset`.

        By default it may take as long as a transfer, and in any case 30 s, however short `timeout_s` is.
        """
        limit_s = max(_DOWNLOAD_S, self._timeout_s if timeout_s is None else timeout_s)
        with self._lock:
            self._check_open()
            request = self._reset = self._reset or _Reset()
            self._lock.notify_all()
        if not request.done.wait(limit_s):
            raise BackendTimeoutError(f"the device is not back within {limit_s:g} s; close it and power the board down")
        if request.error is not None:
            raise _again(request.error)

    def close(self) -> None:
        """Stop the device and free its memory; what is under way is lost.

        Memory that the device may still write to, because it cannot be stopped, is kept until the program ends. What
        is open then is closed by itself.
        """
        with self._lock:
            self._closed = True
            self._lock.notify_all()
            worker = self._worker
        if worker is not None and worker is not threading.current_thread():
            worker.join(_JOIN_S)
        with self._lock:
            stopped = not self._moving and (worker is None or not worker.is_alive())
            buffers, self._buffers = self._buffers, []
        if not stopped:
            _kept.extend(buffers)
            buffers = []
        for buffer in buffers:
            buffer.free()
        self._board.close()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _allocate(self, engine: Engine, frames: Frames) -> None:
        buffer = self._board.allocate(engine, self._most * frames.frame_bytes)
        self._buffers.append(buffer)
        buffer.array[:] = 0
        buffer.flush()  # a cache may write these bytes back later, over what the device wrote

    def _pairs(self) -> deque[_Pair]:
        return deque(map(_Pair, self._buffers[0::2], self._buffers[1::2]))

    def _outstanding(self, ticket: Ticket) -> _Batch:
        self._check_open()
        batch = self._batches.get(ticket.number)
        if batch is None:
            if ticket.number < self._void:
                raise BackendError(f"ticket {ticket.number} is void: the device was reset; submit its frames again")
            raise BackendError(f"ticket {ticket.number} is not outstanding; each is collected once")
        return batch

    def _check_open(self) -> None:
        if self._closed:
            raise BackendError("the backend is closed; open the bundle again")

    def _check_usable(self) -> None:
        self._check_open()
        if self._fault is not None:
            raise _again(self._fault)

    # what follows runs in the thread that owns the device

    def _work(self) -> None:
        running: _Transfer | None = None
        while True:
            with self._lock:
                busy = running is not None
                while not (self._closed or self._reset or (not self._fault and (busy or self._queue))):
                    self._lock.wait()
                request, closed = self._reset, self._closed
            if closed:
                break
            if request is not None:
                self._restart(request)
                running = None
                continue
            with self._reported():
                running = self._step(running)
                continue
            running = None
        self._stop()

    def _step(self, running: _Transfer | None) -> _Transfer | None:
        """End the running transfer, start the next, then deliver the first while the second runs."""
        following = self._prepare()
        if running is not None:
            try:
                following = self._wait(running, following)
            except _AbandonedError:
                return running
        try:
            if following is not None:
                self._moving = True
                self._board.odma.start(following.pair.taken, following.rows)
                self._board.idma.start(following.pair.given, following.rows)
        finally:
            if running is not None:
                self._deliver(running)
        return following

    def _prepare(self) -> _Transfer | None:
        """The next rows in a pair's input, if there are rows and a pair."""
        with self._lock:
            if not self._queue or not self._free:
                return None
            batch, pair = self._queue[0], self._free.popleft()
            rows = batch.frames[batch.taken : batch.taken + self._most]
            batch.taken += len(rows)
            if batch.taken == len(batch.frames):
                self._queue.popleft()
        started, size = time.perf_counter(), self._input.frame_bytes
        target = pair.given.array[: len(rows) * size].reshape(len(rows), size)
        target[:, : rows.shape[1]] = rows
        pair.given.flush()
        return _Transfer(pair, batch, len(rows), time.perf_counter() - started)

    def _wait(self, running: _Transfer, following: _Transfer | None) -> _Transfer | None:
        """Until both engines are done; prepares what comes meanwhile."""
        board, filled = self._board, False
        started = time.monotonic()
        expected_s = self._last_s if self._last_rows == running.rows else 0.0
        while True:
            filled = filled or board.idma.finished()
            if filled and board.odma.finished():
                self._moving = False
                self._last_rows, self._last_s = running.rows, time.monotonic() - started
                return following
            with self._lock:
                if self._closed or self._reset is not None:
                    if following is not None:
                        self._free.append(following.pair)
                    raise _AbandonedError
            elapsed_s = time.monotonic() - started
            if elapsed_s > self._timeout_s:
                raise BackendTimeoutError(
                    f"{running.rows} frames were not done within {self._timeout_s:g} s "
                    f"({board.idma.progress()}; {board.odma.progress()}); reset the device"
                )
            following = following or self._prepare()
            board.rest(_pause(elapsed_s, expected_s))

    def _deliver(self, transfer: _Transfer) -> None:
        buffer, size = transfer.pair.taken, self._output.frame_bytes
        started = time.perf_counter()
        buffer.invalidate()
        answers = self._output.read(buffer.array[: transfer.rows * size].reshape(transfer.rows, size))
        unpack_s = time.perf_counter() - started
        with self._lock:
            self._spent += np.array([transfer.fill_s, self._last_s, unpack_s])
            transfer.batch.answers.append(answers)
            transfer.batch.back += transfer.rows
            self._frames -= transfer.rows
            self._free.append(transfer.pair)
            self._lock.notify_all()

    def _restart(self, request: _Reset) -> None:
        """Void everything, load the bitstream again, and tell whoever asked."""
        with self._lock:
            self._queue.clear()
            self._batches.clear()
            self._void, self._frames, self._fault = self._tickets, 0, None
            self._free = self._pairs()
        with self._reported():
            self._board.reload()
            self._moving = False
        with self._lock:
            request.error, self._reset = self._fault, None
            self._lock.notify_all()
        request.done.set()

    def _stop(self) -> None:
        """See that the device moves nothing any more: its memory is about to be freed."""
        deadline = time.monotonic() + (_GRACE_S if self._fault is None else 0)
        with self._reported():
            while self._moving and time.monotonic() < deadline:
                self._moving = not self._board.odma.finished()
                time.sleep(_LAST_PAUSE_S)
        with self._reported():
            if self._moving:
                self._board.reload()
                self._moving = False
        if self._reset is not None:
            self._reset.error = BackendError("the backend was closed before the device was back")
            self._reset.done.set()

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        """What goes wrong here is the fault that everybody sees from now on."""
        try:
            yield
        except Exception as error:  # the thread's end: whoever waits must hear of it, whatever it is
            known = error if isinstance(error, BackendError) else _unexpected(error)
            with self._lock:
                self._fault = known
                self._lock.notify_all()


@atexit.register
def _close_all() -> None:
    """A device goes on writing after the program's end, into memory that is others' by then."""
    for backend in list(_opened):
        if backend._process == os.getpid():  # a fork has its parent's in sight
            with contextlib.suppress(BackendError):
                backend.close()


def _pause(elapsed_s: float, expected_s: float) -> float:
    """Until the next look: half of what is left of a transfer as long as the last one, ever longer beyond that."""
    if elapsed_s < expected_s:
        return min(max((expected_s - elapsed_s) / 2, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
    return min(max((elapsed_s - expected_s) / 4, _FIRST_PAUSE_S), _LAST_PAUSE_S)


def _unexpected(error: Exception) -> BackendError:
    text = str(error) if isinstance(error, BitswathError) else f"{type(error).__name__}: {error}"
    return BackendError(f"the device failed ({text}); reset it")


def _again(error: BackendError) -> BackendError:
    """The same error for another thread, with a trace of its own."""
    return type(error)(*error.args)


def _checked_shape(output: Frames, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    if shape is None:
        return (output.values,)
    if int(np.prod(shape)) != output.values:
        raise BundleError(f"{output.engine} gives {output.values} values a frame, expected {shape}")
    return shape


def _checked_frames(link: Frames, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8:
        raise InputError(f"expected frames as a uint8 array, got {getattr(frames, 'dtype', type(frames).__name__)}")
    if frames.ndim != 2 or frames.shape[1] != link.payload_bytes:
        raise InputError(f"expected frames of shape (N, {link.payload_bytes}) at {link.bits} bits, got {frames.shape}")
    return frames
