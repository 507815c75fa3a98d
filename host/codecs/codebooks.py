"""Levels and colours fitted to training patches: what companded and palette codecs are made of.

Nothing here sees a label. Fitting is deterministic for one seed and one numpy; what it returns are
integers, and from there on codes are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

import bitswath._native as _native
from bitswath.codecs.dither import Dither, mixture_ranks

__all__ = ["band_histograms", "distinct_colours", "dithered_levels", "k_means", "lloyd_max", "mixed_colours"]

Samples = NDArray[np.uint8 | np.uint16]

CHUNK_PIXELS = 1 << 22
MAX_NODES = 512
"""Candidates of the exact level search: every value of 8-bit samples, a choice of 16-bit ones."""

SAMPLED_PIXELS = 1 << 19
"""Pixels that a palette of more than three bands or 16-bit samples is fitted on."""

AVERAGED_PIXELS = 16, 64
"""Least and most over which a dither's noise is taken to average out. Two convolutions of 3 x 3 see more than the four
pixels of the smallest mask, whose levels, fitted for 16, come back 3 dB closer in 5 x 5 binomial means of EuroSAT."""

SEEDING_COLOURS = 1 << 14
MAX_ITERATIONS = 300
MIXING_ROUNDS = 40


def band_histograms(patches: Samples) -> NDArray[np.int64]:
    """Patches (..., C) to the count of every sample value in each band: int64 (C, 256 or 65536)."""
    values = 1 << (8 * patches.dtype.itemsize)
    counts = np.zeros((patches.shape[-1], values), np.int64)
    for pixels in _chunks(patches):
        for row, band in zip(counts, pixels.T):
            row += np.bincount(band, minlength=values)
    return counts


def lloyd_max(counts: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """`count` ascending integer levels of least mean squared error to the nearest level.

    The exact optimum for up to `MAX_NODES` sample values (dynamic programming over the cells'
    borders), refined by Lloyd's iteration (Lloyd 1982, Max 1960) on the whole histogram for more.
    """
    values = np.arange(len(counts))
    borders = np.append(_nodes(counts, count), len(counts))
    weight, first, second = (np.append(0.0, np.cumsum(counts * values**power))[borders] for power in (0.0, 1.0, 2.0))
    total, moment = _between(weight), _between(first)
    level = np.rint(moment / np.maximum(total, 1))
    cost = _between(second) - 2 * level * moment + level**2 * total
    path = borders[_shortest_path(cost, count)]
    levels, thresholds, error = (path[:-1] + path[1:] - 1) // 2, path[1:-1], np.inf
    while True:
        cells = np.searchsorted(thresholds, values, side="right")
        mass, sums = np.bincount(cells, counts, count), np.bincount(cells, counts * values, count)
        moved = np.where(mass > 0, np.rint(sums / np.maximum(mass, 1)), levels).astype(np.int64)
        thresholds = (moved[:-1] + moved[1:] + 1) >> 1
        nearest = moved[np.searchsorted(thresholds, values, side="right")]
        previous, error = error, float(counts @ np.square(values - nearest))
        if error >= previous:
            return np.asarray(levels, np.int64)
        levels = moved


def dithered_levels(counts: NDArray[np.int64], count: int, dither: Dither) -> NDArray[np.int64]:
    """`count` ascending integer levels for ordered dithering.

    A sample x between levels a and b becomes either, so that its mean is kept and its error has the
    variance (x - a)(b - x). Outside the levels its error is a bias, which stays in the mean over n
    pixels where noise averages out; so the levels minimize the mean of variance + n * bias^2, where
    n is the pixels of the mask, within `AVERAGED_PIXELS`.
    """
    averaged = _averaged_pixels(dither)
    values = np.arange(len(counts))
    nodes = _nodes(counts, count)
    sums = [np.cumsum(counts * values**power) for power in (0.0, 1.0, 2.0)]
    weight, first, second = (cumulated[nodes] for cumulated in sums)
    all_weight, all_first, all_second = (cumulated[-1] for cumulated in sums)
    cost = np.full((len(nodes) + 2, len(nodes) + 2), np.inf)  # between the nodes: two ends for what lies outside
    ends, product = nodes[:, None] + nodes, np.multiply.outer(nodes, nodes)
    cost[1:-1, 1:-1] = ends * _between(first) - product * _between(weight) - _between(second)
    cost[0, 1:-1] = averaged * (second - 2 * nodes * first + nodes**2 * weight)
    cost[1:-1, -1] = averaged * (
        all_second - second - 2 * nodes * (all_first - first) + nodes**2 * (all_weight - weight)
    )
    return nodes[_shortest_path(cost, count + 1)[1:-1] - 1]


def distinct_colours(patches: Samples, seed: int) -> tuple[Samples, NDArray[np.int64]]:
    """Distinct pixels (n, C) of patches (..., C) and how often each occurs, int64 (n,).

    All pixels are counted for up to three 8-bit bands, else `SAMPLED_PIXELS` of them.
    """
    bands = patches.shape[-1]
    if patches.dtype == np.uint8 and bands <= 3:
        shifts = 8 * np.arange(bands)
        chunks = ((pixels.astype(np.int64) << shifts).sum(axis=1) for pixels in _chunks(patches))
        keys, occurrences = zip(*(np.unique(chunk, return_counts=True) for chunk in chunks))
        distinct, where = np.unique(np.concatenate(keys), return_inverse=True)
        counts = np.bincount(where, np.concatenate(occurrences)).astype(np.int64)
        return (distinct[:, None] >> shifts & 255).astype(np.uint8), counts
    pixels = patches.reshape(-1, bands)
    if len(pixels) > SAMPLED_PIXELS:
        chosen = np.random.default_rng(seed).choice(len(pixels), SAMPLED_PIXELS, replace=False)
        pixels = pixels[np.sort(chosen)]
    colours, occurrences = np.unique(pixels, axis=0, return_counts=True)
    return colours, occurrences.astype(np.int64)


def k_means(colours: Samples, weights: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """`count` integer colours (count, C), ascending by their mean, that represent the distinct `colours`.

    Greedy k-means++ seeding (Arthur and Vassilvitskii 2007), then Lloyd's iteration until no centre
    moves on a grid of 1/16 (8-bit samples) or 1 (16-bit). Fewer distinct colours than `count` are
    all kept; the last is repeated.
    """
    if len(colours) <= count:
        return _by_mean(np.pad(colours.astype(np.int64), ((0, count - len(colours)), (0, 0)), "edge"))
    grid = 16 if colours.dtype == np.uint8 else 1
    points = np.ascontiguousarray(colours.astype(np.uint16) * np.uint16(grid))
    centres = _seeds(points, weights, count, np.random.default_rng(seed))
    labels = np.empty(len(points), np.uint8)
    weighted = points.T * weights.astype(float)
    for _ in range(MAX_ITERATIONS):
        _native.nearest(points, centres, labels)
        mass = np.bincount(labels, weights, count)[:, None]
        sums = np.stack([np.bincount(labels, band, count) for band in weighted], axis=1)
        moved = np.where(mass > 0, np.rint(sums / np.maximum(mass, 1)), centres).astype(np.int64)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return _by_mean(np.rint(centres / grid).astype(np.int64))


def mixed_colours(
    colours: Samples, weights: NDArray[np.int64], centres: NDArray[np.int64], dither: Dither, seed: int
) -> NDArray[np.int64]:
    """`centres` (count, C) moved to where mixtures of them represent the distinct `colours` best, ascending by mean.

    The error is that of `dithered_levels`: the mixture's variance, plus n times the square by which its mean is off.
    By turns the encoder tells what is mixed and least squares where those colours should be, until nothing moves or
    for `MIXING_ROUNDS`; the best is kept. Of many colours a sample is taken.
    """
    if len(colours) > SEEDING_COLOURS:
        mass = weights / weights.sum()
        colours = colours[np.random.default_rng(seed).choice(len(colours), SEEDING_COLOURS, p=mass)]
        weights = np.ones(len(colours), np.int64)
    averaged, shares = _averaged_pixels(dither), weights / weights.sum()
    best, least = centres, np.inf
    for _ in range(MIXING_ROUNDS):
        mixed = _mixtures(colours, centres, dither)
        means, weighted = mixed @ centres, mixed.T * shares
        variance = (mixed @ np.square(centres) - np.square(means)).sum(axis=1) @ shares
        error = variance + averaged * (np.square(colours - means).sum(axis=1) @ shares)
        if error < least:
            best, least = centres, error
        kept = 1e-9 * np.eye(len(centres))  # what is mixed nowhere stays
        equations = np.diag(weighted.sum(axis=1)) + (averaged - 1) * weighted @ mixed + kept
        moved = np.linalg.solve(equations, averaged * weighted @ colours + kept @ centres)
        moved = _by_mean(np.rint(moved).astype(np.int64).clip(0, np.iinfo(colours.dtype).max))
        if np.array_equal(moved, centres):
            break
        centres = moved
    return best


def _mixtures(colours: Samples, centres: NDArray[np.int64], dither: Dither) -> NDArray[np.float64]:
    """The share of each of the centres (count, C) in what is mixed for colours (n, C): (n, count)."""
    mixed = int(mixture_ranks(dither).max()) + 1
    every_rank = np.tile(np.arange(mixed, dtype=np.uint8)[:, None], (mixed, 1, 1))
    codes = np.empty((len(colours), mixed), np.uint8)
    _native.encode_palette(colours[:, None, None].repeat(mixed, axis=2), centres, every_rank, codes, 0)
    places = np.arange(len(colours))[:, None] * len(centres) + codes
    counts = np.bincount(places.ravel(), minlength=len(colours) * len(centres))
    return counts.reshape(len(colours), len(centres)) / mixed


def _averaged_pixels(dither: Dither) -> int:
    return min(max(dither.period**2, AVERAGED_PIXELS[0]), AVERAGED_PIXELS[1])


def _chunks(patches: Samples) -> Iterator[Samples]:
    pixels = patches.reshape(-1, patches.shape[-1])
    for first in range(0, len(pixels), CHUNK_PIXELS):
        yield pixels[first : first + CHUNK_PIXELS]


def _nodes(counts: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Sample values to search over: all, or evenly spaced ones and those that part the cube root of
    the histogram evenly, which is where optimal levels crowd (Panter and Dite 1951)."""
    values = len(counts)
    if values <= MAX_NODES:
        return np.arange(values)
    density = np.cumsum(np.cbrt(counts))
    crowded = np.searchsorted(density, np.linspace(0, density[-1], MAX_NODES - count))
    even = np.linspace(0, values - 1, count)
    return np.unique(np.concatenate([crowded.clip(0, values - 1), even.astype(np.int64)]))


def _between(cumulated: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over the interval from node i to node j: (nodes, nodes)."""
    return np.asarray(cumulated[None, :] - cumulated[:, None])


def _shortest_path(cost: NDArray[np.float64], edges: int) -> NDArray[np.int64]:
    """Nodes of the cheapest ascending path from the first node to the last with so many edges."""
    steps = np.where(np.tri(len(cost), dtype=bool), np.inf, cost).T.copy()
    best, parents = steps[:, 0], []
    for _ in range(edges - 1):
        totals = steps + best
        parents.append(totals.argmin(axis=1))
        best = totals[np.arange(len(totals)), parents[-1]]
    path = [len(cost) - 1]
    for parent in reversed(parents):
        path.append(int(parent[path[-1]]))
    return np.array([0, *reversed(path)])


def _seeds(
    points: NDArray[np.uint16], weights: NDArray[np.int64], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    mass = weights / weights.sum()
    if len(points) > SEEDING_COLOURS:
        points = points[rng.choice(len(points), SEEDING_COLOURS, p=mass)]
        mass = np.full(len(points), 1 / len(points))
    places = points.astype(np.float64)
    trials = 2 + int(np.log(count))
    chosen = [int(rng.choice(len(places), p=mass))]
    nearest = np.square(places - places[chosen[0]]).sum(axis=1)
    for _ in range(count - 1):
        odds = mass * nearest
        if not odds.any():
            break
        tried = rng.choice(len(places), trials, p=odds / odds.sum())
        distances = [np.minimum(nearest, np.square(places - places[trial]).sum(axis=1)) for trial in tried]
        best = int(np.argmin([mass @ distance for distance in distances]))
        chosen.append(int(tried[best]))
        nearest = distances[best]
    chosen += chosen[-1:] * (count - len(chosen))
    return points[chosen].astype(np.int64)


def _by_mean(colours: NDArray[np.int64]) -> NDArray[np.int64]:
    return colours[np.lexsort((*colours.T[::-1], colours.sum(axis=1)))]
