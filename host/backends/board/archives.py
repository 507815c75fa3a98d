"""A bitstream's folder in a zip or tar file, put where pynq and XRT can load it: into the user's cache, once.

Archives come from strangers. What is taken is a file of a known name, up to a size; whatever points out of the archive
is refused, and nothing else is unpacked.
"""

from __future__ import annotations

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from bitswath.basics.cache import cache_folder
from bitswath.basics.files import keep_folder, scratch_path, sha256_of
from bitswath.errors import BundleError

__all__ = ["is_packed", "unpacked"]

_SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tbz2", ".txz")
_TAKEN = (".bit", ".xclbin", ".hwh", ".json", ".rpt", ".py")
_WEIGHTS = "runtime_weights"
_SKIPPED = ("__MACOSX",)
_MAX_ENTRIES = 100_000
_MAX_BYTES = 1 << 30
"""Of what is taken."""
_MAX_READ = 4 << 30
"""Of all that a tar file holds, which must be read to get to its end."""
_BLOCK = 1 << 20
_ERRORS = (
    *(zipfile.BadZipFile, tarfile.TarError, OSError, RuntimeError, EOFError, ValueError, LookupError, zlib.error),
    *(lzma.LZMAError, MemoryError, OverflowError, NotImplementedError),
)


def is_packed(path: Path) -> bool:
    """Whether the path names a zip or tar file, by suffix or first bytes; it may still be damaged."""
    if not path.is_file():
        return False
    if path.name.lower().endswith(_SUFFIXES):
        return True
    try:
        with path.open("rb") as file:
            start = file.read(265)
    except OSError:
        return False
    return start[:4] == b"PK\3\4" or start[257:262] == b"ustar"


def unpacked(path: Path) -> Path:
    """The folder with what a bitstream needs of the archive, the same for the same content.

    Raises `BundleError` that names the archive and what is wrong with it, `BackendError` without a cache.
    """
    try:
        folder = cache_folder("bitstreams") / sha256_of(path)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from error
    if folder.is_dir():
        return folder
    scratch = scratch_path(folder)
    try:
        scratch.mkdir()
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK"
        _unpack(_zip_entries(path) if zipped else _tar_entries(path), path, scratch)
        keep_folder(scratch, folder)
    except BundleError:
        raise
    except _ERRORS as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise BundleError(f"{path}: is no zip or tar file, or damaged ({what}); copy it again") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


_Entries = Iterator[tuple[str, int, IO[bytes] | None]]
"""Of each file that is taken: its name, its size as said, and what to read it from, None for links and devices."""


def _unpack(entries: _Entries, path: Path, folder: Path) -> None:
    left, names = _MAX_BYTES, set()
    for name, size, file in entries:
        if file is None:
            raise BundleError(f"{path}: holds {name!r}, which is no regular file; pack what it points to")
        parts = _parts(path, name)
        if parts in names:
            raise BundleError(f"{path}: holds {name!r} twice; remove one")
        names.add(parts)
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as copy:
            while block := file.read(min(_BLOCK, left + 1)):
                left -= len(block)
                if left < 0 or size > _MAX_BYTES:
                    raise BundleError(f"{path}: holds more than {_MAX_BYTES >> 20} MiB of files for a bitstream")
                copy.write(block)
    if not names:
        raise BundleError(f"{path}: holds no bit file, no .hwh and no driver; give the archive of a deployment folder")


def _parts(path: Path, name: str) -> tuple[str, ...]:
    """Of the name. Raises `BundleError` if it leads out of the archive."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if ".." in parts or parts[:1] == ("/",) or (parts and ":" in parts[0]) or "\0" in name:
        raise BundleError(f"{path}: holds {name!r}, which points outside of it; pack the folder again")
    return parts


def _is_taken(path: Path, name: str) -> bool:
    parts = _parts(path, name)
    if not parts or parts[-1].startswith(".") or set(parts) & set(_SKIPPED):
        return False
    return parts[-1].endswith(_TAKEN) or _WEIGHTS in parts


def _zip_entries(path: Path) -> _Entries:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        _check_amount(path, len(entries), 0)
        for entry in entries:
            if not _is_taken(path, entry.filename) or entry.is_dir():
                continue
            if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
                yield entry.filename, 0, None
            with archive.open(entry) as file:
                yield entry.filename, entry.file_size, file


def _tar_entries(path: Path) -> _Entries:
    total = 0
    with tarfile.open(path, "r:*") as archive:
        for count, entry in enumerate(archive, 1):
            total += entry.size
            _check_amount(path, count, total)
            if _is_taken(path, entry.name) and not entry.isdir():
                yield entry.name, entry.size, archive.extractfile(entry) if entry.isfile() else None


def _check_amount(path: Path, entries: int, total: int) -> None:
    if entries > _MAX_ENTRIES or total > _MAX_READ:
        raise BundleError(
            f"{path}: expected at most {_MAX_ENTRIES} entries and {_MAX_READ >> 30} GiB, found more; "
            "pack the deployment folder only"
        )
