"""Two pairs of buffers: while the device works on one, the host fills and empties the other."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from bitswath.backends.board.protocol import Board, Buffer, Engine

__all__ = ["PAIRS", "Pair", "Pairs"]

PAIRS = 2

_kept: list[Buffer] = []
"""Memory that a device may still write to, because it could not be stopped: never given to anything else."""


@dataclass(frozen=True)
class Pair:
    """`given`: frames for the device; `taken`: its answers."""

    given: Buffer
    taken: Buffer


class Pairs:
    """Buffers of `given_bytes` and `taken_bytes` from the board's memory; `free`: pairs that nothing uses."""

    def __init__(self, board: Board, given_bytes: int, taken_bytes: int) -> None:
        self.buffers: list[Buffer] = []
        self._lock = threading.Lock()
        try:
            for _ in range(PAIRS):
                self._allocate(board, board.idma, given_bytes)
                self._allocate(board, board.odma, taken_bytes)
        except BaseException:
            self.release(stopped=True)
            raise
        self.free_all()

    def free_all(self) -> None:
        """Nothing uses any pair."""
        self.free = deque(map(Pair, self.buffers[0::2], self.buffers[1::2]))

    def release(self, *, stopped: bool) -> None:
        """Give the memory back, or keep it for ever if the device is not `stopped`."""
        with self._lock:
            buffers, self.buffers = self.buffers, []
        if not stopped:
            _kept.extend(buffers)
            return
        for buffer in buffers:
            buffer.free()

    def _allocate(self, board: Board, engine: Engine, size: int) -> None:
        buffer = board.allocate(engine, size)
        self.buffers.append(buffer)
        buffer.array[:] = 0
        buffer.flush()  # a cache may write these bytes back later, over what the device wrote
