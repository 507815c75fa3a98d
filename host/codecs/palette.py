"""The codec of one code a pixel, the nearest of fitted colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

import bitswath._native as _native
from bitswath.codecs import codebooks
from bitswath.codecs.base import Codes, Patches, PointwiseCodec, Rows, checked_patches, checked_rows
from bitswath.codecs.dither import dither_named, mixture_ranks
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import CodecError

__all__ = ["PaletteCodec"]


@dataclass(frozen=True)
class PaletteCodec(PointwiseCodec):
    """The nearest of 2^bits colours, one code a pixel; of equally near colours the lowest code.

    `colours`: (2^bits, C), ascending by their mean when fitted.
    """

    colours: Rows = field(kw_only=True)

    kind: ClassVar[str] = "palette"
    numeric: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "colours", checked_rows(self.colours, "colours", 1 << self.depth))
        if len(self.colours) != 1 << self.bits:
            raise CodecError(f"expected {1 << self.bits} colours for {self.bits} bit, got {len(self.colours)}")

    @classmethod
    def fit(cls, patches: Patches, bits: int, dither: str | None = None, seed: int = 0) -> PaletteCodec:
        """k-means colours of the pixels of training patches (N, H, W, C), with dither moved to where they mix best."""
        patches = checked_patches(patches)
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
