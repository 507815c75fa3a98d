"""What `bench_packing` shows: what is to be reached, tables, and what limits a width that falls short."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench_run import Report
from bench_tables import Bar, Grid, bar_grid

__all__ = ["WIDTHS", "report"]

WIDTHS = range(1, 9)
GOAL = 0.25
MEMORY_BOUND = 1.25
"""A kernel that is so much quicker in the cache waits for memory in a large batch."""

BARS = (
    Bar("worst width of pack and unpack, over memcpy", "worst_fraction_of_memcpy", GOAL, "%"),
    Bar("the same in the second-level cache", "worst_fraction_of_memcpy_in_cache", None, "%"),
)
Facts = Mapping[str, Any]


def report(facts: Facts) -> Report:
    """Of whatever was measured."""
    tables = [bar_grid("Measured and wanted", BARS, facts)]
    for name, table in _TABLES.items():
        if name in facts:
            tables.append(table(facts))
    return Report("Packing", tuple(tables), tuple(_limits(facts)))


def _widths(facts: Facts) -> Grid:
    batches = [facts[name] for name in ("large", "cached") if name in facts]
    counts = "; in cache: ".join(f"{of['patches']} (memcpy {of['memcpy_gb_per_s']:.1f} GB/s)" for of in batches)
    columns = ["bits", "", "GB/s", "of memcpy", *(["in cache, GB/s", "of memcpy", "limited by"] * (len(batches) > 1))]
    rows = []
    for bits, what in _cases():
        row = [bits, what]
        for batch in batches:
            of = batch["widths"][bits][what]
            row += [f"{of['gb_per_s']:.1f}", f"{of['fraction_of_memcpy']:.0%}"]
        if len(batches) > 1:
            row.append(_limit(facts, bits, what))
        rows.append(tuple(row))
    return Grid(f"Dense patches of 64 x 64 x 13, one core, {counts}", tuple(columns), tuple(rows))


def _cases() -> Iterator[tuple[str, str]]:
    return ((str(bits), what) for bits in WIDTHS for what in ("pack", "unpack"))


def _limit(facts: Facts, bits: str, what: str) -> str:
    in_cache, in_memory = (facts[name]["widths"][bits][what]["gb_per_s"] for name in ("cached", "large"))
    return "memory" if in_cache / in_memory > MEMORY_BOUND else "arithmetic"


def _sources(facts: Facts) -> Grid:
    rows = (
        (dtype, f"{of['gb_per_s']:.1f}", f"{of['fraction_of_memcpy']:.0%}") for dtype, of in facts["sources"].items()
    )
    return Grid("Sources, to 4 bits, one core", ("from", "GB/s of codes", "of memcpy"), tuple(rows))


def _threads(facts: Facts) -> Grid:
    rows = ((name, f"{value:.1f}") for name, value in facts["threads"].items())
    return Grid("Large batches, 4 bits", ("", "GB/s"), tuple(rows))


def _peers(facts: Facts) -> Grid:
    rows = ((name, f"{value:.3g}") for name, value in facts["peers"].items())
    return Grid("Other packers, small batches, one core", ("packer", "GB/s"), tuple(rows))


def _codecs(facts: Facts) -> Grid:
    rows = ((name, *map(_three_digits, of.values())) for name, of in facts["codecs"].items())
    columns = ("codec", "encode, GB/s", "encode_packed, GB/s", "one patch, µs")
    return Grid("Codecs, 64 x 64 x 3 samples, one core", columns, tuple(rows))


_TABLES = {"large": _widths, "sources": _sources, "peers": _peers, "threads": _threads, "codecs": _codecs}


def _limits(facts: Facts) -> Iterator[str]:
    """The widths that fall short, and by what."""
    for bits, what in _cases() if "large" in facts else ():
        fraction = facts["large"]["widths"][bits][what]["fraction_of_memcpy"]
        if fraction < GOAL:
            limit = f", limited by {_limit(facts, bits, what)}" if "cached" in facts else ""
            yield f"{what} of {bits} bits: {fraction:.0%} of memcpy{limit}."


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
