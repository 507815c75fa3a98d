"""A file is replaced whole, and what is no file is left what it is."""

import errno
import os
from pathlib import Path

import pytest

from bitswath.basics.files import keep_folder, write_atomic


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    for content in (b"old", b"new"):
        write_atomic(tmp_path / "a", content)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    write_atomic(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomic(tmp_path / "pipe", b"new")
        assert os.read(reader, 10) == b"new"
    finally:
        os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_an_error_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        write_atomic(tmp_path / "none" / "a", b"new")
    assert caught.value.filename == str(tmp_path / "none" / "a")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_named() -> None:
    with pytest.raises(OSError, match="/dev/full") as caught:
        write_atomic(Path("/dev/full"), b"new")
    assert caught.value.errno == errno.ENOSPC


def test_a_folder_that_is_kept_is_the_first_one(tmp_path: Path) -> None:
    """Of two processes that make the same: the second one's is left out, and both find it."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "who").write_text(name)
        keep_folder(tmp_path / name, tmp_path / "kept")
    assert (tmp_path / "kept" / "who").read_text() == "first" and not (tmp_path / "second").exists()
    with pytest.raises(OSError, match="No such file"):
        keep_folder(tmp_path / "first", tmp_path / "none" / "kept")
