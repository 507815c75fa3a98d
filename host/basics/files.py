"""Writing files and folders so that a reader sees the old content or the new, never half of either."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from pathlib import Path

from bitswath.errors import InputError

__all__ = [
    "check_outputs",
    "keep_folder",
    "scratch_path",
    "sha256_of",
    "swap_folders",
    "sync_folder",
    "write_atomic",
    "write_synced",
]

_BLOCK_BYTES = 1 << 20


def write_atomic(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step; on failure the old file stays.

    A link's target is replaced, not the link; what is no regular file (a device, a pipe) is written to.
    Raises `OSError` that names `path`.
    """
    target = Path(os.path.realpath(path))
    scratch = scratch_path(target)
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(content)
            return
        write_synced(scratch, content)
        scratch.replace(target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink()
    sync_folder(target.parent)


def write_synced(path: Path, content: bytes) -> None:
    """Create `path`, which must not exist, and have `content` on the disk before returning."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def scratch_path(path: Path) -> Path:
    """A free hidden name beside `path`, on the same file system."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")


def swap_folders(scratch: Path, target: Path) -> None:
    """Move `scratch` to `target`; an old folder there is set aside until the new one is in place."""
    if not target.exists():
        scratch.rename(target)
        return
    old = scratch_path(target)
    target.rename(old)
    try:
        scratch.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def keep_folder(scratch: Path, target: Path) -> None:
    """Move a finished folder to where it is kept under its content's name, unless another process was first."""
    try:
        scratch.rename(target)
    except OSError:
        shutil.rmtree(scratch, ignore_errors=True)
        if not target.is_dir():
            raise


def check_outputs(*paths: Path | None) -> None:
    """Say so before the work if a file cannot be written after it. Raises `InputError`."""
    for path in paths:
        if path and not path.absolute().parent.is_dir():
            raise InputError(f"{path}: cannot be written, the folder {path.parent} does not exist; create it first")


def sync_folder(folder: Path) -> None:
    """Have the names in `folder` on the disk, where the system can."""
    with contextlib.suppress(OSError):  # not every file system opens folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
