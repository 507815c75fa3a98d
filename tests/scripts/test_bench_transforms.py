"""What `bench_transforms` counts: transforms invert, and coders' bits are those of a plain encoder."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from bitswath.codecs.transform import fitting
from tests import transform_model as model


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return importlib.import_module("bench_transforms")


@pytest.fixture(scope="module")
def coders() -> ModuleType:
    return importlib.import_module("entropy_coders")


def sparse(seed: int, count: int) -> NDArray[np.int32]:
    """Levels (N, 2, 3, 16, 16, 3), most of the high frequencies zero."""
    random = np.random.default_rng(seed)
    spread = 6 * np.exp2(-np.add.outer(np.arange(16), np.arange(16)) / 3)[..., None]
    levels = np.trunc(random.laplace(0, spread, (count, 2, 3, 16, 16, 3))).astype(np.int32)
    levels[:, :, :, 0, 0] += random.integers(-60, 60, levels.shape[:3])[..., None]
    return levels


def test_transforms_invert_and_keep_energy(bench: ModuleType) -> None:
    image = np.random.default_rng(0).normal(0, 50, (2, 64, 64, 3)).astype(np.float32)
    for transform in bench.TRANSFORMS:
        values = transform.forward(image)
        np.testing.assert_allclose(transform.inverse(values), image, atol=1e-2)
        energy = sum(np.square(part).sum() for part in values) / np.square(image).sum()
        assert 0.6 < energy < 1.5, transform.name
        assert sum(part.size for part in values) == image.size


def test_ideal_bits_are_the_entropy_where_contexts_tell_nothing(bench: ModuleType) -> None:
    levels = np.random.default_rng(1).integers(-2, 3, (60, 4, 4, 16, 16, 1)).astype(np.int32)
    levels[:, :, :, 0, 0] = 0
    bits = bench.ideal_bits(bench.CHOSEN, [levels], [levels])
    assert bits == pytest.approx(np.log2(5) * 60 * 16 * 255, rel=0.01)


def test_huffman_bits_are_those_of_the_reference(coders: ModuleType, bench: ModuleType) -> None:
    train, val = sparse(2, 30), sparse(3, 6)
    known, coded = coders.symbols(bench.scanned(train)), coders.symbols(bench.scanned(val))
    size, _ = coders.huffman(known, coded, by_class=False)
    tables, contexts = fitting.ac_tables(known.ac)
    plain = [
        [(list(table.counts), list(table.symbols)) for table in kind] for kind in (tables, fitting.dc_tables(known.dc))
    ]
    codec = model.Codec(3, np.eye(3, dtype=np.int64), (0, 0, 0), plain[0], list(contexts), plain[1], 0)
    rows, columns = np.array(model.SCAN).T
    levels = np.moveaxis(val[:, :, :, rows, columns], -1, 3)
    bits = sum(len(model.bits_of(codec, one.astype(np.int64))) for one in levels)
    assert (size - 5) * 8 * 6 == pytest.approx(bits)


def test_an_ideal_coder_is_ahead_of_huffman_by_little(coders: ModuleType, bench: ModuleType) -> None:
    known, coded = (coders.symbols(bench.scanned(sparse(seed, 200))) for seed in (4, 5))
    (huffman, held), (tans, more) = coders.huffman(known, coded, False), coders.tans(known, coded, True)
    assert huffman * 0.94 < tans < huffman + 2
    assert more > 20 * held


def test_golomb_rice_is_what_the_options_cost(coders: ModuleType) -> None:
    levels = np.zeros((1, 1, 1, 1, 256), np.int32)
    levels[..., :16] = np.arange(-8, 8)
    mapped = [2 * x if x >= 0 else -2 * x - 1 for x in range(-8, 8)]
    split = min(sum((x >> k) + 1 + k for x in mapped) for k in range(8))
    zeros = 4 + 1 + 5  # the remaining fifteen blocks
    size, decoded = coders.golomb_rice(levels)
    assert (size - 5) * 8 == 4 + split + zeros
    assert decoded == 16
    ones = np.zeros_like(levels)
    ones[..., :16:2] = -1
    ones[..., 16 * 3] = 5
    pairs = 8 * (1 * 2 // 2 + 0 + 1) + 1
    five = min(sum((x >> k) + 1 + k for x in [10] + [0] * 15) for k in range(8))
    size, _ = coders.golomb_rice(ones)
    assert (size - 5) * 8 == (4 + pairs) + (4 + 1 + 2) + (4 + five) + (4 + 1 + 5)


def test_sizes_at_equal_psnr_lie_between_measured_ones(bench: ModuleType) -> None:
    points = [(40.0, 400.0), (30.0, 100.0)]
    assert bench.at_decibels(points)[1] == pytest.approx(200)
    with pytest.raises(SystemExit, match="expected steps from below"):
        bench.at_decibels([(33.0, 1.0), (40.0, 2.0)])
