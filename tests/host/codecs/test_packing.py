"""Packed bytes are what numpy's and FINN's own packers make, and unpack to the same codes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import bitswath._native as _native
from bitswath.codecs.packing import folded_frame_bytes, frame_bytes, pack, pack_folded, unpack, unpack_folded
from bitswath.errors import PackingError

WIDTHS = range(1, 9)
KERNELS = _native.packing_kernels()
CODE_TYPES = ["u1", "<u2", ">u2", "i1", "f4"]
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


@given(
    seed=seeds,
    bits=st.integers(1, 8),
    dtype=st.sampled_from(CODE_TYPES),
    shape=shapes,
    kernels=st.sampled_from(KERNELS),
)
def test_codes_of_every_type_pack_alike(seed: int, bits: int, dtype: str, shape: tuple[int, ...], kernels: str) -> None:
    codes = random_codes(seed, 3, shape, min(bits, 7) if dtype == "i1" else bits)
    rows = np.ascontiguousarray(codes.reshape(3, -1).astype(dtype).astype(np.dtype(dtype).newbyteorder("=")))
    frames = np.empty((3, frame_bytes(shape, bits)), np.uint8)
    assert _native.pack(rows, bits, False, frames, 1, kernels) == -1
    np.testing.assert_array_equal(frames, numpy_packed(codes, bits))
    np.testing.assert_array_equal(pack(codes.astype(dtype), bits), frames)


def wrong_values(bits: int, dtype: str) -> list[float]:
    """Out of range at `bits`, or no integer; the closest ones and the type's ends."""
    top = 1 << bits
    if dtype == "f4":
        floats = [
            np.nan,
            -np.nan,
            np.inf,
            -np.inf,
            -1,
            -0.25,
            1e-30,
            -1e-45,
            0.5,
            top - 0.5,
            top,
            2.0**31,
            2.0**32,
            1e30,
        ]
        return [*floats, -float(2**24), 2.0**23, 2.0**24 + 2]
    ends = np.iinfo(dtype)
    return [
        value
        for value in (-1, ends.min, top, ends.max, 256, -top)
        if not 0 <= value < top and ends.min <= value <= ends.max
    ]


@pytest.mark.parametrize("dtype", CODE_TYPES)
@pytest.mark.parametrize("bits", WIDTHS)
def test_first_value_out_of_range_is_named(bits: int, dtype: str) -> None:
    rng = np.random.default_rng(bits)
    for value in wrong_values(bits, dtype):
        for shape in ((3, 5, 7), (2, 3), (2, 16), (1, 20011), (3, 9001)):
            codes = (rng.integers(0, 1 << min(bits, 7), shape)).astype(dtype)
            first, *others = np.sort(rng.integers(0, codes.size, 3))
            codes.reshape(-1)[[first, *others]] = value
            index = tuple(int(i) for i in np.unravel_index(first, shape))
            for threads in (1, 3):
                with pytest.raises(PackingError) as caught:
                    pack(codes, bits, threads=threads)
                shown = codes[index]
                assert (
                    str(caught.value) == f"expected codes 0..{2**bits - 1} for {bits} bit, got {shown} at index {index}"
                )


def test_negative_zero_is_zero() -> None:
    assert pack(np.array([[-0.0, 1.0]], np.float32), 4).tolist() == [[0x10]]


@pytest.mark.parametrize(
    "codes",
    [np.zeros((2, 3), np.int16), np.zeros((2, 3), np.float64), np.zeros((2, 3), bool), np.uint8(3), [[1, 2]], "text"],
    ids=["int16", "float64", "bool", "scalar", "list", "text"],
)
def test_codes_of_another_type_are_refused(codes: NDArray[np.uint8]) -> None:
    with pytest.raises(PackingError, match="expected codes of uint8, uint16, int8 or float32"):
        pack(codes, 4)


# ---- kernels: each gives what the plain one does, and touches nothing else ----


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("bits", WIDTHS)
def test_every_kernel_packs_every_length_and_keeps_to_its_bytes(bits: int, kernels: str) -> None:
    rng = np.random.default_rng(bits)
    for count in [*range(300), 511, 512, 513, 8191, 8192, 8193, 20001]:
        codes = rng.integers(0, 1 << bits, (1, count), np.uint8)
        size = frame_bytes((count,), bits)
        around = np.full(size + 128, 0xA5, np.uint8)
        assert _native.pack(codes, bits, False, around[64 : 64 + size][None], 1, kernels) == -1
        expected = np.empty((1, size), np.uint8)
        _native.pack(codes, bits, False, expected, 1, "plain")
        np.testing.assert_array_equal(around[64 : 64 + size], expected[0])
        assert (around[:64] == 0xA5).all() and (around[64 + size :] == 0xA5).all()
        back = np.full(count + 128, 0xA5, np.uint8)
        _native.unpack(expected, bits, False, back[64 : 64 + count][None], 1, kernels)
        np.testing.assert_array_equal(back[64 : 64 + count], codes[0])
        assert (back[:64] == 0xA5).all() and (back[64 + count :] == 0xA5).all()


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_every_kernel_folds_like_the_wide_path(bits: int, signed: bool, kernels: str) -> None:
    for group in [*range(1, 18), 27, 31, 64, 65, 100]:
        values = random_values(bits, signed, (37, group))
        size = (group * bits + 7) // 8
        frames = np.empty((37, size), np.uint8)
        assert _native.pack(values, bits, signed, frames, 1, kernels) == -1
        raw = (values > 0) if signed and bits == 1 else values & ((1 << bits) - 1)
        np.testing.assert_array_equal(frames, numpy_packed(raw.astype(np.uint8), bits))
        back = np.empty(values.shape, np.int32)
        _native.unpack(frames, bits, signed, back, 1, kernels)
        np.testing.assert_array_equal(back, values)


def test_the_best_kernel_is_the_last_and_an_unknown_one_is_refused() -> None:
    assert KERNELS[0] == "plain"
    with pytest.raises(ValueError, match="no packing kernels nonsense"):
        _native.pack(np.zeros((1, 8), np.uint8), 4, False, np.zeros((1, 4), np.uint8), 1, "nonsense")


# ---- threads and outputs ----


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("shape", [(5, 40_001), (301, 33), (200_000, 1), (1, 64, 64, 13)])
def test_results_do_not_depend_on_threads(shape: tuple[int, ...], bits: int) -> None:
    codes = random_codes(bits, shape[0], shape[1:], bits)
    expected = numpy_packed(codes, bits)
    for threads in (None, 1, 2, 7, 64):
        np.testing.assert_array_equal(pack(codes, bits, threads=threads), expected)
        np.testing.assert_array_equal(unpack(expected, shape[1:], bits, threads=threads), codes)
        folded = pack_folded(codes, bits, False, shape[-1], threads=threads)
        np.testing.assert_array_equal(unpack_folded(folded, shape[1:], bits, False, shape[-1], threads=threads), codes)


@pytest.mark.parametrize("threads", [0, -1, 1.0, "2", 1 << 20])
def test_thread_counts_out_of_range_are_refused(threads: int) -> None:
    with pytest.raises(PackingError, match="threads"):
        pack(np.zeros((1, 8), np.uint8), 4, threads=threads)


def test_given_outputs_are_filled_and_returned() -> None:
    codes = random_codes(0, 4, (5, 3), 3)
    frames, back = np.full((4, 6), 255, np.uint8), np.full((4, 5, 3), 255, np.uint8)
    assert pack(codes, 3, out=frames) is frames
    np.testing.assert_array_equal(frames, numpy_packed(codes, 3))
    assert unpack(frames, (5, 3), 3, out=back) is back
    np.testing.assert_array_equal(back, codes)
    folded = np.empty((4, 10), np.uint8)
    assert pack_folded(codes, 3, False, 3, out=folded) is folded
    np.testing.assert_array_equal(folded, pack_folded(codes, 3, False, 3))


def test_outputs_that_do_not_fit_are_refused() -> None:
    codes = np.zeros((4, 16), np.uint8)
    read_only = np.zeros((4, 8), np.uint8)
    read_only.flags.writeable = False
    fortran = np.zeros((4, 8), np.uint8, order="F")
    for out in (np.zeros((4, 7), np.uint8), np.zeros((4, 8), np.int8), read_only, fortran, bytearray(32), codes[:, :8]):
        with pytest.raises(PackingError, match="expected out as a contiguous, writeable uint8 array"):
            pack(codes, 4, out=out)
    with pytest.raises(PackingError, match="overlapping"):
        pack(codes, 8, out=codes)
    with pytest.raises(PackingError, match="overlapping"):
        unpack(codes, (16,), 8, out=codes)


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
