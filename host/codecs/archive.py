"""A packed data set in one file, extension ``.bsa``.

Frames, labels, names and a JSON header with codec, shapes, classes and digests, laid out as
`bitswath.codecs.archive_layout` says. Frames come first so that they can be appended batch by batch and
mapped into memory; the preamble is written last, in a temporary file that replaces the target, so a
half-written archive never shows. Opening checks the header's digest, that every size fits the file,
and, up to `VERIFY_BELOW` bytes, the digests of all sections; `Archive.verify` does so for any size.
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
    FRAMES_OFFSET,
    MAGIC,
    MAX_EXTENT,
    PREAMBLE,
    VERSION,
    Header,
    Section,
    SectionName,
    check_names,
    read_header,
)
from bitswath.codecs.base import Codec
from bitswath.codecs.kinds import codec_from_dict
from bitswath.codecs.packing import frame_bytes, unpack
from bitswath.errors import ArchiveError, CodecError

__all__ = ["SUFFIX", "VERIFY_BELOW", "Archive", "ArchiveWriter", "is_archive", "open_archive", "write_archive"]

SUFFIX = ".bsa"
VERIFY_BELOW = 64 << 20
"""Archives of up to this many bytes are checked in full when they are opened."""

_CHUNK = 8 << 20


@dataclass(frozen=True, eq=False)
class Archive:
    """An open archive; `frames` is mapped from the file, labels and names are read when asked for.

    `frames`: uint8 (N, frame_bytes), read-only; `patch_shape`, `code_shape`: (H, W, C).
    """

    path: Path
    frames: NDArray[np.uint8]
    codec: Codec
    bits: int
    patch_shape: tuple[int, int, int]
    code_shape: tuple[int, int, int]
    classes: tuple[str, ...] | None
    header: Header

    def __len__(self) -> int:
        return len(self.frames)

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
        return unpack(self.frames[start:stop], self.code_shape, self.bits)

    def batches(self, size: int) -> Iterator[NDArray[np.uint8]]:
        """Frames, uint8 (up to size, frame_bytes), in order."""
        for start in range(0, len(self), size):
            yield self.frames[start : start + size]

    def verify(self) -> None:
        """Read everything and compare all digests; raises `ArchiveError` naming the section that differs."""
        for name, section in self.header.sections.items():
            digest = hashlib.sha256()
            for chunk in _chunks(self.path, section):
                digest.update(chunk)
            if digest.hexdigest() != section.sha256:
                raise ArchiveError(f"{self.path}: {name} are damaged: their SHA-256 is not the header's")

    def _section(self, name: SectionName) -> bytes | None:
        section = self.header.sections.get(name)
        if section is None:
            return None
        data = b"".join(_chunks(self.path, section))
        if hashlib.sha256(data).hexdigest() != section.sha256:
            raise ArchiveError(f"{self.path}: {name} are damaged: their SHA-256 is not the header's")
        return data


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
        self._frame_bytes = frame_bytes(self._code_shape, codec.bits)
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
        """Add frames, uint8 (n, frame_bytes), with labels (n,) if the archive has classes, and names."""
        if frames.dtype != np.uint8 or frames.ndim != 2 or frames.shape[1] != self._frame_bytes:
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
        data = np.ascontiguousarray(frames).data
        self._put(data)
        self._digest.update(data)
        self._count += len(frames)
        self._names.extend(names or ())
        if checked is not None:
            self._labels.append(checked)

    def close(self) -> None:
        """Write labels, names and header, and put the archive in its place."""
        if self._count == 0:
            raise ArchiveError(f"{self.path}: expected at least one frame")
        size = self._count * self._frame_bytes
        sections: dict[SectionName, Section] = {
            "frames": Section(offset=FRAMES_OFFSET, size=size, sha256=self._digest.hexdigest())
        }
        if self._labels:
            sections["labels"] = self._section(np.concatenate(self._labels).tobytes())
        if self._names:
            sections["names"] = self._section("\n".join(self._names).encode())
        header = Header(
            codec=self._codec.to_dict(),
            bits=self._codec.bits,
            patch_shape=self._patch_shape,
            code_shape=self._code_shape,
            frame_bytes=self._frame_bytes,
            count=self._count,
            classes=self._classes,
            sections=sections,
        )
        placed = self._section(header.model_dump_json().encode())
        digest = bytes.fromhex(placed.sha256)
        try:
            self._file.seek(0)
            self._file.write(PREAMBLE.pack(MAGIC, VERSION, 0, placed.offset, placed.size, digest))
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
    """Write frames, uint8 (N, frame_bytes), of patches of `shape` (H, W, C) to an archive in one go."""
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
        shape = (header.count, header.frame_bytes)
        frames = np.memmap(path, np.uint8, "r", FRAMES_OFFSET, shape)
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be read: {error.strerror or error}") from error
    except CodecError as error:
        raise ArchiveError(f"{path}: its codec does not fit: {error}") from error
    archive = Archive(path, frames, codec, header.bits, header.patch_shape, header.code_shape, header.classes, header)
    if verify or (verify is None and size <= VERIFY_BELOW):
        archive.verify()
    return archive


def _chunks(path: Path, section: Section) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(section.offset)
            for start in range(0, section.size, _CHUNK):
                yield file.read(min(_CHUNK, section.size - start))
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be read: {error.strerror}") from error
