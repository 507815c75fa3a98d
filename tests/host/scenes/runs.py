"""Runs in processes of their own, which tests may kill: forked from one that has all modules already."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import bitswath as bs
from bitswath.cli import main
from bitswath.scenes import MapSettings, map_scene
from bitswath.scenes.products import cog
from bitswath.scenes.strips import Strips

__all__ = ["Run", "limited_command", "slow_map"]

_LIMIT_S = 120.0
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


class Run:
    """A call of `work(connection, *arguments)` in a process; `heard` is what it says next."""

    def __init__(self, work: Any, *arguments: Any) -> None:
        self._heard, said = _context.Pipe(duplex=False)
        self._process = _context.Process(target=work, args=(said, *arguments), daemon=True)
        self._process.start()
        said.close()

    def heard(self) -> Any:
        assert self._heard.poll(_LIMIT_S), "it says nothing"
        return self._heard.recv()

    def kill(self) -> None:
        self._process.kill()
        self._process.join(_LIMIT_S)
        assert self._process.exitcode == -signal.SIGKILL

    def ended(self) -> int | None:
        self._process.join(_LIMIT_S)
        return self._process.exitcode


def slow_map(said: Connection, bundle: Path, scene: Path, output: Path, stride: int, pause_s: float) -> None:
    """Says "began", the number of each strip that is put by, "written" and "copied" around the last step, and how many
    windows were resumed; waits after each of them."""

    def tell(what: Any) -> None:
        said.send(what)
        time.sleep(pause_s)

    put, to_cog = Strips.put, cog._to_cog

    def put_slowly(self: Strips, number: int, content: bytes) -> None:
        put(self, number, content)
        tell(number)

    def write_slowly(*given: Any) -> None:
        tell("written")
        to_cog(*given)
        tell("copied")

    Strips.put, cog._to_cog = put_slowly, write_slowly  # type: ignore[method-assign]
    with bs.open(bundle) as accelerator:
        tell("began")
        made = map_scene(accelerator, scene, output, settings=MapSettings(stride=stride))
    said.send(made.resumed)


def limited_command(said: Connection, arguments: list[str], most_bytes: int, told: Path) -> None:
    """The command line, whose files may have at most so many bytes, as if the disk were full; says what it ended with,
    and writes into `told` what it wrote to stderr."""
    os.dup2(os.open(told, os.O_WRONLY | os.O_CREAT), 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    sys.argv = ["bitswath", *arguments]
    sys.stderr = os.fdopen(2, "w", closefd=False)
    try:
        main()
    except SystemExit as ended:
        sys.stderr.flush()
        said.send(ended.code)
