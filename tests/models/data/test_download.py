"""`download` against a server on the loopback interface that misbehaves on demand."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitswath.errors import DatasetError
from bitswath.models.data.download import download, file_digest

CONTENT = np.random.default_rng(7).bytes(1_000_003)
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


@dataclass
class Site:
    """A served file and how the server behaves; `ranges` are the Range headers it was sent."""

    url: str = ""
    content: bytes = CONTENT
    takes_ranges: bool = True
    tells_size: bool = True
    cut_after: int | None = None
    failures: list[int] = field(default_factory=list)
    stall_s: float = 0.0
    shifted: bool = False
    ranges: list[str | None] = field(default_factory=list)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site = Site()
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.ranges.append(self.headers.get("Range"))
            if site.failures:
                self.send_error(site.failures.pop(0))
                return
            start = int(site.ranges[-1][6:-1]) if site.takes_ranges and site.ranges[-1] else 0
            total = len(site.content)
            if start >= total:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{total}")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start + site.shifted}-{total - 1}/{total}")
            if site.tells_size:
                self.send_header("Content-Length", str(total - start))
            self.end_headers()
            released.wait(site.stall_s)
            with contextlib.suppress(ConnectionError):  # the client may have given up
                self.wfile.write(site.content[start:][: site.cut_after])

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}/set.zip"
    yield site
    released.set()
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(site: Site, target: Path, **changes: object) -> Path:
    options: dict[str, Any] = {"checksum": MD5, "retries": 2, "pause_s": 0.001, "timeout_s": 5.0, "progress": False}
    return download(site.url, target, **{**options, **changes})


def test_a_file_arrives_whole_and_leaves_no_part_behind(site: Site, tmp_path: Path) -> None:
    path = fetch(site, tmp_path / "made" / "set.zip", size_bytes=len(CONTENT))
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in path.parent.iterdir()] == ["set.zip"]
    assert site.ranges == [None]


def test_a_connection_that_drops_again_and_again_is_continued_where_it_ended(site: Site, tmp_path: Path) -> None:
    site.cut_after = 300_000
    assert fetch(site, tmp_path / "set.zip").read_bytes() == CONTENT
    assert site.ranges == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_a_later_call_continues_what_an_earlier_one_left(site: Site, tmp_path: Path) -> None:
    (tmp_path / "set.zip.part").write_bytes(CONTENT[:123_456])
    assert fetch(site, tmp_path / "set.zip").read_bytes() == CONTENT
    assert site.ranges == ["bytes=123456-"]


def test_without_range_support_the_file_is_fetched_from_the_start(site: Site, tmp_path: Path) -> None:
    site.takes_ranges = False
    (tmp_path / "set.zip.part").write_bytes(b"x" * 500)
    assert fetch(site, tmp_path / "set.zip").read_bytes() == CONTENT


def test_without_range_support_a_connection_that_always_drops_ends_in_an_error(site: Site, tmp_path: Path) -> None:
    site.takes_ranges, site.cut_after = False, 1000
    with pytest.raises(DatasetError, match=r"ended after 1000 of 1000003 bytes.*1000 bytes are kept"):
        fetch(site, tmp_path / "set.zip")
    assert not (tmp_path / "set.zip").exists()
    assert len(site.ranges) == 4


def test_a_part_of_another_version_is_replaced(site: Site, tmp_path: Path) -> None:
    (tmp_path / "set.zip.part").write_bytes(b"older" * 100)
    assert fetch(site, tmp_path / "set.zip").read_bytes() == CONTENT
    assert site.ranges == ["bytes=500-", None]


@pytest.mark.parametrize("size_bytes", [None, len(CONTENT)])
def test_a_part_that_is_already_whole_is_only_checked(site: Site, tmp_path: Path, size_bytes: int | None) -> None:
    (tmp_path / "set.zip.part").write_bytes(CONTENT)
    assert fetch(site, tmp_path / "set.zip", size_bytes=size_bytes).read_bytes() == CONTENT
    assert len(site.ranges) == (0 if size_bytes else 1)


def test_a_part_longer_than_the_file_is_dropped(site: Site, tmp_path: Path) -> None:
    (tmp_path / "set.zip.part").write_bytes(CONTENT + b"more")
    assert fetch(site, tmp_path / "set.zip").read_bytes() == CONTENT


def test_a_wrong_checksum_is_an_error_and_leaves_nothing(site: Site, tmp_path: Path) -> None:
    site.content = CONTENT[:-1] + b"?"
    with pytest.raises(DatasetError, match=f"expected {MD5}, what came has md5:"):
        fetch(site, tmp_path / "set.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_size_is_an_error_before_anything_is_fetched(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected 5 bytes, the server has 1000003"):
        fetch(site, tmp_path / "set.zip", size_bytes=5)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_an_error_at_once(site: Site, tmp_path: Path) -> None:
    site.failures = [404]
    with pytest.raises(DatasetError, match="404 Not Found"):
        fetch(site, tmp_path / "set.zip")
    assert len(site.ranges) == 1


def test_a_busy_server_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.failures = [503, 429]
    assert fetch(site, tmp_path / "set.zip").read_bytes() == CONTENT


def test_a_server_that_stays_busy_is_an_error(site: Site, tmp_path: Path) -> None:
    site.failures = [503] * 9
    with pytest.raises(DatasetError, match="503 Service Unavailable; gave up after 3 attempts"):
        fetch(site, tmp_path / "set.zip")


def test_a_range_from_another_place_is_never_appended(site: Site, tmp_path: Path) -> None:
    site.shifted = True
    (tmp_path / "set.zip.part").write_bytes(CONTENT[:10])
    with pytest.raises(DatasetError, match="another range than the one from byte 10"):
        fetch(site, tmp_path / "set.zip")
    assert (tmp_path / "set.zip.part").read_bytes() == CONTENT[:10]


def test_a_size_that_is_not_told_is_no_hindrance(site: Site, tmp_path: Path) -> None:
    site.tells_size = False
    assert fetch(site, tmp_path / "set.zip").read_bytes() == CONTENT


def test_a_silent_server_times_out(site: Site, tmp_path: Path) -> None:
    site.stall_s = 20.0
    with pytest.raises(DatasetError, match=r"timed out.*gave up after 1 attempts"):
        fetch(site, tmp_path / "set.zip", timeout_s=0.1, retries=0)


def test_no_server_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no answer"):
        fetch(Site(url="http://127.0.0.1:9/set.zip"), tmp_path / "set.zip", retries=0)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x"])
def test_only_web_addresses_are_fetched(url: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected an http or https address"):
        fetch(Site(url=url), tmp_path / "x")


def test_more_bytes_than_the_disk_holds_are_refused(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="are free on this disk"):
        fetch(site, tmp_path / "set.zip", size_bytes=1 << 60)


def test_a_folder_that_cannot_be_made_is_an_error(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="cannot be written"):
        fetch(site, tmp_path / "file" / "set.zip")


def test_file_digest_takes_the_algorithm_of_its_model(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert file_digest(tmp_path / "x", "sha256:") == f"sha256:{hashlib.sha256(b'abc').hexdigest()}"
