"""How a packed archive lies in its file; `bitswath.codecs.archive` reads and writes it.

Layout, all integers little-endian::

    0     magic ``BSWATHAR``, uint32 version, uint32 zero, uint64 header offset, uint64 header size,
          32 bytes SHA-256 of the header
    4096  frames: count x frame_bytes bytes, as `bitswath.codecs.packing.pack` gives them, or compressed ones,
          back to back, of which the longest has frame_bytes bytes
    ...   lengths: count x uint16, of compressed frames (version 2; others are version 1)
    ...   labels: count x int32 (absent if unlabelled)
    ...   names: UTF-8, one line each (absent if unnamed)
    ...   header: JSON, the last bytes of the file
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bitswath.basics.schema import Digest, Schema, parse_json
from bitswath.codecs.packing import frame_bytes
from bitswath.errors import ArchiveError

__all__ = [
    "COMPRESSED_VERSION",
    "FRAMES_OFFSET",
    "LENGTH_TYPE",
    "MAGIC",
    "MAX_EXTENT",
    "PREAMBLE",
    "VERSION",
    "Header",
    "Section",
    "SectionName",
    "check_names",
    "checked_lengths",
    "read_header",
]

MAGIC = b"BSWATHAR"
VERSION = 1
COMPRESSED_VERSION = 2
"""Of archives whose frames differ in length."""
PREAMBLE = struct.Struct("<8sIIQQ32s")
FRAMES_OFFSET = 4096
"""A whole page, so that frames can be mapped."""

LENGTH_TYPE = np.dtype("<u2")
"""Of a compressed frame's length."""

MAX_EXTENT = 65536
"""Largest height, width or number of bands."""

_MAX_HEADER = 64 << 20
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

SectionName = Literal["frames", "lengths", "labels", "names"]
_Extent = Annotated[int, Field(ge=1, le=MAX_EXTENT)]
_Shape = tuple[_Extent, _Extent, _Extent]


class Section(Schema):
    """Where a section lies in the file, in bytes, and its digest."""

    offset: Annotated[int, Field(ge=FRAMES_OFFSET)]
    size: Annotated[int, Field(ge=0)]
    sha256: Digest


class Header(Schema):
    """What the JSON at the end of an archive says; `frame_bytes`: of each frame, or of the longest."""

    codec: dict[str, Any]
    bits: Annotated[int, Field(ge=1, le=8)]
    patch_shape: _Shape
    code_shape: _Shape
    frame_bytes: Annotated[int, Field(ge=1)]
    count: Annotated[int, Field(ge=1)]
    classes: tuple[str, ...] | None
    sections: dict[SectionName, Section]

    @property
    def compressed(self) -> bool:
        """Whether frames differ in length."""
        return "lengths" in self.sections


def read_header(path: Path, size: int) -> Header:
    """The header of an archive file of `size` bytes, checked against that size.

    Raises `ArchiveError` for anything damaged, unknown or inconsistent, and OSError.
    """
    with path.open("rb") as file:
        start = file.read(FRAMES_OFFSET)
        if start[: len(MAGIC)] != MAGIC:
            raise ArchiveError(f"{path}: not a bitswath archive: expected it to begin with {MAGIC.decode()}")
        if len(start) < FRAMES_OFFSET:
            raise ArchiveError(f"{path}: truncated: {size} bytes do not hold an archive")
        _, version, zero, offset, length, digest = PREAMBLE.unpack_from(start)
        if version not in (VERSION, COMPRESSED_VERSION):
            known = f"versions {VERSION} and {COMPRESSED_VERSION}"
            raise ArchiveError(f"{path}: archive version {version}; this bitswath reads {known}")
        if offset + length != size or not 0 < length <= _MAX_HEADER or zero or any(start[PREAMBLE.size :]):
            raise ArchiveError(f"{path}: truncated or damaged: {size} bytes, expected {offset + length}")
        file.seek(offset)
        body = file.read(length)
    if hashlib.sha256(body).digest() != digest:
        raise ArchiveError(f"{path}: the header is damaged: its SHA-256 is not the preamble's")
    try:
        header = parse_json(Header, body, ArchiveError)
    except ArchiveError as error:
        raise ArchiveError(f"{path}: header: {error}") from None
    if header.compressed != (version == COMPRESSED_VERSION):
        held = "holds" if header.compressed else "lacks"
        raise ArchiveError(f"{path}: of version {version}, but {held} the lengths of its frames")
    _check_layout(header, offset, f"{path}: ")
    return header


def _check_layout(header: Header, end: int, where: str) -> None:
    """That sizes follow from shapes and the sections lie one behind the other."""
    sizes = {"lengths": LENGTH_TYPE.itemsize * header.count, "labels": 4 * header.count}
    if not header.compressed:
        expected = frame_bytes(header.code_shape, header.bits)
        if header.frame_bytes != expected:
            raise ArchiveError(f"{where}declares frames of {header.frame_bytes} bytes, expected {expected}")
        sizes["frames"] = header.count * header.frame_bytes
    offset = FRAMES_OFFSET
    for name in get_args(SectionName):
        section = header.sections.get(name)
        if section is None and name != "frames":
            continue
        if section is None or section.offset != offset or section.size != sizes.get(name, section.size):
            raise ArchiveError(f"{where}{name} do not lie where {header.count} frames put them")
        offset += section.size
    if offset != end:
        raise ArchiveError(f"{where}its sections end at {offset}, expected {end}")
    if "labels" in header.sections and header.classes is None:
        raise ArchiveError(f"{where}holds labels, but no classes")


def checked_lengths(header: Header, data: bytes, where: str) -> NDArray[np.int64]:
    """Bytes (count,) of each compressed frame, from their section; raises `ArchiveError` if frames of these lengths are
    not what the header says lies in the file."""
    lengths = np.frombuffer(data, LENGTH_TYPE).astype(np.int64)
    least, longest, size = int(lengths.min()), int(lengths.max()), int(lengths.sum())
    held = header.sections["frames"].size
    if least < LENGTH_TYPE.itemsize or (longest, size) != (header.frame_bytes, held):
        raise ArchiveError(
            f"{where}declares {held} bytes of frames of up to {header.frame_bytes}, but lengths of {least} to {longest}"
            f" that sum to {size}"
        )
    return lengths


def check_names(names: Sequence[str], where: str = "") -> None:
    """Raises `ArchiveError` for names that are empty, absolute, not UTF-8, or hold '..' or control characters."""
    for name in names:
        parts = re.split(r"[/\\]", name)
        if _UNFIT.search(name) or not parts[0] or ".." in parts:
            raise ArchiveError(f"{where}expected a relative name without '..' and control characters, got {name!r}")
