"""Packed bytes are what numpy's and FINN's own packers make, and unpack to the same codes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bitswath.errors import PackingError
from bitswath.packing import folded_frame_bytes, frame_bytes, pack, pack_folded, unpack, unpack_folded

WIDTHS = range(1, 9)
seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(1, 9), min_size=0, max_size=4).map(tuple)


def random_codes(seed: int, frames: int, shape: tuple[int, ...], bits: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 1 << bits, (frames, *shape), dtype=np.uint8)


def numpy_packed(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    rows = codes.reshape(len(codes), math.prod(codes.shape[1:]), 1)
    stream = np.unpackbits(rows, axis=2, count=bits, bitorder="little")
    return np.packbits(stream.reshape(len(codes), -1), axis=1, bitorder="little")


@given(seed=seeds, frames=st.integers(1, 4), shape=shapes, bits=st.integers(1, 8))
def test_dense_packing_equals_numpys_bit_stream_and_unpacks(
    seed: int, frames: int, shape: tuple[int, ...], bits: int
) -> None:
    codes = random_codes(seed, frames, shape, bits)
    packed = pack(codes, bits)
    assert packed.shape == (frames, frame_bytes(shape, bits))
    np.testing.assert_array_equal(packed, numpy_packed(codes, bits))
    np.testing.assert_array_equal(unpack(packed, shape, bits), codes)


@pytest.mark.parametrize("bits", WIDTHS)
def test_every_frame_length_packs_like_numpy(bits: int) -> None:
    for count in range(200):
        codes = random_codes(count, 2, (count,), bits)
        packed = pack(codes, bits)
        if count:
            np.testing.assert_array_equal(packed, numpy_packed(codes, bits))
        np.testing.assert_array_equal(unpack(packed, (count,), bits), codes)


def test_layout_is_little_endian() -> None:
    assert pack(np.array([[1, 2, 3]], np.uint8), 4).tolist() == [[0x21, 0x03]]
    assert pack(np.array([[1, 0, 0, 0, 0, 0, 0, 0, 1]], np.uint8), 1).tolist() == [[1, 1]]
    assert pack(np.array([[5], [7]], np.uint8), 3).tolist() == [[5], [7]]


def test_strided_codes_pack_in_c_order() -> None:
    codes = random_codes(1, 3, (5, 4), 3)
    np.testing.assert_array_equal(pack(codes.transpose(0, 2, 1), 3), pack(codes.transpose(0, 2, 1).copy(), 3))
    np.testing.assert_array_equal(pack(codes[:, ::2], 3), pack(codes[:, ::2].copy(), 3))
    packed = np.asfortranarray(pack(codes, 3))
    np.testing.assert_array_equal(unpack(packed, (5, 4), 3), codes)


def test_no_frames_pack_to_no_frames() -> None:
    assert pack(np.empty((0, 4, 4), np.uint8), 3).shape == (0, 6)
    assert unpack(np.empty((0, 6), np.uint8), (4, 4), 3).shape == (0, 4, 4)
    assert pack_folded(np.empty((0, 4, 4), np.int8), 3, True, 2).shape == (0, 8)
    assert unpack_folded(np.empty((0, 8), np.uint8), (4, 4), 3, True, 2).shape == (0, 4, 4)


@given(seed=seeds, bits=st.integers(1, 7), excess=st.integers(0, 255), shape=shapes)
def test_first_code_out_of_range_is_named(seed: int, bits: int, excess: int, shape: tuple[int, ...]) -> None:
    codes = random_codes(seed, 3, shape, bits)
    value = max(excess, 1 << bits)
    position = int(np.random.default_rng(seed).integers(codes.size))
    codes.reshape(-1)[position:] = value
    index = tuple(int(i) for i in np.unravel_index(position, codes.shape))
    with pytest.raises(PackingError) as caught:
        pack(codes, bits)
    assert str(caught.value) == f"expected codes below {1 << bits} for {bits} bit, got {value} at index {index}"


@pytest.mark.parametrize(
    "codes",
    [np.zeros((2, 3), np.int8), np.zeros((2, 3), np.uint16), np.full((2, 3), np.nan), np.uint8(3)],
    ids=["int8", "uint16", "nan", "scalar"],
)
def test_codes_of_another_type_are_refused(codes: NDArray[np.uint8]) -> None:
    with pytest.raises(PackingError, match="expected uint8 codes"):
        pack(codes, 4)


@pytest.mark.parametrize("bits", [0, 9, -1, 4.0, "4"])
def test_width_out_of_range_is_refused(bits: int) -> None:
    with pytest.raises(PackingError, match=r"width of 1\.\.8 bit"):
        pack(np.zeros((1, 8), np.uint8), bits)
    with pytest.raises(PackingError, match=r"width of 1\.\.8 bit"):
        unpack(np.zeros((1, 8), np.uint8), (8,), bits)


@pytest.mark.parametrize(
    "frames",
    [np.zeros((2, 5), np.uint8), np.zeros((2, 7), np.uint8), np.zeros(6, np.uint8), np.zeros((2, 6), np.int8)],
    ids=["short", "long", "flat", "int8"],
)
def test_frames_of_another_size_are_refused(frames: NDArray[np.uint8]) -> None:
    with pytest.raises(PackingError, match=r"expected uint8 frames \(N, 6\)"):
        unpack(frames, (4, 4), 3)
    with pytest.raises(PackingError, match=r"expected uint8 frames \(N, 6\)"):
        unpack_folded(frames, (2, 12), 2, False, 12)


def test_negative_extents_are_refused() -> None:
    with pytest.raises(PackingError, match="negative"):
        unpack(np.zeros((1, 1), np.uint8), (-1, -8), 1)


# FINN's own packer is the reference of folded packing. `finn.util.data_packing` brings neither
# torch nor triton, so it may meet TensorFlow here.


def finn_type(bits: int, signed: bool) -> str:
    return "BIPOLAR" if signed and bits == 1 else f"{'INT' if signed else 'UINT'}{bits}"


def finn_packed(values: NDArray[np.integer], bits: int, signed: bool, group: int) -> NDArray[np.uint8]:
    packing = pytest.importorskip("finn.util.data_packing", reason="FINN is not installed (extra: hw)")
    from qonnx.core.datatype import DataType

    folded = values.reshape(len(values), -1, group)
    floats = folded.astype(np.float32)
    assert (floats == folded).all(), "FINN packs through float32"
    packed = packing.finnpy_to_packed_bytearray(
        floats, DataType[finn_type(bits, signed)], reverse_inner=True, reverse_endian=True
    )
    return np.asarray(packed, np.uint8).reshape(len(values), -1)


def finn_unpacked(
    frames: NDArray[np.uint8], shape: tuple[int, ...], bits: int, signed: bool, group: int
) -> NDArray[np.float32]:
    packing = pytest.importorskip("finn.util.data_packing", reason="FINN is not installed (extra: hw)")
    from qonnx.core.datatype import DataType

    folded = (len(frames), math.prod(shape) // group, group)
    groups = frames.reshape(len(frames), folded[1], -1)
    values = packing.packed_bytearray_to_finnpy(
        groups, DataType[finn_type(bits, signed)], folded, reverse_inner=True, reverse_endian=True
    )
    return np.asarray(values).reshape(len(frames), *shape)


def random_values(bits: int, signed: bool, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Both ends of the type's range and values between, as far as float32 holds them exactly."""
    rng = np.random.default_rng(bits)
    if signed and bits == 1:
        return rng.choice([-1, 1], shape)
    lo, hi = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    values = rng.integers(max(lo, -(1 << 24)), min(hi, 1 << 24), shape, endpoint=True)
    values.reshape(-1)[:2] = max(lo, -(1 << 24)), min(hi, 1 << 24)
    return values


@pytest.mark.parametrize("group", [1, 2, 3, 4, 6, 12])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("bits", [*WIDTHS, 11, 16, 21, 24, 32])
def test_folded_packing_equals_finns(bits: int, signed: bool, group: int) -> None:
    shape = (3, 2, 12)
    values = random_values(bits, signed, (2, *shape))
    frames = pack_folded(values, bits, signed, group)
    assert frames.shape == (2, folded_frame_bytes(shape, bits, group))
    np.testing.assert_array_equal(frames, finn_packed(values, bits, signed, group))
    unpacked = unpack_folded(frames, shape, bits, signed, group)
    np.testing.assert_array_equal(unpacked, values)
    np.testing.assert_array_equal(unpacked, finn_unpacked(frames, shape, bits, signed, group))


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_32_bit_ends_survive(signed: bool) -> None:
    ends = np.array([[-(1 << 31), (1 << 31) - 1]] if signed else [[0, (1 << 32) - 1]])
    unpacked = unpack_folded(pack_folded(ends, 32, signed, 2), (2,), 32, signed, 2)
    assert unpacked.dtype == (np.int32 if signed else np.int64)
    np.testing.assert_array_equal(unpacked, ends)
    little_endian = ends.astype("<i4" if signed else "<u4").view(np.uint8)
    np.testing.assert_array_equal(pack_folded(ends, 32, signed, 2), little_endian)


@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", ">i2", "u4", "i4", "i8"])
def test_folded_values_of_any_integer_type_pack_alike(dtype: str) -> None:
    values = np.random.default_rng(5).integers(0, 8, (2, 6, 4))
    np.testing.assert_array_equal(
        pack_folded(values.astype(dtype), 4, False, 4), pack_folded(values.astype(np.int64), 4, False, 4)
    )


@pytest.mark.parametrize(
    ("bits", "signed", "value", "kind"),
    [
        (4, True, 8, "INT4"),
        (4, True, -9, "INT4"),
        (4, False, -1, "UINT4"),
        (4, False, 16, "UINT4"),
        (1, True, 0, "BIPOLAR"),
    ],
)
def test_first_folded_value_out_of_range_is_named(bits: int, signed: bool, value: int, kind: str) -> None:
    values = np.ones((2, 3, 4), np.int16)
    values[1, 2, 1] = value
    with pytest.raises(PackingError, match=rf"expected {kind}.* values, got {value} at index \(1, 2, 1\)"):
        pack_folded(values, bits, signed, 4)


def test_groups_that_do_not_divide_the_innermost_axis_are_refused() -> None:
    with pytest.raises(PackingError, match="group size"):
        pack_folded(np.zeros((1, 2, 3), np.uint8), 4, False, 2)
    with pytest.raises(PackingError, match="at most int64"):
        pack_folded(np.zeros((1, 4)), 4, False, 2)
