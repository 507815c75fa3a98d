"""Canonical Huffman codes of limited length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

__all__ = ["LONGEST", "Table", "code_lengths", "table_of"]

LONGEST = 12
"""Bits of a code."""


@dataclass(frozen=True)
class Table:
    """Symbols in the order of their codes, `counts[n - 1]` of them with n bits."""

    counts: tuple[int, ...]
    symbols: tuple[int, ...]

    def length(self, symbol: int) -> int:
        """Bits of a symbol's code."""
        place = self.symbols.index(symbol)
        return next(bits for bits, end in enumerate(accumulate(self.counts), 1) if place < end)


def code_lengths(weights: Mapping[int, float], longest: int = LONGEST) -> dict[int, int]:
    """Bits for each of two symbols or more so that the weighted sum is least and none has more than `longest`.

    Package-merge (Larmore and Hirschberg, J. ACM 37 (3), 1990).
    """
    if not 2 <= len(weights) <= 1 << longest:
        raise ValueError(f"expected 2 to {1 << longest} symbols, got {len(weights)}")
    coins: list[tuple[float, tuple[int, ...]]] = sorted((weight, (symbol,)) for symbol, weight in weights.items())
    packages = list(coins)
    for _ in range(longest - 1):
        pairs = zip(packages[::2], packages[1::2])
        packages = sorted([*coins, *((a + b, s + t) for (a, s), (b, t) in pairs)], key=lambda package: package[0])
    lengths = dict.fromkeys(weights, 0)
    for _, symbols in packages[: 2 * len(weights) - 2]:
        for symbol in symbols:
            lengths[symbol] += 1
    return lengths


def table_of(weights: Mapping[int, float]) -> Table:
    """The complete code of these symbols; among codes of one length symbols ascend."""
    lengths = code_lengths(weights)
    symbols = tuple(sorted(lengths, key=lambda symbol: (lengths[symbol], symbol)))
    counted = list(lengths.values())
    return Table(tuple(counted.count(bits) for bits in range(1, LONGEST + 1)), symbols)
