"""The codec whose levels are fitted to the data."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bitswath.codecs import codebooks
from bitswath.codecs.base import COUNTED_BITS, Codes, Patches, PointwiseCodec, Rows, checked_patches, checked_rows
from bitswath.codecs.dither import count_thresholds, dither_named, positions
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import CodecError

__all__ = ["CompandedCodec"]


@dataclass(frozen=True)
class CompandedCodec(PointwiseCodec):
    """The nearest of 2^bits levels, fitted for each band; codes keep the order of samples.

    `levels`: ascending sample values, (C, 2^bits).
    """

    levels: Rows = field(kw_only=True)

    kind: ClassVar[str] = "companded"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "levels", checked_rows(self.levels, "levels", 1 << self.depth))
        for levels in self.levels:
            if len(levels) != 1 << self.bits or any(a >= b for a, b in pairwise(levels)):
                raise CodecError(f"expected {1 << self.bits} ascending levels in each band for {self.bits} bit")

    @classmethod
    def fit(cls, patches: Patches, bits: int, dither: str | None = None) -> CompandedCodec:
        """Lloyd-Max levels of training patches (N, H, W, C); with dither, the levels best for dithering."""
        patches = checked_patches(patches)
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
        if self.bits > COUNTED_BITS:
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
