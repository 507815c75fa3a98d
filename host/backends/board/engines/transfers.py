"""The thread that owns a device: it moves batches through two DMA engines and two pairs of buffers.

While one transfer runs it fills the other pair's input and empties its output, so that the device rests only between
the end of a transfer and the start of the next.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np

from bitswath.backends.board.engines.batches import Batch, Batches
from bitswath.backends.board.engines.pairs import Pair, Pairs
from bitswath.backends.board.overlay import Overlay
from bitswath.backends.board.protocol import Board
from bitswath.errors import BackendError, BackendTimeoutError

__all__ = ["Transfers"]

_FIRST_PAUSE_S = 20e-6
_LAST_PAUSE_S = 2e-3
_LONGEST_PAUSE_S = 0.05
_GRACE_S = 2.0
"""How long the end lets a transfer end by itself before the bitstream is loaded again to stop it."""
_JOIN_S = 30.0


@dataclass(frozen=True)
class _Transfer:
    """`steps`: of the input engine."""

    pair: Pair
    batch: Batch
    rows: int
    steps: int
    fill_s: float


class _AbandonedError(Exception):
    """The transfer under way is not waited for any more."""


class Transfers:
    """Runs from the start until `end`. `most`: frames in one transfer; `timeout_s`: the longest that one may take.

    `moving`: the device may be reading or writing memory; `spent_s`: filling, waiting for the device, unpacking.
    """

    def __init__(self, board: Board, overlay: Overlay, batches: Batches, *, most: int, timeout_s: float) -> None:
        self._board, self._batches, self._timeout_s = board, batches, timeout_s
        self._input, self._output = overlay.input, overlay.output
        self.pairs = Pairs(board, most * self._input.frame_bytes, most * self._output.frame_bytes)
        self.moving, self.spent_s = False, np.zeros(3)
        self._last_rows, self._last_s = 0, 0.0
        self._worker = threading.Thread(target=self._work, name="bitswath-dma", daemon=True)
        self._worker.start()

    def end(self) -> None:
        """Once the batches are closed: wait for the thread and free the memory, if nothing can write to it."""
        if self._worker is not threading.current_thread():
            self._worker.join(_JOIN_S)
        self.pairs.release(stopped=not self.moving and not self._worker.is_alive())

    def _work(self) -> None:
        running: _Transfer | None = None
        while self._batches.wait(busy=running is not None):
            if self._batches.reset is not None:
                self._restart()
                running = None
                continue
            with self._batches.reported():
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
                self.moving = True
                self._board.odma.start(following.pair.taken, following.rows)
                self._board.idma.start(following.pair.given, following.steps)
        finally:
            if running is not None:
                self._deliver(running)
        return following

    def _prepare(self) -> _Transfer | None:
        """The next rows in a pair's input, if there are rows and a pair."""
        drawn = self._batches.draw() if self.pairs.free else None
        if drawn is None:
            return None
        (batch, rows), pair = drawn, self.pairs.free.popleft()
        started = time.perf_counter()
        steps = self._input.fill(rows, pair.given.array)
        pair.given.flush()
        return _Transfer(pair, batch, len(rows), steps, time.perf_counter() - started)

    def _wait(self, running: _Transfer, following: _Transfer | None) -> _Transfer | None:
        """Until both engines are done; prepares what comes meanwhile."""
        board, filled = self._board, False
        started = time.monotonic()
        expected_s = self._last_s if self._last_rows == running.rows else 0.0
        while True:
            filled = filled or board.idma.finished()
            if filled and board.odma.finished():
                self.moving = False
                self._last_rows, self._last_s = running.rows, time.monotonic() - started
                return following
            if self._batches.interrupted:
                if following is not None:
                    self.pairs.free.append(following.pair)
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
        rows = buffer.array[: transfer.rows * size].reshape(transfer.rows, size)
        answers, status = self._output.read(rows), self._output.status_of(rows)
        self.spent_s = self.spent_s + np.array([transfer.fill_s, self._last_s, time.perf_counter() - started])
        self.pairs.free.append(transfer.pair)
        self._batches.answer(transfer.batch, transfer.rows, answers, status)

    def _restart(self) -> None:
        """Void everything, load the bitstream again, and tell whoever asked."""
        self._batches.void()
        self.pairs.free_all()
        with self._batches.reported():
            self._board.reload()
            self.moving = False
        self._batches.end_reset()

    def _stop(self) -> None:
        """See that the device moves nothing any more: its memory is about to be freed."""
        deadline = time.monotonic() + (0 if self._batches.faulty else _GRACE_S)
        with self._batches.reported():
            while self.moving and time.monotonic() < deadline:
                self.moving = not self._board.odma.finished()
                time.sleep(_LAST_PAUSE_S)
        with self._batches.reported():
            if self.moving:
                self._board.reload()
                self.moving = False
        self._batches.end_reset(BackendError("the backend was closed before the device was back"))


def _pause(elapsed_s: float, expected_s: float) -> float:
    """Until the next look: half of what is left of a transfer as long as the last one, ever longer beyond that."""
    if elapsed_s < expected_s:
        return min(max((expected_s - elapsed_s) / 2, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
    return min(max((elapsed_s - expected_s) / 4, _FIRST_PAUSE_S), _LAST_PAUSE_S)
