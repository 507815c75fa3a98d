"""Images that Pillow reads, and those of its formats that it would cut to 8 bits, which go through imagecodecs."""

from __future__ import annotations

import io
import math
import re
import struct
from typing import Any

import numpy as np

from bitswath.errors import ImageError
from bitswath.imagery.code_formats import DECODE_ERRORS
from bitswath.imagery.jpeg2000 import is_jpeg2000, read_header
from bitswath.imagery.samples import MAX_SAMPLES, Samples, Stored, cmyk_as_rgb, require_size

__all__ = ["read_with_pillow"]

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "JPEG2000", "PPM")
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_NETPBM = re.compile(rb"P([2356])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})\s")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of a JPEG's frame header."""
_PNG_ALPHA = (4, 6)
_ORIENTATION = 274
_ADOBE = "adobe"
_ALPHA_MODES = ("LA", "RGBA", "PA")
_KINDS = {"1": "a bilevel image", "I": "a 32-bit grey image", "F": "a float image"}


def read_with_pillow(data: bytes) -> Stored:
    """What a JPEG, PNG, BMP, WebP, JPEG 2000 or Netpbm file holds. Raises `ImageError`, or one of `DECODE_ERRORS`."""
    deep = _deep(data)
    return _read(data) if deep is None else deep


def _read(data: bytes) -> Stored:
    from PIL import Image

    try:
        opened = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError:
        raise ImageError(f"declares more pixels than the {MAX_SAMPLES} samples that are decoded") from None
    with opened as image:
        require_size(image.width * image.height * (4 if image.mode in ("P", "PA") else len(image.getbands())))
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format in ("PNG", "WEBP"):  # of a JPEG, others are previews
            raise ImageError(f"is an animation of {frames} frames; expected one image")
        if image.format == "PNG" and data[24] < 8 and image.mode not in ("1", "P"):
            raise ImageError(f"holds {data[24]}-bit samples, which would be rescaled; expected 8 or 16")
        samples, alpha = _pixels(image)
        return Stored(samples, alpha, _orientation(image))


def _pixels(image: Any) -> tuple[Samples, bool]:
    """A Pillow image's samples, its palette and inks as RGB, and whether the last band is alpha."""
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB")
    samples = np.asarray(image)
    if image.mode == "CMYK":  # of a JPEG: Pillow takes all for Adobe's, which count what an ink leaves
        return cmyk_as_rgb(samples if _ADOBE in image.info else 255 - samples), False
    if image.mode.startswith("I;16"):
        return samples.astype(np.uint16), False
    if image.mode not in ("L", "RGB", *_ALPHA_MODES):
        kind = _KINDS.get(image.mode, f"of mode {image.mode}")
        raise ImageError(f"is {kind}; expected grey, RGB, CMYK or multi-band")
    return samples, image.mode in _ALPHA_MODES


def _orientation(image: Any) -> int:
    """What EXIF says, 1 where it says nothing that can be read."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except DECODE_ERRORS:
        return 1


def _deep(data: bytes) -> Stored | None:
    """The samples of more than 8 bits that Pillow would rescale or cut; None for what it reads as it is."""
    if data.startswith(b"\x89PNG") and data[24:25] == b"\x10" and data[25] != 0:
        width, height = struct.unpack_from(">II", data, 16)
        require_size(width * height * 4)
        return Stored(_imagecodecs().png_decode(data), data[25] in _PNG_ALPHA)
    if is_jpeg2000(data):
        return _jpeg2000(data)
    if data.startswith(b"\xff\xd8") and (size := _deep_jpeg(data)) is not None:
        require_size(size)
        return Stored(_imagecodecs().jpeg_decode(data))
    if header := _NETPBM.match(data):
        return _netpbm(data, header)
    if re.match(rb"P[2356]", data):
        raise ImageError("has a header that is not understood; store it as TIFF or PNG")
    return None


def _deep_jpeg(data: bytes) -> int | None:
    """How many samples a JPEG of more than 8 bits declares (ITU-T T.81, B.2.2), None for one of 8."""
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker, length = struct.unpack_from(">xBH", data, at)
        if marker in _FRAMES:
            precision, height, width, bands = struct.unpack_from(">BHHB", data, at + 4)
            return int(height * width * bands) if precision > 8 else None
        at += 2 + length
    return None


def _jpeg2000(data: bytes) -> Stored | None:
    header = read_header(data)
    depth, bands = header.depths[0], len(header.depths)
    if header.signed or header.subsampled or len(set(header.depths)) > 1:
        raise ImageError("holds signed, subsampled or mixed bands; expected unsigned ones of one size")
    if not 8 <= depth <= 16:
        raise ImageError(f"holds {depth}-bit samples, which would be rescaled; expected 8 to 16, store it as TIFF")
    if depth == 8 and bands <= 4:
        return None
    require_size(header.height * header.width * bands)
    samples = np.asarray(_imagecodecs().jpeg2k_decode(data, planar=False))
    return Stored(samples.reshape(header.height, header.width, bands))


def _netpbm(data: bytes, header: re.Match[bytes]) -> Stored | None:
    """Numbers up to a maxval of more than 255; plain ones (P2, P3) are decimal text, others two bytes each."""
    kind, width, height, maxval = map(int, header.groups())
    if maxval == 255:
        return None
    if not 255 < maxval < 1 << 16:
        raise ImageError(f"holds samples up to {maxval}, which would be rescaled; expected 255 to 65535")
    shape = height, width, 3 if kind in (3, 6) else 1
    require_size(math.prod(shape))
    body, count = data[header.end() :], math.prod(shape)
    if kind in (2, 3):
        samples = np.array(re.sub(rb"#[^\r\n]*", b"", body).split()[:count], np.int64)
    else:
        samples = np.frombuffer(body[: 2 * count], ">u2")
    if samples.size < count or samples.max() > maxval or samples.min() < 0:
        raise ImageError(f"is damaged or truncated: expected {count} samples up to {maxval}")
    return Stored(samples.astype(np.uint16).reshape(shape))


def _imagecodecs() -> Any:
    try:
        import imagecodecs
    except ImportError:
        raise ImageError(
            "needs imagecodecs, which is not there: pip install imagecodecs, or store it as TIFF"
        ) from None
    return imagecodecs
