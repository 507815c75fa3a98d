"""Image files of every kind, and folders and zips of them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from bitswath.imagery.code_files import Tiff, write

RGB = (16, 12, 3)


def pixels(seed: int = 0, shape: tuple[int, ...] = RGB, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def saved(array: np.ndarray, name: str = "PNG", mode: str | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(file, name, **options)
    return file.getvalue()


def tiff(array: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def tree(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


def png(seed: int = 0) -> bytes:
    return saved(pixels(seed))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def huge_png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def sixteen_bit_rgb_png() -> bytes:
    header = struct.pack(">IIBBBBB", 12, 16, 16, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(72) for _ in range(16)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def float_tiff() -> bytes:
    samples = np.zeros((16, 12, 3), np.float32)
    samples[3, 4, 1] = np.nan
    return tiff(samples, photometric="rgb")


BAD = {
    "wrong size": (saved(pixels(0, (8, 8, 3))), "8 x 8 x 3"),
    "grey": (saved(pixels(0, (16, 12))), "grey"),
    "RGBA": (saved(pixels(0, (16, 12, 4))), "RGBA"),
    "13 bands": (tiff(pixels(0, (16, 12, 13)), photometric="minisblack", planarconfig="contig"), "13 bands"),
    "bilevel": (saved(pixels(), "PNG", "1"), "bilevel"),
    "grey with alpha": (saved(pixels(), "PNG", "LA"), "grey"),
    "16-bit TIFF": (tiff(pixels(0, RGB, np.uint16), photometric="rgb"), "uint16"),
    "16-bit PNG": (sixteen_bit_rgb_png(), "uint16"),
    "16-bit PPM": (b"P6\n# scene\n12 16\n65535\n" + bytes(16 * 12 * 6), "uint16"),
    "4-bit TIFF": (write(Tiff(), pixels() // 16, 4), "4-bit"),
    "float TIFF with NaN": (float_tiff(), "float32 samples from 0 to 0, with NaN"),
    "signed TIFF": (tiff(pixels().astype(np.int16), photometric="rgb"), "int16"),
    "inverted TIFF": (tiff(pixels(0, (16, 12)), photometric="miniswhite"), "MINISWHITE"),
    "two pages": (tiff(pixels(0, (2, 16, 12, 3)), photometric="rgb"), "2 pages"),
    "truncated PNG": (png()[:300], "cannot be decoded"),
    "truncated JPEG": (saved(pixels(), "JPEG")[:-40], "truncated"),
    "truncated TIFF": (tiff(pixels(), photometric="rgb", metadata=None)[:-30], "truncated"),
    "corrupt": (png()[:50] + b"\xff" * 40 + png()[90:], "cannot be decoded"),
    "text": (b"this is not an image", "not an image"),
    "empty": (b"", "zero bytes"),
    "decompression bomb": (huge_png(100_000, 100_000), "declares"),
    "large bomb": (huge_png(12_000, 12_000), "declares"),
}  # fmt: skip
