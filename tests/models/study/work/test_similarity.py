"""PSNR and SSIM are those of their definitions, of scipy's filters, and of a figure that scikit-image gave."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import convolve2d

from bitswath.errors import InputError
from bitswath.models.data.synthetic import synthetic_patches
from bitswath.models.study.work.similarity import psnr_db, ssim

SEED = 5


def pair(dtype: type = np.uint8, count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    top = np.iinfo(dtype).max
    patches = synthetic_patches(range(count), size=24)[0].astype(np.float64) * (top / 255)
    noisy = patches + rng.normal(0, 0.04 * top, patches.shape)
    return patches.astype(dtype), np.clip(noisy, 0, top).astype(dtype)


def ssim_by_definition(x: np.ndarray, y: np.ndarray, peak: float) -> float:
    """Equation 13 of Wang et al. with the two-dimensional window of their section III-B, a band at a time."""
    grid = np.arange(-5, 6)
    window = np.exp(-(grid[:, None] ** 2 + grid[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(image: np.ndarray) -> np.ndarray:
        return np.asarray(convolve2d(image, window, "valid"))

    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x**2) - mx**2, mean(y**2) - my**2, mean(x * y) - mx * my
    return float((((2 * mx * my + c1) * (2 * cov + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ssim_is_that_of_its_definition(dtype: type) -> None:
    x, y = pair(dtype)
    peak = np.iinfo(dtype).max
    expected = np.mean(
        [
            ssim_by_definition(x[n, ..., band].astype(float), y[n, ..., band].astype(float), peak)
            for n in range(len(x))
            for band in range(3)
        ]
    )
    assert ssim(x, y) == pytest.approx(expected, abs=1e-12)
    assert 0.2 < expected < 0.99


def test_a_ramp_and_its_blocks_have_the_ssim_that_scikit_image_gives() -> None:
    """scikit-image 0.26.0: structural_similarity(x, y, data_range=255, gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, full=True)[1][5:-5, 5:-5].mean()"""
    ramp = np.add.outer(np.arange(32) * 5, np.arange(32) * 3).astype(np.uint8)
    blocks = (ramp // 32 * 32 + 16).astype(np.uint8)
    assert ssim(ramp[None, ..., None], blocks[None, ..., None]) == pytest.approx(0.7171899973771325, abs=1e-9)


def test_identical_patches_have_an_ssim_of_one_and_no_psnr() -> None:
    x, _ = pair()
    assert ssim(x, x) == pytest.approx(1.0)
    assert psnr_db(x, x) is None


@pytest.mark.parametrize("count", [1, 3, 130])
def test_psnr_is_that_of_the_mean_squared_error(count: int) -> None:
    x, y = pair(count=count)
    error = np.mean((x.astype(float) - y.astype(float)) ** 2)
    assert psnr_db(x, y) == pytest.approx(10 * math.log10(255**2 / error))


def test_sixteen_bit_samples_have_a_peak_of_65535() -> None:
    x = np.zeros((1, 11, 11, 1), np.uint16)
    assert psnr_db(x, x + np.uint16(65535)) == pytest.approx(0.0)


def test_what_cannot_be_compared_is_refused() -> None:
    x = np.zeros((2, 16, 16, 3), np.uint8)
    with pytest.raises(InputError, match="equally shaped"):
        psnr_db(x, x[:1])
    with pytest.raises(InputError, match="equally shaped"):
        ssim(x, x.astype(np.uint16))
    with pytest.raises(InputError, match="at least 11"):
        ssim(x[:, :8], x[:, :8])
