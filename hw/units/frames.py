"""The memories of `transform_decode.sv`, from a transform codec's entropy tables.

Tables are given as canonical Huffman codes are: how many codes of each length 1..12, and symbols in order of length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import TypeVar

from bitswath.errors import BuildError

__all__ = ["LONGEST", "frame_memories"]

LONGEST = 12
"""Bits of the longest code."""

_AC_TABLES, _DC_TABLES = 8, 2
_CLASSES, _ZONES, _BEFORE = 2, 7, 4
_SYMBOLS = _AC_TABLES * 64 + _DC_TABLES * 15
_ADDRESS_BITS = 10

T = TypeVar("T")


def frame_memories(
    ac_counts: Sequence[Sequence[int]],
    ac_symbols: Sequence[Sequence[int]],
    contexts: Sequence[int],
    dc_counts: Sequence[Sequence[int]],
    dc_symbols: Sequence[Sequence[int]],
) -> Mapping[str, str]:
    """Contents ($readmemh) of the files that ``INIT_PREFIX`` and a key name.

    `ac_counts`, `ac_symbols`: up to 8 tables over run << 4 | size; `contexts`: the table of each of 56 contexts;
    `dc_counts`, `dc_symbols`: 2 tables over sizes 0..14. Raises `BuildError` for tables that do not fit.
    """
    _check(ac_symbols, dc_symbols)
    counts = [*_eight(ac_counts), *dc_counts]
    stored = [*ac_symbols, *dc_symbols]
    starts = [sum(map(len, stored[:i])) for i in range(len(stored))]
    starts = [*_eight(starts[: len(ac_symbols)]), *starts[len(ac_symbols) :]]
    bases = [base for row, start in zip(counts, starts) for base in _bases(row, start)]
    tables = [
        contexts[(c * _ZONES + zone) * _BEFORE + before] if zone < _ZONES else 0
        for c in range(_CLASSES)
        for zone in range(_ZONES + 1)
        for before in range(_BEFORE)
    ]
    return {
        "limits.hex": _lines(map(_limits, counts), (LONGEST - 1) * (LONGEST + 2) // 2),
        "bases.hex": _lines(bases, _ADDRESS_BITS),
        "symbols.hex": _lines(chain(*stored, repeat(0, _SYMBOLS - sum(map(len, stored)))), 12),
        "contexts.hex": _lines(tables, 3),
    }


def _check(ac_symbols: Sequence[Sequence[int]], dc_symbols: Sequence[Sequence[int]]) -> None:
    sizes = [len(symbols) for symbols in (*ac_symbols, *dc_symbols)]
    if not 1 <= len(ac_symbols) <= _AC_TABLES or len(dc_symbols) != _DC_TABLES or sum(sizes) > _SYMBOLS:
        raise BuildError(
            f"the frames' decoder holds 1 to {_AC_TABLES} AC tables, {_DC_TABLES} DC tables and {_SYMBOLS} symbols, got"
            f" tables of {sizes} symbols, {len(dc_symbols)} of them DC; fit the codec again"
        )


def _eight(rows: Sequence[T]) -> list[T]:
    """Eight rows; those that no context names are the first."""
    return [*rows, *[rows[0]] * (_AC_TABLES - len(rows))]


def _firsts(counts: Sequence[int]) -> list[tuple[int, int]]:
    """For each length: the first code, and the index of its symbol."""
    found, code, index = list[tuple[int, int]](), 0, 0
    for count in counts:
        found.append((code, index))
        code, index = (code + count) << 1, index + count
    return found


def _limits(counts: Sequence[int]) -> int:
    """For lengths 1..11, in length + 1 bits each from the lowest on: the first code of that length that is longer."""
    word = at = 0
    for length, ((code, _), count) in enumerate(zip(_firsts(counts)[:-1], counts), 1):
        word |= (code + count) << at
        at += length + 1
    return word


def _bases(counts: Sequence[int], start: int) -> list[int]:
    """16 words: at each length, what a code is added to for the address of its symbol."""
    found = [(start + index - code) % (1 << _ADDRESS_BITS) for code, index in _firsts(counts)]
    return [0, *found, *[0] * (15 - len(found))]


def _lines(words: Iterable[int], bits: int) -> str:
    return "".join(f"{word:0{-(-bits // 4)}x}\n" for word in words)
