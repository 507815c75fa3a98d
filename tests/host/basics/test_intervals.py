"""Student's t without scipy equals scipy's, and its intervals cover as they say."""

from __future__ import annotations

import secrets

import numpy as np
import pytest

from bitswath.basics.intervals import mean_interval, student_quantile
from bitswath.errors import InputError


@pytest.mark.parametrize(
    ("freedom", "table"), [(1, 12.706), (2, 4.303), (4, 2.776), (9, 2.262), (30, 2.042), (100, 1.984)]
)
def test_quantiles_are_those_of_the_printed_table(freedom: int, table: float) -> None:
    """NIST/SEMATECH e-Handbook, 1.3.6.7.2, column 0.975."""
    assert student_quantile(0.975, freedom) == pytest.approx(table, abs=5e-4)


@pytest.mark.parametrize("probability", [0.5, 0.6, 0.9, 0.95, 0.975, 0.995, 0.9999])
@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 31, 100, 1001])
def test_quantiles_equal_scipys(probability: float, freedom: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    assert student_quantile(probability, freedom) == pytest.approx(
        stats.t.ppf(probability, freedom), rel=1e-9, abs=1e-9
    )


def test_an_interval_equals_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = [2.1, 2.3, 1.9, 2.2, 2.6]
    found = mean_interval(values)
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(values), low, high))
    assert found.half_width == pytest.approx((high - low) / 2) and found.confidence == 0.95


def test_95_percent_of_intervals_hold_the_true_mean() -> None:
    seed = secrets.randbelow(2**31)
    print("seed", seed)
    draws = np.random.default_rng(seed).normal(7, 3, (2000, 5))
    held = sum(one.low <= 7 <= one.high for one in (mean_interval(list(row)) for row in draws))
    assert 0.92 < held / 2000 < 0.975


@pytest.mark.parametrize("values", [[], [1.0], [1.0, float("nan")], [1.0, float("inf")]])
def test_less_than_two_numbers_have_no_interval(values: list[float]) -> None:
    with pytest.raises(InputError, match="two or more finite"):
        mean_interval(values)


@pytest.mark.parametrize(("probability", "freedom"), [(0.4, 3), (1.0, 3), (0.9, 0)])
def test_quantiles_that_do_not_exist_are_refused(probability: float, freedom: int) -> None:
    with pytest.raises(InputError, match="freedom"):
        student_quantile(probability, freedom)
