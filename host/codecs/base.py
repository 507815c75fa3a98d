"""Patches to few-bit codes and back.

A codec is plain data. All arithmetic is on integers, or compares numbers, so codes are the same on every
machine, and a sensor or a small FPGA can compute them. A code of most codecs depends on its pixel
(`PointwiseCodec`), and with a dither (``dither="ordered"``) also on the pixel's position in the patch:
`dither` has the masks, their names and the formulas.

A patch is (H, W, C) whatever it is: a vector of F features is (1, 1, F), a signal (1, L, C).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import bitswath._native as _native
from bitswath.codecs.dither import Dither, dither_named
from bitswath.codecs.packing import frame_bytes, native_threads, output_array, unpack
from bitswath.errors import CodecError

__all__ = [
    "COUNTED_BITS",
    "SAMPLE_TYPES",
    "Codec",
    "PointwiseCodec",
    "checked_patches",
    "checked_rows",
    "rows_of_one_length",
]

Patches = NDArray[Any]
"""Samples of the codec's `dtype`."""


Codes = NDArray[np.uint8]


Rows = tuple[tuple[int, ...], ...]


SAMPLE_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16))


COUNTED_BITS = 5
"""Up to here counting thresholds is quicker than looking positions up (measured with AVX512)."""


@dataclass(frozen=True)
class Codec(ABC):
    """`bits` (1..8) of a code, `dither` None or a name ("ordered", "blue16"), `depth`: bits of a sample.

    Samples are uint8 at a depth of 8 and uint16 above, where a codec says nothing else. Codecs compare equal by
    their data.
    """

    bits: int
    dither: str | None = None
    depth: int = 8

    kind: ClassVar[str]
    compressed: ClassVar[bool] = False
    """Whether frames differ in length; each then begins with its own, two bytes, little-endian."""
    numeric: ClassVar[bool] = True
    """Whether codes keep the order of samples, so that a network may use them as numbers."""
    added: ClassVar[tuple[str, ...]] = ()
    """Fields that a description leaves out where they have their default: older ones do not know them."""

    def __post_init__(self) -> None:
        if not _is_integer(self.bits) or not 1 <= self.bits <= 8:
            raise CodecError(f"expected 1 to 8 bits, got {self.bits!r}")
        if self.dither is not None:
            object.__setattr__(self, "dither", dither_named(self.dither).name)
        if not _is_integer(self.depth) or self.depth not in self._depths:
            raise CodecError(
                f"expected a sample depth of {self._depths[0]} to {self._depths[-1]} bit, got {self.depth!r}"
            )

    @property
    def bands(self) -> int | None:
        """Bands of the patches it takes; None: any number."""
        return None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples."""
        return SAMPLE_TYPES[self.depth > 8]

    @property
    def _depths(self) -> range:
        return range(8, 17)

    @property
    def summary(self) -> str:
        """What a sample becomes, in a few words."""
        return f"{self.bits}-bit codes of {self._name}"

    @property
    def _name(self) -> str:
        return ":".join([self.kind, str(self.bits), *([self.dither] if self.dither else [])])

    @property
    def values(self) -> NDArray[np.int64] | None:
        """What codes stand for, (code bands, 2^bits, samples a code), as a `Lookup` table; None: themselves."""
        return None

    @property
    def frames_digest(self) -> str | None:
        """SHA-256 of all that a decoder of compressed frames goes by; None where frames are packed codes."""
        return None

    def code_shape(self, patch_shape: Sequence[int]) -> tuple[int, int, int]:
        """Shape of the codes of a patch (H, W, C)."""
        height, width, bands = self._checked_shape(patch_shape)
        return height, width, bands

    @abstractmethod
    def encode(self, patches: Patches, *, threads: int | None = None) -> Codes:
        """Patches (N, H, W, C) or (H, W, C) to codes uint8 of `code_shape`.

        `threads`: by default as many as pay; the codes do not depend on it. Raises `CodecError` for
        another dtype, rank or band count, samples above the depth, or none.
        """

    @abstractmethod
    def encode_packed(
        self, patches: Patches, *, out: NDArray[np.uint8] | None = None, threads: int | None = None
    ) -> NDArray[np.uint8]:
        """Patches (N, H, W, C) to frames uint8 (N, frame_bytes), or (H, W, C) to one frame (frame_bytes,); compressed
        ones are as long as the longest of them.

        `out`: contiguous frames to fill instead of new ones, undefined after an error. Raises as `encode`, and
        `PackingError` for another `out`.
        """

    @abstractmethod
    def unpack(
        self, frames: NDArray[np.uint8], patch_shape: Sequence[int], *, threads: int | None = None
    ) -> NDArray[np.uint8]:
        """Frames uint8 (N, W) of patches (H, W, C) to codes uint8 (N, *code_shape). Raises `PackingError`, or
        `CodecError` for damaged frames."""

    @abstractmethod
    def frame_bytes(self, patch_shape: Sequence[int]) -> int:
        """Bytes of the frame of a patch (H, W, C); of compressed ones the most there are."""

    def frame_lengths(self, frames: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Bytes (N,) of each of the frames (N, W), which may be filled up where they differ."""
        return np.full(len(frames), frames.shape[1], np.int64)

    def decode(self, codes: Codes) -> Patches:
        """Codes uint8 (N, H, W, C') or (H, W, C') to the patches they stand for."""
        codes = np.asarray(codes)
        if codes.dtype != np.uint8 or codes.ndim not in (3, 4) or not codes.size:
            raise CodecError(f"expected uint8 codes (N, H, W, C) or (H, W, C), got {codes.dtype} {codes.shape}")
        if (largest := int(codes.max())) >> self.bits:
            raise CodecError(f"expected codes below {1 << self.bits} for {self.bits} bit, got {largest}")
        return self._decode(codes)

    def samples(self, rng: np.random.Generator, count: int, shape: Sequence[int]) -> Patches:
        """`count` patches of `shape` (H, W, C) to try things on: half of them of any codes, half of any samples."""
        codes = rng.integers(0, 1 << self.bits, ((count + 1) // 2, *self.code_shape(shape)), np.uint8)
        return np.concatenate([self.decode(codes), rng.integers(0, 1 << self.depth, (count // 2, *shape), self.dtype)])

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, from which `codec_from_dict` makes an equal codec."""
        told = (f for f in fields(self) if f.name not in self.added or getattr(self, f.name) != f.default)
        return {"kind": self.kind} | {f.name: _as_lists(getattr(self, f.name)) for f in told}

    @abstractmethod
    def _decode(self, codes: Codes) -> Patches: ...

    def _checked_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        if len(shape) != 3 or min(shape) < 1:
            raise CodecError(f"expected a patch shape (H, W, C), got {tuple(shape)}")
        if self.bands not in (None, shape[2]):
            raise CodecError(f"expected patches of {self.bands} bands, got {shape[2]}")
        return tuple(shape)

    def _checked_batch(self, patches: Patches) -> tuple[Patches, tuple[int, ...]]:
        """Contiguous patches (N, H, W, C), and the extents before H."""
        patches = checked_patches(patches, SAMPLE_TYPES if self.dtype in SAMPLE_TYPES else (self.dtype,))
        if patches.dtype != self.dtype:
            raise CodecError(f"expected {self.dtype} patches for a {self.depth}-bit codec, got {patches.dtype}")
        self._checked_shape(patches.shape[-3:])
        return np.ascontiguousarray(patches).reshape(-1, *patches.shape[-3:]), patches.shape[:-3]


@dataclass(frozen=True)
class PointwiseCodec(Codec):
    """A code depends on its pixel, and with a dither on the pixel's position; frames are codes packed densely."""

    def encode(self, patches: Patches, *, threads: int | None = None) -> Codes:
        batch, lead = self._checked_batch(patches)
        shape = self.code_shape(batch.shape[1:])
        codes = np.empty((len(batch), math.prod(shape)), np.uint8)
        self._run(batch, codes, 0, threads)
        return codes.reshape(*lead, *shape)

    def encode_packed(
        self, patches: Patches, *, out: NDArray[np.uint8] | None = None, threads: int | None = None
    ) -> NDArray[np.uint8]:
        """The same as ``pack(codec.encode(patches), codec.bits)`` in one pass; see `Codec.encode_packed`."""
        batch, lead = self._checked_batch(patches)
        size = self.frame_bytes(batch.shape[1:])
        frames = output_array(out, (*lead, size), batch)
        self._run(batch, frames.reshape(len(batch), size), self.bits, threads)
        return frames

    def unpack(
        self, frames: NDArray[np.uint8], patch_shape: Sequence[int], *, threads: int | None = None
    ) -> NDArray[np.uint8]:
        return unpack(frames, self.code_shape(patch_shape), self.bits, threads=threads)

    def frame_bytes(self, patch_shape: Sequence[int]) -> int:
        return frame_bytes(self.code_shape(patch_shape), self.bits)

    @property
    def _dither(self) -> Dither:
        return dither_named(self.dither)

    @abstractmethod
    def _fill(self, batch: Patches, out: Codes, pack_bits: int, threads: int) -> int:
        """Fills `out` (N, m) with codes, or with frames where `pack_bits` is not 0; the OR of the samples."""

    def _run(self, batch: Patches, out: Codes, pack_bits: int, threads: int | None) -> None:
        seen = self._fill(batch, out, pack_bits, native_threads(threads))
        if self.depth < 16 and seen >> self.depth:
            raise CodecError(f"expected samples below {1 << self.depth} (depth {self.depth}), got {int(batch.max())}")

    def _fill_counts(self, batch: Patches, thresholds: NDArray[Any], out: Codes, pack_bits: int, threads: int) -> int:
        return int(_native.encode_counts(batch, thresholds, out, pack_bits, threads))

    def _fill_positions(
        self, batch: Patches, positions: NDArray[np.uint16], out: Codes, pack_bits: int, threads: int
    ) -> int:
        mask = _repeated(self._dither.mask(batch.shape[-1]))
        return int(_native.encode_positions(batch, positions, self._dither.steps, mask, out, pack_bits, threads))


def _repeated(mask: NDArray[Any]) -> NDArray[Any]:
    """A mask (P, P, C) over at least 8 x 8 pixels: the native code works in runs of a period."""
    times = max(1, 8 // len(mask))
    return np.tile(mask, (times, times, 1))


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def checked_patches(patches: Patches, types: Sequence[np.dtype[Any]] = SAMPLE_TYPES) -> Patches:
    patches = np.asarray(patches)
    if patches.dtype not in types:
        known = " or ".join(map(str, types))
        raise CodecError(f"expected {known} patches, got {patches.dtype}; scale and convert them first")
    if patches.ndim not in (3, 4) or not patches.size:
        raise CodecError(f"expected patches (N, H, W, C) or (H, W, C), none empty, got shape {patches.shape}")
    return patches


def checked_rows(rows: Any, what: str, end: int, start: int = 0) -> Rows:
    """Nested sequences of plain integers in start..end - 1, of one length, as tuples."""
    checked: Rows = rows_of_one_length(rows, what)
    for value in (value for row in checked for value in row):
        if not _is_integer(value) or not start <= value < end:
            raise CodecError(f"expected {what} as integers in {start}..{end - 1}, got {value!r}")
    return checked


def rows_of_one_length(rows: Any, what: str) -> tuple[tuple[Any, ...], ...]:
    """Nested sequences as tuples."""
    if not isinstance(rows, (list, tuple)) or not rows or not all(isinstance(row, (list, tuple)) for row in rows):
        raise CodecError(f"expected {what} as rows of numbers, got {rows!r:.80}")
    if not rows[0] or len({len(row) for row in rows}) != 1:
        raise CodecError(f"expected {what} as rows of one length, got lengths {[len(row) for row in rows]!s:.80}")
    return tuple(tuple(row) for row in rows)


def _as_lists(value: Any) -> Any:
    return [_as_lists(row) for row in value] if isinstance(value, tuple) else value
