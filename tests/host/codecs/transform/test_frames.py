"""Native code reads and writes the frames that the format says, as the independent reference does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bitswath._native as _native
from tests import transform_model as model
from tests.host.codecs.transform.cases import Shape, frames_of, random_pair, rows_of

KERNELS = _native.transform_kernels()
SHAPES = [(1, 1, 3), (17, 5, 2), (16, 16, 1), (31, 64, 4), (33, 47, 13), (16, 20, 20), (150, 150, 3)]
STEPS = range(64)
seeds = st.integers(0, 2**32 - 1)


def blocks(shape: Shape) -> tuple[int, int]:
    return -(-shape[0] // 16), -(-shape[1] // 16)


@pytest.mark.parametrize("kernels", KERNELS)
@given(seed=seeds, shape=st.sampled_from(SHAPES[:-1]))
@settings(max_examples=25, deadline=None)
def test_frames_of_any_levels_decode_as_the_reference_says(kernels: str, seed: int, shape: Shape) -> None:
    random = np.random.default_rng(seed)
    codec, twin = random_pair(random, shape[2])
    steps = random.integers(0, 64, 3).tolist()
    levels = np.stack([model.random_levels(random, *blocks(shape), shape[2]) for _ in steps])
    frames = rows_of([model.encode(twin, one, step) for one, step in zip(levels, steps)])
    decoded = np.empty((len(steps), *shape), np.uint8)
    assert not codec._native.decode(frames, decoded, 1, kernels).any()
    np.testing.assert_array_equal(decoded, model.reconstruct(twin, levels, steps, *shape[:2]))


@pytest.mark.parametrize("kernels", KERNELS)
def test_every_step_and_a_patch_of_many_blocks(kernels: str) -> None:
    random = np.random.default_rng(5)
    codec, twin = random_pair(random, 3)
    levels = np.stack([model.random_levels(random, 2, 1, 3) for _ in STEPS])
    frames = rows_of([model.encode(twin, one, step) for one, step in zip(levels, STEPS)])
    decoded = np.empty((64, 20, 9, 3), np.uint8)
    assert not codec._native.decode(frames, decoded, 1, kernels).any()
    np.testing.assert_array_equal(decoded, model.reconstruct(twin, levels, STEPS, 20, 9))
    many = model.random_levels(random, 10, 10, 3)
    one = np.empty((1, *SHAPES[-1]), np.uint8)
    assert not codec._native.decode(rows_of([model.encode(twin, many, 40)]), one, 1, kernels).any()
    np.testing.assert_array_equal(one, model.reconstruct(twin, many[None], [40], 150, 150))


@given(
    seed=seeds, shape=st.sampled_from(SHAPES[:-1]), quality=st.integers(1, 64), kind=st.sampled_from(["noise", "flat"])
)
@settings(max_examples=40, deadline=None)
def test_the_reference_reads_what_is_written(seed: int, shape: Shape, quality: int, kind: str) -> None:
    random = np.random.default_rng(seed)
    codec, twin = random_pair(random, shape[2], quality=quality)
    patches = random.integers(0, 256, (2, *shape), np.uint8)
    if kind == "flat":
        patches = np.repeat(np.repeat(patches[:, :1, :1], shape[0], axis=1), shape[1], axis=2)
    rows = codec.encode_packed(patches)
    read = [model.decode(twin, frame, *blocks(shape)) for frame in frames_of(rows, codec)]
    assert not any(one.damaged for one in read)
    assert {one.step for one in read} == {64 - quality}
    codes = codec.unpack(rows, shape)
    levels = np.stack([one.levels for one in read])
    np.testing.assert_array_equal(codes, model.reconstruct(twin, levels, [one.step for one in read], *shape[:2]))
    np.testing.assert_array_equal(codec.encode(patches), codes)
    wanted = quantized(twin, patches, 64 - quality)
    dropped = (levels == 0) & (np.abs(wanted) == 1)
    dropped[..., 0] = False
    np.testing.assert_array_equal(np.where(dropped, wanted, levels), wanted)


def quantized(codec: model.Codec, patches: np.ndarray, step: int) -> np.ndarray:
    """Levels (N, rows, columns, bands, 256) by the formulas of the forward transform."""
    n, height, width, bands = patches.shape
    padded = np.pad(patches, ((0, 0), (0, -height % 16), (0, -width % 16), (0, 0)), "edge").astype(np.int64)
    components = np.clip(((padded - 128) @ codec.matrix.T + 2048) >> 12, -2048, 2047)
    rows, columns = blocks((height, width, bands))
    cut = components.reshape(n, rows, 16, columns, 16, bands).transpose(0, 1, 3, 5, 2, 4)
    shift = 4 + codec.guard
    vertical = (np.einsum("uy,...yx->...ux", model.COSINES, cut) + (1 << (shift - 1))) >> shift
    values = (np.einsum("vx,...ux->...uv", model.COSINES, np.clip(vertical, -32768, 32767)) + 512) >> 10
    values = np.clip(values, -32768, 32767)
    scanned = np.stack([values[..., u, v] for u, v in model.SCAN], axis=-1)
    one = 1 << (18 - codec.guard)
    offsets = np.array([one // 2, *[one // 3] * 255])
    sizes = (np.abs(scanned) * round(2**16 / 2 ** (step / 8)) + offsets) >> (18 - codec.guard)
    return np.sign(scanned) * np.minimum(sizes, model.LARGEST)


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 13, 20, 70, 255])
def test_every_kernel_gives_the_same_frames_and_samples(bands: int) -> None:
    random = np.random.default_rng(bands)
    codec, _ = random_pair(random, bands, quality=int(random.integers(20, 65)), budget=9000)
    patches = codec.samples(random, 4, (37, 18, bands) if bands < 50 else (17, 7, bands))
    frames = codec._native.encode(patches, 8, 1, "plain")
    samples = np.empty(patches.shape, np.uint8)
    assert not codec._native.decode(frames, samples, 1, "plain").any()
    for kernels in KERNELS:
        np.testing.assert_array_equal(codec._native.encode(patches, 8, 2, kernels), frames)
        other = np.empty(patches.shape, np.uint8)
        assert not codec._native.decode(frames, other, 2, kernels).any()
        np.testing.assert_array_equal(other, samples)
        counts, plain = codec._native.count(patches, kernels), codec._native.count(patches, "plain")
        for name in counts:
            np.testing.assert_array_equal(counts[name], plain[name])


@pytest.mark.parametrize("bands", [63, 128, 255])
def test_levels_that_a_frame_cannot_hold_are_cut_off(bands: int) -> None:
    """Where all bands jump from 0 to 255 at the finest step, and all of it falls on one component."""
    random = np.random.default_rng(bands)
    first = np.ones((1, bands))
    axes, _ = np.linalg.qr(np.concatenate([first, random.normal(size=(bands - 1, bands))]).T)
    codec, _ = random_pair(random, bands, matrix=np.rint(4096 * axes.T).astype(int).tolist())
    patches = np.zeros((1, 16, 48, bands), np.uint8)
    patches[:, :, 16:32] = 255
    rows = codec.encode_packed(patches)
    codes = codec.unpack(rows, patches.shape[1:])
    assert codes[0, :, 16:32].mean() - codes[0, :, :16].mean() > 60
