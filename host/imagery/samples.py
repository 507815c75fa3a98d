"""What a file's samples are made into: an upright patch, of the bands and the type that are expected."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import ImageError

__all__ = [
    "MAX_SAMPLES",
    "Samples",
    "Stored",
    "as_type",
    "cmyk_as_rgb",
    "no_larger",
    "require_size",
    "without_alpha",
]

MAX_SAMPLES = 1 << 26
"""Largest H * W * C that is decoded: a guard against decompression bombs."""

_limit = ContextVar("largest", default=MAX_SAMPLES)

Samples = NDArray[Any]
"""(H, W, C)."""

_PATCHES = (np.dtype(np.uint8), np.dtype(np.uint16))
_TAKING = (np.dtype(np.uint16), np.dtype(np.int16))
"""Types whose numbers are taken from samples of another type, where they are the same."""


@dataclass(frozen=True, eq=False)
class Stored:
    """Samples as a file stores them; `alpha`: whether the last band is opacity; `orientation`: 1 to 8, as EXIF and TIFF
    number them, of how the rows and columns are to be shown."""

    samples: Samples
    alpha: bool = False
    orientation: int = 1

    def upright(self) -> Stored:
        """With rows from top to bottom and columns from left to right, contiguous in memory."""
        turned = self.samples if self.samples.ndim == 3 else self.samples[..., None]
        if self.orientation in (5, 6, 7, 8):
            turned = turned.transpose(1, 0, 2)
        if self.orientation in (2, 3, 6, 7):
            turned = turned[:, ::-1]
        if self.orientation in (3, 4, 7, 8):
            turned = turned[::-1]
        return Stored(np.ascontiguousarray(turned), self.alpha)


@contextmanager
def no_larger(samples: int) -> Iterator[None]:
    """Within it images of more samples than these are refused before they are decoded."""
    token = _limit.set(min(samples, MAX_SAMPLES))
    try:
        yield
    finally:
        _limit.reset(token)


def require_size(samples: int) -> None:
    """Raises `ImageError` for a declared number of samples that is not decoded."""
    if not 0 < samples <= _limit.get():
        raise ImageError(f"declares {samples} samples; expected 1 to {_limit.get()}")


def without_alpha(image: Stored, bands: int | None) -> Samples:
    """The samples without an alpha channel that is opaque everywhere, unless there are to be as many `bands`."""
    samples = image.samples
    if not image.alpha or samples.shape[2] == bands:
        return samples
    opaque = np.iinfo(samples.dtype).max if samples.dtype.kind in "ui" else 1
    if (samples[..., -1] == opaque).all():
        return np.ascontiguousarray(samples[..., :-1])
    if bands == samples.shape[2] - 1:
        raise ImageError("has an alpha channel with transparent pixels (RGBA); put it on a background first")
    return samples


def as_type(samples: Samples, dtype: np.dtype[Any] | None) -> Samples:
    """The same numbers as `dtype`, by default as uint8 or uint16; raises `ImageError` where they are others in it.

    No number becomes narrower unnoticed: samples of 16 bits are not taken for 8, whatever they hold.
    """
    wanted = dtype or (samples.dtype if samples.dtype in _PATCHES else _PATCHES[1])
    if samples.dtype == wanted or (samples.dtype.kind == wanted.kind == "f"):
        if wanted.kind == "f" and not np.isfinite(samples).all():
            raise ImageError(f"{_held(samples)}; fill them, and what is no data, first")
        return samples.astype(wanted, copy=False)
    taking = wanted in _TAKING and samples.dtype.itemsize > 1
    if taking and _fits(samples, wanted):
        return samples.astype(wanted)
    if not taking:
        raise ImageError(f"{_held(samples)}; expected {wanted}: convert it as the images were that were trained on")
    limits = np.iinfo(wanted)
    raise ImageError(
        f"{_held(samples)}; expected {wanted}, whole numbers from {limits.min} to {limits.max}:"
        " fill what is no data and scale the others as in the images that were trained on"
    )


def _fits(samples: Samples, dtype: np.dtype[Any]) -> bool:
    limits = np.iinfo(dtype)
    if samples.dtype.kind == "f" and not (np.isfinite(samples).all() and (samples == np.rint(samples)).all()):
        return False
    return bool(samples.min() >= limits.min and samples.max() <= limits.max)


def _held(samples: Samples) -> str:
    finite = samples[np.isfinite(samples)]
    extent = f" from {finite.min():g} to {finite.max():g}" if finite.size else ""
    return f"holds {samples.dtype} samples{extent}{'' if finite.size == samples.size else ', with NaN or infinity'}"


def cmyk_as_rgb(inks: Samples) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) of uint8 C, M, Y, K (H, W, 4), 255 for all of an ink: what of white the inks let through.

    No colour management: a profile in the file is not applied, as by most readers.
    """
    left = 255 - inks.astype(np.uint16)
    return ((left[..., :3] * left[..., 3:] + 127) // 255).astype(np.uint8)
