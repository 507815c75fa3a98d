"""What of a lossy file is the patch's own, and what all files of a data set have in common.

Small patches make heads large: 609 bytes of each JPEG are tables, 275 of each AVIF boxes. Who sends many patches of one
shape need not repeat them. A `SharedHead` keeps them once; the payload is the rest, as long as the link says that it
is, and file and payload are made from each other. JPEG's Huffman tables are fitted to the training split, others are
taken as they are. JPEG XL's codestream has no head worth the name.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import ContainerError
from bitswath.models.study.lossy.formats import LossyFormat
from bitswath.models.study.lossy.huffman import (
    DHT,
    EOI,
    SOS,
    Segments,
    Table,
    coded,
    counted,
    fitted_table,
    legal_symbols,
    read_scan,
    read_segments,
)

__all__ = ["SharedHead", "fitted_head", "head_of"]


@dataclass(frozen=True)
class SharedHead:
    """What files of one format, quality and shape share: `head`, bytes before the payload, and for JPEG its Huffman
    tables (DC 0, DC 1, AC 0, AC 1)."""

    kind: str
    head: bytes
    tables: tuple[Table | None, ...] = field(default=())

    def payload(self, file: bytes) -> bytes:
        """Of a file. Raises `ContainerError` where its head is another."""
        if self.tables:
            image = read_segments(file)
            own, payload = _written_head(image, self.tables), coded(read_scan(image), self.tables)
        else:
            payload = file[_STARTS[self.kind](file) :]
            own = file[: len(file) - len(payload)]
        if own != self._before(payload):
            raise ContainerError(
                f"expected {self.kind} files that begin as those the head is from, got another; are shapes the same?"
            )
        return payload

    def file(self, payload: bytes) -> bytes:
        """The file of a payload, which any decoder of the format reads."""
        return self._before(payload) + payload + (bytes([0xFF, EOI]) if self.tables else b"")

    def _before(self, payload: bytes) -> bytes:
        head = bytearray(self.head)
        for place, order, more in _lengths(self.kind, self.head):
            struct.pack_into(order, head, place, len(payload) + more)
        return bytes(head)


def fitted_head(chosen: LossyFormat, patches: NDArray[np.uint8]) -> SharedHead:
    """What the files of patches (N, H, W, C) of the training split share; raises as `LossyFormat.encode`."""
    return head_of(chosen.kind, [chosen.encode(patch) for patch in (patches if chosen.kind == "jpeg" else patches[:1])])


def head_of(kind: str, files: Sequence[bytes]) -> SharedHead:
    """What files of one kind, quality and shape share: of JPEG with tables fitted to all of them, else the first's."""
    if kind == "jpeg":
        return _jpeg_head(files)
    return SharedHead(kind, files[0][: _STARTS[kind](files[0])])


def _jpeg_head(files: Sequence[bytes]) -> SharedHead:
    """Markers and tables; a symbol that no file has gets a long code, so that every other patch can be written."""
    first = read_segments(files[0])
    counts = counted(read_scan(read_segments(file)) for file in files)
    tables: list[Table | None] = []
    for kind in (0, 1):
        for number in (0, 1):
            row = counts[2 * kind + number]
            row[legal_symbols(kind)] += 1
            tables.append(fitted_table(row.tolist()) if (kind, number) in first.tables else None)
    return SharedHead("jpeg", _written_head(first, tables), tuple(tables))


def _written_head(image: Segments, tables: Sequence[Table | None]) -> bytes:
    """A file's markers up to its scan, with these tables for its own."""
    head = b"\xff\xd8"
    for marker, body in image.segments:
        if marker == SOS:
            head += b"".join(_segment(DHT, _written(place, table)) for place, table in enumerate(tables) if table)
        if marker != DHT:
            head += _segment(marker, body)
    return head


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def _written(place: int, table: Table) -> bytes:
    kind, number = divmod(place, 2)
    return bytes([kind << 4 | number, *table.lengths, *table.symbols])


def _after(mark: bytes, more: int) -> Callable[[bytes], int]:
    def start(file: bytes) -> int:
        place = file.find(mark)
        if place < 0:
            raise ContainerError(f"expected {mark!r} in a file of {len(file)} bytes")
        return place + more

    return start


_STARTS: dict[str, Callable[[bytes], int]] = {
    "webp": _after(b"VP8 ", 8),
    "jpeg2000": _after(b"\xff\x93", 2),
    "jpegxl": lambda file: 0,
    "avif": _after(b"mdat", 4),
}
"""Where a file's payload begins: behind WebP's chunk header, JPEG 2000's start of data, AVIF's box of media data."""


def _lengths(kind: str, head: bytes) -> list[tuple[int, str, int]]:
    """The places of a head that hold a length, how it is written, and by how much it is more than the payload's."""
    if kind == "webp":
        return [(4, "<I", len(head) - 8), (len(head) - 4, "<I", 0)]
    if kind == "jpeg2000":  # Psot: the tile-part from its SOT marker on, without the end of the codestream
        start = head.index(b"\xff\x90")
        return [(start + 6, ">I", len(head) - start - 2)]
    if kind == "avif":  # the extent's length in iloc, and the box's own
        return [(head.index(b"iloc") + 22, ">I", 0), (len(head) - 8, ">I", 8)]
    return []
