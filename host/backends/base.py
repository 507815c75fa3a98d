"""What every backend does, so that streaming and accelerators need not know which one they drive."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bitswath.codecs.base import Codec
from bitswath.codecs.packing import stated_lengths
from bitswath.errors import BackendTimeoutError, BundleError

__all__ = [
    "Advancing",
    "Backend",
    "Cancelling",
    "OnDevice",
    "Packing",
    "Resettable",
    "Shaped",
    "Stepped",
    "Ticket",
    "check_decoder",
    "patient",
]


@dataclass(frozen=True)
class Packing:
    """How a backend takes its frames.

    `group` None: dense, `bits` a code, little-endian, back to back. Otherwise FINN's folded layout:
    groups of `group` codes, each padded to whole bytes. `compressed`: as a codec of compressed frames makes them, each
    beginning with its length in bytes (uint16, little-endian), in rows filled up to the longest; on the link each is
    filled up to a multiple of `word_bytes`.
    """

    bits: int
    group: int | None = None
    signed: bool = False
    compressed: bool = False
    word_bytes: int = 1

    def link_bytes(self, frames: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Bytes (N,) that each of frames (N, W) takes on the link."""
        if not self.compressed:
            return np.full(len(frames), frames.shape[1])
        return -(-stated_lengths(frames) // self.word_bytes) * self.word_bytes


def check_decoder(build: object, compressed: bool, digest: str | None, codec: Codec) -> None:
    """Raises `BundleError` if `build`, the name of one, decodes frames that `codec` does not make.

    `compressed`, `digest`: whether it decodes frames at all, and what its decoder goes by, None if it does not say.
    """
    if not compressed or (codec.compressed and digest in (None, codec.frames_digest)):
        return
    made = "of other tables" if codec.compressed else "packed codes"
    raise BundleError(f"{build}: takes compressed frames, the bundle's are {made}; build it again for this codec")


@dataclass(frozen=True)
class Ticket:
    """A batch under way; it is collected once."""

    number: int
    frames: int


@runtime_checkable
class Backend(Protocol):
    """Something that runs packed frames and gives integers."""

    @property
    def packing(self) -> Packing:
        """The layout of the frames it takes."""

    @property
    def frames_in_flight(self) -> int:
        """Frames it holds at once; `submit` waits for room beyond that."""

    @property
    def clock_hz(self) -> float | None:
        """The clock it computes at, or None where there is none to speak of."""

    def submit(self, frames: NDArray[np.uint8]) -> Ticket:
        """Start on frames (N, frame_bytes) and return at once; the array must not change until they are collected.

        Raises `InputError` if they do not fit, `BackendTimeoutError` if there is no room in time,
        `BackendError` if the backend is closed.
        """

    def collect(self, ticket: Ticket, timeout_s: float | None = None) -> NDArray[np.signedinteger]:
        """The batch's outputs, int32 or int64 (N, *output shape); None waits as long as the backend's own limit.

        Raises `BackendTimeoutError` if they are late (the ticket stays good), `InputError` if a frame holds codes that
        the network does not take, `FrameError` for a damaged one, `BackendError` for anything else.
        """

    def close(self) -> None:
        """Give up what is under way and free everything; more than once is fine."""


@runtime_checkable
class Resettable(Protocol):
    """A backend whose device can be brought back after a fault."""

    def reset(self, timeout_s: float | None = None) -> None:
        """Give up all that is under way and bring the device into the state it had after opening.

        Tickets from before are void. Raises `BackendError` if the device does not come back.
        """


@runtime_checkable
class Advancing(Protocol):
    """A backend that shows that it works, however slowly: for who waits for it, late is only what stands still."""

    @property
    def progress(self) -> int:
        """A count that grows while it works."""


_Answer = TypeVar("_Answer")


def patient(step: Callable[[], _Answer], backend: Advancing) -> _Answer:
    """What `step` gives, which may be late as often as the backend got on meanwhile."""
    while True:
        before = backend.progress
        try:
            return step()
        except BackendTimeoutError:
            if backend.progress == before:
                raise


@runtime_checkable
class Cancelling(Protocol):
    """A backend that can let go of a batch."""

    def cancel(self, ticket: Ticket) -> None:
        """Forget the batch, whose answers nobody wants; returns when nothing of it runs any more."""


@runtime_checkable
class OnDevice(Protocol):
    """A backend that has a device which others may have open too."""

    @property
    def device(self) -> Hashable:
        """Equal for two backends of one device, which cannot work for both at once."""


@runtime_checkable
class Shaped(Protocol):
    """A backend that knows the shape of its answers, which may be less than the network's: a label alone."""

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Of one frame's answer."""


@runtime_checkable
class Stepped(Protocol):
    """A backend that can tell what it does with frames step by step."""

    def steps(self, frames: NDArray[np.uint8]) -> dict[str, float]:
        """Run packed frames, with nothing else under way, and give the seconds of each step, by its name."""
