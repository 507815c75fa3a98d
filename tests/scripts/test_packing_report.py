"""The packers' report: the worst width against its bar, and what limits widths."""

from __future__ import annotations

from typing import Any

import pytest
from bench_packing import worst
from packing_report import WIDTHS, report


def batch(patches: int, gb_per_s: float, **fractions: float) -> dict[str, Any]:
    def of(name: str) -> dict[str, Any]:
        part = fractions.get(name, 0.8)
        return {"gb_per_s": gb_per_s, "fraction_of_memcpy": part, "quartiles": {"fraction_of_memcpy": [part, part]}}

    widths = {str(bits): {what: of(f"{what}{bits}") for what in ("pack", "unpack")} for bits in WIDTHS}
    return {"patches": patches, "memcpy_gb_per_s": 10.0, "widths": widths}


def test_the_worst_is_of_every_width_and_direction() -> None:
    found = worst(batch(8, 5.0, pack3=0.5, unpack7=0.4), "key")
    assert found == {"key": 0.4, "quartiles": {"key": [0.4, 0.4]}}


@pytest.mark.parametrize(("cached_gb_per_s", "limit"), [(5.1, "arithmetic"), (9.0, "memory")])
def test_widths_that_fall_short_are_named_with_their_limit(cached_gb_per_s: float, limit: str) -> None:
    large = batch(1024, 5.0, unpack7=0.2)
    facts = {"large": large, "cached": batch(8, cached_gb_per_s), **worst(large, "worst_fraction_of_memcpy")}
    found = report(facts)
    assert found.tables[0].rows[0][1:] == ("20.0 %", "20.0 % to 20.0 %", "at least 25.0 %", "missed")
    assert found.sentences == (f"unpack of 7 bits: 20% of memcpy, limited by {limit}.",)
    assert len(found.tables[1].rows) == 16 and {row[-1] for row in found.tables[1].rows} == {limit}


def test_what_was_not_measured_is_left_out() -> None:
    found = report({"sources": {"uint8": {"gb_per_s": 2.0, "fraction_of_memcpy": 0.5}}})
    assert [len(table.rows) for table in found.tables] == [0, 1] and found.sentences == ()
    cached = report({"cached": batch(8, 5.0), "worst_fraction_of_memcpy_in_cache": 0.8})
    assert cached.tables[0].rows[0][1] == "80.0 %" and cached.sentences == ()
