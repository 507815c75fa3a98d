"""Patches from image files: single images, folders, folders of classes, and zips of them.

`open_images` lists what is there; the source it returns decodes lazily, in batches, in a fixed order
(names sorted), on a few threads. Nothing of a zip is written to disk. Packed archives (``.bsa``) hold
codes, not images: open them with `bitswath.archive.open_archive`.

Layouts, for folders and zips alike (a single folder around everything is looked through)::

    a.jpg b.jpg                        no labels
    Forest/a.jpg River/b.jpg           labels by folder, classes sorted
    train/Forest/a.jpg test/...        the same below splits, one of which is chosen with `split`

Files with other suffixes, and hidden ones, are left out; `ImageSource.ignored` counts the former.
"""

from __future__ import annotations

import lzma
import os
import stat
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bitswath.errors import ImageError
from bitswath.imagefile import SUFFIXES, decode_image

__all__ = ["SPLITS", "Batch", "ImageSource", "open_images", "read_image"]

SPLITS = ("train", "val", "test", "valid", "validation")
"""Folder names that are splits where a folder or zip holds nothing else at its top."""

MAX_FILE_BYTES = 1 << 27
"""Larger files, or larger declared sizes in a zip, are refused unread."""

_CHUNK = 8
_ZIP_ERRORS = (zipfile.BadZipFile, OSError, RuntimeError, EOFError, ValueError, LookupError, zlib.error, lzma.LZMAError)

Item = tuple[str, int | None]


@dataclass(frozen=True)
class Batch:
    """Patches uint8 or uint16 (N, H, W, C), labels int64 (N,) or None, and N names."""

    patches: NDArray[Any]
    labels: NDArray[np.int64] | None
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class _Files:
    """Names in order, how to read one, and how many other files there are."""

    names: list[str]
    read: Callable[[str], bytes]
    ignored: int = 0


@dataclass
class ImageSource:
    """Images in a fixed order; iterate over it, or over `batches`, to decode them.

    `root`: the folder or zip that names are relative to; `items`: (name, label or None); `classes`:
    what labels index, or None; `skipped`: (name, reason) of the bad images of the last pass, with
    `skip_bad`; `ignored`: number of files that are no images by their suffix. All patches have one
    shape and dtype: `shape` and `dtype`, or those of the first good image where they are None.
    """

    root: Path
    items: list[Item]
    classes: tuple[str, ...] | None
    shape: tuple[int, int, int] | None
    dtype: np.dtype[Any] | None
    skip_bad: bool
    threads: int
    ignored: int
    read: Callable[[str], bytes] = field(repr=False)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Batch]:
        return self.batches()

    def batches(self, size: int = 256) -> Iterator[Batch]:
        """Batches of `size` good patches, the last one maybe shorter.

        Raises `ImageError` for the first bad image, or, with `skip_bad`, if no image is good.
        """
        self.skipped.clear()
        good = self._good()
        while chunk := list(islice(good, size)):
            names, labels, patches = zip(*chunk)
            yield Batch(np.stack(patches), None if self.classes is None else np.array(labels, np.int64), names)
        if len(self.skipped) == len(self):
            name, reason = self.skipped[0]
            raise ImageError(f"{self.root}: none of its {len(self)} images can be used; {name}: {reason}")

    def _good(self) -> Iterator[tuple[str, int | None, NDArray[Any]]]:
        shape, dtype = self.shape, self.dtype
        for (name, label), patch in _in_order(self._decode, self.items, self.threads):
            reason = patch if isinstance(patch, str) else _misfit(patch, shape, dtype)
            if not isinstance(patch, str) and reason is None:
                shape, dtype = patch.shape, patch.dtype
                yield name, label, patch
            elif self.skip_bad:
                self.skipped.append((name, str(reason)))
            else:
                raise ImageError(f"{self.root / name}: {reason}")

    def _decode(self, item: Item) -> NDArray[Any] | str:
        """The patch, or why there is none."""
        try:
            return decode_image(self.read(item[0]))
        except ImageError as error:
            return str(error)


def open_images(
    path: str | Path,
    *,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    shape: tuple[int, int, int] | None = None,
    dtype: DTypeLike | None = None,
    skip_bad: bool = False,
    threads: int | None = None,
) -> ImageSource:
    """The images of a file, a folder or a zip.

    `split` chooses one where there are splits. `classes` fixes what labels mean (a bundle's classes):
    folders are then looked up in it, and images are unlabelled if no folder is in it. `shape` (H, W, C)
    and `dtype` are what every image must have. `skip_bad` leaves bad images out and lists them in
    `ImageSource.skipped`. `threads` decode, by default up to 4.

    Raises `ImageError`, in one line with file and reason, if there is nothing to read.
    """
    path = Path(path)
    root, files = _list(path)
    if not files.names:
        raise ImageError(f"{path}: holds no images ({files.ignored} other files); expected {_suffixes()}")
    items, found = _label(path, files.names, split, classes)
    wanted = None if dtype is None else np.dtype(dtype)
    workers = threads or min(4, os.cpu_count() or 1)
    return ImageSource(root, items, found, shape, wanted, skip_bad, workers, files.ignored, files.read)


def read_image(path: str | Path) -> NDArray[Any]:
    """One image file's samples, uint8 or uint16 (H, W, C). Raises `ImageError` naming file and reason."""
    path = Path(path)
    try:
        return decode_image(_read_file(path))
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def _list(path: Path) -> tuple[Path, _Files]:
    """What names are relative to, and the image files of a path."""
    try:
        if path.is_dir():
            return path, _list_folder(path)
        if not path.exists():
            raise ImageError(f"{path}: no such file or folder")
    except OSError as error:
        raise ImageError(f"{error.filename or path}: cannot be read: {error.strerror}") from error
    if path.suffix.lower() == ".zip":
        return path, _list_zip(path)
    if path.suffix.lower() == ".bsa":
        raise ImageError(f"{path}: is a packed archive, not images; open it with open_archive")
    if path.suffix.lower() not in SUFFIXES:
        raise ImageError(f"{path}: unsupported suffix {path.suffix!r}; expected a folder, .zip, {_suffixes()}")
    return path.parent, _Files([path.name], lambda name: _read_file(path))


def _list_folder(root: Path) -> _Files:
    def fail(error: OSError) -> None:
        raise error

    names: list[str] = []
    for folder, folders, files in os.walk(root, onerror=fail):
        folders[:] = [name for name in folders if not _hidden(name)]
        relative = Path(folder).relative_to(root)
        names += [(relative / name).as_posix() for name in files if not _hidden(name)]
    return _chosen(names, lambda name: _read_file(root / name))


def _list_zip(path: Path) -> _Files:
    try:
        file = zipfile.ZipFile(path)
    except _ZIP_ERRORS as error:
        raise ImageError(f"{path}: not a zip, or damaged: {error}") from error
    names = []
    for entry in file.infolist():
        parts = _parts(entry.filename)
        if ".." in parts or entry.filename.startswith("/"):
            raise ImageError(f"{path}: holds the entry {entry.filename!r}, which points outside of it")
        if not entry.is_dir() and not any(map(_hidden, parts)):
            names.append(entry.filename)
    return _chosen(names, lambda name: _read_entry(file, name))


def _chosen(names: list[str], read: Callable[[str], bytes]) -> _Files:
    images = sorted({name for name in names if name[name.rfind(".") :].lower() in SUFFIXES})
    return _Files(images, read, len(names) - len(images))


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _read_file(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("is not a regular file")
        _check_bytes(status.st_size)
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror}") from error


def _read_entry(file: zipfile.ZipFile, name: str) -> bytes:
    entry = file.getinfo(name)
    _check_bytes(entry.file_size)
    try:
        return file.read(entry)
    except _ZIP_ERRORS as error:
        raise ImageError(f"cannot be read from the zip: {error}") from error


def _check_bytes(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise ImageError(f"is {size} bytes; expected an image of up to {MAX_FILE_BYTES}")


def _label(
    path: Path, names: list[str], split: str | None, classes: Sequence[str] | None
) -> tuple[list[Item], tuple[str, ...] | None]:
    """Names of the chosen split with their labels, and what the labels index."""
    parts = {name: _parts(name) for name in names}
    while len(tops := {part[0] for part in parts.values()}) == 1 and min(map(len, parts.values())) > 2:
        if tops <= {*SPLITS, *(classes or ())}:
            break
        parts = {name: part[1:] for name, part in parts.items()}
    parts = _choose_split(path, parts, split)
    folders = sorted({part[0] for part in parts.values() if len(part) > 1})
    if classes is None:
        known = tuple(folders) if len(folders) > 1 else ()
    else:
        known = tuple(classes) if set(folders) & set(classes) else ()
    if not known:
        return [(name, None) for name in parts], None
    strangers = sorted({part[0] for part in parts.values() if len(part) == 1 or part[0] not in known})
    if strangers:
        raise ImageError(f"{path}: {strangers[0]} is in none of the classes {', '.join(known)}")
    return [(name, known.index(part[0])) for name, part in parts.items()], known


def _choose_split(path: Path, parts: dict[str, tuple[str, ...]], split: str | None) -> dict[str, tuple[str, ...]]:
    """The parts below the chosen split; all of them where there are no splits."""
    tops = sorted({part[0] for part in parts.values()})
    if not set(tops) <= set(SPLITS) or min(map(len, parts.values())) == 1:
        if split is not None:
            raise ImageError(f"{path}: has no split {split!r}; expected folders named {', '.join(SPLITS[:3])} in it")
        return parts
    if split is None and len(tops) > 1:
        raise ImageError(f"{path}: holds the splits {', '.join(tops)}; choose one")
    if split is not None and split not in tops:
        raise ImageError(f"{path}: has no split {split!r}; it holds {', '.join(tops)}")
    chosen = split or tops[0]
    return {name: part[1:] for name, part in parts.items() if part[0] == chosen}


def _misfit(patch: NDArray[Any], shape: tuple[int, ...] | None, dtype: np.dtype[Any] | None) -> str | None:
    """Why a patch is not of the expected shape and dtype, or None."""
    if shape in (None, patch.shape) and dtype in (None, patch.dtype):
        return None
    expected = _describe(shape or patch.shape, dtype or patch.dtype)
    return f"is {_describe(patch.shape, patch.dtype)}; expected {expected}"


def _describe(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    kind = {1: "grey", 3: "RGB", 4: "RGBA or 4 bands"}.get(shape[2], f"{shape[2]} bands")
    return f"{shape[0]} x {shape[1]} x {shape[2]} {dtype} ({kind})"


def _suffixes() -> str:
    return ", ".join(sorted(SUFFIXES))


def _in_order(
    decode: Callable[[Item], NDArray[Any] | str], items: Sequence[Item], threads: int
) -> Iterator[tuple[Item, NDArray[Any] | str]]:
    """Each item with what `decode` makes of it, in order, decoded a little ahead on `threads` threads."""
    chunks = (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))

    def work(chunk: Sequence[Item]) -> list[tuple[Item, NDArray[Any] | str]]:
        return [(item, decode(item)) for item in chunk]

    with ThreadPoolExecutor(threads, "bitswath-images") as pool:
        pending = deque(pool.submit(work, chunk) for chunk in islice(chunks, 4 * threads))
        while pending:
            yield from pending.popleft().result()
            pending.extend(pool.submit(work, chunk) for chunk in islice(chunks, 1))
