"""One image file's bytes to its samples (H, W, C), upright.

TIFF goes through tifffile (any number of bands, any type), everything else through Pillow. Numbers stay those of the
file: colours that it stores otherwise (palettes, CMYK) become RGB, what would be rescaled is refused with its reason,
since a silent conversion would feed a network other numbers than it saw. What EXIF or TIFF say of the image's
orientation is done. `decode` gives all that a file holds, `decode_image` what a patch is made of.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bitswath.errors import ImageError
from bitswath.imagery.code_formats import DECODE_ERRORS, one_line
from bitswath.imagery.pillow import read_with_pillow
from bitswath.imagery.samples import MAX_SAMPLES, Samples, Stored, as_type, cmyk_as_rgb, require_size, without_alpha
from bitswath.imagery.tiff import open_tiff

__all__ = ["MAX_SAMPLES", "SUFFIXES", "decode", "decode_image"]

SUFFIXES = frozenset(
    (
        *(".bmp", ".gtif", ".gtiff", ".j2c", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm"),
        *(".ppm", ".tif", ".tiff", ".webp"),
    )
)
"""Suffixes of image files, lower case."""

_TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ORIENTATION = 274
_ALPHA = (1, 2)
"""ExtraSamples: associated and unassociated alpha."""


def decode_image(data: bytes, bands: int | None = None, dtype: DTypeLike | None = None) -> Samples:
    """The patch of an image file's bytes: (H, W, C) of `dtype`, by default uint8 or uint16.

    An alpha channel that is opaque everywhere is left out, unless `bands` are expected and it is one of them. Samples
    of another type are taken where they are the same numbers in it: int16 without negative ones as uint16.
    Raises `ImageError` with the reason (without a file name, which it does not know).
    """
    image = decode(data)
    return as_type(without_alpha(image, bands), None if dtype is None else np.dtype(dtype))


def decode(data: bytes) -> Stored:
    """All that an image file's bytes hold, of its own type. Raises as `decode_image`."""
    if not data:
        raise ImageError("is empty (zero bytes)")
    try:
        image = _read_tiff(data) if data[:4] in _TIFF_MAGICS else read_with_pillow(data)
    except ImageError:
        raise
    except DECODE_ERRORS as error:
        raise ImageError(f"cannot be decoded: {_reason(error)}") from error
    if image.samples.dtype.kind not in "uif":
        raise ImageError(f"holds {image.samples.dtype} samples; expected integers or reals")
    return image.upright()


def _read_tiff(data: bytes) -> Stored:
    import tifffile

    with open_tiff(data) as image:
        page = image.page
        photometric = tifffile.PHOTOMETRIC(page.photometric).name
        palette = photometric == "PALETTE"
        require_size(3 * image.size if palette else image.size)
        _check_kind(page, photometric)
        samples = image.samples()
        alpha = bool(page.extrasamples) and page.extrasamples[-1] in _ALPHA
        if palette:
            samples = _colours(samples, page.colormap)
        if photometric == "SEPARATED":
            samples = cmyk_as_rgb(samples)
        return Stored(samples, alpha and samples.shape[2] > 1, page.tags.valueof(_ORIENTATION, default=1))


def _check_kind(page: Any, photometric: str) -> None:
    """A TIFF's samples are grey levels, bands, RGB, CMYK, or a palette's colours, and none would be rescaled."""
    import tifffile

    bits = page.bitspersample
    if photometric == "YCBCR" and page.compression != tifffile.COMPRESSION.JPEG:
        raise ImageError("is a YCbCr TIFF that is not JPEG, which would be read unconverted; store it as RGB")
    if photometric == "SEPARATED":
        if page.samplesperpixel != 4 or bits != 8 or page.compression == tifffile.COMPRESSION.JPEG:
            raise ImageError(f"is a TIFF of {page.samplesperpixel} inks of {bits} bits; expected CMYK of 8, or RGB")
    elif photometric not in ("MINISBLACK", "RGB", "YCBCR", "PALETTE"):
        raise ImageError(f"is a TIFF of kind {photometric}; expected MINISBLACK, RGB, CMYK or a palette")
    elif photometric != "PALETTE" and (bits < 8 or (bits > 16 and bits % 8)):
        raise ImageError(f"holds {bits}-bit samples; expected 8 to 16, or whole bytes")


def _colours(indices: Samples, colormap: NDArray[np.uint16] | None) -> NDArray[np.uint8]:
    """RGB of a palette's indices (H, W, 1). Its colours (3, N) have 16 bits, of which the upper 8 are taken, as by
    libtiff, unless none of them has any."""
    if colormap is None or indices.shape[2] != 1 or indices.max(initial=0) >= colormap.shape[1]:
        raise ImageError("is a palette TIFF whose samples are not in its palette")
    colours = colormap >> 8 if colormap.max() > 255 else colormap
    return colours.T.astype(np.uint8)[indices[..., 0]]


def _reason(error: BaseException) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "not an image, or damaged at its beginning"
    if isinstance(error, struct.error | IndexError):
        return "truncated"
    return one_line(error)
