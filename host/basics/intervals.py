"""Confidence intervals of a mean, without a statistics library: a board has none."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bitswath.errors import InputError

__all__ = ["Estimate", "mean_interval", "student_quantile"]


@dataclass(frozen=True)
class Estimate:
    """A mean with the interval that covers the true one at `confidence`."""

    mean: float
    low: float
    high: float
    confidence: float = 0.95

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Mean of independent values and its two-sided interval, mean -+ t s / sqrt(n).

    Student's t (Biometrika 6, 1908), as in NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.5.2; s is the sample
    standard deviation, t has n - 1 degrees of freedom. Raises `InputError` with fewer than two values.
    """
    if len(values) < 2 or not all(map(math.isfinite, values)):
        raise InputError(f"expected two or more finite values for a confidence interval, got {list(values)[:5]}")
    mean = statistics.fmean(values)
    quantile = student_quantile((1 + confidence) / 2, len(values) - 1)
    half = quantile * statistics.stdev(values) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half, confidence)


def student_quantile(probability: float, freedom: int) -> float:
    """The value that Student's t with `freedom` degrees of freedom stays below with `probability`.

    By bisection of the distribution function. Raises `InputError` unless 0.5 <= probability < 1 and freedom >= 1.
    """
    if not 0.5 <= probability < 1 or freedom < 1:
        raise InputError(f"expected 0.5 <= probability < 1 and freedom >= 1, got {probability} and {freedom}")
    low, high = 0.0, 1.0
    while _student_within(high, freedom) < 2 * probability - 1:
        low, high = high, 2 * high
    while (middle := (low + high) / 2) not in (low, high):
        if _student_within(middle, freedom) < 2 * probability - 1:
            low = middle
        else:
            high = middle
    return high


def _student_within(t: float, freedom: int) -> float:
    """Probability of -t to t: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for step in range(2 + odd, freedom - 1, 2):
        term *= cosine * cosine * (step - 1) / step
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
