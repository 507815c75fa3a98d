"""The codec of compressed frames, which differ in length."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import bitswath._native as _native
from bitswath.codecs.base import Codec, Codes, Patches, Rows, checked_patches, checked_rows, rows_of_one_length
from bitswath.codecs.packing import ROW_UNIT, native_threads, output_array, stated_lengths
from bitswath.codecs.transform import fitting
from bitswath.codecs.transform.huffman import Table
from bitswath.errors import CodecError, FrameError

__all__ = ["LONGEST_FRAME", "QUALITIES", "TransformCodec"]

QUALITIES = range(1, 65)
"""Eight more halve the step; the finest step, of 64, is a grey level."""
LONGEST_FRAME = 65535
"""Bytes, as many as a frame's length can say."""

HEADER_BYTES = 5
BLOCK = 16
OVER = 2.0
"""Times a budget: the mean frame of the quality that goes with it, if there were no budget."""
ROUNDS = 3
"""How often tables are fitted to what an encoder does that knows the tables before."""
FAULTS = {
    1: "its length is not that of its bytes, it was cut short",
    2: "it is of another version of the format",
    3: "it is damaged, or of another codec: its check does not fit",
    4: "a run of zeros leaves its block",
    5: "a level is out of range",
    6: "its bits end too early or too late",
    7: "bytes follow its end",
}
"""Why a frame is refused, by the native decoder's numbers."""


@dataclass(frozen=True)
class TransformCodec(Codec):
    """Blocks of 16 x 16 through a band transform and an integer DCT, in steps, as Huffman codes.

    `quality` 1..64: the finest step that a frame may have. `budget`: most bytes of a frame, None for the format's
    own limit; a patch that needs more gets a coarser step, and at last loses its highest frequencies. `matrix` (C, C):
    components from bands at 2^12, nearly orthogonal. `lows`, `highs` (C,): the samples that become 0 and 255.
    `deltas`: how far below the levels 1, 2 and more coefficients are put, in thirty-seconds of a step. `dc_counts`,
    `dc_symbols`, `ac_counts`, `ac_symbols`: canonical codes; `contexts` (56,): the AC table of each context.

    Codes are the decoded samples, 8 bits a band, which is what a network reads.
    """

    bits: int = 8
    quality: int = field(kw_only=True)
    budget: int | None = field(default=None, kw_only=True)
    matrix: Rows = field(kw_only=True)
    lows: tuple[int, ...] = field(kw_only=True)
    highs: tuple[int, ...] = field(kw_only=True)
    deltas: tuple[int, ...] = field(kw_only=True)
    dc_counts: Rows = field(kw_only=True)
    dc_symbols: Rows = field(kw_only=True)
    ac_counts: Rows = field(kw_only=True)
    ac_symbols: Rows = field(kw_only=True)
    contexts: tuple[int, ...] = field(kw_only=True)

    kind: ClassVar[str] = "transform"
    compressed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bits != 8 or self.dither is not None:
            raise CodecError(f"expected a transform codec of 8 bits without dither, got {self.bits}, {self.dither}")
        if self.quality not in QUALITIES or isinstance(self.quality, bool):
            raise CodecError(f"expected a quality of 1 to {QUALITIES[-1]}, got {self.quality!r}")
        _check_budget(self.budget)
        self._check_rows()
        self._check_ranges()
        try:
            _ = self._native
        except (ValueError, TypeError, OverflowError) as error:
            raise CodecError(f"transform codec: {error}") from error

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def _check_rows(self) -> None:
        bands = len(rows_of_one_length(self.matrix, "a matrix")[0])
        limits = {
            "matrix": (1 << 15, 1 - (1 << 15)),
            "dc_counts": (1 << 12, 0),
            "ac_counts": (1 << 12, 0),
            "dc_symbols": (1 << 12, 0),
        }
        for name, (end, start) in limits.items():
            object.__setattr__(self, name, checked_rows(getattr(self, name), name, end, start))
        if len(self.matrix) != bands:
            raise CodecError(f"expected a square matrix, got {len(self.matrix)} x {bands}")
        if not isinstance(self.ac_symbols, (list, tuple)):
            raise CodecError(f"expected ac_symbols as rows of integers, got {self.ac_symbols!r:.80}")
        rows = (checked_rows([row], "ac_symbols", 1 << 12)[0] for row in self.ac_symbols)
        object.__setattr__(self, "ac_symbols", tuple(rows))
        singles = {"lows": 1 << 16, "highs": 1 << 16, "deltas": 32, "contexts": 8}
        for name, end in singles.items():
            row = checked_rows([getattr(self, name)], name, end, -31 if name == "deltas" else 0)[0]
            object.__setattr__(self, name, row)

    def _check_ranges(self) -> None:
        most = (1 << self.depth) - 1
        if {len(self.lows), len(self.highs)} != {self.bands} or max(self.highs) > most:
            raise CodecError(
                f"expected lows and highs of {self.bands} bands up to {most}, got {self.lows} {self.highs}"
            )
        if any(low >= high for low, high in zip(self.lows, self.highs)):
            raise CodecError(f"expected lows below highs, got {self.lows} and {self.highs}")
        if self.depth == 8 and (set(self.lows), set(self.highs)) != ({0}, {255}):
            raise CodecError(f"expected lows of 0 and highs of 255 for samples of 8 bits, got {self.lows} {self.highs}")

    @classmethod
    def fit(
        cls, patches: Patches, quality: int | None = None, budget: int | None = None, seed: int = 0
    ) -> TransformCodec:
        """The codec of training patches (N, H, W, C), uint8 or uint16: band transform, tables and reconstruction.

        `quality` 1..64, or `budget` in bytes, or both. With a budget alone the quality is the finest at which frames
        without it would have `OVER` times as many bytes on average. `seed`: of which patches are looked at, where there
        are very many. Raises `CodecError` for a budget of which patches of this shape cannot be sure.
        """
        if quality is None and budget is None:
            raise CodecError("expected a quality of 1 to 64, a budget in bytes, or both, got neither")
        _check_budget(budget)
        patches = checked_patches(patches)
        patches = fitting.sample(patches.reshape(-1, *patches.shape[-3:]), seed)
        lows, highs = fitting.ranges(patches)
        depth = 8 * patches.dtype.itemsize
        samples = np.ascontiguousarray(_stretched(patches, lows, highs))
        (dc, ac), none = fitting.first_counts(), (0, 0, 0)
        tables = _table_fields(fitting.dc_tables(dc), *fitting.ac_tables(ac))
        start = cls(
            depth=depth,
            quality=QUALITIES[0] if quality is None else quality,
            matrix=fitting.band_matrix(samples),
            lows=lows,
            highs=highs,
            deltas=none,
            **tables,
        )
        if quality is None and budget is not None:
            start = start._at_mean(samples, OVER * budget)
        made = replace(start, budget=budget)._fitted(samples)
        made.frame_bytes(patches.shape[1:])
        return made

    def _fitted(self, samples: NDArray[np.uint8]) -> TransformCodec:
        """Tables and reconstruction of this quality and budget."""
        codec = self
        for _ in range(ROUNDS):
            counted = codec._native.count(samples)
            tables = _table_fields(fitting.dc_tables(counted["dc"]), *fitting.ac_tables(counted["ac"]))
            codec = replace(codec, deltas=fitting.deltas(counted), **tables)
        return codec

    def _at_mean(self, samples: NDArray[np.uint8], wanted: float) -> TransformCodec:
        """The finest quality of which frames have at most `wanted` bytes on average, fitted."""
        coarse, fine = QUALITIES[0], QUALITIES[-1] + 1
        best = replace(self, quality=coarse)._fitted(samples)
        while fine - coarse > 1:
            middle = (coarse + fine) // 2
            codec = replace(self, quality=middle)._fitted(samples)
            if stated_lengths(codec._native.encode(samples, ROW_UNIT)).mean() <= wanted:
                coarse, best = middle, codec
            else:
                fine = middle
        return best

    @property
    def bands(self) -> int:
        return len(self.matrix[0])

    @property
    def _name(self) -> str:
        budget = [] if self.budget is None else [f"B={self.budget}"]
        return ":".join([self.kind, str(self.quality), *budget])

    @property
    def summary(self) -> str:
        """What a sample becomes, in a few words."""
        return f"8-bit samples decoded from frames of {self._name}"

    def frame_bytes(self, patch_shape: Sequence[int]) -> int:
        """Most bytes of a frame of a patch (H, W, C); raises `CodecError` if the budget is too small for any."""
        height, width, bands = self._checked_shape(patch_shape)
        blocks = -(-height // BLOCK) * -(-width // BLOCK)
        bits = [self._least_bits(group) for group in (0, 1)]
        least = HEADER_BYTES + -(-blocks * (bits[0] + (bands - 1) * bits[1]) // 8)
        if self._longest < least:
            raise CodecError(
                f"expected a budget of at least {least} bytes, at most {LONGEST_FRAME}, for patches"
                f" {height} x {width} x {bands}, got {self._longest}"
            )
        return self._longest

    @property
    def _longest(self) -> int:
        return LONGEST_FRAME if self.budget is None else self.budget

    def _least_bits(self, group: int) -> int:
        """Of a block's component that is like the blocks before it and flat."""
        dc = Table(self.dc_counts[group], self.dc_symbols[group])
        number = self.contexts[group * len(self.contexts) // 2]
        return dc.length(0) + Table(self.ac_counts[number], self.ac_symbols[number]).length(fitting.END)

    def encode_packed(
        self, patches: Patches, *, out: NDArray[np.uint8] | None = None, threads: int | None = None
    ) -> NDArray[np.uint8]:
        """Patches (N, H, W, C) to frames uint8 (N, W), or (H, W, C) to one, each filled up with zeros to the longest.

        W is a multiple of 8, and of `out` at least that. Raises as `Codec.encode`, and `PackingError` for another
        `out`.
        """
        batch, lead = self._checked_batch(patches)
        self.frame_bytes(batch.shape[1:])
        made: NDArray[np.uint8] = self._native.encode(self._samples(batch), ROW_UNIT, native_threads(threads))
        if (empty := np.flatnonzero(stated_lengths(made) == 0)).size:
            raise CodecError(f"patch {empty[0]} does not fit in a frame of {LONGEST_FRAME} bytes")
        if out is None:
            return made.reshape(*lead, -1)
        given = out.shape[-1:] if isinstance(out, np.ndarray) else ()
        filled = output_array(out, (*lead, max((*given, made.shape[1]))), batch)
        rows = filled.reshape(len(batch), -1)
        rows[:, : made.shape[1]], rows[:, made.shape[1] :] = made, 0
        return filled

    def encode(self, patches: Patches, *, threads: int | None = None) -> Codes:
        """Patches (N, H, W, C) or (H, W, C) to what is left of them, uint8 of the same shape; see `Codec.encode`."""
        _, lead = self._checked_batch(patches)
        frames = self.encode_packed(patches, threads=threads)
        shape = self.code_shape(np.shape(patches)[-3:])
        return self.unpack(frames.reshape(-1, frames.shape[-1]), shape, threads=threads).reshape(*lead, *shape)

    def unpack(
        self, frames: NDArray[np.uint8], patch_shape: Sequence[int], *, threads: int | None = None
    ) -> NDArray[np.uint8]:
        """Frames uint8 (N, W), rows filled up with zeros, to codes uint8 (N, H, W, C).

        Raises `CodecError` and names the first frame that is damaged, or of another codec.
        """
        codes, faults = self.unpack_sound(frames, patch_shape, threads=threads)
        if (bad := np.flatnonzero(faults)).size:
            raise FrameError(int(bad[0]), FAULTS[int(faults[bad[0]])])
        return codes

    def unpack_sound(
        self, frames: NDArray[np.uint8], patch_shape: Sequence[int], *, threads: int | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The same of all frames, and of each what is wrong with it, uint8 (N,), 0 for nothing, else a key of `FAULTS`;
        codes of a damaged frame are zeros."""
        shape = self.code_shape(patch_shape)
        frames = np.asarray(frames)
        if frames.dtype != np.uint8 or frames.ndim != 2:
            raise CodecError(f"expected uint8 frames (N, bytes), got {frames.dtype} {frames.shape}")
        codes = np.empty((len(frames), *shape), np.uint8)
        if not len(frames):
            return codes, np.zeros(0, np.uint8)
        faults = self._native.decode(np.ascontiguousarray(frames), codes, native_threads(threads))
        return codes, faults

    def frame_lengths(self, frames: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Bytes (N,) that each frame says it has, of frames (N, W)."""
        return stated_lengths(frames)

    def samples(self, rng: np.random.Generator, count: int, shape: Sequence[int]) -> Patches:
        """`count` patches of `shape` (H, W, C): half of them smooth with an edge, half of any samples."""
        height, width, bands = self._checked_shape(shape)
        most = (1 << self.depth) - 1
        y, x = np.linspace(0, 1, height)[:, None, None], np.linspace(0, 1, width)[:, None]
        slopes = rng.uniform(-0.5, 0.5, (4, (count + 1) // 2, 1, 1, bands))
        smooth = 0.5 + slopes[0] * y + slopes[1] * x + np.where(x + slopes[2] > y, slopes[3], 0)
        noise = rng.integers(0, most + 1, (count // 2, *shape), self.dtype)
        return np.concatenate([np.rint(np.clip(smooth, 0, 1) * most).astype(self.dtype), noise])

    def _decode(self, codes: Codes) -> Patches:
        if self.depth == 8:
            return codes
        samples = np.empty(codes.shape, self.dtype)
        every = np.arange(256)
        for band, (low, high) in enumerate(zip(self.lows, self.highs)):
            samples[..., band] = (low + (2 * every * (high - low) + 255) // 510)[codes[..., band]]
        return samples

    def _samples(self, batch: Patches) -> NDArray[np.uint8]:
        if batch.dtype == np.uint16 and self.depth < 16 and (largest := int(batch.max())) >> self.depth:
            raise CodecError(f"expected samples below {1 << self.depth} (depth {self.depth}), got {largest}")
        return _stretched(batch, self.lows, self.highs)

    @cached_property
    def frames_digest(self) -> str:
        decoding = ("matrix", "deltas", "dc_counts", "dc_symbols", "ac_counts", "ac_symbols", "contexts")
        told = json.dumps({name: getattr(self, name) for name in decoding}, sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()

    @property
    def seed(self) -> int:
        """Where a frame's check begins, 16 bits."""
        return int.from_bytes(bytes.fromhex(self.frames_digest[:4]), "little")

    @cached_property
    def _native(self) -> Any:
        return _native.TransformCodec(
            bands=self.bands,
            matrix=[value for row in self.matrix for value in row],
            deltas=self.deltas,
            dc_counts=self.dc_counts,
            dc_symbols=self.dc_symbols,
            ac_counts=self.ac_counts,
            ac_symbols=self.ac_symbols,
            contexts=self.contexts,
            seed=self.seed,
            longest=self._longest,
            index=QUALITIES[-1] - self.quality,
        )


def _check_budget(budget: int | None) -> None:
    least = HEADER_BYTES + 1
    if budget is None:
        return
    if not isinstance(budget, int) or isinstance(budget, bool) or not least <= budget <= LONGEST_FRAME:
        raise CodecError(
            f"expected a budget of {least} to {LONGEST_FRAME} bytes, of which the header takes {HEADER_BYTES},"
            f" got {budget!r}"
        )


def _stretched(patches: Patches, lows: Sequence[int], highs: Sequence[int]) -> NDArray[np.uint8]:
    """Samples of 16 bits to 0..255, each band's low to 0 and its high to 255, rounded half up."""
    if patches.dtype == np.uint8:
        return patches
    stretched = np.empty(patches.shape, np.uint8)
    every = np.arange(1 << 16)
    for band, (low, high) in enumerate(zip(lows, highs)):
        span = high - low
        table = ((2 * 255 * (np.clip(every, low, high) - low) + span) // (2 * span)).astype(np.uint8)
        stretched[..., band] = table[patches[..., band]]
    return stretched


def _table_fields(dc: Iterable[Table], ac: Iterable[Table], contexts: tuple[int, ...]) -> dict[str, Any]:
    dc, ac = list(dc), list(ac)
    return {
        "dc_counts": tuple(table.counts for table in dc),
        "dc_symbols": tuple(table.symbols for table in dc),
        "ac_counts": tuple(table.counts for table in ac),
        "ac_symbols": tuple(table.symbols for table in ac),
        "contexts": contexts,
    }
