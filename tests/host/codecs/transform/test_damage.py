"""Damaged frames are told, each by what is wrong with it, and never read beyond their end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitswath.codecs.transform import TransformCodec
from bitswath.codecs.transform.codec import FAULTS
from bitswath.codecs.transform.huffman import Table
from bitswath.errors import CodecError, PackingError
from tests import transform_model as model
from tests.host.codecs.transform.cases import frames_of, random_pair, rows_of, smooth
from tests.host.codecs.transform.damage import RIGHT, UNCHECKED, fuzz_software

PATCHES = smooth(7, (5, 20, 33, 3))


@pytest.fixture(scope="module")
def codec() -> TransformCodec:
    return TransformCodec.fit(smooth(8, (30, 20, 33, 3)), quality=40)


@pytest.fixture(scope="module")
def frames(codec: TransformCodec) -> list[bytes]:
    return frames_of(codec.encode_packed(PATCHES), codec)


def refusal(codec: TransformCodec, frames: list[bytes], shape: tuple[int, int, int] = (20, 33, 3)) -> str:
    with pytest.raises(CodecError) as caught:
        codec.unpack(rows_of(frames), shape)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def signed(codec: TransformCodec, frame: bytes) -> bytes:
    return model.framed(twin_of(codec), frame[2] & 63, frame[5:])


def twin_of(codec: TransformCodec) -> model.Codec:
    ac, dc = (zip(codec.ac_counts, codec.ac_symbols), zip(codec.dc_counts, codec.dc_symbols))
    tables = [[(list(counts), list(symbols)) for counts, symbols in kind] for kind in (ac, dc)]
    deltas = codec.deltas[0], codec.deltas[1], codec.deltas[2]
    return model.Codec(
        codec.bands, np.array(codec.matrix), deltas, tables[0], list(codec.contexts), tables[1], codec.seed
    )


def test_the_first_damaged_frame_is_named(codec: TransformCodec, frames: list[bytes]) -> None:
    broken = frames[3][:9] + bytes([frames[3][9] ^ 4]) + frames[3][10:]
    assert refusal(codec, [*frames[:3], broken, broken]) == f"frame 3: {FAULTS[3]}"


def test_other_frames_come_through_and_damaged_ones_are_zeros(codec: TransformCodec, frames: list[bytes]) -> None:
    broken = [frames[0], b"\0" * 40, frames[2], frames[3][:20], frames[4]]
    codes, faults = codec.unpack_sound(rows_of(broken), (20, 33, 3))
    assert [bool(fault) for fault in faults] == [False, True, False, True, False]
    assert not codes[[1, 3]].any()
    np.testing.assert_array_equal(codes[[0, 2, 4]], codec.encode(PATCHES)[[0, 2, 4]])


def test_a_frame_that_was_cut_short_is_told_by_its_length(codec: TransformCodec, frames: list[bytes]) -> None:
    frame = frames[0]
    for end in range(len(frame)):
        rows = np.frombuffer(frame[:end], np.uint8)[None]
        assert codec.unpack_sound(rows, (20, 33, 3))[1][0] == 1
    assert "frame 0: its length is not that of its bytes" in refusal(codec, [frame[:-1]])
    no_bytes = codec.unpack_sound(np.zeros((2, 0), np.uint8), (20, 33, 3))
    assert no_bytes[1].tolist() == [1, 1]


def test_bytes_behind_a_frame_are_told(codec: TransformCodec, frames: list[bytes]) -> None:
    assert refusal(codec, [frames[0] + b"\0\0\1"]) == f"frame 0: {FAULTS[7]}"
    longer = (len(frames[0]) + 1).to_bytes(2, "little") + frames[0][2:] + b"\0"
    assert refusal(codec, [longer]) == f"frame 0: {FAULTS[3]}"
    assert refusal(codec, [signed(codec, longer)]) == f"frame 0: {FAULTS[6]}"  # fill of a whole byte
    shorter = refusal(codec, [signed(codec, frames[0][:-1])])  # what zeros in place of the end say comes first
    assert shorter in [f"frame 0: {FAULTS[fault]}" for fault in (4, 5, 6)]


def test_fill_bits_are_zeros(codec: TransformCodec, frames: list[bytes]) -> None:
    filled = next(frame for frame in frames if not frame[-1] & 1)
    assert refusal(codec, [signed(codec, filled[:-1] + bytes([filled[-1] | 1]))]) == f"frame 0: {FAULTS[6]}"


@pytest.mark.parametrize("version", [0, 2, 3])
def test_another_version_is_told(codec: TransformCodec, frames: list[bytes], version: int) -> None:
    other = model.framed(twin_of(codec), frames[0][2] & 63, frames[0][5:], version=version)
    assert refusal(codec, [other]) == f"frame 0: {FAULTS[2]}"


def test_frames_of_another_codecs_tables_are_told(codec: TransformCodec, frames: list[bytes]) -> None:
    changes = (
        {"deltas": (1, 2, 3)},
        {"matrix": tuple(tuple(-value for value in row) for row in codec.matrix)},
        {"contexts": codec.contexts[::-1]},
        {"dc_symbols": codec.dc_symbols[::-1], "dc_counts": codec.dc_counts[::-1]},
    )
    for change in changes:
        assert refusal(replace(codec, **change), frames) == f"frame 0: {FAULTS[3]}"
    for same in (replace(codec, quality=3), replace(codec, budget=900)):  # what an encoder alone goes by
        same.unpack(rows_of(frames), (20, 33, 3))


def test_another_shape_is_told_by_the_frames_end(codec: TransformCodec, frames: list[bytes]) -> None:
    for shape in ((20, 49, 3), (16, 33, 3), (200, 200, 3)):
        assert refusal(codec, frames, shape) == f"frame 0: {FAULTS[6]}"
    with pytest.raises(CodecError, match="expected patches of 3 bands, got 4"):
        codec.unpack(rows_of(frames), (20, 33, 4))
    for wrong in (np.zeros((1, 9), np.int8), np.zeros(9, np.uint8)):
        with pytest.raises(CodecError, match=r"expected uint8 frames \(N, bytes\)"):
            codec.unpack(wrong, (20, 33, 3))
    with pytest.raises(PackingError, match="2 or more bytes"):
        codec.frame_lengths(np.zeros((1, 1), np.uint8))
    assert codec.unpack(np.zeros((0, 9), np.uint8), (20, 33, 3)).shape == (0, 20, 33, 3)


def words(table: Table) -> dict[int, str]:
    return model.codes((list(table.counts), list(table.symbols)))


@pytest.mark.parametrize(
    ("tail", "fault"),
    [("11111111" + "0001" + "0", 4), ("00000000" + "1111" + "0" * 15, 5), ("00000000" + "0000" + "0", 5)],
    ids=["a run out of the block", "a level of 15 bits", "no level"],
)
def test_impossible_runs_and_levels_under_a_right_check_are_told(codec: TransformCodec, tail: str, fault: int) -> None:
    twin = twin_of(codec)
    bits = twin.dc_words[0][0] + twin.ac_words[twin.contexts[0]][model.ESCAPE] + tail
    frame = model.framed(twin, 20, model.packed_bits(bits + "0" * 40))
    assert refusal(codec, [frame], (16, 16, 3)) == f"frame 0: {FAULTS[fault]}"


def test_a_mean_out_of_range_is_told(codec: TransformCodec) -> None:
    twin = twin_of(codec)
    largest = twin.dc_words[0][14] + "0" + "1" * 13 + twin.ac_words[twin.contexts[0]][model.END]
    chroma = 2 * (twin.dc_words[1][0] + twin.ac_words[twin.contexts[28]][model.END])
    fine = model.framed(twin, 20, model.packed_bits(largest + chroma))
    codec.unpack(rows_of([fine]), (16, 16, 3))
    twice = model.framed(twin, 20, model.packed_bits(2 * (largest + chroma)))
    assert refusal(codec, [twice], (16, 32, 3)) == f"frame 0: {FAULTS[5]}"


@given(seed=st.integers(0, 2**32 - 1), bands=st.sampled_from([1, 3, 4]))
@settings(max_examples=60, deadline=None)
def test_damage_is_told_where_the_reference_tells_it(seed: int, bands: int) -> None:
    random = np.random.default_rng(seed)
    codec, twin = random_pair(random, bands)
    sound = model.encode(twin, model.random_levels(random, 2, 1, bands), int(random.integers(64)))
    made = [model.damaged(random, twin, sound, 1) for _ in range(20)]
    made = [frame for frame in made if frame]
    codes, faults = codec.unpack_sound(rows_of(made), (17, 9, bands))
    for frame, found, fault in zip(made, codes, faults):
        stated = int.from_bytes(frame[:2].ljust(2, b"\0"), "little")
        fits = len(frame) >= stated and not any(frame[stated:])
        wanted = model.decode(twin, frame[:stated] if fits else frame, 2, 1)
        if len(frame) < stated and wanted.damaged and not fault:
            assert not any(frame.ljust(stated, b"\0")[len(frame) :])  # zeros that were cut off and are there again
            continue
        assert bool(fault) == wanted.damaged
        if not fault:
            pixels = model.reconstruct(twin, wanted.levels[None], [wanted.step], 17, 9)
            np.testing.assert_array_equal(found, pixels[0])


def test_thousands_of_damaged_frames() -> None:
    tally = fuzz_software(20_000, 1)
    given, passed = tally.unchecked
    assert given > 14_000 and {*tally.given} == {*UNCHECKED, RIGHT}
    assert passed <= 5  # 2^-16 of them are 0.2
    assert {*tally.faults} == set(range(8))
