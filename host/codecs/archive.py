"""A packed data set in one file, extension ``.bsa``.

Frames, labels, names and a JSON header with codec, shapes, classes and digests, laid out as
`bitswath.codecs.archive_layout` says. Frames come first so that they can be appended batch by batch and
mapped into memory; compressed ones differ in length and lie back to back. The preamble is written last,
in a temporary file that replaces the target, so a half-written archive never shows. Opening checks the
header's digest, that every size and length fits the file, and, up to `VERIFY_BELOW` bytes, the digests of
all sections; `Archive.verify` does so for any size.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.basics.files import sync_folder
from bitswath.codecs.archive_layout import (
    COMPRESSED_VERSION,
    FRAMES_OFFSET,
    LENGTH_TYPE,
    MAGIC,
    MAX_EXTENT,
    PREAMBLE,
    VERSION,
    Header,
    Section,
    SectionName,
    check_names,
    checked_lengths,
    read_header,
)
from bitswath.codecs.base import Codec
from bitswath.codecs.kinds import codec_from_dict
from bitswath.codecs.packing import filled_rows, stated_lengths, without_fill
from bitswath.errors import ArchiveError, CodecError, PackingError

__all__ = ["SUFFIX", "VERIFY_BELOW", "Archive", "ArchiveWriter", "is_archive", "open_archive", "write_archive"]

SUFFIX = ".bsa"
VERIFY_BELOW = 64 << 20
"""Archives of up to this many bytes are checked in full when they are opened."""

_CHUNK = 8 << 20


@dataclass(frozen=True, eq=False)
class Archive:
    """An open archive; frames are mapped from the file, labels and names are read when asked for.

    `data`: all frames' bytes, read-only; `lengths`: of each frame, int64 (N,); `patch_shape`, `code_shape`: (H, W, C).
    `batches`, `rows` and `codes` are there for every codec.
    """

    path: Path
    data: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    codec: Codec
    bits: int
    patch_shape: tuple[int, int, int]
    code_shape: tuple[int, int, int]
    classes: tuple[str, ...] | None
    header: Header

    def __len__(self) -> int:
        return self.header.count

    @property
    def frames(self) -> NDArray[np.uint8]:
        """Frames of one length, uint8 (N, frame_bytes), read-only. Raises `ArchiveError` where they differ in it."""
        if self.codec.compressed:
            raise ArchiveError(f"{self.path}: its frames differ in length; take them by rows or batches")
        return self.data.reshape(len(self), self.header.frame_bytes)

    def rows(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        """Frames start..stop, uint8 (n, W): mapped ones of one length, or compressed ones, filled up with zeros."""
        start, stop, _ = slice(start, stop).indices(len(self))
        if not self.codec.compressed:
            return self.frames[start:stop]
        first, last = self._starts[start], self._starts[max(start, stop)]
        return filled_rows(self.data[first:last], self.lengths[start:stop])

    @cached_property
    def labels(self) -> NDArray[np.int64] | None:
        """Class indices, int64 (N,), or None. Raises `ArchiveError` if they are damaged."""
        data = self._section("labels")
        if data is None:
            return None
        labels = np.frombuffer(data, "<i4").astype(np.int64)
        if self.classes is None or labels.min() < 0 or labels.max() >= len(self.classes):
            raise ArchiveError(f"{self.path}: labels do not fit its {len(self.classes or ())} classes")
        return labels

    @cached_property
    def names(self) -> tuple[str, ...] | None:
        """One name a frame, relative POSIX paths, or None. Raises `ArchiveError` if they are damaged."""
        data = self._section("names")
        if data is None:
            return None
        try:
            names = tuple(data.decode().split("\n"))
        except UnicodeDecodeError:
            raise ArchiveError(f"{self.path}: names are not UTF-8") from None
        if len(names) != len(self):
            raise ArchiveError(f"{self.path}: holds {len(self)} frames, but {len(names)} names")
        check_names(names, f"{self.path}: ")
        return names

    def codes(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        """Unpacked codes, uint8 (n, *code_shape), of frames start..stop."""
        return self.codec.unpack(self.rows(start, stop), self.patch_shape)

    def batches(self, size: int) -> Iterator[NDArray[np.uint8]]:
        """Frames, uint8 (up to size, W), in order; see `rows`."""
        for start in range(0, len(self), size):
            yield self.rows(start, start + size)

    def verify(self) -> None:
        """Read everything and compare all digests; raises `ArchiveError` naming the section that differs."""
        for name, section in self.header.sections.items():
            digest = hashlib.sha256()
            for chunk in _chunks(self.path, section):
                digest.update(chunk)
            if digest.hexdigest() != section.sha256:
                raise ArchiveError(f"{self.path}: {name} are damaged: their SHA-256 is not the header's")
        if self.codec.compressed:
            starts = self._starts[:-1]
            stated = stated_lengths(np.stack([self.data[starts], self.data[starts + 1]], axis=1))
            if (bad := np.flatnonzero(stated != self.lengths)).size:
                there = f"has {self.lengths[bad[0]]} bytes, but begins with a length of {stated[bad[0]]}"
                raise ArchiveError(f"{self.path}: frame {bad[0]} {there}")

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """Where each frame begins in `data`, and the last one ends: (N + 1,)."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    def _section(self, name: SectionName) -> bytes | None:
        section = self.header.sections.get(name)
        return None if section is None else _whole(self.path, name, section)


class ArchiveWriter:
    """Writes an archive batch by batch; use it as a context manager.

    The target appears, complete, when the block ends; an error inside leaves nothing behind.
    `shape`: (H, W, C) of the patches. Raises `ArchiveError` for frames, labels or names that do not fit.
    """

    def __init__(
        self, path: str | Path, codec: Codec, shape: tuple[int, int, int], classes: Sequence[str] | None = None
    ) -> None:
        self.path = Path(os.path.realpath(path))
        if self.path.exists() and not self.path.is_file():
            raise ArchiveError(f"{path}: is not a regular file, it is not replaced; choose another path")
        self._codec = codec
        if len(shape) != 3 or not all(1 <= extent <= MAX_EXTENT for extent in shape):
            raise ArchiveError(f"expected a patch shape (H, W, C) of 1 to {MAX_EXTENT} each, got {tuple(shape)}")
        self._patch_shape = (int(shape[0]), int(shape[1]), int(shape[2]))
        self._code_shape = codec.code_shape(self._patch_shape)
        self._classes = None if classes is None else tuple(classes)
        self._frame_bytes = codec.frame_bytes(self._patch_shape)
        self._lengths: list[NDArray[Any]] = []
        self._count = 0
        self._labels: list[NDArray[np.int32]] = []
        self._names: list[str] = []
        self._digest = hashlib.sha256()
        self._end = FRAMES_OFFSET
        self._part = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.part")
        try:
            self._file = self._part.open("xb")
        except OSError as error:
            raise ArchiveError(f"{self.path}: cannot be written: {error.strerror}") from error
        self._file.seek(FRAMES_OFFSET)

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            self.discard()

    def append(
        self,
        frames: NDArray[np.uint8],
        labels: NDArray[np.integer] | Sequence[int] | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        """Add frames, uint8 (n, frame_bytes), with labels (n,) if the archive has classes, and names; compressed frames
        as rows filled up with zeros."""
        compressed = self._codec.compressed
        if frames.dtype != np.uint8 or frames.ndim != 2 or not (compressed or frames.shape[1] == self._frame_bytes):
            raise ArchiveError(
                f"expected frames uint8 (n, {self._frame_bytes}) of patches {self._patch_shape} at"
                f" {self._codec.bits} bits, got {frames.dtype} {frames.shape}"
            )
        for what, given, before in (("labels", labels, len(self._labels)), ("names", names, len(self._names))):
            if given is not None and len(given) != len(frames):
                raise ArchiveError(f"expected {len(frames)} {what}, one a frame, got {len(given)}")
            if self._count and (given is None) != (before == 0):
                raise ArchiveError(f"expected {what} for all frames or for none")
        if len(frames) == 0:
            return
        checked = None if labels is None else self._checked(np.asarray(labels))
        check_names(names or ())
        data = np.ascontiguousarray(self._packed(frames) if compressed else frames).data
        self._put(data)
        self._digest.update(data)
        self._count += len(frames)
        self._names.extend(names or ())
        if checked is not None:
            self._labels.append(checked)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Bytes (n,) of each frame so far."""
        if self._codec.compressed:
            return np.concatenate([np.zeros(0, np.int64), *self._lengths])
        return np.broadcast_to(np.int64(self._frame_bytes), self._count)

    def close(self) -> None:
        """Write lengths, labels, names and header, and put the archive in its place."""
        if self._count == 0:
            raise ArchiveError(f"{self.path}: expected at least one frame")
        sections: dict[SectionName, Section] = {
            "frames": Section(offset=FRAMES_OFFSET, size=self._end - FRAMES_OFFSET, sha256=self._digest.hexdigest())
        }
        if self._lengths:
            sections["lengths"] = self._section(np.concatenate(self._lengths).tobytes())
        if self._labels:
            sections["labels"] = self._section(np.concatenate(self._labels).tobytes())
        if self._names:
            sections["names"] = self._section("\n".join(self._names).encode())
        header = Header(
            codec=self._codec.to_dict(),
            bits=self._codec.bits,
            patch_shape=self._patch_shape,
            code_shape=self._code_shape,
            frame_bytes=max((int(lengths.max()) for lengths in self._lengths), default=self._frame_bytes),
            count=self._count,
            classes=self._classes,
            sections=sections,
        )
        placed = self._section(header.model_dump_json().encode())
        digest = bytes.fromhex(placed.sha256)
        version = COMPRESSED_VERSION if header.compressed else VERSION
        try:
            self._file.seek(0)
            self._file.write(PREAMBLE.pack(MAGIC, version, 0, placed.offset, placed.size, digest))
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            raise ArchiveError(f"{self.path}: cannot be written: {error.strerror}") from error

    def discard(self) -> None:
        """Remove what is not finished; a target that was there stays as it was."""
        with suppress(OSError):  # closing flushes, which fails again on a full disk
            self._file.close()
        self._part.unlink(missing_ok=True)

    def _section(self, data: bytes) -> Section:
        section = Section(offset=self._end, size=len(data), sha256=hashlib.sha256(data).hexdigest())
        self._put(data)
        return section

    def _put(self, data: bytes | memoryview) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise ArchiveError(f"{self.path}: cannot be written: {error.strerror}") from error
        self._end += memoryview(data).nbytes

    def _packed(self, rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Compressed frames back to back; their lengths are noted."""
        try:
            lengths = self._codec.frame_lengths(rows)
            data = without_fill(rows, lengths)
        except PackingError as error:
            raise ArchiveError(f"{self.path}: {error}") from error
        if lengths.min() < LENGTH_TYPE.itemsize or lengths.max() > self._frame_bytes:
            raise ArchiveError(
                f"expected frames of at most {self._frame_bytes} bytes, got {lengths.min()} to {lengths.max()}"
            )
        self._lengths.append(lengths.astype(LENGTH_TYPE))
        return data

    def _checked(self, labels: NDArray[Any]) -> NDArray[np.int32]:
        classes = len(self._classes or ())
        if labels.dtype.kind not in "iu" or labels.ndim != 1 or labels.min() < 0 or labels.max() >= classes:
            raise ArchiveError(f"expected integer labels (n,) below the {classes} classes, got {labels.dtype} {labels}")
        return labels.astype("<i4")


def write_archive(
    path: str | Path,
    frames: NDArray[np.uint8],
    codec: Codec,
    shape: tuple[int, int, int],
    labels: NDArray[np.integer] | Sequence[int] | None = None,
    classes: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
) -> None:
    """Write the codec's frames, uint8 (N, W), of patches of `shape` (H, W, C) to an archive in one go."""
    with ArchiveWriter(path, codec, shape, classes) as writer:
        writer.append(frames, labels, names)


def is_archive(path: str | Path) -> bool:
    """Whether the path names an archive, by suffix or first bytes; it may still be damaged."""
    path = Path(path)
    if path.suffix == SUFFIX or not path.is_file():
        return path.suffix == SUFFIX
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def open_archive(path: str | Path, verify: bool | None = None) -> Archive:
    """Open an archive and map its frames.

    `verify`: whether to read and check everything; by default for files of up to `VERIFY_BELOW` bytes.
    Raises `ArchiveError`, naming file and reason, for anything damaged, unknown or inconsistent.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        header = read_header(path, size)
        codec = codec_from_dict(header.codec)
        if (codec.bits, codec.code_shape(header.patch_shape)) != (header.bits, header.code_shape):
            raise ArchiveError(f"{path}: its codec does not give {header.bits}-bit codes {header.code_shape}")
        if codec.compressed != header.compressed or header.frame_bytes > codec.frame_bytes(header.patch_shape):
            raise ArchiveError(f"{path}: its codec does not give frames of {header.frame_bytes} bytes")
        lengths = _lengths(path, header)
        data = np.memmap(path, np.uint8, "r", FRAMES_OFFSET, (header.sections["frames"].size,))
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be read: {error.strerror or error}") from error
    except CodecError as error:
        raise ArchiveError(f"{path}: its codec does not fit: {error}") from error
    shapes = header.patch_shape, header.code_shape
    archive = Archive(path, data, lengths, codec, header.bits, *shapes, header.classes, header)
    if verify or (verify is None and size <= VERIFY_BELOW):
        archive.verify()
    return archive


def _lengths(path: Path, header: Header) -> NDArray[np.int64]:
    section = header.sections.get("lengths")
    if section is None:
        return np.broadcast_to(np.int64(header.frame_bytes), header.count)
    return checked_lengths(header, _whole(path, "lengths", section), f"{path}: ")


def _whole(path: Path, name: SectionName, section: Section) -> bytes:
    """A section's bytes; raises `ArchiveError` if they are damaged."""
    data = b"".join(_chunks(path, section))
    if hashlib.sha256(data).hexdigest() != section.sha256:
        raise ArchiveError(f"{path}: {name} are damaged: their SHA-256 is not the header's")
    return data


def _chunks(path: Path, section: Section) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(section.offset)
            for start in range(0, section.size, _CHUNK):
                yield file.read(min(_CHUNK, section.size - start))
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be read: {error.strerror}") from error
