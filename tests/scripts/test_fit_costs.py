"""Coefficients of the cost model, drawn to what builds' parts were counted at."""

from __future__ import annotations

import fit_costs
import numpy as np
import pytest
from fit_costs import Sample

from bitswath.hw.planning.costs import structure
from bitswath.hw.planning.resources import Resources

BEFORE = {"lut": [0.9, 0.5, 20.0], "ff": [1.8, 1.0, 12.0]}
TRUE = {"lut": [1.2, 0.5, 20.0], "ff": [1.5, 1.0, 12.0]}


def counted(simd: int, channels: int, build: int) -> Sample:
    sizes = {"simd": simd, "bits": 4, "image": (16, 16), "channels": channels}
    features = structure("FMPadding_rtl", **sizes).features
    counts = {name: float(np.dot(TRUE[name], features)) for name in TRUE}
    return Sample("FMPadding_rtl", sizes, build, Resources(**counts))


SAMPLES = [counted(simd, 64, simd % 3) for simd in (1, 2, 4, 8, 16, 32, 64)] + [counted(16, 16, 0), counted(32, 32, 1)]


def test_coefficients_come_nearer_to_what_was_counted(capsys: pytest.CaptureFixture[str]) -> None:
    found = fit_costs.adjust(("FMPadding_rtl",), SAMPLES, BEFORE)
    for name in ("lut", "ff"):
        known = fit_costs.Known.of(SAMPLES, name)
        off = [np.abs(known.near(c[name]) - known.counts).sum() for c in (BEFORE, found)]
        assert off[1] < 0.25 * off[0]
    assert "FMPadding_rtl | lut | 9 |" in capsys.readouterr().out


def test_the_same_part_of_many_builds_counts_once() -> None:
    assert fit_costs.adjust(("FMPadding_rtl",), [SAMPLES[0]] * fit_costs.ENOUGH, BEFORE) == BEFORE


def test_what_no_part_has_stays() -> None:
    """Converters whose beats are whole numbers of each other say nothing of the others."""
    widths = [(8 * n, 8) for n in range(2, 12)]
    samples = [
        Sample(
            "StreamingDataWidthConverter_rtl", {"in_width": a, "out_width": b}, i % 2, Resources(lut=a + b, ff=a + b)
        )
        for i, (a, b) in enumerate(widths)
    ]
    before = {"lut": [2.0, 0.5, 1.0, 1.8, 0.1, 7.0], "ff": [0.1, 0.2, 0.3, 1.0, 1.0, 3.0]}
    found = fit_costs.adjust(("StreamingDataWidthConverter_rtl",), samples, before)
    assert [found[name][:5] for name in ("lut", "ff")] == [before[name][:5] for name in ("lut", "ff")]
