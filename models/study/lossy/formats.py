"""Lossy image formats at one quality: patches to files and back.

A `LossyFormat` is named KIND:QUALITY, what a quality means is the library's:

=========  =========================  ======================================================================
kind       quality                    written by
=========  =========================  ======================================================================
jpeg       1..100, then subsampling   libjpeg-turbo, baseline, standard Huffman tables
webp       1..100                     libwebp, its slowest method
jpeg2000   PSNR to reach, dB          OpenJPEG, codestream without a JP2 file around it
jpegxl     distance, 0.1..25          libjxl, codestream without a container
avif       1..100                     libavif with AV1, speed 6
=========  =========================  ======================================================================

All are written and read with one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import ConfigError, ContainerError, DependencyError
from bitswath.imagery.code_files import parse_container, read, write

__all__ = ["LossyFormat", "parse_lossy"]

Patch = NDArray[np.uint8]

_SUBSAMPLINGS = ("420", "422", "444")

AVIF_SPEED = 6
"""Two needs four times as long for 0.2 dB on EuroSAT."""


@dataclass(frozen=True)
class LossyFormat:
    """A lossy format; ``str(format)`` is what `parse_lossy` takes."""

    kind: str
    quality: float
    subsampling: str | None = None

    def __str__(self) -> str:
        return ":".join([self.kind, f"{self.quality:g}", *([self.subsampling] if self.subsampling else [])])

    @property
    def name(self) -> str:
        """For people: "JPEG"."""
        return _KINDS[self.kind].name

    @property
    def label(self) -> str:
        """With its quality: "JPEG 75", "JPEG XL distance 5"."""
        unit = _KINDS[self.kind].unit
        return f"{self.name} {unit.format(f'{self.quality:g}')}"

    def encode(self, patch: Patch) -> bytes:
        """A patch, uint8 (H, W, 3) or for JPEG (H, W, 1), as a file. Raises `ContainerError` for others."""
        if patch.dtype != np.uint8:
            raise ContainerError(f"{self}: {self.name} holds 8-bit samples here, got {patch.dtype}")
        if patch.ndim != 3 or patch.shape[2] not in ((1, 3) if self.kind == "jpeg" else (3,)):
            raise ContainerError(f"{self}: expected patches (H, W, 3), got {patch.shape}")
        return _KINDS[self.kind].encode(self, np.ascontiguousarray(patch))

    def decode(self, file: bytes) -> Patch:
        """The patch, uint8 (H, W, C), that a file holds. Raises `ContainerError` for a damaged one."""
        try:
            samples = _KINDS[self.kind].decode(file)
        except (ValueError, RuntimeError, OSError) as error:
            raise ContainerError(f"{self}: {len(file)} bytes cannot be decoded: {error}") from error
        return np.ascontiguousarray(samples if samples.ndim == 3 else samples[..., None])


@dataclass(frozen=True)
class _Kind:
    """`unit`: a quality for people."""

    name: str
    unit: str
    least: float
    most: float
    whole: bool
    encode: Callable[[LossyFormat, Patch], bytes]
    decode: Callable[[bytes], Patch]


def parse_lossy(text: str) -> LossyFormat:
    """The format of "KIND:QUALITY", for JPEG also "jpeg:QUALITY:444"; raises `ConfigError` for anything else."""
    kind, *options = text.strip().lower().split(":")
    subsampling = None
    if kind == "jpeg":
        subsampling = options.pop() if len(options) == 2 else "420"
    try:
        (quality,), found = map(float, options), _KINDS[kind]
    except (KeyError, ValueError):
        raise ConfigError(_expected(text)) from None
    inside = found.least <= quality <= found.most and (quality.is_integer() or not found.whole)
    if not inside or subsampling not in (None, *_SUBSAMPLINGS):
        raise ConfigError(_expected(text))
    return LossyFormat(kind, quality, subsampling)


def _expected(text: str) -> str:
    kinds = ", ".join(f"{kind}:{found.least:g}..{found.most:g}" for kind, found in _KINDS.items())
    more = " or ".join(_SUBSAMPLINGS)
    return f"expected a lossy format and its quality, {kinds} (jpeg: then :{more}), got {text!r}"


def _write(chosen: LossyFormat, patch: Patch) -> bytes:
    return write(parse_container(str(chosen)), patch, 8)


def _read(file: bytes) -> Patch:
    return read(file, 8)


def _imagecodecs() -> Any:
    try:
        import imagecodecs
    except ImportError as error:
        raise DependencyError(f"this format needs imagecodecs: pip install imagecodecs ({error})") from error
    return imagecodecs


def _jpeg2000(chosen: LossyFormat, patch: Patch) -> bytes:
    return bytes(_imagecodecs().jpeg2k_encode(patch, level=chosen.quality, codecformat="j2k", numthreads=1))


def _jpegxl(chosen: LossyFormat, patch: Patch) -> bytes:
    return bytes(_imagecodecs().jpegxl_encode(patch, distance=chosen.quality, usecontainer=False, numthreads=1))


def _avif(chosen: LossyFormat, patch: Patch) -> bytes:
    return bytes(_imagecodecs().avif_encode(patch, level=int(chosen.quality), speed=AVIF_SPEED, numthreads=1))


def _decoder(name: str, **options: Any) -> Callable[[bytes], Patch]:
    def decode(file: bytes) -> Patch:
        return np.asarray(getattr(_imagecodecs(), name)(file, numthreads=1, **options))

    return decode


_KINDS = {
    "jpeg": _Kind("JPEG", "{}", 1, 100, True, _write, _read),
    "webp": _Kind("WebP", "{}", 1, 100, True, _write, _read),
    "jpeg2000": _Kind("JPEG 2000", "{} dB", 1, 100, False, _jpeg2000, _decoder("jpeg2k_decode", planar=False)),
    "jpegxl": _Kind("JPEG XL", "distance {}", 0.1, 25, False, _jpegxl, _decoder("jpegxl_decode")),
    "avif": _Kind("AVIF", "{}", 1, 100, True, _avif, _decoder("avif_decode")),
}
