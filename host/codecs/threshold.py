"""The codec that computes a model's own input quantizer."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bitswath.codecs.base import Codec, Codes, Patches, Rows, checked_rows
from bitswath.errors import CodecError

__all__ = ["ThresholdCodec"]


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
        object.__setattr__(self, "thresholds", checked_rows(self.thresholds, "thresholds", (1 << self.depth) + 1))
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
