"""The image files of a folder or a zip, and all that lies beside them: nothing is passed over without being counted.

Symbolic links are followed, files and folders alike; one that leads nowhere, or back into a folder it
lies in, is an error. Names are relative to the folder or zip, with / between their parts. Those of a
zip are UTF-8 where they can be, whether or not the zip says so.
"""

from __future__ import annotations

import lzma
import os
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bitswath.errors import ImageError
from bitswath.imagery.decode import SUFFIXES

__all__ = ["MAX_FILE_BYTES", "Listing", "list_images", "parts_of", "read_file"]

MAX_FILE_BYTES = 1 << 27
"""Larger files, or larger declared sizes in a zip, are refused unread."""

_ZIP_ERRORS = (zipfile.BadZipFile, OSError, RuntimeError, EOFError, ValueError, LookupError, zlib.error, lzma.LZMAError)
_UTF8_FLAG = 0x800


@dataclass
class Listing:
    """`root`: what names are relative to; `read`: the bytes of one; `names`: of images, in order; `folders`: the
    parts of every folder's name; `left_out`: how many other files there are, by suffix, hidden folders among them."""

    root: Path
    read: Callable[[str], bytes]
    names: list[str] = field(default_factory=list)
    folders: set[tuple[str, ...]] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, name: str) -> None:
        """Count a file in, unless it is what a desktop leaves behind."""
        parts = parts_of(name)
        if is_debris(parts):
            return
        if any(part.startswith(".") for part in parts):
            self.left_out["hidden"] += 1
        elif suffix_of(name) in SUFFIXES:
            self.names.append(name)
        else:
            self.left_out[suffix_of(name) or "without suffix"] += 1


def parts_of(name: str) -> tuple[str, ...]:
    """Folders and file of a name; zips made on Windows part them by backslashes."""
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def suffix_of(name: str) -> str:
    """``.png`` of ``a/b.PNG``."""
    file = parts_of(name)[-1]
    return file[file.rfind(".") :].lower() if "." in file else ""


def is_debris(parts: tuple[str, ...]) -> bool:
    """Whether a file is what macOS and Windows put beside files, and no one's data."""
    return "__MACOSX" in parts or parts[-1].startswith("._") or parts[-1] in (".DS_Store", "Thumbs.db", "desktop.ini")


def list_images(path: Path) -> Listing:
    """What a file, a folder or a zip holds. Raises `ImageError` where it cannot be read as a whole."""
    try:
        if path.is_dir():
            listing = _list_folder(path)
        elif not path.exists():
            raise ImageError(f"{path}: {_absence(path)}")
        elif path.suffix.lower() == ".zip":
            listing = _list_zip(path)
        else:
            listing = _list_file(path)
    except OSError as error:
        raise ImageError(f"{error.filename or path}: cannot be read: {error.strerror}") from error
    listing.names.sort()
    return listing


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def _absence(path: Path) -> str:
    if path.is_symlink():
        return f"is a link to {path.readlink()}, which is not there; mend or remove it"
    return "no such file or folder"


def _list_file(path: Path) -> Listing:
    suffix = path.suffix.lower()
    if suffix == ".bsa":
        raise ImageError(f"{path}: is a packed archive, not images; open it with open_archive")
    if suffix not in SUFFIXES:
        expected = f"expected a folder, .zip, {', '.join(sorted(SUFFIXES))}"
        raise ImageError(f"{path}: unsupported suffix {path.suffix!r}; {expected}")
    return Listing(path.parent, lambda name: read_file(path), [path.name])


def _list_folder(root: Path) -> Listing:
    listing = Listing(root, lambda name: read_file(root / name))
    for folder, entry in _walk(root):
        path = folder / entry.name
        name = path.relative_to(root).as_posix()
        if entry.is_dir() and not entry.name.startswith("."):
            listing.folders.add(parts_of(name))
        elif entry.is_symlink() and _leads_nowhere(path) and suffix_of(name) not in SUFFIXES and entry.name[0] != ".":
            raise ImageError(f"{path}: {_absence(path)}")
        else:
            listing.add(name)
    return listing


def _walk(root: Path) -> Iterator[tuple[Path, os.DirEntry[str]]]:
    """All entries below a folder, with the folder each is in; a hidden folder is an entry, not looked into."""
    below = [(root, frozenset[tuple[int, int]]())]
    while below:
        folder, around = below.pop()
        status = folder.stat()
        place = status.st_dev, status.st_ino
        if place in around:
            raise ImageError(f"{folder}: is a link back to a folder that it lies in; remove it")
        with os.scandir(folder) as entries:
            for entry in entries:
                yield folder, entry
                if entry.is_dir() and not entry.name.startswith(".") and entry.name != "__MACOSX":
                    below.append((folder / entry.name, around | {place}))


def read_file(path: Path) -> bytes:
    """A regular file's bytes. Raises `ImageError` with the reason, without the name."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("is not a regular file")
        _check_bytes(status.st_size)
        return path.read_bytes()
    except OSError as error:
        raise ImageError(_absence(path) if _leads_nowhere(path) else f"cannot be read: {error.strerror}") from error


def _list_zip(path: Path) -> Listing:
    try:
        file = zipfile.ZipFile(path)
    except _ZIP_ERRORS as error:
        raise ImageError(f"{path}: not a zip, or damaged: {error}") from error
    entries: dict[str, zipfile.ZipInfo] = {}
    listing = Listing(path, lambda name: _read_entry(file, entries[name]))
    for entry in file.infolist():
        stored = _stored_name(entry)
        parts = parts_of(stored)
        if ".." in parts or stored.startswith("/"):
            raise ImageError(f"{path}: holds the entry {stored!r}, which points outside of it")
        is_folder = stored.endswith(("/", "\\"))
        listing.folders |= {parts[:depth] for depth in range(1, len(parts) + is_folder)}
        if is_folder or not parts:
            continue
        name = "/".join(parts)
        if name in entries and suffix_of(name) in SUFFIXES:
            raise ImageError(f"{path}: holds {name!r} twice; remove one")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise ImageError(f"{path}: holds the symbolic link {name!r}; zip what it points to")
        entries[name] = entry
        listing.add(name)
    return listing


def _stored_name(entry: zipfile.ZipInfo) -> str:
    """A name without the UTF-8 flag is read as code page 437 by zipfile; macOS writes UTF-8 all the same."""
    if entry.flag_bits & _UTF8_FLAG:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode()
    except UnicodeError:
        return entry.filename


def _read_entry(file: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    _check_bytes(entry.file_size)
    try:
        return file.read(entry)
    except _ZIP_ERRORS as error:
        raise ImageError(f"cannot be read from the zip: {error}") from error


def _check_bytes(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise ImageError(f"is {size} bytes; expected an image of up to {MAX_FILE_BYTES}")
