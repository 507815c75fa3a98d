"""Frames as the words of a build's links, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bitswath.builds.design import Link
from bitswath.errors import InputError

__all__ = ["fill_words", "read_words"]


def fill_words(link: Link, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Packed frames (N, bytes of the codes) filled up to the link's words."""
    size = -(-link.bits * link.values // 8)
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8:
        raise InputError(f"expected frames as a uint8 array, got {getattr(frames, 'dtype', type(frames).__name__)}")
    if frames.ndim != 2 or frames.shape[1] != size:
        raise InputError(f"expected frames of shape (N, {size}) at {link.bits} bits, got {frames.shape}")
    return np.ascontiguousarray(np.pad(frames, ((0, 0), (0, link.frame_bytes - size))))


def read_words(link: Link, frames: list[bytes]) -> NDArray[np.signedinteger]:
    """The integers, int32 or int64 (N, values), that frames of the link's words hold."""
    raw = np.frombuffer(b"".join(frames), np.uint8).reshape(len(frames), link.frame_bytes)
    bits = np.unpackbits(raw, axis=1, count=link.values * link.bits, bitorder="little")
    digits = bits.reshape(len(frames), link.values, link.bits).astype(np.int64)
    values: NDArray[np.int64] = (digits << np.arange(link.bits)).sum(axis=2)
    if link.signed:
        values -= digits[..., -1] << link.bits
    return values.astype(np.int32) if link.bits + (not link.signed) <= 32 else values
