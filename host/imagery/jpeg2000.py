"""What a JPEG 2000 file declares, read from its boxes and markers (ISO/IEC 15444-1, annexes A and I)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Jpeg2000Header", "is_jpeg2000", "read_header"]

_JP2 = b"\x00\x00\x00\x0cjP  "
_CODESTREAM = b"\xff\x4f\xff\x51"
_SIZ, _COD, _COC, _SOT, _SOD, _EOC = 0x51, 0x52, 0x53, 0x90, 0x93, 0xD9
_IRREVERSIBLE = 0
"""The 9/7 wavelet, as the last byte of the coding parameters."""


@dataclass(frozen=True)
class Jpeg2000Header:
    """`depths`: bits a sample of each band; `signed`: whether any band is; `subsampled`: whether any band has fewer
    samples than others; `irreversible`: whether any band of any tile went through the 9/7 wavelet."""

    height: int
    width: int
    depths: tuple[int, ...]
    signed: bool
    subsampled: bool
    irreversible: bool


def is_jpeg2000(data: bytes) -> bool:
    """Whether these are the first bytes of a JP2 file or of a bare codestream."""
    return data.startswith((_JP2, _CODESTREAM))


def read_header(data: bytes) -> Jpeg2000Header:
    """The header of a file's bytes. Raises ValueError or struct.error where it is damaged."""
    segments = list(_segments(data[_codestream(data) :]))
    if not segments or segments[0][0] != _SIZ:
        raise ValueError("no JPEG 2000 header")
    size = segments[0][1]
    x1, y1, x0, y0 = struct.unpack_from(">4I", size, 2)
    (bands,) = struct.unpack_from(">H", size, 34)
    components = list(struct.iter_unpack("3B", size[36 : 36 + 3 * bands]))
    if not 0 < bands == len(components):
        raise ValueError("a JPEG 2000 header without bands")
    return Jpeg2000Header(
        y1 - y0,
        x1 - x0,
        tuple((depth & 0x7F) + 1 for depth, _, _ in components),
        any(depth & 0x80 for depth, _, _ in components),
        any((dx, dy) != (1, 1) for _, dx, dy in components),
        any(_is_irreversible(marker, body, bands) for marker, body in segments),
    )


def _is_irreversible(marker: int, body: bytes, bands: int) -> bool:
    """Of a COD or COC segment: its fifth coding parameter, behind 5 bytes, or behind the number of a band and 1."""
    if marker not in (_COD, _COC):
        return False
    before = 5 if marker == _COD else 2 + (bands > 256)
    return body[before + 4] == _IRREVERSIBLE


def _codestream(data: bytes) -> int:
    """Where the codestream begins: at once, or in the box of its name."""
    if data.startswith(_CODESTREAM):
        return 0
    start = 0
    while True:
        length, kind = struct.unpack_from(">I4s", data, start)
        header = 8
        if length == 1:
            (length,), header = struct.unpack_from(">Q", data, start + 8), 16
        if kind == b"jp2c":
            return start + header
        if length < header:
            raise ValueError("no JPEG 2000 codestream")
        start += length


def _segments(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, body) of the main header and of each tile-part's."""
    at = 2
    tile_end = 0
    while at + 4 <= len(stream):
        escape, marker, length = struct.unpack_from(">BBH", stream, at)
        if escape != 0xFF or marker == _EOC:
            return
        if marker == _SOD:
            if tile_end <= at:  # the last tile-part, whose length may be left open
                return
            at = tile_end
            continue
        body = stream[at + 4 : at + 2 + length]
        if marker == _SOT:
            (part,) = struct.unpack_from(">I", body, 2)
            tile_end = at + part if part else 0
        yield marker, body
        at += 2 + length
