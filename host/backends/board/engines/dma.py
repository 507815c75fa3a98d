"""What every board has in common: two DMA engines between memory and the accelerator, behind one interface.

Boards (pynq.py, xrt.py, one floor up) say how buffers are had, how an engine is started, and how the bitstream is
loaded again.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import weakref
from collections.abc import Hashable
from types import TracebackType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.base import Ticket
from bitswath.backends.board.engines.batches import Batches, Values, again
from bitswath.backends.board.engines.pairs import PAIRS
from bitswath.backends.board.engines.transfers import Transfers
from bitswath.backends.board.overlay import Frames, Overlay
from bitswath.backends.board.protocol import Board
from bitswath.builds.words import check_sound
from bitswath.errors import BackendError, BackendTimeoutError, BundleError, InputError

__all__ = ["DmaBackend"]

_MAX_TRANSFER_BYTES = 64 << 20
_DOWNLOAD_S = 30.0
"""How long loading the bitstream may take at least."""

_opened: weakref.WeakSet[DmaBackend] = weakref.WeakSet()

_Self = TypeVar("_Self", bound="DmaBackend")


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
        self._board, self._process = board, os.getpid()
        self.overlay, self.packing = overlay, overlay.input.packing
        try:
            self._shape = _checked_shape(overlay.output, output_shape)
            if frames_per_transfer < 1 or not transfer_timeout_s > 0:
                raise InputError(
                    "expected 1 or more frames_per_transfer and transfer_timeout_s above 0, "
                    f"got {frames_per_transfer} and {transfer_timeout_s}"
                )
            largest = max(overlay.input.frame_bytes, overlay.output.frame_bytes)
            most = max(1, min(frames_per_transfer, _MAX_TRANSFER_BYTES // largest))
            self.frames_in_flight, self._timeout_s = PAIRS * most, transfer_timeout_s
            self._batches = Batches(most, self.frames_in_flight, transfer_timeout_s)
            self._transfers = Transfers(board, overlay, self._batches, most=most, timeout_s=transfer_timeout_s)
        except BaseException:
            board.close()
            raise
        _opened.add(self)

    @property
    def clock_hz(self) -> float | None:
        """As read back from the board."""
        return self._board.clock_hz

    @property
    def device(self) -> Hashable:
        """See `OnDevice.device`."""
        return self._board.device

    @property
    def output_shape(self) -> tuple[int, ...]:
        """See `Shaped.output_shape`."""
        return self._shape

    def submit(self, frames: NDArray[np.uint8]) -> Ticket:
        """Start on packed frames uint8 (N, frame_bytes), compressed ones (N, W). See `Backend.submit`."""
        self.overlay.input.check(frames)
        return self._batches.put(frames)

    def collect(self, ticket: Ticket, timeout_s: float | None = None) -> Values:
        """int32 or int64 (N, *output shape). See `Backend.collect`."""
        batch, output = self._batches.take(ticket, timeout_s), self.overlay.output
        if batch.status:
            check_sound(np.concatenate(batch.status))
        answers = batch.answers or [output.read(np.zeros((0, output.frame_bytes), np.uint8))]
        return np.concatenate(answers).reshape(len(batch.frames), *self._shape)

    def steps(self, frames: NDArray[np.uint8]) -> dict[str, float]:
        """See `Stepped.steps`. Frames of several transfers overlap them; then the sum is more than passes."""
        before = self._transfers.spent_s
        self.collect(self.submit(frames))
        spent = self._transfers.spent_s - before
        return dict(zip(("fill", "transfer, compute", "unpack"), spent.tolist()))

    def reset(self, timeout_s: float | None = None) -> None:
        """Load the bitstream again. See `Resettable.reset`.

        By default it may take as long as a transfer, and in any case 30 s, however short `timeout_s` is.
        """
        limit_s = max(_DOWNLOAD_S, self._timeout_s if timeout_s is None else timeout_s)
        request = self._batches.ask_reset()
        if not request.done.wait(limit_s):
            raise BackendTimeoutError(f"the device is not back within {limit_s:g} s; close it and power the board down")
        if request.error is not None:
            raise again(request.error)

    def close(self) -> None:
        """Stop the device and free its memory; what is under way is lost.

        Memory that the device may still write to, because it cannot be stopped, is kept until the program ends. What
        is open then is closed by itself.
        """
        self._batches.close()
        self._transfers.end()
        self._board.close()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@atexit.register
def _close_all() -> None:
    """A device goes on writing after the program's end, into memory that is others' by then."""
    for backend in list(_opened):
        if backend._process == os.getpid():  # a fork has its parent's in sight
            with contextlib.suppress(BackendError):
                backend.close()


def _checked_shape(output: Frames, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    if shape is None:
        return (output.values,)
    if int(np.prod(shape)) != output.values:
        raise BundleError(f"{output.engine} gives {output.values} values a frame, expected {shape}")
    return shape
