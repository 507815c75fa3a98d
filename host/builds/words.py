"""Frames as the words of a build's links, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitswath.builds.design import Link
from bitswath.errors import FrameError, InputError

__all__ = ["Words", "check_compressed", "check_sound", "compressed_words", "fill_words", "read_words"]

_HEADER_BYTES, _VERSION = 5, 1
"""Of a compressed frame: its length (uint16, little-endian), its version in the high bits of a byte, its check."""


@dataclass(frozen=True)
class Words:
    """Frames on a link: `data`, the bytes of all their words back to back; `counts`, the words (N,) of each."""

    data: NDArray[np.uint8]
    counts: NDArray[np.int64]


def fill_words(link: Link, frames: NDArray[np.uint8]) -> Words:
    """Packed frames (N, bytes of the codes), or compressed ones in rows (N, W), filled up to the link's words.

    Raises `InputError` for frames that do not fit.
    """
    size = -(-link.bits * link.values // 8)
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8:
        raise InputError(f"expected frames as a uint8 array, got {getattr(frames, 'dtype', type(frames).__name__)}")
    if link.compressed:
        check_compressed(frames, link.frame_bytes)
        return compressed_words(frames, link.width // 8)
    if frames.ndim != 2 or frames.shape[1] != size:
        raise InputError(f"expected frames of shape (N, {size}) at {link.bits} bits, got {frames.shape}")
    filled = np.pad(frames, ((0, 0), (0, link.frame_bytes - size)))
    return Words(filled.reshape(-1), np.full(len(frames), link.words, np.int64))


def check_compressed(frames: NDArray[np.uint8], most: int) -> None:
    """Of compressed frames in rows (N, W), filled up with zeros; `most`: bytes of a frame that the build takes.

    A decoder tells by the headers where frames end, so each must be one: `FrameError` names the first that is not.
    What is wrong behind it the decoder finds.
    """
    if frames.ndim != 2 or (len(frames) and frames.shape[1] < _HEADER_BYTES):
        raise InputError(f"expected compressed frames of shape (N, bytes of the longest), got {frames.shape}")
    if not len(frames):
        return
    lengths = _lengths(frames)
    inside = np.arange(frames.shape[1]) < lengths[:, np.newaxis]
    wrong = {
        "its length is not that of its bytes": (lengths < _HEADER_BYTES) | (lengths > frames.shape[1]),
        f"the build takes frames of up to {most} bytes; compress with such a budget": lengths > most,
        "it is of another version of the format": frames[:, 2] >> 6 != _VERSION,
        "bytes follow its end": np.any(frames * ~inside, axis=1),
    }
    for what, rows in wrong.items():
        if rows.any():
            raise FrameError(int(np.flatnonzero(rows)[0]), what)


def compressed_words(frames: NDArray[np.uint8], word_bytes: int) -> Words:
    """Compressed frames in rows (N, W), which were checked, as words of `word_bytes`."""
    if not len(frames):
        return Words(np.zeros(0, np.uint8), np.zeros(0, np.int64))
    counts = -(-_lengths(frames) // word_bytes)
    rows = np.pad(frames, ((0, 0), (0, -frames.shape[1] % word_bytes)))
    on_link = np.arange(rows.shape[1]) < (counts * word_bytes)[:, np.newaxis]
    return Words(rows[on_link], counts)


def read_words(link: Link, frames: Sequence[bytes]) -> NDArray[np.signedinteger]:
    """The integers, int32 or int64 (N, values), that frames of the link's words hold."""
    raw = np.frombuffer(b"".join(frames), np.uint8).reshape(len(frames), link.frame_bytes)
    bits = np.unpackbits(raw, axis=1, count=link.values * link.bits, bitorder="little")
    digits = bits.reshape(len(frames), link.values, link.bits).astype(np.int64)
    values: NDArray[np.int64] = (digits << np.arange(link.bits)).sum(axis=2)
    if link.signed:
        values -= digits[..., -1] << link.bits
    return values.astype(np.int32) if link.bits + (not link.signed) <= 32 else values


def _lengths(frames: NDArray[np.uint8]) -> NDArray[np.int64]:
    return frames[:, 0].astype(np.int64) | frames[:, 1].astype(np.int64) << 8


def check_sound(status: NDArray[np.uint8]) -> None:
    """Raises `FrameError` that names the first frame whose status (N,) says that the decoder found it damaged."""
    if (bad := np.flatnonzero(status)).size:
        raise FrameError(int(bad[0]), "it is damaged, or of another codec: the build's decoder rejects it")
