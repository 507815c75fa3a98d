"""Files from the web: resumed after an interruption, checked, and whole or not there at all."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import TransferSpeedColumn as SpeedColumn

from bitswath.errors import DatasetError

__all__ = ["download", "file_digest"]

_CHUNK = 1 << 18
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})


class _PassingError(Exception):
    """A failure that another attempt may not meet."""


def download(
    url: str,
    target: Path,
    *,
    checksum: str,
    size_bytes: int | None = None,
    timeout_s: float = 30.0,
    retries: int = 5,
    pause_s: float = 1.0,
    progress: bool = True,
) -> Path:
    """Fetch `url` (http or https) to `target`, which appears only when it is whole and right.

    What has come so far is kept in ``<target>.part`` and continued by the next attempt or the next
    call, where the server takes range requests. `checksum`: ``"<hashlib name>:<hex digest>"``.
    `timeout_s` bounds each wait for the server. After a dropped connection or from a busy server
    there are up to `retries` more attempts that bring nothing, `pause_s` apart, then 2, 4, ... times
    that. Raises `DatasetError`.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DatasetError(f"{url}: expected an http or https address")
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        resumed = part.exists()
        with _bar(progress) as bar:
            task = bar.add_task(target.name, total=size_bytes)
            transfer = _Transfer(url, part, size_bytes, timeout_s, bar, task)
            transfer.require_space()
            transfer.finish(retries, pause_s)
            if resumed and file_digest(part, checksum) != checksum:
                part.unlink()  # its beginning was of another version of the file
                transfer.finish(retries, pause_s)
        found = file_digest(part, checksum)
        if found != checksum:
            part.unlink()
            raise DatasetError(f"{url}: expected {checksum}, what came has {found}; it was removed, try again")
        part.replace(target)
    except OSError as error:
        raise DatasetError(f"{target}: cannot be written: {error.strerror or error}") from error
    return target


def file_digest(path: Path, like: str) -> str:
    """Digest of a file, in the form and by the algorithm of `like`, ``"md5:..."``."""
    algorithm = like.partition(":")[0]
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return f"{algorithm}:{digest.hexdigest()}"


@dataclass(frozen=True)
class _Transfer:
    """One file on its way from `url` to `part`."""

    url: str
    part: Path
    size_bytes: int | None
    timeout_s: float
    bar: Progress
    task: TaskID

    @property
    def received(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def require_space(self) -> None:
        missing = (self.size_bytes or 0) - self.received
        free = shutil.disk_usage(self.part.parent).free
        if missing > free:
            raise DatasetError(f"{self.part.parent}: {missing} bytes are to come, only {free} are free on this disk")

    def finish(self, retries: int, pause_s: float) -> None:
        """Fetch until `part` is whole, in as many attempts as bring something and `retries` that do not."""
        failures = 0
        while True:
            before = self.received
            try:
                return self.attempt()
            except _PassingError as error:
                failures = 0 if self.received > before else failures + 1
                if failures > retries:
                    kept = f"{self.received} bytes are kept, call again to go on"
                    raise DatasetError(f"{self.url}: {error}; gave up after {failures} attempts, {kept}") from error
                time.sleep(pause_s * 2 ** max(failures - 1, 0))

    def attempt(self) -> None:
        """One request for what is missing; raises `_PassingError` if it ends early."""
        start = self.received
        if start == self.size_bytes:
            return
        request = Request(self.url, headers={"User-Agent": "bitswath", "Accept-Encoding": "identity"})
        if start:
            request.add_header("Range", f"bytes={start}-")
        try:
            with urlopen(request, timeout=self.timeout_s) as response:
                start, total = _span(response, start)
                self._require_size(total)
                with self.part.open("ab" if start else "wb") as file:
                    self._copy(response, file, start, total)
        except HTTPError as error:
            self._refused(error, start)
        except URLError as error:
            raise _PassingError(f"no answer ({error.reason})") from error

    def _copy(self, response: HTTPResponse, file: BinaryIO, start: int, total: int | None) -> None:
        done = start
        while chunk := _read(response):
            file.write(chunk)
            done += len(chunk)
            self.bar.update(self.task, completed=done, total=total)
        if total is not None and done < total:
            raise _PassingError(f"the connection ended after {done} of {total} bytes")

    def _refused(self, error: HTTPError, start: int) -> None:
        if error.code == 416:  # nothing to come from there on
            if error.headers.get("Content-Range") == f"bytes */{start}":
                return
            self.part.unlink()
            raise _PassingError("the file is shorter than what was kept of it") from error
        if error.code in _BUSY:
            raise _PassingError(f"the server answered {error.code} {error.reason}") from error
        raise DatasetError(f"{self.url}: the server answered {error.code} {error.reason}") from error

    def _require_size(self, total: int | None) -> None:
        if None not in (total, self.size_bytes) and total != self.size_bytes:
            raise DatasetError(f"{self.url}: expected {self.size_bytes} bytes, the server has {total}")


def _span(response: HTTPResponse, start: int) -> tuple[int, int | None]:
    """Where the answer's first byte belongs, and the whole file's size if it is told."""
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != start:
            raise _PassingError(f"the server sent another range than the one from byte {start}")
        return start, None if match[2] == "*" else int(match[2])
    length = response.headers.get("Content-Length")
    return 0, int(length) if length else None


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read(_CHUNK)
    except (OSError, HTTPException) as error:
        raise _PassingError(f"the connection broke ({str(error) or type(error).__name__})") from error


def _bar(visible: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), SpeedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not visible)
