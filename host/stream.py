"""Streaming over any backend: the host prepares the next frames while the device works on these.

A backend takes frames and answers later (`submit`, `collect`); what keeps it busy lives here, once:
how much is in flight, order, splitting of large batches, time-outs, and leaving nothing behind.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.base import Backend, Ticket
from bitswath.errors import BackendError, BitswathError

__all__ = ["stream"]

_IN_FLIGHT = 2
"""Batches at the device: one it works on and one that waits for it."""

_DRAIN_TIMEOUT_S = 5.0

Values = NDArray[np.integer[Any]]
_Batch = NDArray[Any]


@dataclass(frozen=True)
class _Pending:
    """Frames at the device; `ticket` is None where a batch was empty, `ends` says it is a batch's last."""

    ticket: Ticket | None
    count: int
    ends: bool


def stream(
    backend: Backend,
    batches: Iterable[_Batch],
    prepare: Callable[[_Batch], NDArray[np.uint8]],
    *,
    chunk: int,
    output_shape: tuple[int, ...],
    timeout_s: float | None = None,
) -> Generator[Values, None, None]:
    """The backend's integers, (n, *output_shape), for each batch of n items, in order.

    `prepare` turns at most `chunk` items into frames, uint8 (n, frame_bytes); it runs, as does whatever
    yields the batches and consumes the results, while the device works. At most two chunks are in
    flight. `timeout_s` bounds the wait for each. When the iterator ends, fails or is closed, the
    device's outstanding answers are collected, so that the backend can be used again.

    Raises `BackendTimeoutError`, `BackendError`, and what `batches` and `prepare` raise.
    """
    pending: deque[_Pending] = deque()
    held: list[Values] = []

    def oldest() -> Iterator[Values]:
        first = pending[0]
        held.append(_answer(backend, first, output_shape, timeout_s))
        pending.popleft()
        if first.ends:
            yield np.concatenate(held)
            held.clear()

    try:
        for batch in batches:
            for items, ends in _split(batch, chunk):
                frames = prepare(items) if len(items) else None
                if len(pending) == _IN_FLIGHT:
                    yield from oldest()
                ticket = None if frames is None else backend.submit(frames)
                pending.append(_Pending(ticket, len(items), ends))
        while pending:
            yield from oldest()
    finally:
        for left in pending:
            with contextlib.suppress(BitswathError):
                _answer(backend, left, output_shape, _DRAIN_TIMEOUT_S)


def _split(batch: _Batch, chunk: int) -> Iterator[tuple[_Batch, bool]]:
    """Pieces of at most `chunk` items and whether each is the last; an empty batch is one empty piece."""
    for start in range(0, max(len(batch), 1), chunk):
        yield batch[start : start + chunk], start + chunk >= len(batch)


def _answer(backend: Backend, asked: _Pending, shape: tuple[int, ...], timeout_s: float | None) -> Values:
    if asked.ticket is None:
        return np.zeros((0, *shape), np.int32)
    values = backend.collect(asked.ticket, timeout_s)
    if values.shape != (asked.count, *shape):
        raise BackendError(f"expected answers of shape {(asked.count, *shape)}, the backend gave {values.shape}")
    return values
