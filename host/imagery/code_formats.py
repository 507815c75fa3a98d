"""Integer samples to the bytes of image files and back, without any scaling.

The writers below take uint8 samples (H, W, C); the header of what they write declares the true
sample depth. TIFF, sub-byte PNG, BMP and Netpbm are assembled here, since Pillow and tifffile have
no way to write compressed sub-byte samples; everything is read back through Pillow, tifffile and
imagecodecs (Netpbm and indexed BMP: here). `decode` tells the format by its first bytes.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import ContainerError, DependencyError
from bitswath.imagery.jpeg2000 import is_jpeg2000, read_header
from bitswath.imagery.tiff import open_tiff

__all__ = [
    "DECODE_ERRORS",
    "TIFF_COMPRESSIONS",
    "decode",
    "encode_bmp",
    "encode_jpeg",
    "encode_jpeg2000",
    "encode_png",
    "encode_ppm",
    "encode_tiff",
    "encode_webp",
    "one_line",
]

Samples = NDArray[np.uint8]
Palette = NDArray[np.uint8]

MAX_SAMPLES = 1 << 28
"""Largest H * W * C that is decoded: a guard against absurd declared sizes."""

TIFF_COMPRESSIONS = {"none": 1, "lzw": 5, "deflate": 8, "packbits": 32773}
"""Name to the number in a TIFF's Compression tag."""

DECODE_ERRORS = (
    OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, SyntaxError, ArithmeticError,
    MemoryError, EOFError, Warning, struct.error, zlib.error,
)  # fmt: skip
"""What Pillow, tifffile and imagecodecs raise on damaged input."""

_PILLOW_FORMATS = ("PNG", "BMP", "JPEG", "WEBP")


def one_line(error: BaseException) -> str:
    """The message of a foreign error on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def pack_rows(samples: Samples, bits: int) -> Samples:
    """Rows of `bits`-wide samples, most significant bit first, each padded to whole bytes: (H, row bytes)."""
    if bits == 8:
        return samples.reshape(len(samples), -1)
    planes = np.unpackbits(samples[..., None], axis=-1)[..., 8 - bits :]
    return np.packbits(planes.reshape(len(samples), -1), axis=1)


def unpack_rows(rows: Samples, width: int, bits: int) -> Samples:
    """Undoes `pack_rows` for one band: (H, row bytes) to (H, width)."""
    planes = np.unpackbits(rows, axis=1, count=width * bits).reshape(len(rows), width, bits)
    return np.packbits(planes, axis=2)[..., 0] >> np.uint8(8 - bits)


def encode_tiff(
    samples: Samples, bits: int, compression: str = "none", predictor: bool = False, palette: Palette | None = None
) -> bytes:
    """Baseline TIFF 6.0: little-endian, one strip, pixel-interleaved samples of `bits` bits.

    `predictor`: horizontal differencing, for 8-bit samples.
    """
    height, width, bands = samples.shape
    rows = pack_rows(_difference(samples) if predictor else samples, bits)
    strip = _compress(rows, compression)
    photometric = 3 if palette is not None else 2 if bands == 3 else 1
    tags: list[tuple[int, str, tuple[int, ...]]] = [
        (256, "I", (width,)), (257, "I", (height,)), (258, "H", (bits,) * bands),
        (259, "H", (TIFF_COMPRESSIONS[compression],)), (262, "H", (photometric,)), (273, "I", (8,)),
        (277, "H", (bands,)), (278, "I", (height,)), (279, "I", (len(strip),)), (284, "H", (1,)),
    ]  # fmt: skip
    if predictor:
        tags.append((317, "H", (2,)))
    if palette is not None:
        tags.append((320, "H", tuple((palette.T.astype(np.uint16) * 257).ravel().tolist())))
    if bands == 2 or bands > 3:
        tags.append((338, "H", (0,) * (bands - 1)))
    strip += b"\0" * (len(strip) % 2)
    return struct.pack("<2sHI", b"II", 42, 8 + len(strip)) + strip + _tiff_directory(tags, 8 + len(strip))


def _tiff_directory(tags: list[tuple[int, str, tuple[int, ...]]], offset: int) -> bytes:
    """The image file directory that stands at `offset`, with the values too long for it behind."""
    entries, extra = [], b""
    behind = offset + 2 + 12 * len(tags) + 4
    for tag, kind, values in tags:
        value = struct.pack(f"<{len(values)}{kind}", *values)
        if len(value) > 4:
            extra, value = extra + value, struct.pack("<I", behind + len(extra))
        entries.append(struct.pack("<HHI", tag, 3 if kind == "H" else 4, len(values)) + value.ljust(4, b"\0"))
    return struct.pack("<H", len(tags)) + b"".join(entries) + b"\0\0\0\0" + extra


def _difference(samples: Samples) -> Samples:
    return np.concatenate([samples[:, :1], samples[:, 1:] - samples[:, :-1]], axis=1)


def _compress(rows: Samples, compression: str) -> bytes:
    if compression == "deflate":
        return zlib.compress(rows.tobytes(), 9)
    if compression == "lzw":
        return bytes(_imagecodecs().lzw_encode(rows.tobytes()))
    if compression == "packbits":
        return bytes(_imagecodecs().packbits_encode(np.ascontiguousarray(rows)))
    return rows.tobytes()


def encode_png(samples: Samples, bits: int, palette: Palette | None = None) -> bytes:
    """PNG: grey or indexed of 1, 2, 4 or 8 bits (3 is stored in 4, 5..7 in 8), RGB of 8."""
    height, width, bands = samples.shape
    depth = next(depth for depth in (1, 2, 4, 8) if depth >= bits)
    if palette is None and (bands == 3 or depth == 8):
        return _save(samples, "PNG", optimize=True)
    rows = pack_rows(samples, depth)
    unfiltered = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0 if palette is None else 3, 0, 0, 0))]
    if palette is not None:
        chunks.append((b"PLTE", palette.tobytes()))
    chunks += [(b"IDAT", zlib.compress(unfiltered.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def encode_bmp(samples: Samples, bits: int, palette: Palette | None = None) -> bytes:
    """BMP: one band indexed with 1, 4 or 8 bits a pixel (a grey ramp unless `palette` is given), or 24-bit RGB."""
    height, width, bands = samples.shape
    if bands == 3:
        return _save(samples, "BMP")
    depth = next(depth for depth in (1, 4, 8) if depth >= bits)
    if palette is None:
        palette = np.repeat((np.arange(1 << bits) * 255 // ((1 << bits) - 1)).astype(np.uint8)[:, None], 3, axis=1)
    colours = np.pad(palette[:, ::-1], ((0, 0), (0, 1))).tobytes()
    rows = pack_rows(samples, depth)
    body = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))[::-1].tobytes()
    offset = 14 + 40 + len(colours)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, depth, 0, len(body), 0, 0, len(palette), 0)
    return struct.pack("<2sIHHI", b"BM", offset + len(body), 0, 0, offset) + info + colours + body


def encode_ppm(samples: Samples, bits: int) -> bytes:
    """Binary Netpbm: P4 for one band of one bit (1 is white), else P5 or P6 with maxval 2^bits - 1."""
    height, width, bands = samples.shape
    if bands == 1 and bits == 1:
        return b"P4\n%d %d\n" % (width, height) + pack_rows(1 - samples, 1).tobytes()
    magic = b"P5" if bands == 1 else b"P6"
    return magic + b"\n%d %d\n%d\n" % (width, height, (1 << bits) - 1) + samples.tobytes()


def encode_jpeg(samples: Samples, quality: int, subsampling: str) -> bytes:
    """Baseline JPEG of 8-bit samples; `subsampling` as 4:2:0."""
    options = {"subsampling": subsampling} if samples.shape[2] == 3 else {}
    return _save(samples, "JPEG", quality=quality, **options)


def encode_jpeg2000(samples: Samples, bits: int, ratio: float | None) -> bytes:
    """JP2 of declared precision `bits`: reversible 5/3 wavelet, or irreversible 9/7 at a compression `ratio`.

    One and two bits go without a wavelet: with one, OpenJPEG 2.5 fails on some images of high contrast or, at one bit,
    writes what is read back otherwise. Raises `ContainerError` where it fails all the same.
    """
    if ratio is None:
        library = _imagecodecs()
        interleaved = samples[..., 0] if samples.shape[2] == 1 else samples
        levels = {"resolutions": 1} if bits <= 2 else {}
        try:
            encode = library.jpeg2k_encode
            return bytes(encode(interleaved, level=0, reversible=True, bitspersample=bits, planar=False, **levels))
        except library.Jpeg2kError as error:
            raise ContainerError(f"OpenJPEG cannot encode {samples.shape} samples of {bits} bits ({error})") from error
    return _save(samples, "JPEG2000", quality_mode="rates", quality_layers=[ratio], irreversible=True)


def encode_webp(samples: Samples, quality: int | None) -> bytes:
    """WebP of 8-bit RGB, lossless or at `quality`."""
    if max(samples.shape[:2]) > 16383:
        raise ContainerError(f"WebP holds up to 16383 x 16383 pixels, not {samples.shape[1]} x {samples.shape[0]}")
    if quality is None:
        return _save(samples, "WEBP", lossless=True, quality=100, method=6, exact=True)
    return _save(samples, "WEBP", quality=quality, method=6)


def decode(data: bytes) -> tuple[Samples, bool]:
    """Samples, uint8 (H, W, C), and whether they went through a lossy coder.

    Raises `ContainerError` or `ImageError` for unknown formats, or one of `DECODE_ERRORS` for damaged files.
    """
    samples: NDArray[Any]
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        samples, lossy = _decode_tiff(data), False
    elif re.match(rb"P[456]\s", data):
        samples, lossy = _decode_ppm(data), False
    elif is_jpeg2000(data):
        samples, lossy = _decode_jpeg2000(data)
    elif data[:2] == b"BM" and len(data) > 34 and data[28] in (1, 4, 8) and data[30] == 0:
        samples, lossy = _decode_indexed_bmp(data), False
    else:
        samples, lossy = _decode_pillow(data)
    if samples.dtype != np.uint8 or samples.ndim not in (2, 3):
        raise ContainerError(f"expected samples of up to 8 bits (H, W, C), got {samples.dtype} {samples.shape}")
    return np.ascontiguousarray(samples if samples.ndim == 3 else samples[..., None]), lossy


def _decode_tiff(data: bytes) -> NDArray[Any]:
    with open_tiff(data) as image:
        _check_size(image.size)
        if image.page.compression not in TIFF_COMPRESSIONS.values():
            raise ContainerError(f"expected a lossless TIFF compression, got {image.page.compression!r}")
        samples = image.samples()
        return samples.astype(np.uint8) if samples.dtype == bool else samples


def _decode_ppm(data: bytes) -> Samples:
    magic = data[:2]
    header = re.match(rb"P[456]\s+(\d{1,9})\s+(\d{1,9})" + (rb"\s" if magic == b"P4" else rb"\s+(\d{1,5})\s"), data)
    if header is None:
        raise ContainerError("expected a Netpbm header of width, height and maxval")
    width, height = int(header[1]), int(header[2])
    bands = 3 if magic == b"P6" else 1
    row_bytes = (width + 7) // 8 if magic == b"P4" else width * bands
    if magic != b"P4" and not 1 <= int(header[3]) <= 255:
        raise ContainerError(f"expected a maxval of 1 to 255, got {int(header[3])}")
    if min(width, height) == 0 or len(data) - header.end() != height * row_bytes:
        raise ContainerError(f"expected {height * row_bytes} bytes of samples, got {len(data) - header.end()}")
    rows = np.frombuffer(data, np.uint8, offset=header.end()).reshape(height, row_bytes)
    if magic == b"P4":
        return 1 - unpack_rows(rows, width, 1)
    return rows.reshape(height, width, bands).copy()


def _decode_indexed_bmp(data: bytes) -> Samples:
    """The indices, which Pillow drops where the palette is a grey ramp."""
    offset, _, width, height = struct.unpack_from("<IIii", data, 10)
    depth = data[28]
    _check_size(width * abs(height))
    row_bytes = (width * depth + 31) // 32 * 4
    if offset + row_bytes * abs(height) > len(data):
        raise ContainerError("truncated: the image data reach beyond the end")
    rows = np.frombuffer(data, np.uint8, row_bytes * abs(height), offset).reshape(abs(height), row_bytes)
    return unpack_rows(rows[::-1] if height > 0 else rows, width, depth)


def _decode_jpeg2000(data: bytes) -> tuple[NDArray[Any], bool]:
    header = read_header(data)
    shape = header.height, header.width, len(header.depths)
    _check_size(math.prod(shape))
    samples = np.asarray(_imagecodecs().jpeg2k_decode(data, planar=False))
    return samples.reshape(shape), header.irreversible


def _decode_pillow(data: bytes) -> tuple[Samples, bool]:
    from PIL import Image

    try:
        opened = Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS)
    except Image.DecompressionBombError:  # derives from Exception alone
        raise ContainerError(f"declares more pixels than the {MAX_SAMPLES} samples that are decoded") from None
    with opened as image:
        _check_size(image.width * image.height * len(image.getbands()))
        if getattr(image, "n_frames", 1) > 1 and image.format in ("PNG", "WEBP"):
            raise ContainerError("is an animation; expected one image")
        if image.format == "PNG" and data[24] > 8:
            raise ContainerError(f"expected samples of up to 8 bits, got {data[24]}")
        if image.mode not in ("1", "L", "P", "RGB"):
            raise ContainerError(f"expected grey, indexed or RGB samples, got {image.mode}")
        samples = np.asarray(image)
        lossy = image.format == "JPEG" or (image.format == "WEBP" and data[12:16] != b"VP8L")
        if image.mode == "1":
            return samples.astype(np.uint8), lossy
        if image.format == "PNG" and image.mode == "L":
            return samples // (255 // ((1 << data[24]) - 1)), lossy
        return samples, lossy


def _check_size(samples: int) -> None:
    if not 0 < samples <= MAX_SAMPLES:
        raise ContainerError(f"declares {samples} samples; expected 1 to {MAX_SAMPLES}")


def _save(samples: Samples, name: str, **options: Any) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    array = samples[..., 0] if samples.shape[2] == 1 else samples
    Image.fromarray(np.ascontiguousarray(array)).save(file, name, **options)
    return file.getvalue()


def _imagecodecs() -> Any:
    try:
        import imagecodecs
    except ImportError:
        raise DependencyError("this format needs imagecodecs, which is not there: pip install imagecodecs") from None
    return imagecodecs
