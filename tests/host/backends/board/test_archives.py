"""Zip and tar files of a deployment folder, honest and hostile."""

from __future__ import annotations

import io
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bitswath.backends.board import archives
from bitswath.backends.board.archives import is_packed, unpacked
from bitswath.backends.board.overlay_folder import load_overlay
from bitswath.errors import BundleError
from tests.host.backends.board.finn.layouts import LAYOUTS, put

FINN = LAYOUTS["finn-plus 1.4"][0]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BITSWATH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "bitstreams"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    FINN(tmp_path / "in" / "deploy")
    put(tmp_path / "in" / "deploy" / "intermediate.onnx", "x" * 1000)
    put(tmp_path / "in" / "__MACOSX" / "deploy" / "driver" / "._settings.json", "x")
    put(tmp_path / "in" / "deploy" / "driver" / ".DS_Store", "x")
    return tmp_path / "in"


def zipped(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


def tarred(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as file:
        for entry, content in entries:
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tar.xz", "tgz", "download"])
def test_archives_open_as_their_folder_does(tmp_path: Path, folder: Path, ending: str) -> None:
    path = tmp_path / f"x.{ending}"
    if ending in ("zip", "download"):
        zipped(path, contents(folder))
    else:
        with tarfile.open(path, {"tgz": "w:gz", "tar.gz": "w:gz", "tar.xz": "w:xz"}.get(ending, "w")) as file:
            file.add(folder, ".")
    assert is_packed(path)
    whole, unpacked_one = load_overlay(folder), load_overlay(path)
    assert (unpacked_one.input, unpacked_one.output) == (whole.input, whole.output)
    assert unpacked_one.bitfile.read_bytes() == whole.bitfile.read_bytes()
    assert unpacked_one.bitfile.with_suffix(".hwh").is_file()
    assert sorted(contents(unpacked(path))) == [
        *("deploy/bitfile/finn-accel.bit", "deploy/bitfile/finn-accel.hwh"),
        *("deploy/driver/driver.py", "deploy/driver/settings.json"),
    ]


def test_the_same_content_is_unpacked_once(tmp_path: Path, folder: Path, cache: Path) -> None:
    path = zipped(tmp_path / "x.zip", contents(folder))
    first = unpacked(path)
    before = first.stat().st_mtime_ns
    assert unpacked(path.rename(tmp_path / "y.zip")) == first and first.stat().st_mtime_ns == before
    assert [one.name for one in cache.iterdir()] == [first.name]


@pytest.mark.parametrize("name", ["../x.bit", "/tmp/x.bit", "a/../../x.bit", "..\\x.bit", "C:\\x.bit", "../readme"])
def test_names_that_lead_out_are_refused(tmp_path: Path, cache: Path, name: str) -> None:
    for path in (
        zipped(tmp_path / "x.zip", {"driver/settings.json": b"{}", name: b"evil"}),
        tarred(tmp_path / "x.tar", (tarfile.TarInfo(name), b"evil")),
    ):
        with pytest.raises(BundleError, match=r"x\.(zip|tar): holds .*, which points outside of it"):
            unpacked(path)
    assert not list(cache.iterdir()) and not (tmp_path / "x.bit").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, cache: Path, kind: bytes) -> None:
    entry = tarfile.TarInfo("driver/settings.json")
    entry.type, entry.linkname = kind, "/etc/passwd"
    with pytest.raises(BundleError, match="which is no regular file; pack what it points to"):
        unpacked(tarred(tmp_path / "x.tar", (entry, b"")))
    link = zipfile.ZipInfo("x.bit")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(BundleError, match="which is no regular file"):
        unpacked(tmp_path / "x.zip")
    assert not list(cache.iterdir())


def test_amounts_are_limited(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = {"driver/settings.json": b"0" * 3_000_000, "x.bit": b"0" * 3_000_000}
    paths = (
        zipped(tmp_path / "x.zip", bomb),
        tarred(tmp_path / "x.tar.gz", *((tarfile.TarInfo(name), content) for name, content in bomb.items())),
    )
    assert paths[0].stat().st_size < 20_000
    for limit, amount, message in (
        ("_MAX_BYTES", 5 << 20, "more than 5 MiB of files"),
        ("_MAX_ENTRIES", 1, "at most 1 entries"),
        ("_MAX_READ", 4_000_000, "found more"),
    ):
        for path in paths[1 if limit == "_MAX_READ" else 0 :]:
            with monkeypatch.context() as patch:
                patch.setattr(archives, limit, amount)
                with pytest.raises(BundleError, match=message):
                    unpacked(path)
    assert not list(cache.iterdir())


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("x.bit")
    with pytest.raises(BundleError, match=r"holds '\./x\.bit' twice"):
        unpacked(tarred(tmp_path / "x.tar", (entry, b"a"), (tarfile.TarInfo("./x.bit"), b"b")))


def locked(path: Path) -> None:
    """Say of every entry that it is encrypted."""
    content = path.read_bytes()
    for start, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content = re.sub(
            re.escape(start) + b"." * (at - 4) + b".", lambda found: found[0][:-1] + b"\1", content, flags=re.DOTALL
        )
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: path.write_bytes(b"PK\3\4" + b"\0" * 100),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\0" * 257 + b"ustar" + b"\xff" * 500),
        locked,
    ],
)
def test_damaged_archives_are_refused(
    tmp_path: Path, folder: Path, damage: Callable[[Path], None], cache: Path
) -> None:
    path = zipped(tmp_path / "x.zip", contents(folder))
    damage(path)
    with pytest.raises(BundleError, match=r"x\.zip: is no zip or tar file, or damaged \("):
        unpacked(path)
    assert not list(cache.iterdir())


def test_archives_of_other_things_say_so(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"holds no bit file, no \.hwh and no driver"):
        unpacked(zipped(tmp_path / "x.zip", {"readme.md": b"hello"}))
    with pytest.raises(BundleError, match=r"x\.zip: expected overlay\.json .*found none"):
        load_overlay(zipped(tmp_path / "x.zip", {"x.json": b"hello"}))
    with pytest.raises(BundleError, match=r"y\.bin: expected the folder of a bitstream.*found another file"):
        load_overlay(put(tmp_path / "y.bin", "x"))


def test_errors_name_the_archive_and_not_the_cache(tmp_path: Path, folder: Path) -> None:
    entries = contents(folder)
    del entries["deploy/bitfile/finn-accel.bit"]
    with pytest.raises(BundleError, match=rf"^{tmp_path}/x\.zip/deploy/bitfile: expected a \.bit") as raised:
        load_overlay(zipped(tmp_path / "x.zip", entries))
    assert "\n" not in str(raised.value) and "cache" not in str(raised.value)
