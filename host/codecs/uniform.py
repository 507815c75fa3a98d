"""The codec that keeps the high bits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import bitswath._native as _native
from bitswath.codecs.base import COUNTED_BITS, Codes, Patches, PointwiseCodec, checked_patches
from bitswath.codecs.dither import count_thresholds, rounded_quotient

__all__ = ["UniformCodec"]


@dataclass(frozen=True)
class UniformCodec(PointwiseCodec):
    """Drops the low ``depth - bits`` bits; with dither, 0..2^depth - 1 is mapped onto 0..2^bits - 1."""

    kind: ClassVar[str] = "uniform"

    @classmethod
    def fit(cls, patches: Patches, bits: int, dither: str | None = None) -> UniformCodec:
        """The codec of the patches' depth."""
        return cls(bits, dither, 8 * checked_patches(patches).dtype.itemsize)

    @property
    def summary(self) -> str:
        if self.dither:
            return super().summary
        dropped = self.depth - self.bits
        return f"their high {self.bits} bits, pixel >> {dropped}" if dropped else "they are"

    def _fill(self, batch: Patches, out: Codes, pack_bits: int, threads: int) -> int:
        if self.dither is None:
            return int(_native.encode_shifts(batch, self.depth - self.bits, out, pack_bits, threads))
        if self.bits > COUNTED_BITS:
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
