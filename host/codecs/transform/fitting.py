"""What a transform codec is fitted to training patches by: band transform, steps, reconstruction, tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.codecs.transform.huffman import Table, table_of

__all__ = ["ac_tables", "band_matrix", "dc_tables", "deltas", "first_counts", "ranges", "sample"]

Integers = NDArray[np.int64]

SAMPLE_PATCHES, SAMPLE_VALUES = 3000, 1 << 28
"""Training patches that a fit looks at, drawn at random, and their samples."""
CHUNK_PIXELS = 1 << 18
MATRIX_ONE = 1 << 12
PERCENTILES = (0.1, 99.9)
"""Of a band's samples of 16 bits: what lies beyond is clipped."""
END, ESCAPE = 0x000, 0x00F
"""AC symbols: a block's component ends; run and size follow uncoded."""
MOST_BITS = 14
CONTEXTS = 56
MOST_TABLES = 8
MOST_SYMBOLS = 64
FEWEST_SEEN = 3
"""A symbol that is seen less often has no code of its own."""


def sample(patches: NDArray[Any], seed: int) -> NDArray[Any]:
    """At most `SAMPLE_PATCHES` of the patches (N, H, W, C), and not more than memory takes."""
    count = min(SAMPLE_PATCHES, max(1, SAMPLE_VALUES // math.prod(patches.shape[1:])))
    if len(patches) <= count:
        return patches
    return patches[np.sort(np.random.default_rng(seed).choice(len(patches), count, replace=False))]


def ranges(patches: NDArray[Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What becomes 0 and 255 of each band: all there is of 8 bits, else where nearly all samples lie."""
    bands = patches.shape[-1]
    if patches.dtype == np.uint8:
        return (0,) * bands, (255,) * bands
    low, high = np.percentile(patches.reshape(-1, bands), PERCENTILES, axis=0)
    lows = np.minimum(np.floor(low).astype(int), np.iinfo(patches.dtype).max - 1)
    highs = np.maximum(np.ceil(high).astype(int), lows + 1)
    return tuple(lows.tolist()), tuple(highs.tolist())


def band_matrix(samples: NDArray[np.uint8]) -> tuple[tuple[int, ...], ...]:
    """Components by falling variance (C, C) at 2^12: the Karhunen-Loeve transform of the training pixels."""
    _, vectors = np.linalg.eigh(_covariance(samples.reshape(-1, samples.shape[-1])))
    rows = vectors.T[::-1]
    rows = rows * np.where(rows.sum(axis=1, keepdims=True) < 0, -1, 1)
    return tuple(tuple(row) for row in np.rint(rows * MATRIX_ONE).astype(int).tolist())


def _covariance(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of pixels (N, C), up to a factor: (C, C). Sums of integers, exact in any order."""
    bands = pixels.shape[1]
    total, products = np.zeros(bands), np.zeros((bands, bands))
    for start in range(0, len(pixels), CHUNK_PIXELS):
        chunk = pixels[start : start + CHUNK_PIXELS].astype(np.float64)
        total += chunk.sum(axis=0)
        products += chunk.T @ chunk
    return products - np.outer(total, total) / len(pixels)


def first_counts() -> tuple[Integers, Integers]:
    """Counts to begin with, of sizes (classes, 15) and AC symbols (contexts, 4096): each bit halves what is likely."""
    sizes = np.arange(MOST_BITS + 1)
    symbols = np.arange(4096)
    run, size = symbols >> 4, symbols & 0xF
    likely = np.where((size >= 1) & (size <= MOST_BITS), 2.0 ** (24 - run / 3 - 2 * size), 0)
    likely[END] = 2.0**22
    dc = np.tile(2.0 ** (20 - sizes), (2, 1))
    return dc.astype(np.int64), np.tile(likely, (CONTEXTS, 1)).astype(np.int64)


def dc_tables(counts: Integers) -> list[Table]:
    """A table a class of components for the sizes 0..14, from how often each was seen, (classes, 15)."""
    return [table_of(dict(enumerate((row + 0.5).tolist()))) for row in counts]


def ac_tables(counts: Integers) -> tuple[list[Table], tuple[int, ...]]:
    """At most eight tables of at most 64 symbols, and the one of each context, from counts (contexts, 4096).

    Contexts that cost the fewest bits together share a table, two by two.
    """
    groups = _clusters(counts)
    tables, contexts = [], np.zeros(len(counts), int)
    for number, (members, summed) in enumerate(groups):
        usual = np.argsort(-summed, kind="stable")[: MOST_SYMBOLS - 2].tolist()
        seen = [symbol for symbol in usual if summed[symbol] >= FEWEST_SEEN and symbol != END]
        weights = {symbol: float(summed[symbol]) for symbol in seen}
        weights[END] = float(summed[END]) + 0.5
        weights[ESCAPE] = float(summed.sum() - sum(summed[s] for s in (*seen, END))) + 0.5
        tables.append(table_of(weights))
        contexts[members] = number
    return tables, tuple(contexts.tolist())


def _clusters(counts: Integers) -> list[tuple[list[int], Integers]]:
    """Contexts that share a table, with their counts; one that was never seen is with the one before it."""
    groups: list[tuple[list[int], Integers]] = []
    for context, row in enumerate(counts):
        if row.any() or not groups:
            groups.append(([context], row))
        else:
            groups[-1][0].append(context)
    bits = [_entropy(row) for _, row in groups]
    alone = {
        (a, b): _entropy(groups[a][1] + groups[b][1]) - bits[a] - bits[b] for a in range(len(groups)) for b in range(a)
    }
    alive = set(range(len(groups)))
    while len(alive) > MOST_TABLES:
        a, b = min(alone, key=lambda pair: (alone[pair], pair))
        groups[a] = (groups[a][0] + groups[b][0], groups[a][1] + groups[b][1])
        bits[a] = _entropy(groups[a][1])
        alive.remove(b)
        alone = {pair: cost for pair, cost in alone.items() if b not in pair}
        for c in alive - {a}:
            alone[max(a, c), min(a, c)] = _entropy(groups[a][1] + groups[c][1]) - bits[a] - bits[c]
    return [groups[i] for i in sorted(alive)]


def _entropy(counts: Integers) -> float:
    """Bits that all of the symbols need together."""
    seen = counts[counts > 0].astype(float)
    return float(seen.sum() * np.log2(seen.sum()) - (seen * np.log2(seen)).sum()) if len(seen) else 0.0


def deltas(counted: Mapping[str, Sequence[float]]) -> tuple[int, ...]:
    """Where levels of 1, 2 and more stand for their coefficients' mean, in thirty-seconds of a step below the level."""
    means = [excess / max(levels, 1) for excess, levels in zip(counted["excess"], counted["levels"])]
    return tuple(int(np.clip(np.rint(-32 * mean), -31, 31)) for mean in means)
