"""Masks hold every level equally often, tile, and are the same everywhere; blue noise has no low frequencies."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from bitswath.codecs.dither import DITHERS, NO_DITHER, Dither, bayer, dither_named, void_and_cluster
from bitswath.errors import CodecError

BLUE = (8, 16, 32)

DIGESTS = {8: "1863f106e3a3d762", 16: "9dd7d74ecc0152b0", 32: "1cf4e33de954d800"}
"""Of the ranks as little-endian int64: the same on every machine, written down once."""

every_dither = pytest.mark.parametrize("dither", DITHERS, ids=lambda dither: dither.name)


def band_power(mask: NDArray[np.integer], low: float, high: float) -> float:
    """Mean spectral power between two frequencies (cycles a pixel, the constant left out), of white noise 1."""
    power = np.square(np.abs(np.fft.fft2(mask - mask.mean())))
    frequencies = np.fft.fftfreq(len(mask))
    radius = np.hypot(frequencies[:, None], frequencies)
    return float(power[(radius > low) & (radius <= high)].mean() / power.mean())


# ---- names ----


@every_dither
def test_dithers_are_found_by_their_names(dither: Dither) -> None:
    assert dither_named(dither.name) == dither


def test_names_are_those_written_in_bundles() -> None:
    assert dither_named("ordered") == dither_named("ordered8") == Dither("ordered", 8)
    assert dither_named("blue16-aligned") == Dither("blue", 16, aligned=True)
    assert dither_named(None) is NO_DITHER
    for name in ("", "none", "blue", "ordered32", "Ordered", 8):
        with pytest.raises(CodecError, match="expected a dither of ordered2, ordered4, ordered, ordered16, blue8"):
            dither_named(name)  # type: ignore[arg-type]  # what JSON may hold


# ---- every mask ----


@every_dither
def test_every_level_is_used_equally(dither: Dither) -> None:
    mask = dither.mask(13)
    assert mask.shape == (dither.period, dither.period, 13)
    assert mask.dtype == np.uint8
    assert dither.steps == min(dither.period**2, 256)
    for band in range(13):
        levels, counts = np.unique(mask[..., band], return_counts=True)
        np.testing.assert_array_equal(levels, np.arange(dither.steps))
        assert set(counts) == {dither.period**2 // dither.steps}


@every_dither
def test_bands_are_moved_up_by_half_their_number_and_left_by_it_or_aligned(dither: Dither) -> None:
    mask = dither.mask(13)
    for band in range(13):
        move = (0, 0) if dither.aligned else (-(band // 2), -band)
        np.testing.assert_array_equal(mask[..., band], np.roll(mask[..., 0], move, (0, 1)))
    different = len({mask[..., band].tobytes() for band in range(13)})
    assert different == (1 if dither.aligned else min(13, 2 * dither.period))


@every_dither
def test_three_bands_rise_together_less_than_by_chance_or_are_aligned(dither: Dither) -> None:
    mask = dither.mask(3).astype(float)
    correlation = np.corrcoef(mask.reshape(-1, 3).T)[np.triu_indices(3, 1)].mean()
    assert correlation == pytest.approx(1) if dither.aligned else correlation < 0


def test_ordered_is_bayers_matrix() -> None:
    assert dither_named("ordered").mask(1)[:2, :4, 0].tolist() == [[0, 32, 8, 40], [48, 16, 56, 24]]


@pytest.mark.parametrize("period", [2, 4, 8, 16])
def test_bayers_matrix_repeats_that_of_half_its_period(period: int) -> None:
    np.testing.assert_array_equal(bayer(period) // 4, np.tile(bayer(period // 2), (2, 2)) if period > 2 else 0)
    quads = sum(np.roll(bayer(period), (up, left), (0, 1)) for up in (0, 1) for left in (0, 1)) / 4
    assert abs(quads - (period**2 - 1) / 2).max() <= period**2 / 8


# ---- blue noise ----


@pytest.mark.parametrize("period", BLUE)
def test_void_and_cluster_ranks_are_the_same_on_every_machine(period: int) -> None:
    ranks = void_and_cluster(period)
    assert sorted(ranks.ravel().tolist()) == list(range(period**2))
    assert hashlib.sha256(ranks.astype("<i8").tobytes()).hexdigest()[:16] == DIGESTS[period]


@pytest.mark.parametrize("period", BLUE)
def test_blue_noise_has_no_low_frequencies(period: int) -> None:
    ranks = void_and_cluster(period)
    white = np.random.default_rng(period).permutation(period**2).reshape(period, period)
    assert band_power(ranks, 0, 0.2) < 0.05
    assert band_power(ranks, 0, 0.2) < band_power(white, 0, 0.2) / 10
    assert band_power(ranks, 0.3, 1) > 1


@pytest.mark.parametrize("period", [16, 32])
def test_blue_noise_has_no_single_strong_frequency(period: int) -> None:
    """Bayer's matrix puts most of its power on the checkerboard and its like."""
    strongest = [np.square(np.abs(np.fft.fft2(m - m.mean()))) for m in (void_and_cluster(period), bayer(period))]
    blue, ordered = (float(power.max() / power.sum()) for power in strongest)
    assert blue < 0.1 < 0.5 < ordered


@pytest.mark.parametrize("period", BLUE)
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.75, 0.9])
def test_every_grey_is_spread_evenly_across_the_edges(period: int, share: float) -> None:
    """On the torus, windows of 4 x 4 pixels hold nearly as many set pixels everywhere, unlike white noise."""

    def unevenness(ranks: NDArray[np.integer]) -> float:
        chosen = np.pad((ranks < share * period**2).astype(float), ((0, 3), (0, 3)), "wrap")
        return float(np.lib.stride_tricks.sliding_window_view(chosen, (4, 4)).sum(axis=(2, 3)).std())

    white = np.random.default_rng(period).permutation(period**2).reshape(period, period)
    assert unevenness(void_and_cluster(period)) < 0.6 * unevenness(white)
