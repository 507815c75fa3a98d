"""Archives of frames that differ in length: what is written is read, and damaged lengths never pass."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitswath.codecs import archive as archive_module
from bitswath.codecs.archive import ArchiveWriter, open_archive, write_archive
from bitswath.codecs.packing import filled_rows, pack, stated_lengths, without_fill
from bitswath.codecs.transform import TransformCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import ArchiveError, CodecError, PackingError
from tests.host.codecs.transform.cases import smooth

SHAPE = (20, 33, 3)
PATCHES = smooth(3, (23, *SHAPE))
CODEC = TransformCodec.fit(smooth(4, (20, *SHAPE)), quality=40)
ROWS = CODEC.encode_packed(PATCHES)
LENGTHS = CODEC.frame_lengths(ROWS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A labelled, named archive of 23 frames."""
    target = tmp_path / "set.bsa"
    write_archive(target, ROWS, CODEC, SHAPE, np.arange(23) % 3, "abc", [f"{i}.jpg" for i in range(23)])
    return target


def test_what_is_written_is_read(path: Path) -> None:
    archive = open_archive(path)
    assert len(archive) == 23 and archive.codec == CODEC and archive.patch_shape == archive.code_shape == SHAPE
    np.testing.assert_array_equal(archive.lengths, LENGTHS)
    np.testing.assert_array_equal(archive.rows(), ROWS)
    np.testing.assert_array_equal(archive.codes(), CODEC.encode(PATCHES))
    np.testing.assert_array_equal(archive.codes(5, 9), CODEC.encode(PATCHES[5:9]))
    assert archive.labels is not None and archive.labels.tolist() == (np.arange(23) % 3).tolist()
    assert archive.names == tuple(f"{i}.jpg" for i in range(23))
    archive.verify()


def test_frames_lie_back_to_back_and_are_mapped(path: Path) -> None:
    archive = open_archive(path)
    frames = b"".join(row[:length].tobytes() for row, length in zip(ROWS, LENGTHS))
    assert path.read_bytes()[4096 : 4096 + len(frames)] == frames
    assert archive.header.sections["frames"].size == len(frames)
    assert archive.header.frame_bytes == LENGTHS.max()
    assert isinstance(archive.data, np.memmap) and not archive.data.flags.writeable


def test_batches_are_rows_as_wide_as_their_longest_frame(path: Path) -> None:
    batches = list(open_archive(path).batches(4))
    assert [len(batch) for batch in batches] == [4, 4, 4, 4, 4, 3]
    for start, batch in zip(range(0, 23, 4), batches):
        lengths = LENGTHS[start : start + 4]
        assert batch.shape[1] == -(-lengths.max() // 8) * 8
        np.testing.assert_array_equal(batch, ROWS[start : start + 4, : batch.shape[1]])


@pytest.mark.parametrize(
    "part", [slice(0, 0), slice(22, 40), slice(-3, None), slice(9, 4), slice(50, 60), slice(3, -3)]
)
def test_rows_are_cut_as_arrays_are(path: Path, part: slice) -> None:
    rows = open_archive(path).rows(part.start, part.stop)
    wanted = ROWS[part]
    assert len(rows) == len(wanted)
    np.testing.assert_array_equal(rows, wanted[:, : rows.shape[1]])
    assert not wanted[:, rows.shape[1] :].any()


def test_one_array_of_all_frames_there_is_only_where_they_have_one_length(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"set\.bsa: its frames differ in length; take them by rows or batches"):
        _ = open_archive(path).frames
    frames = pack(np.zeros((3, *SHAPE), np.uint8), 4)
    write_archive(tmp_path / "u.bsa", frames, UniformCodec(4), SHAPE)
    uniform = open_archive(tmp_path / "u.bsa")
    assert uniform.lengths.tolist() == [frames.shape[1]] * 3
    np.testing.assert_array_equal(uniform.rows(1), uniform.frames[1:])


def test_appended_batches_give_the_same_file_as_one_call(path: Path, tmp_path: Path) -> None:
    whole = open_archive(path)
    assert whole.labels is not None and whole.names is not None
    with ArchiveWriter(tmp_path / "parts.bsa", CODEC, SHAPE, "abc") as writer:
        for start, batch in zip(range(0, 23, 5), whole.batches(5)):
            writer.append(batch, whole.labels[start : start + 5], whole.names[start : start + 5])
        np.testing.assert_array_equal(writer.lengths, LENGTHS)
    assert (tmp_path / "parts.bsa").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (ROWS.astype(np.int16), "expected frames uint8"),
        (ROWS[0], "expected frames uint8"),
        (ROWS[:, :1], "2 or more bytes"),
        (ROWS[:, : LENGTHS.max() - 1], r"frame \d+: says it has \d+ bytes, its row of \d+ has others"),
        (np.where(np.arange(ROWS.shape[1]) == ROWS.shape[1] - 1, 1, ROWS).astype(np.uint8), "has others"),
        (np.zeros((1, 8), np.uint8), "frames of at most 65535 bytes, got 0 to 0"),
    ],
)
def test_rows_that_hold_no_frames_are_refused(tmp_path: Path, rows: np.ndarray, reason: str) -> None:
    with pytest.raises(ArchiveError, match=reason):
        write_archive(tmp_path / "a.bsa", rows, CODEC, SHAPE)
    assert not list(tmp_path.iterdir())


def test_frames_beyond_the_budget_are_refused(tmp_path: Path) -> None:
    tight = TransformCodec(**{key: value for key, value in CODEC.to_dict().items() if key != "kind"} | {"budget": 70})
    with pytest.raises(ArchiveError, match="frames of at most 70 bytes, got"):
        write_archive(tmp_path / "a.bsa", ROWS, tight, SHAPE)
    with pytest.raises(CodecError, match="expected a budget of at least"):
        ArchiveWriter(tmp_path / "a.bsa", tight, (600, 600, 3))


def test_rows_and_back() -> None:
    random = np.random.default_rng(0)
    lengths = random.integers(2, 60, 50)
    data = random.integers(1, 256, lengths.sum(), np.uint8)
    rows = filled_rows(data, lengths)
    assert rows.shape == (50, -(-lengths.max() // 8) * 8)
    np.testing.assert_array_equal(without_fill(rows, lengths), data)
    np.testing.assert_array_equal(stated_lengths(rows), rows[:, :2].copy().view("<u2")[:, 0])
    with pytest.raises(PackingError, match=f"frame 7: says it has {lengths[7] - 1} bytes"):
        without_fill(rows, lengths - (np.arange(50) == 7))
    assert filled_rows(data[:0], lengths[:0]).shape == (0, 8)


# damage


def test_any_flipped_bit_and_any_truncation_is_found(path: Path) -> None:
    good = path.read_bytes()
    random = np.random.default_rng(3)
    for position in {*range(64), *random.integers(64, len(good), 300).tolist(), len(good) - 1}:
        flipped = bytearray(good)
        flipped[position] ^= 1 << int(random.integers(0, 8))
        path.write_bytes(flipped)
        with pytest.raises(ArchiveError, match=r"set\.bsa: ") as caught:
            open_archive(path)
        assert "\n" not in str(caught.value)
    for data in (b"", good[:63], good[:4096], good[:5000], good[:-1], good + b"\0"):
        path.write_bytes(data)
        with pytest.raises(ArchiveError, match=r"set\.bsa: "):
            open_archive(path, verify=False)


def test_damaged_lengths_are_found_where_the_whole_is_not_checked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "VERIFY_BELOW", 100)
    good = path.read_bytes()
    section = open_archive(path).header.sections["lengths"]
    for position in range(section.offset, section.offset + section.size):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        with pytest.raises(ArchiveError, match="lengths are damaged"):
            open_archive(path)


def rewrite(path: Path, change: Callable[[dict[str, Any]], None], version: int = 2, lengths: Any = None) -> None:
    """Change header and lengths and give both right digests again."""
    data = path.read_bytes()
    offset, size = struct.unpack_from("<QQ", data, 16)
    header = json.loads(data[offset : offset + size])
    if lengths is not None:
        section, told = header["sections"]["lengths"], np.asarray(lengths, "<u2").tobytes()
        data = data[: section["offset"]] + told + data[section["offset"] + section["size"] :]
        section["sha256"] = hashlib.sha256(told).hexdigest()
    change(header)
    body = json.dumps(header).encode()
    preamble = struct.pack("<8sIIQQ32s", b"BSWATHAR", version, 0, offset, len(body), hashlib.sha256(body).digest())
    path.write_bytes(preamble + data[64:offset] + body)


def moved(by: int) -> np.ndarray:
    lengths = LENGTHS.copy()
    lengths[3] += by
    lengths[4] -= by
    return lengths


@pytest.mark.parametrize(
    ("lengths", "reason"),
    [
        (LENGTHS + 1, "that sum to"),
        (np.zeros(23, int), "lengths of 0 to 0"),
        (np.full(23, 65535), "lengths of 65535 to 65535"),
        (moved(LENGTHS[4]), "but lengths of 0 to"),
        (moved(LENGTHS.max() - LENGTHS[3] + 1), "but lengths of"),
        (moved(1), r"frame 3 has \d+ bytes, but begins with a length of \d+"),
    ],
)
def test_lengths_that_lie_are_refused(path: Path, lengths: np.ndarray, reason: str) -> None:
    rewrite(path, lambda header: None, lengths=lengths)
    with pytest.raises(ArchiveError, match=reason) as caught:
        open_archive(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 10**12},
        {"count": 22},
        {"frame_bytes": int(LENGTHS.max()) + 1},
        {"frame_bytes": 10**9},
        {"patch_shape": [10**4, 10**4, 3], "code_shape": [10**4, 10**4, 3]},
        {"patch_shape": [20, 33, 4]},
        {"codec": UniformCodec(8).to_dict()},
        {"codec": CODEC.to_dict() | {"budget": 70}},
        {"codec": CODEC.to_dict() | {"matrix": [[1]]}},
        {"sections": {}},
    ],
    ids=str,
)
def test_a_header_that_lies_is_refused(path: Path, changes: dict[str, Any]) -> None:
    rewrite(path, lambda header: header.update(changes))
    with pytest.raises(ArchiveError, match=r"set\.bsa: ") as caught:
        _ = open_archive(path)
    assert "\n" not in str(caught.value)


def test_versions_go_with_lengths(path: Path) -> None:
    good = path.read_bytes()
    rewrite(path, lambda header: None, version=1)
    with pytest.raises(ArchiveError, match="of version 1, but holds the lengths of its frames"):
        open_archive(path)
    path.write_bytes(good)
    rewrite(path, lambda header: header["sections"].pop("lengths"))
    with pytest.raises(ArchiveError, match="of version 2, but lacks the lengths of its frames"):
        open_archive(path)


GOLDEN = "14f3b6c8375365ae35dcc287be4e434e6475623519c2e538818d8fe8cfbfbd60"
"""SHA-256 of an archive as bitswath wrote it before frames could differ in length."""


def test_archives_of_one_length_are_as_they_were(tmp_path: Path) -> None:
    codes = (np.arange(10 * 8 * 6 * 3) % 16).astype(np.uint8).reshape(10, 8, 6, 3)
    names = [f"x/{i}.jpg" for i in range(10)]
    classes = ("Forest", "River", "Sea")
    write_archive(tmp_path / "a.bsa", pack(codes, 4), UniformCodec(4), (8, 6, 3), np.arange(10) % 3, classes, names)
    assert hashlib.sha256((tmp_path / "a.bsa").read_bytes()).hexdigest() == GOLDEN
