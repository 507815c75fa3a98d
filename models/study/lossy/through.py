"""A lossy format in front of a codec, for training: augmented patches go through files, as they go through codecs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bitswath.codecs.base import Codec, Codes, Patches
from bitswath.errors import ConfigError
from bitswath.models.study.lossy.formats import LossyFormat

__all__ = ["ThroughFiles", "through_files"]


@dataclass(frozen=True)
class ThroughFiles(Codec):
    """Codes of what `inner` makes of patches that went through `lossy` files; it is in no bundle."""

    lossy: LossyFormat = field(kw_only=True)
    inner: Codec = field(kw_only=True)

    kind: ClassVar[str] = "files"

    @classmethod
    def before(cls, inner: Codec, lossy: LossyFormat) -> ThroughFiles:
        """Raises `ConfigError` where codes are no numbers, or samples have more than 8 bits."""
        if not inner.numeric or inner.depth != 8:
            raise ConfigError(
                f"patches that are augmented before they go through {lossy} need a codec of numbers and 8-bit samples,"
                f" not {inner.summary}; lossy_as: data takes any"
            )
        return cls(inner.bits, inner.dither, inner.depth, lossy=lossy, inner=inner)

    def code_shape(self, patch_shape: Sequence[int]) -> tuple[int, int, int]:
        return self.inner.code_shape(patch_shape)

    def encode(self, patches: Patches, *, threads: int | None = None) -> Codes:
        """As `Codec.encode`; raises as `LossyFormat.encode`, too."""
        return self.inner.encode(self._through(patches), threads=threads)

    def encode_packed(
        self, patches: Patches, *, out: NDArray[np.uint8] | None = None, threads: int | None = None
    ) -> NDArray[np.uint8]:
        """The frames of `inner`, after the files."""
        return self.inner.encode_packed(self._through(patches), out=out, threads=threads)

    def unpack(
        self, frames: NDArray[np.uint8], patch_shape: Sequence[int], *, threads: int | None = None
    ) -> NDArray[np.uint8]:
        return self.inner.unpack(frames, patch_shape, threads=threads)

    def frame_bytes(self, patch_shape: Sequence[int]) -> int:
        return self.inner.frame_bytes(patch_shape)

    def _through(self, patches: Patches) -> Patches:
        batch, lead = self._checked_batch(patches)
        return through_files(batch, self.lossy).reshape(*lead, *batch.shape[1:])

    def _decode(self, codes: Codes) -> Patches:
        return self.inner.decode(codes)


def through_files(patches: NDArray[np.uint8], lossy: LossyFormat) -> NDArray[Any]:
    """What files leave of patches uint8 (N, H, W, C)."""
    return np.stack([lossy.decode(lossy.encode(patch)) for patch in patches])
