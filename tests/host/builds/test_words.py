"""Frames as the words of a build's links: dense ones, and compressed ones that differ in length."""

from __future__ import annotations

import numpy as np
import pytest

from bitswath.builds.design import Link
from bitswath.builds.words import check_sound, fill_words, read_words
from bitswath.codecs.packing import pack
from bitswath.errors import InputError
from tests.host.compressed_frames import frame, rows_of

DENSE = Link(stream="frames", width=64, words=2, values=21, bits=4)
COMPRESSED = Link(stream="frames", width=64, words=5, values=768, bits=8, compressed=True)


def test_dense_frames_have_the_links_words() -> None:
    codes = np.random.default_rng(1).integers(0, 16, (3, 21), np.uint8)
    words = fill_words(DENSE, pack(codes, 4))
    assert words.counts.tolist() == [2, 2, 2]
    np.testing.assert_array_equal(words.data.reshape(3, 16)[:, :11], pack(codes, 4))
    assert not words.data.reshape(3, 16)[:, 11:].any()
    with pytest.raises(InputError, match=r"expected frames of shape \(N, 11\) at 4 bits, got \(3, 12\)"):
        fill_words(DENSE, np.zeros((3, 12), np.uint8))


@pytest.mark.parametrize("seed", range(5))
def test_compressed_frames_begin_at_words_and_take_no_more_than_they_need(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = [frame(rng.integers(0, 256, size, np.uint8)) for size in rng.integers(0, 36, 20)]
    words = fill_words(COMPRESSED, rows_of(frames))
    assert words.counts.tolist() == [-(-len(one) // 8) for one in frames]
    assert words.data.tobytes() == b"".join(one.ljust(-(-len(one) // 8) * 8, b"\0") for one in frames)


def test_no_compressed_frames_are_no_words() -> None:
    words = fill_words(COMPRESSED, np.zeros((0, 0), np.uint8))
    assert (words.data.size, words.counts.size) == (0, 0)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda rows: rows[1].__setitem__(0, 41), "frame 1: the build takes frames of up to 40 bytes"),
        (lambda rows: rows[1].__setitem__(1, 1), "frame 1: its length is not that of its bytes"),
        (lambda rows: rows[1].__setitem__(slice(0, 2), (4, 0)), "frame 1: its length is not that of its bytes"),
        (lambda rows: rows[2].__setitem__(2, 0x80), "frame 2: it is of another version"),
        (lambda rows: rows[0].__setitem__(-1, 1), "frame 0: bytes follow its end"),
    ],
)
def test_a_frame_whose_header_is_wrong_is_named(change: object, what: str) -> None:
    rows = rows_of([frame(bytes(size)) for size in (3, 20, 35)], 48)
    fill_words(COMPRESSED, rows)
    change(rows)  # type: ignore[operator]
    with pytest.raises(InputError, match=what):
        fill_words(COMPRESSED, rows)


@pytest.mark.parametrize("frames", [np.zeros((2, 4), np.uint8), np.zeros(9, np.uint8), np.zeros((2, 9), np.int64)])
def test_what_cannot_be_compressed_frames_is_refused(frames: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"expected (compressed )?frames"):
        fill_words(COMPRESSED, frames)


def test_the_last_byte_of_a_frame_is_its_status_and_no_value() -> None:
    link = Link(stream="results", width=64, words=2, values=3, bits=20, signed=True, status=True)
    values = np.array([[-5, 7, -(1 << 19)], [0, 1, 2]], np.int64)
    raw = np.zeros((2, 16), np.uint8)
    raw[:, :8] = pack((values[..., np.newaxis] >> np.arange(0, 20, 4) & 15).astype(np.uint8).reshape(2, -1), 4)
    raw[1, -1] = 1
    np.testing.assert_array_equal(read_words(link, [row.tobytes() for row in raw]), values)
    check_sound(raw[:1, -1])
    with pytest.raises(InputError, match="frame 1: it is damaged"):
        check_sound(raw[:, -1])
