"""How far patches are from their originals: PSNR and SSIM, on numpy alone.

scikit-image has both, with scipy and its own reader stack behind it; the forty lines here are compared with it in the
tests' references instead.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import InputError

__all__ = ["psnr_db", "ssim"]

WINDOW = 11
SIGMA = 1.5
K1, K2 = 0.01, 0.03
CHUNK = 64

Patches = NDArray[Any]


def psnr_db(original: Patches, other: Patches) -> float | None:
    """Peak signal-to-noise ratio of all patches at once, in dB: 10 log10(peak^2 / mean squared error).

    Patches uint8 or uint16 (N, H, W, C), peak 255 or 65535; None where nothing differs.
    """
    peak = _peak(original, other)
    squares = sum(
        float(np.square(part.astype(np.float64) - other[start : start + CHUNK]).sum())
        for start, part in _chunks(original)
    )
    return 10 * math.log10(peak * peak * original.size / squares) if squares else None


def ssim(original: Patches, other: Patches) -> float:
    """Mean structural similarity: Wang, Bovik, Sheikh and Simoncelli, IEEE Trans. Image Processing 13(4), 2004.

    Of every band, in 11 x 11 Gaussian windows (sigma 1.5, K1 0.01, K2 0.03) that lie inside the patch. Patches uint8
    or uint16 (N, H, W, C) of at least 11 x 11 pixels; identical ones give 1. Raises `InputError` for smaller ones.
    """
    peak = _peak(original, other)
    if min(original.shape[1:3]) < WINDOW:
        raise InputError(f"expected patches of at least {WINDOW} x {WINDOW} pixels, got {original.shape[1:3]}")
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    total = 0.0
    for start, part in _chunks(original):
        x, y = part.astype(np.float64), other[start : start + CHUNK].astype(np.float64)
        mean_x, mean_y = _blurred(x), _blurred(y)
        variances = _blurred(x * x) - mean_x**2 + _blurred(y * y) - mean_y**2
        covariance = _blurred(x * y) - mean_x * mean_y
        luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        total += float((luminance * (2 * covariance + c2) / (variances + c2)).mean()) * len(part)
    return total / len(original)


def _chunks(patches: Patches) -> list[tuple[int, Patches]]:
    return [(start, patches[start : start + CHUNK]) for start in range(0, len(patches), CHUNK)]


def _blurred(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian means of the windows inside (N, H, W, C): (N, H - 10, W - 10, C)."""
    places = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(places**2) / (2 * SIGMA**2))
    weights /= weights.sum()
    for axis in (1, 2):
        length = images.shape[axis] - WINDOW + 1
        shifted = (np.take(images, range(tap, tap + length), axis) for tap in range(WINDOW))
        images = sum(weight * part for weight, part in zip(weights, shifted))
    return images


def _peak(original: Patches, other: Patches) -> int:
    if original.shape != other.shape or original.dtype != other.dtype or original.ndim != 4 or not original.size:
        raise InputError(
            f"expected two equally shaped arrays of patches (N, H, W, C), got {original.dtype} {original.shape}"
            f" and {other.dtype} {other.shape}"
        )
    return int(np.iinfo(original.dtype).max)
