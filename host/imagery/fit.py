"""Patches brought to another size: resized, then cut out of the middle."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import ImageError

__all__ = ["AS_THEY_ARE", "Fit", "Size", "crop", "parse_size", "resize"]

Size = tuple[int, int]
"""Height and width in pixels."""

_SIZE = re.compile(r"([1-9]\d{0,5})(?:x([1-9]\d{0,5}))?")


@dataclass(frozen=True)
class Fit:
    """What is done to every patch (H, W, C): `resize` to a size, then `crop` to one, each left out where it is None."""

    resize: Size | None = None
    crop: Size | None = None

    @property
    def size(self) -> Size | None:
        """The size that every patch has afterwards, or None where nothing is done."""
        return self.crop or self.resize

    def __call__(self, patch: NDArray[Any]) -> NDArray[Any]:
        """Raises `ImageError` for a patch that is smaller than the crop."""
        if self.resize is not None:
            patch = resize(patch, self.resize)
        return patch if self.crop is None else crop(patch, self.crop)


AS_THEY_ARE = Fit()
"""Nothing is done."""


def parse_size(text: str) -> Size:
    """``"256"`` and ``"256x256"`` as (256, 256), ``"200x300"`` as height 200 and width 300. Raises `ImageError`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ImageError(f"expected a size in pixels such as 256, or height x width as in 200x300, got {text!r}")
    return int(match[1]), int(match[2] or match[1])


def crop(patch: NDArray[Any], size: Size) -> NDArray[Any]:
    """The middle (h, w, C) of a patch (H, W, C); of an odd margin the smaller half is above and left."""
    height, width = size
    top, left = patch.shape[0] - height, patch.shape[1] - width
    if min(top, left) < 0:
        raise ImageError(f"is {patch.shape[0]} x {patch.shape[1]}, too small to crop to {height} x {width}; resize it")
    return patch[top // 2 : top // 2 + height, left // 2 : left // 2 + width]


def resize(patch: NDArray[Any], size: Size) -> NDArray[Any]:
    """A patch (H, W, C) at (h, w, C), of its own type; values of integers are rounded, half to even.

    Bilinear in float32, with the triangle widened to the scale where it shrinks, so that every pixel counts: Pillow's
    for images of reals, band by band, which rounds once and not after each axis.
    """
    from PIL import Image

    if patch.shape[:2] == size:
        return patch
    bands = (np.ascontiguousarray(patch[..., band], np.float32) for band in range(patch.shape[2]))
    resized = np.stack(
        [np.asarray(Image.fromarray(band).resize(size[::-1], Image.Resampling.BILINEAR)) for band in bands], axis=-1
    )
    return (np.rint(resized) if patch.dtype.kind in "ui" else resized).astype(patch.dtype)
