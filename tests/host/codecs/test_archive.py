"""An archive gives back what was written, appears whole or not at all, and damage never passes."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitswath.codecs import archive as archive_module
from bitswath.codecs.archive import ArchiveWriter, is_archive, open_archive, write_archive
from bitswath.codecs.companded import CompandedCodec
from bitswath.codecs.packing import pack
from bitswath.codecs.palette import PaletteCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import ArchiveError

SHAPE = (8, 6, 3)
CLASSES = ("Forest", "River", "Sea")


def frames_of(count: int, bits: int = 4, shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> np.ndarray:
    codes = np.random.default_rng(seed).integers(0, 1 << bits, (count, *shape), np.uint8)
    return pack(codes, bits)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A labelled, named archive of ten 4-bit frames."""
    target = tmp_path / "set.bsa"
    names = [f"{CLASSES[i % 3]}/{i}.jpg" for i in range(10)]
    write_archive(target, frames_of(10), UniformCodec(4), SHAPE, np.arange(10) % 3, CLASSES, names)
    return target


@settings(max_examples=30, deadline=None)
@given(
    count=st.integers(1, 9),
    bits=st.integers(1, 8),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 13)),
    labelled=st.booleans(),
    name=st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=9),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    count: int,
    bits: int,
    shape: tuple[int, int, int],
    labelled: bool,
    name: str | None,
) -> None:
    path = tmp_path_factory.mktemp("archive") / "a.bsa"
    codes = np.random.default_rng(count).integers(0, 1 << bits, (count, *shape), np.uint8)
    labels = np.arange(count) if labelled else None
    classes = [f"class {i}" for i in range(count)] if labelled else None
    names = None if name is None else [f"x{name}{i}".replace("..", "") for i in range(count)]
    write_archive(path, pack(codes, bits), UniformCodec(bits), shape, labels, classes, names)
    archive = open_archive(path)
    np.testing.assert_array_equal(archive.codes(), codes)
    assert (len(archive), archive.bits, archive.patch_shape, archive.code_shape) == (count, bits, shape, shape)
    assert archive.codec == UniformCodec(bits)
    assert archive.classes == (None if classes is None else tuple(classes))
    assert archive.names == (None if names is None else tuple(names))
    assert (None if archive.labels is None else archive.labels.tolist()) == (
        None if labels is None else labels.tolist()
    )


@pytest.mark.parametrize("kind", [CompandedCodec, PaletteCodec])
def test_fitted_codecs_come_back_and_code_alike(tmp_path: Path, kind: type[CompandedCodec | PaletteCodec]) -> None:
    patches = np.random.default_rng(4).integers(0, 256, (6, *SHAPE), np.uint8)
    codec = kind.fit(patches, 3, dither="ordered")
    write_archive(tmp_path / "a.bsa", pack(codec.encode(patches), 3), codec, SHAPE)
    archive = open_archive(tmp_path / "a.bsa")
    assert archive.codec == codec
    assert archive.code_shape == (8, 6, 1 if kind is PaletteCodec else 3)
    np.testing.assert_array_equal(archive.codes(), archive.codec.encode(patches))


def test_frames_are_mapped_not_read(path: Path) -> None:
    frames = open_archive(path).frames
    assert isinstance(frames, np.memmap)
    assert not frames.flags.writeable
    assert frames.offset == 4096
    np.testing.assert_array_equal(
        frames, np.frombuffer(path.read_bytes(), np.uint8, frames.size, 4096).reshape(frames.shape)
    )


def test_appended_batches_give_the_same_file_as_one_call(path: Path, tmp_path: Path) -> None:
    whole = open_archive(path)
    assert whole.names is not None
    assert whole.labels is not None
    with ArchiveWriter(tmp_path / "parts.bsa", UniformCodec(4), SHAPE, CLASSES) as writer:
        for part in (slice(0, 3), slice(3, 3), slice(3, 10)):
            writer.append(whole.frames[part], whole.labels[part], whole.names[part])
    assert (tmp_path / "parts.bsa").read_bytes() == path.read_bytes()


def test_batches_go_through_all_frames(path: Path) -> None:
    archive = open_archive(path)
    assert [len(batch) for batch in archive.batches(4)] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate(list(archive.batches(4))), archive.frames)


def test_the_digest_is_the_sha256_of_the_section(path: Path) -> None:
    section = open_archive(path).header.sections["frames"]
    data = path.read_bytes()[section.offset : section.offset + section.size]
    assert section.sha256 == hashlib.sha256(data).hexdigest()


# written whole or not at all


def test_an_error_while_writing_leaves_the_old_archive_alone(path: Path) -> None:
    before = path.read_bytes()

    def fail() -> None:
        with ArchiveWriter(path, UniformCodec(4), SHAPE) as writer:
            writer.append(frames_of(5))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["set.bsa"]


def test_file_and_name_are_on_the_disk_before_closing_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash afterwards must not take the archive away: the content is synced, then its name in the folder."""
    steps: list[str] = []

    def watched(name: str) -> None:
        plain = getattr(os, name)

        def step(*arguments: Any, **options: Any) -> Any:
            where = Path(f"/proc/self/fd/{arguments[0]}").readlink() if name == "fsync" else Path(arguments[1])
            steps.append(f"{name} {where.relative_to(tmp_path.parent)}")
            return plain(*arguments, **options)

        monkeypatch.setattr(os, name, step)

    for name in ("fsync", "replace"):
        watched(name)
    write_archive(tmp_path / "a.bsa", frames_of(2), UniformCodec(4), SHAPE)
    written, placed, named = steps
    assert written.startswith(f"fsync {tmp_path.name}/.a.bsa.")
    assert placed == f"replace {tmp_path.name}/a.bsa"
    assert named == f"fsync {tmp_path.name}"


def test_an_empty_archive_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(ArchiveError, match="at least one frame"),
        ArchiveWriter(tmp_path / "a.bsa", UniformCodec(4), SHAPE),
    ):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("count", [1, 1000])
def test_a_full_disk_is_an_archive_error_and_leaves_nothing(tmp_path: Path, count: int) -> None:
    writer = ArchiveWriter(tmp_path / "a.bsa", UniformCodec(4), SHAPE)
    writer._file.close()
    with Path("/dev/full").open("wb") as writer._file, pytest.raises(ArchiveError, match="No space left"), writer:
        writer.append(frames_of(count))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"nowhere.*cannot be written: No such file"):
        write_archive(tmp_path / "nowhere" / "a.bsa", frames_of(1), UniformCodec(4), SHAPE)


@pytest.mark.parametrize(
    ("frames", "options", "reason"),
    [
        (frames_of(2)[:, :-1], {}, r"frames uint8 \(n, 72\)"),
        (frames_of(2).astype(np.uint16), {}, "uint16"),
        (frames_of(2)[0], {}, "expected frames"),
        (frames_of(2), {"labels": [0], "classes": CLASSES}, "2 labels"),
        (frames_of(2), {"labels": [0, 3], "classes": CLASSES}, "below the 3 classes"),
        (frames_of(2), {"labels": [0, -1], "classes": CLASSES}, "below the 3 classes"),
        (frames_of(2), {"labels": [0.0, 1.0], "classes": CLASSES}, "integer labels"),
        (frames_of(2), {"labels": [0, 0]}, "below the 0 classes"),
        (frames_of(2), {"names": ["a"]}, "2 names"),
        (frames_of(2), {"names": ["a", "../b"]}, r"\.\./b"),
        (frames_of(2), {"names": ["a", "/etc/passwd"]}, "/etc/passwd"),
        (frames_of(2), {"names": ["a", "b\nc"]}, "control characters"),
        (frames_of(2), {"names": ["a", ""]}, "relative name"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, frames: np.ndarray, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ArchiveError, match=reason):
        write_archive(tmp_path / "a.bsa", frames, UniformCodec(4), SHAPE, **options)
    assert not list(tmp_path.iterdir())


def test_labels_are_for_all_frames_or_none(tmp_path: Path) -> None:
    with (
        pytest.raises(ArchiveError, match="labels for all frames or for none"),
        ArchiveWriter(tmp_path / "a.bsa", UniformCodec(4), SHAPE, CLASSES) as writer,
    ):
        writer.append(frames_of(2), [0, 1])
        writer.append(frames_of(2))


# damage


def test_any_flipped_bit_is_found(path: Path) -> None:
    good = path.read_bytes()
    rng = np.random.default_rng(3)
    for position in {*range(64), *rng.integers(64, len(good), 400).tolist(), len(good) - 1}:
        flipped = bytearray(good)
        flipped[position] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(flipped)
        with pytest.raises(ArchiveError, match=r"set\.bsa: ") as caught:
            open_archive(path)
        assert "\n" not in str(caught.value)


def test_any_truncation_or_extension_is_found(path: Path) -> None:
    good = path.read_bytes()
    for data in (b"", good[:5], good[:63], good[:4095], good[:4096], good[:5000], good[:-1], good + b"\0"):
        path.write_bytes(data)
        with pytest.raises(ArchiveError, match=r"set\.bsa: "):
            open_archive(path, verify=False)


def test_large_archives_are_verified_on_request(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "VERIFY_BELOW", 100)
    data = bytearray(path.read_bytes())
    data[4100] ^= 1
    path.write_bytes(data)
    archive = open_archive(path)
    with pytest.raises(ArchiveError, match="frames are damaged"):
        archive.verify()
    with pytest.raises(ArchiveError, match="frames are damaged"):
        open_archive(path, verify=True)


def test_labels_are_checked_even_where_the_whole_is_not(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[open_archive(path).header.sections["labels"].offset] ^= 1
    path.write_bytes(data)
    archive = open_archive(path, verify=False)
    with pytest.raises(ArchiveError, match="labels are damaged"):
        _ = archive.labels


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the header and give it a right digest again."""
    data = path.read_bytes()
    offset, size = struct.unpack_from("<QQ", data, 16)
    header = json.loads(data[offset : offset + size])
    change(header)
    body = json.dumps(header).encode()
    preamble = struct.pack("<8sIIQQ32s", b"BSWATHAR", 1, 0, offset, len(body), hashlib.sha256(body).digest())
    path.write_bytes(preamble + data[64:offset] + body)


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 10**12},
        {"count": 11},
        {"count": 0},
        {"patch_shape": [10**9, 10**9, 3]},
        {"patch_shape": [8, 6, 4]},
        {"code_shape": [65536, 65536, 65536]},
        {"code_shape": [8, 6]},
        {"frame_bytes": 2**60},
        {"bits": 9},
        {"bits": 5},
        {"codec": {}},
        {"codec": {"kind": "unheard of"}},
        {"classes": None},
        {"classes": ["Forest"]},
        {"sections": {}},
        {"surprise": 1},
    ],
)
def test_a_header_that_lies_is_refused(path: Path, changes: dict[str, Any]) -> None:
    rewrite(path, lambda header: header.update(changes))
    with pytest.raises(ArchiveError, match=r"set\.bsa: ") as caught:
        _ = open_archive(path).labels
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "key", "value"), [("frames", "offset", 0), ("frames", "size", 2**62), ("labels", "offset", 2**40)]
)
def test_sections_outside_of_the_file_are_refused(path: Path, name: str, key: str, value: int) -> None:
    rewrite(path, lambda header: header["sections"][name].update({key: value}))
    with pytest.raises(ArchiveError, match=r"set\.bsa: "):
        open_archive(path)


def test_names_that_leave_the_folder_are_refused(path: Path) -> None:
    data = path.read_bytes()
    section = open_archive(path).header.sections["names"]
    names = b"../" + data[section.offset + 3 : section.offset + section.size]
    path.write_bytes(data[: section.offset] + names + data[section.offset + section.size :])
    rewrite(path, lambda header: header["sections"]["names"].update(sha256=hashlib.sha256(names).hexdigest()))
    archive = open_archive(path)
    with pytest.raises(ArchiveError, match=r"\.\./"):
        _ = archive.names


def test_an_unknown_version_is_named(path: Path) -> None:
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 8, 7)
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match="archive version 7; this bitswath reads versions 1 and 2"):
        open_archive(path)


def test_other_files_and_missing_ones_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"nowhere\.bsa: cannot be read: No such file"):
        open_archive(tmp_path / "nowhere.bsa")
    with pytest.raises(ArchiveError, match="cannot be read"):
        open_archive(tmp_path)
    (tmp_path / "x.bsa").write_bytes(b"\x89PNG" * 2000)
    with pytest.raises(ArchiveError, match="not a bitswath archive"):
        open_archive(tmp_path / "x.bsa")


def test_archives_are_told_by_suffix_or_first_bytes(path: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "set.dat"
    renamed.write_bytes(path.read_bytes())
    other = tmp_path / "x.zip"
    other.write_bytes(b"PK")
    assert [is_archive(p) for p in (path, renamed, other, tmp_path, tmp_path / "no.bsa")] == [
        True,
        True,
        False,
        False,
        True,
    ]
