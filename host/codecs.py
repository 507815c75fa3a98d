"""Patches to few-bit codes and back.

A codec is plain data with a pointwise `encode`: a code depends on its pixel, and with a dither
(``dither="ordered"``) also on the pixel's position in the patch. All arithmetic is on integers, so
codes are the same on every machine, and a sensor or a small FPGA can compute them. `dither` has
the masks, their names and the formulas.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import bitswath._native as _native
from bitswath import codebooks
from bitswath.dither import (
    Dither,
    count_thresholds,
    dither_named,
    mixture_ranks,
    positions,
    rounded_quotient,
)
from bitswath.errors import CodecError
from bitswath.packing import frame_bytes, native_threads, output_array

__all__ = [
    "Codec",
    "CodecSpec",
    "CompandedCodec",
    "PaletteCodec",
    "ThresholdCodec",
    "UniformCodec",
    "codec_from_dict",
    "fit_codec",
    "parse_codec",
]

Patches = NDArray[np.uint8 | np.uint16]
Codes = NDArray[np.uint8]
Rows = tuple[tuple[int, ...], ...]

_SAMPLE_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16))

_COUNTED_BITS = 5
"""Up to here counting thresholds is quicker than looking positions up (measured with AVX512)."""


@dataclass(frozen=True)
class Codec(ABC):
    """`bits` (1..8) of a code, `dither` None or a name ("ordered", "blue16"), `depth`: bits of a sample.

    Samples are uint8 at a depth of 8 and uint16 above. Codecs compare equal by their data.
    """

    bits: int
    dither: str | None = None
    depth: int = 8

    kind: ClassVar[str]
    numeric: ClassVar[bool] = True
    """Whether codes keep the order of samples, so that a network may use them as numbers."""

    def __post_init__(self) -> None:
        if not _is_integer(self.bits) or not 1 <= self.bits <= 8:
            raise CodecError(f"expected 1 to 8 bits, got {self.bits!r}")
        if self.dither is not None:
            object.__setattr__(self, "dither", dither_named(self.dither).name)
        if not _is_integer(self.depth) or not 8 <= self.depth <= 16:
            raise CodecError(f"expected a sample depth of 8 to 16 bit, got {self.depth!r}")

    @property
    def bands(self) -> int | None:
        """Bands of the patches it takes; None: any number."""
        return None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples."""
        return _SAMPLE_TYPES[self.depth > 8]

    @property
    def summary(self) -> str:
        """What a sample becomes, in a few words."""
        return f"{self.bits}-bit codes of {self._name}"

    @property
    def _name(self) -> str:
        return ":".join([self.kind, str(self.bits), *([self.dither] if self.dither else [])])

    @property
    def mask_period(self) -> int:
        """Rows and columns after which the dither mask repeats; 1 without dither."""
        return self._dither.period

    @property
    def values(self) -> NDArray[np.int64] | None:
        """What codes stand for, (code bands, 2^bits, samples a code), as a `Lookup` table; None: themselves."""
        return None

    def code_shape(self, patch_shape: Sequence[int]) -> tuple[int, int, int]:
        """Shape of the codes of a patch (H, W, C)."""
        height, width, bands = self._checked_shape(patch_shape)
        return height, width, bands

    def encode(self, patches: Patches, *, threads: int | None = None) -> Codes:
        """Patches (N, H, W, C) or (H, W, C) to codes uint8 of `code_shape`.

        `threads`: by default as many as pay; the codes do not depend on it. Raises `CodecError` for
        another dtype, rank or band count, samples above the depth, or none.
        """
        batch, lead = self._checked_batch(patches)
        shape = self.code_shape(batch.shape[1:])
        codes = np.empty((len(batch), math.prod(shape)), np.uint8)
        self._run(batch, codes, 0, threads)
        return codes.reshape(*lead, *shape)

    def encode_packed(
        self, patches: Patches, *, out: NDArray[np.uint8] | None = None, threads: int | None = None
    ) -> NDArray[np.uint8]:
        """Patches (N, H, W, C) to frames uint8 (N, frame_bytes), or (H, W, C) to one frame (frame_bytes,).

        The same as ``pack(codec.encode(patches), codec.bits)`` in one pass. `out`: contiguous frames to
        fill instead of new ones, undefined after an error. Raises as `encode`, and `PackingError` for
        another `out`.
        """
        batch, lead = self._checked_batch(patches)
        size = frame_bytes(self.code_shape(batch.shape[1:]), self.bits)
        frames = output_array(out, (*lead, size), batch)
        self._run(batch, frames.reshape(len(batch), size), self.bits, threads)
        return frames

    def decode(self, codes: Codes) -> Patches:
        """Codes uint8 (N, H, W, C') or (H, W, C') to the patches they stand for."""
        codes = np.asarray(codes)
        if codes.dtype != np.uint8 or codes.ndim not in (3, 4) or not codes.size:
            raise CodecError(f"expected uint8 codes (N, H, W, C) or (H, W, C), got {codes.dtype} {codes.shape}")
        if (largest := int(codes.max())) >> self.bits:
            raise CodecError(f"expected codes below {1 << self.bits} for {self.bits} bit, got {largest}")
        return self._decode(codes)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, from which `codec_from_dict` makes an equal codec."""
        return {"kind": self.kind} | {f.name: _as_lists(getattr(self, f.name)) for f in fields(self)}

    @property
    def _dither(self) -> Dither:
        return dither_named(self.dither)

    @abstractmethod
    def _fill(self, batch: Patches, out: Codes, pack_bits: int, threads: int) -> int:
        """Fills `out` (N, m) with codes, or with frames where `pack_bits` is not 0; the OR of the samples."""

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
        patches = _checked_patches(patches)
        if patches.dtype != self.dtype:
            raise CodecError(f"expected {self.dtype} patches for a {self.depth}-bit codec, got {patches.dtype}")
        self._checked_shape(patches.shape[-3:])
        return np.ascontiguousarray(patches).reshape(-1, *patches.shape[-3:]), patches.shape[:-3]

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


@dataclass(frozen=True)
class UniformCodec(Codec):
    """Drops the low ``depth - bits`` bits; with dither, 0..2^depth - 1 is mapped onto 0..2^bits - 1."""

    kind: ClassVar[str] = "uniform"

    @property
    def summary(self) -> str:
        if self.dither:
            return super().summary
        dropped = self.depth - self.bits
        return f"their high {self.bits} bits, pixel >> {dropped}" if dropped else "they are"

    def _fill(self, batch: Patches, out: Codes, pack_bits: int, threads: int) -> int:
        if self.dither is None:
            return int(_native.encode_shifts(batch, self.depth - self.bits, out, pack_bits, threads))
        if self.bits > _COUNTED_BITS:
            return self._fill_positions(batch, self._positions, out, pack_bits, threads)
        return self._fill_counts(batch, self._thresholds(batch.shape[-1]), out, pack_bits, threads)

    def _thresholds(self, bands: int) -> NDArray[Any]:
        if bands not in self._thresholds_of_bands:
            positions = np.broadcast_to(self._positions, (bands, self._positions.shape[1]))
            self._thresholds_of_bands[bands] = count_thresholds(positions, self.bits, self._dither)
        return self._thresholds_of_bands[bands]

    @cached_property
    def _thresholds_of_bands(self) -> dict[int, NDArray[Any]]:
        return {}

    def _decode(self, codes: Codes) -> Patches:
        return self._samples[codes]

    @cached_property
    def _positions(self) -> NDArray[np.uint16]:
        top = (1 << self.depth) - 1
        samples = np.arange(1 << 8 * self.dtype.itemsize, dtype=np.int64).clip(0, top)
        return rounded_quotient(self._dither.steps * ((1 << self.bits) - 1) * samples, top).astype(np.uint16)[None]

    @cached_property
    def _samples(self) -> Patches:
        codes = np.arange(1 << self.bits, dtype=np.int64)
        if self.dither:
            return rounded_quotient(codes * ((1 << self.depth) - 1), len(codes) - 1).astype(self.dtype)
        dropped = self.depth - self.bits
        return ((codes << dropped) + (1 << dropped >> 1)).astype(self.dtype)


@dataclass(frozen=True)
class CompandedCodec(Codec):
    """The nearest of 2^bits levels, fitted for each band; codes keep the order of samples.

    `levels`: ascending sample values, (C, 2^bits).
    """

    levels: Rows = field(kw_only=True)

    kind: ClassVar[str] = "companded"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "levels", _checked_rows(self.levels, "levels", 1 << self.depth))
        for levels in self.levels:
            if len(levels) != 1 << self.bits or any(a >= b for a, b in pairwise(levels)):
                raise CodecError(f"expected {1 << self.bits} ascending levels in each band for {self.bits} bit")

    @classmethod
    def fit(cls, patches: Patches, bits: int, dither: str | None = None) -> CompandedCodec:
        """Lloyd-Max levels of training patches (N, H, W, C); with dither, the levels best for dithering."""
        patches = _checked_patches(patches)
        depth = 8 * patches.dtype.itemsize
        UniformCodec(bits, dither, depth)  # refuses what no codec takes before the fit is made
        search = partial(codebooks.dithered_levels, dither=dither_named(dither)) if dither else codebooks.lloyd_max
        levels = [search(counts, 1 << bits) for counts in codebooks.band_histograms(patches)]
        return cls(bits, dither, depth, levels=tuple(tuple(row.tolist()) for row in levels))

    @property
    def bands(self) -> int:
        return len(self.levels)

    @property
    def values(self) -> NDArray[np.int64]:
        return np.array(self.levels, np.int64)[..., None]

    @cached_property
    def thresholds(self) -> NDArray[np.int64]:
        """(C, 2^bits - 1): without dither, a code is the count of thresholds <= x; a sample half way
        between two levels takes the upper."""
        levels = np.array(self.levels, np.int64)
        return (levels[:, :-1] + levels[:, 1:] + 1) >> 1

    def _fill(self, batch: Patches, out: Codes, pack_bits: int, threads: int) -> int:
        if self.bits > _COUNTED_BITS:
            return self._fill_positions(batch, self._positions, out, pack_bits, threads)
        return self._fill_counts(batch, self._thresholds, out, pack_bits, threads)

    @cached_property
    def _thresholds(self) -> NDArray[Any]:
        return count_thresholds(self._positions, self.bits, self._dither)

    def _decode(self, codes: Codes) -> Patches:
        if codes.shape[-1] != self.bands:
            raise CodecError(f"expected codes of {self.bands} bands, got {codes.shape[-1]}")
        return np.array(self.levels, self.dtype)[np.arange(self.bands), codes]

    @cached_property
    def _positions(self) -> NDArray[np.uint16]:
        samples = np.arange(1 << 8 * self.dtype.itemsize, dtype=np.int64)
        if self.dither is None:
            rows = [np.searchsorted(row, samples, side="right") for row in self.thresholds]
        else:
            rows = [positions(samples, np.array(levels, np.int64), self._dither.steps) for levels in self.levels]
        return np.array(rows, np.uint16)


@dataclass(frozen=True)
class PaletteCodec(Codec):
    """The nearest of 2^bits colours, one code a pixel; of equally near colours the lowest code.

    `colours`: (2^bits, C), ascending by their mean when fitted.
    """

    colours: Rows = field(kw_only=True)

    kind: ClassVar[str] = "palette"
    numeric: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "colours", _checked_rows(self.colours, "colours", 1 << self.depth))
        if len(self.colours) != 1 << self.bits:
            raise CodecError(f"expected {1 << self.bits} colours for {self.bits} bit, got {len(self.colours)}")

    @classmethod
    def fit(cls, patches: Patches, bits: int, dither: str | None = None, seed: int = 0) -> PaletteCodec:
        """k-means colours of the pixels of training patches (N, H, W, C), with dither moved to where they mix best."""
        patches = _checked_patches(patches)
        depth = 8 * patches.dtype.itemsize
        UniformCodec(bits, dither, depth)  # refuses what no codec takes before the fit is made
        pixels, counts = codebooks.distinct_colours(patches, seed)
        colours = codebooks.k_means(pixels, counts, 1 << bits, seed)
        if dither is not None:
            colours = codebooks.mixed_colours(pixels, counts, colours, dither_named(dither), seed)
        return cls(bits, dither, depth, colours=tuple(tuple(row) for row in colours.tolist()))

    @property
    def bands(self) -> int:
        return len(self.colours[0])

    @property
    def values(self) -> NDArray[np.int64]:
        return np.array(self.colours, np.int64)[None]

    def code_shape(self, patch_shape: Sequence[int]) -> tuple[int, int, int]:
        """Shape of the codes of a patch (H, W, C): (H, W, 1)."""
        height, width, _ = self._checked_shape(patch_shape)
        return height, width, 1

    def _fill(self, batch: Patches, out: Codes, pack_bits: int, threads: int) -> int:
        return int(_native.encode_palette(batch, self._colours, self._ranks, out, pack_bits, threads))

    def _decode(self, codes: Codes) -> Patches:
        if codes.shape[-1] != 1:
            raise CodecError(f"expected palette codes (..., 1), got {codes.shape}")
        return np.array(self.colours, self.dtype)[codes[..., 0]]

    @cached_property
    def _colours(self) -> NDArray[np.int64]:
        return np.array(self.colours, np.int64)

    @cached_property
    def _ranks(self) -> NDArray[np.uint8]:
        return mixture_ranks(self._dither)


@dataclass(frozen=True)
class ThresholdCodec(Codec):
    """A code is the count of its band's thresholds <= x: what the quantizer that a network begins with computes.

    `thresholds`: not falling, (C, 2^bits - 1), in 0..2^depth, which no sample reaches.
    """

    thresholds: Rows = field(kw_only=True)

    kind: ClassVar[str] = "threshold"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dither is not None:
            raise CodecError(f"expected no dither, which thresholds do not take, got {self.dither!r}")
        object.__setattr__(self, "thresholds", _checked_rows(self.thresholds, "thresholds", (1 << self.depth) + 1))
        for row in self.thresholds:
            if len(row) != (1 << self.bits) - 1 or any(a > b for a, b in pairwise(row)):
                raise CodecError(f"expected {(1 << self.bits) - 1} thresholds that do not fall for {self.bits} bit")

    @property
    def bands(self) -> int:
        return len(self.thresholds)

    @property
    def summary(self) -> str:
        reached = sorted({t for row in self.thresholds for t in row if t < 1 << self.depth})
        shown = ", ".join(map(str, reached if len(reached) < 8 else [*reached[:3], "...", reached[-1]]))
        return f"{self.bits}-bit codes of the model's own input quantizer, which change at {shown or 'no pixel'}"

    def _fill(self, batch: Patches, out: Codes, pack_bits: int, threads: int) -> int:
        return self._fill_positions(batch, self._positions, out, pack_bits, threads)

    def _decode(self, codes: Codes) -> Patches:
        """The middle of the samples that have the code, or of where they would lie."""
        if codes.shape[-1] != self.bands:
            raise CodecError(f"expected codes of {self.bands} bands, got {codes.shape[-1]}")
        ends = np.pad(
            np.array(self.thresholds, np.int64), ((0, 0), (1, 1)), constant_values=((0, 0), (0, 1 << self.depth))
        )
        middle = ((ends[:, :-1] + ends[:, 1:] - 1) >> 1).clip(0, (1 << self.depth) - 1)
        return middle.astype(self.dtype)[np.arange(self.bands), codes]

    @cached_property
    def _positions(self) -> NDArray[np.uint16]:
        samples = np.arange(1 << 8 * self.dtype.itemsize, dtype=np.int64)
        return np.array([np.searchsorted(row, samples, side="right") for row in self.thresholds], np.uint16)


_CODECS: tuple[type[Codec], ...] = (UniformCodec, CompandedCodec, PaletteCodec, ThresholdCodec)
_KINDS = {codec.kind: codec for codec in _CODECS}
_FITTED = tuple(kind for kind in _KINDS if kind != ThresholdCodec.kind)


def codec_from_dict(data: Mapping[str, Any]) -> Codec:
    """The codec that `Codec.to_dict` described; raises `CodecError` for anything else."""
    codec = _KINDS.get(str(data.get("kind"))) if isinstance(data, Mapping) else None
    if codec is None:
        raise CodecError(f"expected a codec's description with a kind of {', '.join(_KINDS)}, got {data!r:.80}")
    expected = {f.name for f in fields(codec)} | {"kind"}
    if set(data) != expected:
        raise CodecError(f"{codec.kind} codec: expected keys {sorted(expected)}, got {sorted(map(str, data))}")
    return codec(**{name: value for name, value in data.items() if name != "kind"})


@dataclass(frozen=True)
class CodecSpec:
    """A codec before its fit, as the command line names it: ``str(spec)`` is "palette:4:ordered"."""

    kind: str
    bits: int
    dither: str | None = None

    def __str__(self) -> str:
        return ":".join([self.kind, str(self.bits), *([self.dither] if self.dither else [])])


def parse_codec(text: str) -> CodecSpec:
    """ "KIND:BITS" or "KIND:BITS:DITHER" to a `CodecSpec`; kinds: uniform, companded, palette."""
    parts = text.split(":")
    if not 2 <= len(parts) <= 3 or parts[0] not in _FITTED or parts[1] not in tuple("12345678"):
        raise CodecError(f"expected {'|'.join(_FITTED)}:BITS with 1 to 8 bits and optionally :DITHER, got {text!r}")
    return CodecSpec(parts[0], int(parts[1]), dither_named(parts[2]).name if parts[2:] else None)


def fit_codec(spec: CodecSpec, training_patches: Patches) -> Codec:
    """The codec of `spec`, fitted to patches (N, H, W, C) of the training split."""
    if spec.kind == CompandedCodec.kind:
        return CompandedCodec.fit(training_patches, spec.bits, spec.dither)
    if spec.kind == PaletteCodec.kind:
        return PaletteCodec.fit(training_patches, spec.bits, spec.dither)
    return UniformCodec(spec.bits, spec.dither, 8 * _checked_patches(training_patches).dtype.itemsize)


def _repeated(mask: NDArray[Any]) -> NDArray[Any]:
    """A mask (P, P, C) over at least 8 x 8 pixels: the native code works in runs of a period."""
    times = max(1, 8 // len(mask))
    return np.tile(mask, (times, times, 1))


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _checked_patches(patches: Patches) -> Patches:
    patches = np.asarray(patches)
    if patches.dtype not in _SAMPLE_TYPES:
        raise CodecError(f"expected uint8 or uint16 patches, got {patches.dtype}; scale and convert them first")
    if patches.ndim not in (3, 4) or not patches.size:
        raise CodecError(f"expected patches (N, H, W, C) or (H, W, C), none empty, got shape {patches.shape}")
    return patches


def _checked_rows(rows: Any, what: str, end: int) -> Rows:
    """Nested sequences of plain integers in 0..end - 1, of one length, as tuples."""
    if not isinstance(rows, (list, tuple)) or not rows or not all(isinstance(row, (list, tuple)) for row in rows):
        raise CodecError(f"expected {what} as rows of integers, got {rows!r:.80}")
    if not rows[0] or len({len(row) for row in rows}) != 1:
        raise CodecError(f"expected {what} as rows of one length, got lengths {[len(row) for row in rows]!s:.80}")
    for value in (value for row in rows for value in row):
        if not _is_integer(value) or not 0 <= value < end:
            raise CodecError(f"expected {what} as integers in 0..{end - 1}, got {value!r}")
    return tuple(tuple(row) for row in rows)


def _as_lists(value: Any) -> Any:
    return [list(row) for row in value] if isinstance(value, tuple) else value
