"""Strips that are done, on disk: what makes a run that was killed go on where it was.

A folder beside the map, hidden, holds `job.json`, which says what is worked on, and a file for each strip, written
whole or not at all. It is removed when the map is written.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from bitswath.basics.cache import locked
from bitswath.basics.files import write_atomic
from bitswath.errors import BackendTimeoutError, BitswathError, SceneError

__all__ = ["Strip", "Strips", "strips_beside"]

_JOB = "job.json"
_LOCK = "lock"
_LOCK_S = 1.0


@dataclass(frozen=True, eq=False)
class Strip:
    """What is known of a strip: `scores` uint16 of its cells (rows, columns, classes), `spoken` of its windows (rows,
    columns), `valid` of its own lines of pixels (lines, columns) as bits (lines, bytes); `bad`: its blocks that could
    not be read, a line each."""

    scores: NDArray[np.uint16]
    spoken: NDArray[np.bool_]
    valid: NDArray[np.uint8]
    bad: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        arrays = {"scores": self.scores, "spoken": self.spoken, "valid": self.valid}
        content: bytes = safetensors.numpy.save(arrays, {"bad": json.dumps(self.bad)})
        return content

    @classmethod
    def read(cls, path: Path) -> Strip:
        content = path.read_bytes()
        size = int.from_bytes(content[:8], "little")
        arrays = safetensors.numpy.load(content)
        bad = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["bad"])
        return cls(arrays["scores"], arrays["spoken"], arrays["valid"], tuple(bad))


class Strips:
    """The strips of one job in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done = {int(path.stem) for path in folder.glob("*.strip")}
        self.bad: list[str] = []

    def drawn(self, fresh: Iterator[tuple[int, Strip]]) -> Callable[[int], Strip]:
        """Gives strips by number: those that are done, and `fresh` ones, which are drawn until the one that is asked
        for is there, and put by. What of them is bad comes to `bad`."""

        def get(number: int) -> Strip:
            strip = self.get(number) if number in self.done else self._awaited(number, fresh)
            self.bad.extend(strip.bad)
            return strip

        return get

    def _awaited(self, number: int, fresh: Iterator[tuple[int, Strip]]) -> Strip:
        for arrived, strip in fresh:
            self.put(arrived, strip.to_bytes())
            if arrived == number:
                return strip
        raise SceneError(f"{self.folder}: strip {number} was not made; run it again")

    def put(self, number: int, content: bytes) -> None:
        """Raises `SceneError` if it cannot be written."""
        try:
            write_atomic(self._path(number), content)
            self.done.add(number)
        except OSError as error:
            raise SceneError(
                f"{self.folder}: cannot be written ({error.strerror}); what is done is kept there, run it again"
            ) from error

    def get(self, number: int) -> Strip:
        try:
            return Strip.read(self._path(number))
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise SceneError(f"{self._path(number)}: is damaged ({error}); run it with --no-resume") from error

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.strip"


@contextlib.contextmanager
def strips_beside(output: Path, job: Mapping[str, Any], *, resume: bool) -> Iterator[Strips]:
    """The strips of a job whose map will be `output`, those of an earlier run of the same job among them.

    They stay unless the work within ends well. Raises `SceneError` if another process is at it.
    """
    folder = output.with_name(f".{output.name}.strips")
    try:
        folder.mkdir(exist_ok=True)
        with _alone(folder, output):
            wanted = json.dumps(job, indent=1, sort_keys=True) + "\n"
            if not resume or not _same(folder / _JOB, wanted):
                for path in folder.glob("*"):
                    if path.name != _LOCK:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
                write_atomic(folder / _JOB, wanted.encode())
            yield Strips(folder)
            shutil.rmtree(folder)
    except OSError as error:
        if isinstance(error, BitswathError):
            raise
        raise SceneError(f"{error.filename or folder}: cannot be written ({error.strerror})") from error


@contextlib.contextmanager
def _alone(folder: Path, output: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / _LOCK, _LOCK_S))
        except BackendTimeoutError as error:
            raise SceneError(f"{output}: another process is making it; wait for it or end it") from error
        yield


def _same(path: Path, wanted: str) -> bool:
    return path.is_file() and path.read_text() == wanted
