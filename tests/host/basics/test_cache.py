"""Where kept things lie, and that two processes do not make one at once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from bitswath.basics.cache import cache_folder, locked
from bitswath.errors import BackendError, BackendTimeoutError

HOLD = """
import sys, time
from pathlib import Path
from bitswath.basics.cache import locked
with locked(Path(sys.argv[1]), 5):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_folder_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(tmp_path / "here"))
    assert cache_folder("x") == tmp_path / "here" / "x"
    monkeypatch.delenv("BITSWATH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder("x") == tmp_path / "xdg" / "bitswath" / "x"
    assert cache_folder("x").is_dir()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BITSWATH_CACHE", str(tmp_path / "file"))
    with pytest.raises(BackendError, match=r"cannot be made .*; set BITSWATH_CACHE to a folder"):
        cache_folder("x")


def test_a_lock_is_waited_for_with_a_limit_and_freed_by_the_end_of_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        begin = time.monotonic()
        with pytest.raises(BackendTimeoutError, match="another process has held this for"), locked(path, 0.5):
            pass
        assert time.monotonic() - begin >= 0.5
    finally:
        holder.kill()
        holder.wait()
    with locked(path, 5):
        pass
