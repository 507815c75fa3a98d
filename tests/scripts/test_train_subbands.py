"""The experiment with coefficients as input: the transform is the DCT, both forms know the same, both train."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import train_subbands
from scipy.fft import dctn
from train_subbands import Decoded, Subbands, fitted, ideal_bytes

from bitswath.errors import CodecError
from bitswath.models.data.datasets import load_dataset
from bitswath.models.nets.config import parse_config

PATCHES = np.random.default_rng(5).integers(0, 256, (6, 16, 24, 3), np.uint8)
SMOOTH = (np.indices((6, 16, 24, 3)).sum(0) * 3 + 60).astype(np.uint8)


def test_coefficients_are_the_dct_of_the_mixed_bands_in_steps() -> None:
    codec = fitted("subbands:24", PATCHES)
    mixed = (PATCHES.astype(float) - 128) @ np.array(codec.mixing).T / 4096
    blocks = mixed.reshape(6, 2, 8, 3, 8, 3).transpose(0, 1, 3, 2, 4, 5)
    expected = dctn(blocks, axes=(3, 4), norm="ortho") / 24
    found = codec.coefficients(PATCHES).reshape(6, 2, 3, 8, 8, 3)
    error = np.abs(found - expected)
    assert error[..., 0, 0, :].max() <= 0.53
    assert error.max() <= 0.68
    assert error[..., 1:, 1:, :].max() > 0.6


def test_mixing_is_orthonormal_and_takes_the_axis_of_most_variance_first() -> None:
    mixing = np.array(fitted("subbands:24", SMOOTH).mixing) / 4096
    np.testing.assert_allclose(mixing @ mixing.T, np.eye(3), atol=1e-3)
    np.testing.assert_allclose(mixing[0], [3**-0.5] * 3, atol=0.01)


def test_float32_sums_are_exact() -> None:
    codec = fitted("subbands:1", PATCHES)
    basis = codec._basis.astype(np.int64)
    assert np.abs(basis).sum(1).max() * 128 < 1 << 24
    extremes = np.random.default_rng(6).choice(np.array([0, 255], np.uint8), (4, 8, 8, 3))
    blocks = extremes.reshape(4, -1).astype(np.int64) - 128
    exact = (blocks @ basis.T).reshape(4, 1, 1, -1)
    rounding = np.where(np.arange(192) < 3, 0.5, 0.35)
    expected = np.sign(exact) * np.minimum(np.floor(np.abs(exact) / 2048 + rounding), 127)
    assert np.array_equal(codec.coefficients(extremes), expected)


@pytest.mark.parametrize("text", ["subbands:24", "subbands:24:shifted"])
def test_codes_stand_for_the_pixels_of_the_other_form(text: str) -> None:
    subbands, decoded = fitted(text, PATCHES), fitted("decoded:24", PATCHES)
    assert isinstance(subbands, Subbands)
    assert isinstance(decoded, Decoded)
    codes = subbands.encode(PATCHES)
    assert codes.shape == (6, *subbands.code_shape((16, 24, 3))) == (6, 2, 3, 192)
    assert 1 < codes.min() < 128
    assert np.array_equal(subbands.decode(codes), decoded.encode(PATCHES))
    assert np.array_equal(subbands.encode_packed(PATCHES), codes.reshape(6, -1))
    assert subbands.decode(codes[0]).shape == (16, 24, 3)


def test_a_fine_step_loses_little_and_a_grey_patch_nothing() -> None:
    codec = fitted("decoded:12", SMOOTH)
    assert np.abs(codec.encode(SMOOTH).astype(int) - SMOOTH).max() <= 12
    grey = np.full((1, 16, 16, 3), 128, np.uint8)
    assert np.array_equal(codec.encode(grey), grey)
    assert set(fitted("subbands:12:shifted", SMOOTH).encode(grey).ravel()) == {128}


def test_coefficients_count_shifted_to_fill_eight_bits() -> None:
    codec = fitted("subbands:24:shifted", PATCHES)
    assert isinstance(codec, Subbands)
    codes = codec.encode(PATCHES)
    seen = codec.values[np.arange(192), codes, 0]
    factors = 2 ** np.array(codec.shifts[0])
    assert np.array_equal(seen, np.clip((codes.astype(int) - 128) * factors, -127, 127))
    assert (np.abs(codes.astype(int) - 128) * factors > 127).mean() < 0.01
    assert np.quantile(np.abs(seen), 0.99, axis=(0, 1, 2)).min() > 40
    assert len(set(factors)) > 1


def test_ideal_bytes_are_those_of_a_table_for_each_coefficient() -> None:
    rng = np.random.default_rng(7)
    values = np.stack([rng.integers(0, 4, 40_000), rng.integers(-8, 8, 40_000), np.full(40_000, -127)], -1)
    values = values.reshape(100, 20, 20, 3).astype(np.float32)
    assert ideal_bytes(values, values) == pytest.approx(400 * (2 + 4) / 8, rel=0.01)
    assert ideal_bytes(values, values[:, :10]) == pytest.approx(200 * (2 + 4) / 8, rel=0.01)


@pytest.mark.parametrize("text", ["subbands", "subbands:0", "subbands:x", "palette:4", "decoded:4:large"])
def test_other_codecs_are_refused(text: str) -> None:
    with pytest.raises(CodecError, match=r"expected subbands:STEP.*, got"):
        fitted(text, PATCHES)


def test_patches_of_broken_blocks_are_refused() -> None:
    with pytest.raises(CodecError, match="whole 8 x 8 blocks, got 12 x 16"):
        fitted("subbands:24", PATCHES).encode(np.zeros((1, 12, 16, 3), np.uint8))


def test_coefficients_train_a_network_that_lowers(tmp_path: Path) -> None:
    """16 x 16 patches: two by two places of 192 channels."""
    raw = {
        "name": "trial",
        "data": {"name": "synthetic"},
        "codec": "subbands:24:shifted",
        "architecture": {"kind": "vgg", "stem_kernel": 1, "widths": [8, 8, "M"], "head": "pool"},
        "augment": {"shift": 2},
        "schedule": {"epochs": 1, "batch": 32},
    }
    train, val = (load_dataset("synthetic", split, limit=64, size=16) for split in ("train", "val"))
    facts = train_subbands.measured(parse_config(raw, "test"), train, val, tmp_path)
    assert facts["macs"] == 4 * 192 * 8 + 4 * 9 * 8 * 8 + 8 * len(train.classes)
    assert 10 < facts["psnr_db"] < 60
    assert 10 < facts["ideal_bytes"] < 768
    assert 0 <= facts["val_accuracy"] <= 1
