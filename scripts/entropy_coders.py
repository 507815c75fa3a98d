"""Entropy coders that were candidates of the transform codec: bytes of a patch, and what a decoder holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitswath.codecs.transform import fitting
from bitswath.codecs.transform.huffman import Table

__all__ = ["HEADER_BYTES", "STATE_BYTES", "TABLE_BITS", "Symbols", "golomb_rice", "huffman", "symbols", "tans"]

Levels = NDArray[np.int32]

ZONES = (1, 3, 6, 15, 36, 90)
HEADER_BYTES = 5
STATE_BYTES, STATE_BITS = 2, 10
"""Of a tANS decoder, in a frame."""
TABLE_BITS = (6 + 4 + STATE_BITS) << STATE_BITS
"""Of a tANS table: of each state a symbol's number, how many bits follow, and the next state."""
RICE_BLOCK, RICE_SEGMENT, RICE_ID = 16, 64, 4
"""Samples of a block, blocks of a segment, and bits that name a block's option (CCSDS 121.0-B-3)."""


@dataclass(frozen=True)
class Symbols:
    """AC symbols of patches with their contexts, DC sizes with their classes, and the bits behind them."""

    ac: NDArray[np.int64]
    dc: NDArray[np.int64]
    extra: int
    patches: int

    @property
    def count(self) -> float:
        """Symbols a patch."""
        return float(self.ac.sum() + self.dc.sum()) / self.patches


def symbols(scan: Levels) -> Symbols:
    """Counts by (context, symbol) and (class, size), as the frame format has them."""
    n, _, _, bands, size = scan.shape
    blocks = scan.reshape(-1, size)
    group = np.broadcast_to(np.minimum(np.arange(bands), 1), scan.shape[:4]).ravel()
    rows, places = np.nonzero(blocks[:, 1:])
    places = places + 1
    inside = np.r_[False, rows[1:] == rows[:-1]]
    magnitudes = np.abs(blocks[rows, places])
    before = np.where(inside, np.r_[0, places[:-1]], 0)
    level = np.where(inside, np.r_[0, magnitudes[:-1]], 0)
    bits = np.floor(np.log2(magnitudes)).astype(int) + 1
    ends = np.zeros((2, len(blocks)), int)
    last = np.r_[~inside[1:], True] if len(rows) else inside
    ends[:, rows[last]] = places[last], magnitudes[last]
    contexts = np.r_[_context(group[rows], before, level), _context(group, *ends)]
    ac = np.bincount(contexts << 12 | np.r_[(places - before - 1) << 4 | bits, 0 * group], minlength=56 << 12)
    means = np.abs(blocks[:, 0])
    sizes = np.where(means > 0, np.floor(np.log2(np.maximum(means, 1))).astype(int) + 1, 0)
    dc = np.bincount(group * 15 + sizes, minlength=30)
    return Symbols(ac.reshape(56, 4096), dc.reshape(2, 15), int(bits.sum() + sizes.sum()), n)


def _context(group: NDArray[np.int64], place: NDArray[np.int64], level: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(group * 28 + np.digitize(place, ZONES) * 4 + np.minimum(level, 3))


def huffman(train: Symbols, val: Symbols, by_class: bool) -> tuple[float, int]:
    """Bytes of a patch, and bits of all tables: symbols, and codes of each length."""
    counts = train.ac.reshape(2, 28, 4096).sum(axis=1).repeat(28, axis=0) if by_class else train.ac
    tables, contexts = fitting.ac_tables(counts)
    if by_class:
        tables, contexts = [tables[contexts[0]], tables[contexts[28]]], (0,) * 28 + (1,) * 28
    means = fitting.dc_tables(train.dc)
    bits = sum(_huffman_bits(tables[number], row) for number, row in zip(contexts, val.ac))
    bits += sum(_huffman_bits(table, row) for table, row in zip(means, val.dc))
    held = sum(12 * len(table.symbols) + 12 * 7 for table in tables) + 2 * (4 * 15 + 12 * 4) + 3 * 56
    return _bytes(bits, val), held


def _huffman_bits(table: Table, counts: NDArray[np.int64]) -> int:
    escape = table.length(fitting.ESCAPE) + 12 if fitting.ESCAPE in table.symbols else 0
    known = set(table.symbols)
    seen = np.flatnonzero(counts).tolist()
    return sum(int(counts[symbol]) * (table.length(symbol) if symbol in known else escape) for symbol in seen)


def tans(train: Symbols, val: Symbols, clustered: bool) -> tuple[float, int]:
    """The same symbols at the cost of their probabilities in 1024ths, with a state in each frame."""
    groups = fitting._clusters(train.ac) if clustered else [([context], row) for context, row in enumerate(train.ac)]
    bits, held = 0.0, 6 * 56 + 2 * TABLE_BITS
    for members, summed in groups:
        bits += _coded(summed, val.ac[members].sum(axis=0), escape=12)
        held += TABLE_BITS
    bits += sum(_coded(row, coded, escape=0) for row, coded in zip(train.dc, val.dc))
    return _bytes(bits, val) + STATE_BYTES, held


def _coded(counts: NDArray[np.int64], coded: NDArray[np.int64], escape: int) -> float:
    """Bits of `coded` symbols by frequencies of `counts`; all but the 62 most usual ones are escaped."""
    usual = np.argsort(-counts, kind="stable")[: fitting.MOST_SYMBOLS - 2]
    others = counts.sum() - counts[usual].sum() + 0.5
    weights = np.maximum(np.append(counts[usual] + 0.02, others) / (counts.sum() + 0.52) * (1 << STATE_BITS), 1)
    cost = -np.log2(weights / weights.sum())
    rest = coded.sum() - coded[usual].sum()
    return float((coded[usual] * cost[:-1]).sum() + rest * (cost[-1] + escape))


def golomb_rice(scan: Levels) -> tuple[float, float]:
    """Bytes of a patch with the options of CCSDS 121.0-B for each block of 16 samples, and samples that are decoded.

    Blocks of equal frequencies lie together, so that runs of zeros are long.
    """
    n = len(scan)
    mapped = np.where(scan >= 0, 2 * scan, -2 * scan - 1).astype(np.int64).reshape(n, -1, scan.shape[-1] // 16, 16)
    blocks = mapped.transpose(0, 2, 1, 3).reshape(n, -1, RICE_BLOCK)
    split = [(blocks >> k).sum(axis=2) + RICE_BLOCK * (k + 1) for k in range(12)]
    sums = blocks[..., 0::2] + blocks[..., 1::2]
    second = (sums * (sums + 1) // 2 + blocks[..., 1::2] + 1).sum(axis=2) + 1
    best = np.minimum(np.min(split, axis=0), second) + RICE_ID
    zero = ~blocks.any(axis=2)
    bits = int(best[~zero].sum()) + sum(map(_zero_runs, zero))
    return bits / 8 / n + HEADER_BYTES, float((~zero).sum()) * RICE_BLOCK / n


def _zero_runs(zero: NDArray[np.bool_]) -> int:
    """Bits of a patch's blocks of zeros."""
    bits = 0
    for start in range(0, len(zero), RICE_SEGMENT):
        part = zero[start : start + RICE_SEGMENT]
        edges = np.flatnonzero(np.diff(np.r_[False, part, False]))
        for first, end in edges.reshape(-1, 2).tolist():
            run = end - first
            bits += RICE_ID + 1 + (run if run < 5 else 5 if end == len(part) else run + 1)
    return bits


def _bytes(bits: float, of: Symbols) -> float:
    return (bits + of.extra) / 8 / of.patches + HEADER_BYTES
