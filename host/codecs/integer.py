"""The codec of a model that takes narrow integers: they are numbered, and nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bitswath.codecs.base import Codes, Patches, PointwiseCodec, checked_rows
from bitswath.errors import CodecError

__all__ = ["IntegerCodec"]


@dataclass(frozen=True)
class IntegerCodec(PointwiseCodec):
    """``sample = lowest + step * code``, up to `highest`; other samples are refused.

    Samples are int8 where `lowest` is negative, else uint8. A bipolar input is ``lowest=-1, highest=1, step=2``.
    """

    lowest: int = field(kw_only=True)
    highest: int = field(kw_only=True)
    step: int = field(default=1, kw_only=True)

    kind: ClassVar[str] = "integer"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dither is not None:
            raise CodecError(f"expected no dither, which whole numbers do not take, got {self.dither!r}")
        checked_rows([[self.lowest, self.highest]], "lowest and highest", 256, -128)
        checked_rows([[self.step]], "step", 256, 1)
        if self.highest > np.iinfo(self.dtype).max:
            raise CodecError(f"expected {self.dtype} integers from {self.lowest} on, got up to {self.highest}")
        if not 1 <= self._last < 1 << self.bits or (self.highest - self.lowest) % self.step:
            raise CodecError(
                f"expected whole steps from lowest to highest, as many as {self.bits} bit number,"
                f" got {self.lowest}..{self.highest} in steps of {self.step}"
            )

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.int8 if self.lowest < 0 else np.uint8)

    @property
    def summary(self) -> str:
        if self._last == 1:
            return f"one bit, {self.lowest} or {self.highest}"
        steps = "" if self.step == 1 else f" in steps of {self.step}"
        return f"{self.bits}-bit integers {self.lowest}..{self.highest}{steps}"

    def samples(self, rng: np.random.Generator, count: int, shape: Sequence[int]) -> Patches:
        return self.decode(rng.integers(0, self._last + 1, (count, *self.code_shape(shape)), np.uint8))

    @property
    def _last(self) -> int:
        """The code of `highest`."""
        return int((self.highest - self.lowest) // self.step)

    @property
    def _all_codes(self) -> bool:
        """Whether the samples are what a uniform codec makes of pixels."""
        return (self.lowest, self.highest, self.step) == (0, (1 << self.bits) - 1, 1)

    def _fill(self, batch: Patches, out: Codes, pack_bits: int, threads: int) -> int:
        outside = self._misfits[batch.view(np.uint8)]
        if outside.any():
            where = tuple(int(i) for i in np.unravel_index(int(outside.argmax()), batch.shape))
            advice = f"; of raw pixels make a bundle with --codec uniform:{self.bits}" if self._all_codes else ""
            raise CodecError(f"expected {self._expected}, got {batch[where]} at index {where}{advice}")
        self._fill_positions(batch.view(np.uint8), self._positions, out, pack_bits, threads)
        return 0

    def _decode(self, codes: Codes) -> Patches:
        if (largest := int(codes.max())) > self._last:
            raise CodecError(f"expected codes up to {self._last}, got {largest}")
        return (self.lowest + self.step * codes.astype(np.int64)).astype(self.dtype)

    @property
    def _expected(self) -> str:
        if self._last == 1:
            return f"samples {self.lowest} or {self.highest}"
        return f"samples {self.lowest}..{self.highest}" + (f" in steps of {self.step}" if self.step > 1 else "")

    @cached_property
    def _counted(self) -> NDArray[np.int64]:
        """Steps from `lowest`, times `step`, of every byte."""
        return np.arange(256, dtype=np.uint8).view(self.dtype).astype(np.int64) - self.lowest

    @cached_property
    def _misfits(self) -> NDArray[np.bool_]:
        counted = self._counted
        misfits: NDArray[np.bool_] = (counted < 0) | (counted > self.highest - self.lowest) | (counted % self.step != 0)
        return misfits

    @cached_property
    def _positions(self) -> NDArray[np.uint16]:
        return np.where(self._misfits, 0, self._counted // self.step).astype(np.uint16)[None]
