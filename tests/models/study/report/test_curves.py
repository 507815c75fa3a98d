"""Formats are curves over bytes, and frames stand beside what they reach at equal bytes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bitswath.models.study.report.facts.compare import difference
from bitswath.models.study.report.facts.curves import beside, compressed, curves, smallest_forms
from bitswath.models.study.report.facts.select import costs, longer_costs
from tests.models.study.report.rows import PATCHES, PEERS, STUDY, first_right, frames, lossy, network, results, trained


def found(*rows: dict) -> tuple[list, dict]:
    study = results(network("uniform:8", 980), network("uniform:4", 970), network("uniform:2", 960), *rows)
    return compressed(study), {curve.name: curve for curve in curves(study)}


def test_a_format_is_a_curve_as_files_and_without_what_they_share() -> None:
    _, named = found(*PEERS)
    sizes = {name: [cost.bytes_per_patch for cost in curve.points] for name, curve in named.items()}
    assert sizes == {"WebP": [120, 420], "WebP, shared head": [100, 400], "JPEG XL": [300, 500]}
    whole = results(*STUDY, *PEERS)
    assert [curve.name for curve in smallest_forms(whole)] == ["JPEG", "WebP, shared head", "JPEG XL"]


def test_codes_that_follow_a_file_have_a_curve_of_their_own() -> None:
    four = network("uniform:4", 850, source="webp:1", source_bytes=120.0)
    _, named = found(lossy("webp:1", 900, 120.0), four)
    assert {name: len(curve.points) for name, curve in named.items()} == {"WebP": 1, "WebP, uniform:4": 1}


def test_errors_are_interpolated_by_logarithms() -> None:
    """200 bytes are halfway between 100 and 400, and the error there the geometric mean of 20 and 5 %: 10 %."""
    some, named = found(*PEERS)
    one = beside(some[1], named["WebP, shared head"])
    assert one is not None
    assert (one.first.label, one.smallest) == ("transform:B=200", False)
    assert one.difference.value == pytest.approx(0.93 - 0.90)
    assert one.ahead and not one.behind and one.difference.paired


def test_at_a_quality_of_the_format_it_is_that_quality_which_is_compared() -> None:
    some, named = found(*PEERS)
    one = beside(some[2], named["WebP, shared head"])
    assert one is not None
    assert one.difference.value == pytest.approx(0.94 - 0.95)
    assert one.behind


def test_below_a_formats_reach_its_smallest_files_are_compared_above_it_nothing() -> None:
    some, named = found(*PEERS)
    below = beside(some[0], named["WebP, shared head"])
    assert below is not None
    assert below.smallest
    assert below.difference == difference(some[0].network, named["WebP, shared head"].points[0].network)
    assert beside(some[3], named["WebP, shared head"]) is None


def test_intervals_are_those_of_drawing_patches_again() -> None:
    """Against a bootstrap of the same patches, seed 11."""
    rng = np.random.default_rng(11)
    easy = rng.random(PATCHES)
    kinds = [easy + rng.normal(0, 0.1, PATCHES) < rate for rate in (0.80, 0.92, 0.90)]
    low, high, ours = ((int(k.sum()), "".join("01"[hit] for hit in k.astype(int))) for k in kinds)
    some, named = found(
        lossy("jpegxl:9", low[0], 100.0, hits=low[1]), lossy("jpegxl:3", high[0], 400.0, hits=high[1]),
        frames(200, ours[0], hits=ours[1]),
    )  # fmt: skip
    one = beside(some[0], named["JPEG XL"])
    assert one is not None
    drawn = []
    for _ in range(4000):
        chosen = rng.integers(0, PATCHES, PATCHES)
        errors = [1 - k[chosen].mean() for k in kinds]
        drawn.append(math.sqrt(errors[0] * errors[1]) - errors[2])
    bounds = np.quantile(drawn, (0.025, 0.975))
    np.testing.assert_allclose((one.difference.low, one.difference.high), bounds, atol=0.0015)


def test_without_hits_intervals_are_wider() -> None:
    with_hits, without = (found(*rows) for rows in (PEERS, [_without_hits(row) for row in PEERS]))
    paired, alone = (beside(some[1], named["WebP, shared head"]) for some, named in (with_hits, without))
    assert paired is not None and alone is not None
    assert not alone.difference.paired
    assert alone.difference.value == pytest.approx(paired.difference.value)
    assert alone.difference.high - alone.difference.low > paired.difference.high - paired.difference.low
    variances = [p * (1 - p) / PATCHES for p in (0.93, 0.80, 0.95)]
    slopes = 1.0, 0.5 * 0.10 / 0.20, 0.5 * 0.10 / 0.05
    half = 1.96 * math.sqrt(sum(s * s * v for s, v in zip(slopes, variances)))
    assert alone.difference.high - alone.difference.value == pytest.approx(half, rel=1e-3)


def _without_hits(row: dict) -> dict:
    return {**row, "measures": {**row["measures"], "hits": None}}


def test_a_network_without_an_error_is_no_infinite_logarithm() -> None:
    some, named = found(
        lossy("jpegxl:9", 900, 100.0, hits=first_right(900)), lossy("jpegxl:3", 1000, 400.0, hits=first_right(1000)),
        frames(200, 950, hits=first_right(950)),
    )  # fmt: skip
    one = beside(some[0], named["JPEG XL"])
    assert one is not None
    assert math.isfinite(one.difference.low)


def test_frames_of_a_longer_schedule_are_set_beside_nothing() -> None:
    study = results(*STUDY, *PEERS, trained(frames(255, 960), schedule={"epochs": 24}))
    assert "transform:B=255" not in {cost.network.codec for cost in costs(study)}
    assert [(cost.label, cost.bytes_per_patch) for cost in longer_costs(study)] == [("transform:B=255, 24 epochs", 255)]
