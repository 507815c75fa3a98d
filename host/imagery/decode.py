"""One image file's bytes to a patch, uint8 or uint16 (H, W, C).

TIFF goes through tifffile (any number of bands), everything else through Pillow. Nothing is
converted: what is not plain samples of 8 or 16 bits (palettes, bilevel, floats, CMYK, 4-bit TIFF) is
refused with its reason, since a silent conversion would feed a network other numbers than it saw.
"""

from __future__ import annotations

import io
import re
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import ImageError
from bitswath.imagery.code_formats import DECODE_ERRORS, one_line
from bitswath.imagery.jpeg2000 import read_header
from bitswath.imagery.tiff import open_tiff

__all__ = ["MAX_SAMPLES", "SUFFIXES", "decode_image"]

SUFFIXES = frozenset(
    (
        *(".bmp", ".gtif", ".gtiff", ".j2c", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm"),
        *(".ppm", ".tif", ".tiff", ".webp"),
    )
)
"""Suffixes of image files, lower case."""

MAX_SAMPLES = 1 << 26
"""Largest H * W * C that is decoded: a guard against decompression bombs."""

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "JPEG2000", "PPM")
_TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_NETPBM = re.compile(rb"P[2356]" + _GAP + rb"\d+" + _GAP + rb"\d+" + _GAP + rb"(\d{1,9})\s")
_KINDS = {
    "1": "a bilevel image",
    "P": "a palette image",
    "PALETTE": "a palette image",
    "PA": "a palette image",
    "CMYK": "a CMYK image",
    "LA": "a grey image with alpha",
    "I": "a 32-bit grey image",
    "F": "a float image",
}


def decode_image(data: bytes) -> NDArray[Any]:
    """The samples, uint8 or uint16 (H, W, C), of an image file's bytes.

    Raises `ImageError` with the reason (without a file name, which it does not know).
    """
    if not data:
        raise ImageError("is empty (zero bytes)")
    try:
        samples = _decode_tiff(data) if data[:4] in _TIFF_MAGICS else _decode_pillow(data)
    except ImageError:
        raise
    except DECODE_ERRORS as error:
        raise ImageError(f"cannot be decoded: {_reason(error)}") from error
    if samples.dtype not in (np.uint8, np.uint16):
        nan = ", with NaN" if samples.dtype.kind == "f" and np.isnan(samples).any() else ""
        raise ImageError(f"holds {samples.dtype} samples{nan}; expected uint8 or uint16")
    return np.ascontiguousarray(samples if samples.ndim == 3 else samples[..., None])


def _decode_pillow(data: bytes) -> NDArray[Any]:
    from PIL import Image

    try:
        opened = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError:
        raise ImageError(f"declares more pixels than the {MAX_SAMPLES} samples that are decoded") from None
    with opened as image:
        _check_size(image.width * image.height * len(image.getbands()))
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format in ("PNG", "WEBP"):  # of a JPEG, others are previews
            raise ImageError(f"is an animation of {frames} frames; expected one image")
        depth = _depth(data, image.format)
        if depth not in (8, 16) and image.mode not in ("1", "P"):
            raise ImageError(f"holds {depth}-bit samples, which would be rescaled; expected 8 or 16, store it as TIFF")
        deep_grey = image.mode.startswith("I;16") or (image.mode == "I" and 8 < depth <= 16)
        if not deep_grey and image.mode not in ("L", "RGB", "RGBA"):
            raise ImageError(f"is {_KINDS.get(image.mode, f'of mode {image.mode}')}; expected grey, RGB or multi-band")
        if not deep_grey and depth > 8:
            raise ImageError(f"is a {image.format} of more than 8 bits a sample, which would be cut; store it as TIFF")
        samples = np.asarray(image)
    return samples.astype(np.uint16) if deep_grey else samples


def _depth(data: bytes, name: str | None) -> int:
    """Declared bits a sample where Pillow rescales them without a word; else 8."""
    if name == "PNG":
        return data[24]
    if name == "JPEG2000":
        return _jpeg2000_depth(data)
    if name != "PPM" or data[1:2] in b"14":
        return 8
    header = _NETPBM.match(data)
    if header is None:
        raise ImageError("has a header that is not understood; store it as TIFF or PNG")
    maxval = int(header[1])
    if maxval not in (255, 65535):
        raise ImageError(f"holds samples up to {maxval}, which would be rescaled; expected 255 or 65535")
    return maxval.bit_length()


def _jpeg2000_depth(data: bytes) -> int:
    header = read_header(data)
    if header.signed or header.subsampled or len(set(header.depths)) > 1:
        raise ImageError("holds signed, subsampled or mixed bands; expected unsigned ones of one size")
    return header.depths[0]


def _decode_tiff(data: bytes) -> NDArray[Any]:
    with open_tiff(data) as image:
        _check_size(image.size)
        _check_kind(image.page)
        return image.samples()


def _check_kind(page: Any) -> None:
    """A TIFF's samples are grey levels, bands or RGB of whole bytes."""
    import tifffile

    photometric = tifffile.PHOTOMETRIC(page.photometric).name
    if photometric == "YCBCR" and page.compression != tifffile.COMPRESSION.JPEG:
        raise ImageError("is a YCbCr TIFF that is not JPEG, which would be read unconverted; store it as RGB")
    if photometric not in ("MINISBLACK", "RGB", "YCBCR"):
        raise ImageError(f"is {_KINDS.get(photometric, f'a TIFF of kind {photometric}')}; expected MINISBLACK or RGB")
    if page.bitspersample % 8:
        raise ImageError(f"holds {page.bitspersample}-bit samples; expected 8 or 16")


def _check_size(samples: int) -> None:
    if not 0 < samples <= MAX_SAMPLES:
        raise ImageError(f"declares {samples} samples; expected 1 to {MAX_SAMPLES}")


def _reason(error: BaseException) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "not an image, or damaged at its beginning"
    if isinstance(error, struct.error | IndexError):
        return "truncated"
    return one_line(error)
