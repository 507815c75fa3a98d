"""What drives a board: buffers, engines, and the board that has them. `DmaBackend` (engines/dma.py) works with any."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import BackendError, BitswathError

__all__ = ["Board", "Buffer", "Engine", "typed"]


class Buffer(Protocol):
    """Memory that both sides reach. `array`: the host's view, uint8 (bytes,), which may be a cached copy; `address`:
    the device's."""

    array: NDArray[np.uint8]
    address: int

    def flush(self) -> None:
        """Have the device see what the host wrote."""

    def invalidate(self) -> None:
        """Have the host see what the device wrote."""

    def free(self) -> None:
        """Give the memory back."""


class Engine(Protocol):
    """A DMA engine. What it raises is a `BackendError`."""

    name: str

    def start(self, buffer: Buffer, steps: int) -> None:
        """Move `steps` frames, or words of compressed ones (`Frames.step_bytes`), from or to the start of the
        buffer."""

    def finished(self) -> bool:
        """Whether the transfer is over; raises `BackendError` with the bus' response if it failed."""

    def progress(self) -> str:
        """For error messages."""


class Board(Protocol):
    """A device with the bitstream loaded and checked."""

    clock_hz: float | None

    @property
    def device(self) -> Hashable:
        """Equal for two that have one device open."""

    @property
    def idma(self) -> Engine:
        """Memory to accelerator."""

    @property
    def odma(self) -> Engine:
        """Accelerator to memory."""

    def allocate(self, engine: Engine, size: int) -> Buffer:
        """A buffer of `size` bytes that the engine reaches; raises `BackendError` if the device's memory is full."""

    def rest(self, pause_s: float) -> None:
        """Wait that long, or for an interrupt of the output engine, then at most 0.05 s."""

    def reload(self) -> None:
        """Load the bitstream again and check it as at first. Nothing moves afterwards."""

    def close(self) -> None:
        """Let go of the device."""


@contextlib.contextmanager
def typed(what: str, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """What a vendor's library raises, as a `BackendError`."""
    try:
        yield
    except BitswathError:
        raise
    except errors as error:
        raise BackendError(f"{what} ({type(error).__name__}: {error})") from error
