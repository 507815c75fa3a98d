"""What `bench_lossy` shows: what is to be reached, and the codec and the libraries side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench_run import Report
from bench_tables import Bar, Grid, bar_grid

__all__ = ["DECIBELS", "SPEED_DB", "TRANSFORM", "report"]

DECIBELS = (33, 35, 37)
SPEED_DB = 35
TRANSFORM = "transform"

NONE = "–"
Facts = Mapping[str, Any]

BARS = (
    Bar("encoding, raw samples, one core", f"coders.{TRANSFORM}.encode_mb_per_s", 100.0, "MB/s"),
    Bar("decoding, one core", f"coders.{TRANSFORM}.decode_patches_per_s", 40_000.0, "patches/s"),
)


def report(facts: Facts) -> Report:
    """Of whatever was measured."""
    grids = [bar_grid("Measured and wanted", BARS, facts), _coders(facts)]
    return Report("Lossy libraries", tuple(grids), tuple(_sentences(facts)))


def _coders(facts: Facts) -> Grid:
    sizes = [f"{decibels} dB, bytes" for decibels in DECIBELS]
    columns = ("coder", *sizes, "encode, MB/s", "decode, patches/s")
    rows = ((name, *_row(of)) for name, of in facts.get("coders", {}).items())
    return Grid("At equal PSNR: files (without what all share), one core", columns, tuple(rows))


def _row(of: Facts) -> Iterator[str]:
    for decibels in DECIBELS:
        found = of.get("at_db", {}).get(str(decibels), {})
        whole, own = found.get("bytes"), found.get("payload_bytes")
        shared = f" ({own:,.0f})" if own is not None and whole is not None and own < whole - 0.5 else ""
        yield NONE if whole is None else f"{whole:,.0f}{shared}"
    yield _rate(of.get("encode_mb_per_s"))
    yield _rate(of.get("decode_patches_per_s"))


def _rate(value: float | None) -> str:
    return NONE if value is None else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _sentences(facts: Facts) -> Iterator[str]:
    """Where which library needs the fewest bytes, beside the codec."""
    coders = facts.get("coders", {})
    for decibels in DECIBELS:
        sizes = {name: of.get("at_db", {}).get(str(decibels), {}).get("payload_bytes") for name, of in coders.items()}
        known = {name: size for name, size in sizes.items() if size is not None}
        own = known.pop(TRANSFORM, None)
        if own is None or not known:
            continue
        best = min(known, key=lambda name: known[name])
        yield (
            f"At {decibels} dB the codec needs {own:,.0f} bytes, {_against(own, known[best])} {best} without what its"
            f" files share ({known[best]:,.0f}), the library that needs fewest."
        )


def _against(own: float, other: float) -> str:
    percent = round(100 * (own / other - 1))
    return f"{abs(percent)} % {'more' if percent > 0 else 'fewer'} than" if percent else "as many as"
