"""Codes in image file formats, and back.

`write` turns a codes array, uint8 (H, W, C) with values below 2^bits, into the bytes of a file;
`read` gives the codes back from bytes or a path. A `Container` says which format and how.

What each format holds, and how:

=========  ==============  =====================  =====================================================
format     bands           samples                notes
=========  ==============  =====================  =====================================================
TIFF       1..65535        `bits`, packed rows    `whole_bytes` or `predictor`: 8-bit samples; palettes
PNG        1 or 3          1, 2, 4, 8 (3 bands:   grey or RGB; palettes; 3-bit codes in 4-bit samples
                           8)
BMP        1 or 3          1, 4, 8 (3 bands: 8)   always indexed for one band; palettes
PPM        1 or 3          maxval 2^bits - 1      PBM for one band of one bit, else PGM or PPM
JPEG 2000  1..16384        precision `bits`       with a `ratio`: 1 or 3 bands, lossy
WebP       3               8                      lossless, or lossy with a `quality`
JPEG       1 or 3          8                      always lossy
=========  ==============  =====================  =====================================================

Lossless formats keep the codes themselves as sample values. Lossy formats would throw the few low
values away, so codes are first scaled to 0..255 (``round(255 * code / (2^bits - 1))``) and scaled
back after reading, which is why `read` then has to be told `bits`.

libtiff's horizontal predictor is defined for whole-byte samples only; with it, and with `whole_bytes`
(for readers that take no sub-byte samples), codes are stored as 8-bit samples. Packed samples
are no larger on EuroSAT (uniform codes, deflate: 2108 bytes a patch either way at 4 bits, 480 against 507 at 1).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import ContainerError, ImageError
from bitswath.imagery import code_formats as formats

__all__ = ["Bmp", "Container", "Jpeg", "Jpeg2000", "Png", "Ppm", "Tiff", "WebP", "parse_container", "read", "write"]

Codes = NDArray[np.uint8]
Palette = NDArray[np.uint8] | None

_SUBSAMPLINGS = {"444": "4:4:4", "422": "4:2:2", "420": "4:2:0"}


@dataclass(frozen=True)
class Container:
    """A file format and its options; ``str(container)`` is what `parse_container` takes."""

    suffix: ClassVar[str]
    indexed: ClassVar[bool] = False
    """Whether the format can carry a palette with the codes."""

    @property
    def lossless(self) -> bool:
        """Whether `read` gives exactly the codes that were written."""
        return True

    @property
    def bands(self) -> Collection[int]:
        """How many bands the format can hold."""
        return (1, 3)

    def encode(self, samples: Codes, bits: int, palette: Palette = None) -> bytes:
        """The file's bytes for checked samples; `write` is the way to call it."""
        raise NotImplementedError


@dataclass(frozen=True)
class Tiff(Container):
    """One-strip little-endian TIFF; `compression` is none, lzw, deflate or packbits."""

    compression: str = "none"
    predictor: bool = False
    whole_bytes: bool = False
    suffix = ".tif"
    indexed = True

    def __post_init__(self) -> None:
        _require(
            self.compression in formats.TIFF_COMPRESSIONS,
            f"TIFF compression {self.compression!r}",
            sorted(formats.TIFF_COMPRESSIONS),
        )
        if self.predictor and self.compression not in ("lzw", "deflate"):
            raise ContainerError(f"a TIFF predictor goes with lzw or deflate, not {self.compression}")

    @property
    def bands(self) -> Collection[int]:
        return range(1, 65536)

    def encode(self, samples: Codes, bits: int, palette: Palette = None) -> bytes:
        depth = 8 if self.predictor or self.whole_bytes else bits
        if palette is not None:
            palette = np.pad(palette, ((0, (1 << depth) - len(palette)), (0, 0)))
        return formats.encode_tiff(samples, depth, self.compression, self.predictor, palette)

    def __str__(self) -> str:
        options = (self.compression, *("pred",) * self.predictor, *("bytes",) * self.whole_bytes)
        return ":".join(("tiff", *options))


@dataclass(frozen=True)
class Png(Container):
    """PNG, grey, RGB or indexed."""

    suffix = ".png"
    indexed = True

    def encode(self, samples: Codes, bits: int, palette: Palette = None) -> bytes:
        return formats.encode_png(samples, bits, palette)

    def __str__(self) -> str:
        return "png"


@dataclass(frozen=True)
class Bmp(Container):
    """Windows bitmap, indexed for one band, 24 bits a pixel for three."""

    suffix = ".bmp"
    indexed = True

    def encode(self, samples: Codes, bits: int, palette: Palette = None) -> bytes:
        return formats.encode_bmp(samples, bits, palette)

    def __str__(self) -> str:
        return "bmp"


@dataclass(frozen=True)
class Ppm(Container):
    """Binary Netpbm: PBM, PGM or PPM by bands and bits."""

    suffix = ".ppm"

    def encode(self, samples: Codes, bits: int, palette: Palette = None) -> bytes:
        return formats.encode_ppm(samples, bits)

    def __str__(self) -> str:
        return "ppm"


@dataclass(frozen=True)
class Jpeg(Container):
    """Baseline JPEG; `quality` 1..100, chroma `subsampling` 444, 422 or 420."""

    quality: int = 75
    subsampling: str = "420"
    suffix = ".jpg"

    def __post_init__(self) -> None:
        _require(1 <= self.quality <= 100, f"JPEG quality {self.quality}", "1 to 100")
        _require(self.subsampling in _SUBSAMPLINGS, f"JPEG subsampling {self.subsampling!r}", sorted(_SUBSAMPLINGS))

    @property
    def lossless(self) -> bool:
        return False

    def encode(self, samples: Codes, bits: int, palette: Palette = None) -> bytes:
        return formats.encode_jpeg(samples, self.quality, _SUBSAMPLINGS[self.subsampling])

    def __str__(self) -> str:
        return f"jpeg:{self.quality}:{self.subsampling}"


@dataclass(frozen=True)
class Jpeg2000(Container):
    """JPEG 2000 (JP2), reversible, or at `ratio` to one of its 8-bit samples."""

    ratio: float | None = None
    suffix = ".jp2"

    def __post_init__(self) -> None:
        _require(self.ratio is None or 1 < self.ratio <= 1000, f"JPEG 2000 ratio {self.ratio}", "above 1, up to 1000")

    @property
    def lossless(self) -> bool:
        return self.ratio is None

    @property
    def bands(self) -> Collection[int]:
        return range(1, 16385) if self.lossless else (1, 3)

    def encode(self, samples: Codes, bits: int, palette: Palette = None) -> bytes:
        return formats.encode_jpeg2000(samples, bits, self.ratio)

    def __str__(self) -> str:
        return "jpeg2000" if self.ratio is None else f"jpeg2000:{self.ratio:g}"


@dataclass(frozen=True)
class WebP(Container):
    """WebP, lossless, or lossy at `quality` 1..100."""

    quality: int | None = None
    suffix = ".webp"

    def __post_init__(self) -> None:
        _require(self.quality is None or 1 <= self.quality <= 100, f"WebP quality {self.quality}", "1 to 100")

    @property
    def lossless(self) -> bool:
        return self.quality is None

    @property
    def bands(self) -> Collection[int]:
        return (3,)

    def encode(self, samples: Codes, bits: int, palette: Palette = None) -> bytes:
        return formats.encode_webp(samples, self.quality)

    def __str__(self) -> str:
        return "webp" if self.quality is None else f"webp:{self.quality}"


def parse_container(text: str) -> Container:
    """The container a command line names: ``tiff[:lzw|deflate|packbits|none][:pred][:bytes]``, ``png``,
    ``bmp``, ``ppm``, ``jpeg[:quality[:444|422|420]]``, ``jpeg2000[:ratio]``, ``webp[:quality]``.

    Raises `ContainerError` for anything else.
    """
    name, *options = text.strip().lower().split(":")
    if name in ("tiff", "tif"):
        flags = {option for option in options if option in ("pred", "bytes")}
        compressions = [option for option in options if option not in flags]
        if len(compressions) <= 1 and len(options) == len(compressions) + len(flags):
            return Tiff("".join(compressions) or "none", "pred" in flags, "bytes" in flags)
    makers: dict[str, tuple[Callable[..., Container], tuple[type, ...]]] = {
        "png": (Png, ()), "bmp": (Bmp, ()), "ppm": (Ppm, ()), "webp": (WebP, (int,)),
        "jpeg": (Jpeg, (int, str)), "jpg": (Jpeg, (int, str)), "jpeg2000": (Jpeg2000, (float,)),
    }  # fmt: skip
    make, kinds = makers.get(name, (None, ()))
    if make is not None and len(options) <= len(kinds):
        try:
            return make(*(kind(option) for kind, option in zip(kinds, options)))
        except ValueError as error:
            if isinstance(error, ContainerError):
                raise
    raise ContainerError(
        f"container {text!r}: expected one of tiff[:lzw|deflate|packbits][:pred][:bytes], png, bmp, ppm,"
        " jpeg[:quality[:444|422|420]], jpeg2000[:ratio], webp[:quality]"
    )


def write(container: Container, codes: Codes, bits: int, palette: Palette = None) -> bytes:
    """The bytes of a file that holds `codes`, uint8 (H, W, C) below 2^bits.

    `palette`, uint8 (2^bits, 3), makes an indexed TIFF, PNG or BMP of one-band codes.
    Raises `ContainerError` if the format cannot hold them.
    """
    _check_codes(container, codes, bits)
    _check_palette(container, codes, bits, palette)
    samples = codes if container.lossless else _spread(codes, bits)
    return container.encode(np.ascontiguousarray(samples), bits, palette)


def read(source: bytes | str | Path, bits: int | None = None) -> Codes:
    """The codes, uint8 (H, W, C), of a file or its bytes; the format is told by its first bytes.

    `bits` scales lossy files back to codes and is required for them; for lossless files it is checked.
    Raises `ContainerError` for damaged files, other formats, and samples of 2^bits or more.
    """
    _require(bits is None or 1 <= bits <= 8, f"{bits} bits", "1 to 8")
    name = f"{len(source)} bytes" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        samples, lossy = formats.decode(data)
    except (ContainerError, ImageError) as error:
        raise ContainerError(f"{name}: {error}") from None
    except formats.DECODE_ERRORS as error:
        raise ContainerError(f"{name}: cannot be decoded: {formats.one_line(error)}") from error
    if lossy and bits is None:
        raise ContainerError(f"{name}: lossy samples are scaled to 0..255; say how many bits the codes have")
    if lossy and bits is not None:
        return _narrow(samples, bits)
    if bits is not None and samples.max() >> bits:
        raise ContainerError(f"{name}: expected {bits}-bit codes, found the value {samples.max()}")
    return samples


def _check_codes(container: Container, codes: Codes, bits: int) -> None:
    _require(1 <= bits <= 8, f"{bits} bits", "1 to 8")
    if codes.dtype != np.uint8 or codes.ndim != 3 or codes.size == 0:
        raise ContainerError(f"expected uint8 codes (H, W, C), got {codes.dtype} {codes.shape}")
    if codes.shape[2] not in container.bands:
        held = " or ".join(map(str, container.bands)) if len(container.bands) < 3 else f"1 to {len(container.bands)}"
        raise ContainerError(f"{container} holds {held} bands, not {codes.shape[2]}; TIFF holds any number")
    if int(codes.max()) >> bits:
        raise ContainerError(f"expected codes of {bits} bits, found the value {codes.max()}")


def _check_palette(container: Container, codes: Codes, bits: int, palette: Palette) -> None:
    if palette is None:
        return
    if not container.indexed:
        raise ContainerError(f"{container} cannot hold a palette; TIFF, PNG and BMP can")
    if codes.shape[2] != 1 or palette.dtype != np.uint8 or palette.shape != (1 << bits, 3):
        raise ContainerError(
            f"expected one band of codes and a uint8 ({1 << bits}, 3) palette, got {codes.shape[2]} bands"
            f" and {palette.dtype} {palette.shape}"
        )


def _require(condition: bool, what: str, expected: object) -> None:
    if not condition:
        raise ContainerError(f"{what}: expected {expected if isinstance(expected, str) else 'one of ' + str(expected)}")


def _spread(codes: Codes, bits: int) -> Codes:
    """Codes of 0..2^bits - 1 over 0..255, rounded."""
    top = (1 << bits) - 1
    return ((codes.astype(np.uint32) * 510 + top) // (2 * top)).astype(np.uint8)


def _narrow(samples: Codes, bits: int) -> Codes:
    """The nearest code of samples in 0..255; undoes `_spread`."""
    top = (1 << bits) - 1
    return ((samples.astype(np.uint32) * 2 * top + 255) // 510).astype(np.uint8)
