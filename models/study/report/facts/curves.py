"""Lossy formats as curves of accuracy over bytes, and codecs of compressed frames beside them at equal bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.models.study.report.facts.compare import Difference, difference
from bitswath.models.study.report.facts.results import Network, Results
from bitswath.models.study.report.facts.select import SHARED, Cost, costs

__all__ = ["Beside", "Curve", "beside", "compressed", "curves", "smallest_forms"]

Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Curve:
    """A format at its qualities, by bytes."""

    name: str
    points: tuple[Cost, ...]

    @property
    def reach(self) -> tuple[float, float]:
        """Bytes at its lowest and at its highest quality."""
        return self.points[0].bytes_per_patch, self.points[-1].bytes_per_patch


@dataclass(frozen=True)
class Beside:
    """A compressed codec minus a format at equal bytes. `smallest`: the format has none so small; its smallest files,
    of more bytes, are compared."""

    first: Cost
    curve: Curve
    difference: Difference
    smallest: bool

    @property
    def ahead(self) -> bool:
        return self.difference.low > 0

    @property
    def behind(self) -> bool:
        return self.difference.high < 0


def curves(results: Results) -> list[Curve]:
    """Every lossy format that networks were trained on, as files and without what these share, in the study's order."""
    found: dict[str, list[Cost]] = {}
    order = {network.row["digest"]: place for place, network in enumerate(results.networks)}
    for cost in sorted(
        (cost for cost in costs(results) if cost.lossy), key=lambda cost: order[cost.network.row["digest"]]
    ):
        found.setdefault(cost.series, []).append(cost)
    return [Curve(name, tuple(sorted(of, key=lambda cost: cost.bytes_per_patch))) for name, of in found.items()]


def smallest_forms(results: Results) -> list[Curve]:
    """Each format in its form of fewest bytes: without what files share, where that is known."""
    found = curves(results)
    names = {curve.name for curve in found}
    return [curve for curve in found if curve.name + SHARED not in names]


def compressed(results: Results) -> list[Cost]:
    """Networks on compressed frames, by bytes."""
    return [cost for cost in costs(results) if cost.how == "link" and cost.network.compressed]


def beside(first: Cost, curve: Curve) -> Beside | None:
    """At the codec's bytes, between the two qualities around them; None where the format's most are fewer.

    Logarithms of errors are interpolated over those of bytes, as errors fall by about so many times with so many times
    the bytes; a straight line between accuracies would lie below such a curve and flatter the codec.
    """
    least, most = curve.reach
    size = first.bytes_per_patch
    if size > most:
        return None
    if size <= least:
        return Beside(first, curve, difference(first.network, curve.points[0].network), size < least)
    below, above = next(pair for pair in pairwise(curve.points) if pair[1].bytes_per_patch >= size)
    share = math.log(size / below.bytes_per_patch) / math.log(above.bytes_per_patch / below.bytes_per_patch)
    return Beside(first, curve, _interpolated(first.network, (below.network, above.network), share), False)


def _interpolated(first: Network, others: tuple[Network, Network], share: float) -> Difference:
    """With the normal interval of the interpolation's slopes (delta method), by each patch where hits are kept."""
    weights = 1 - share, share
    errors = [max(1 - network.score.accuracy, 0.5 / network.score.patches) for network in others]
    error = math.prod(of**weight for of, weight in zip(errors, weights))
    slopes = [weight * error / of for of, weight in zip(errors, weights)]
    value = error - (1 - first.score.accuracy)
    members = (first, *others)
    paired = len({(network.data, network.score.patches) for network in members}) == 1 and all(
        network.score.hits for network in members
    )
    if paired:
        missed = [_missed(network) for network in members]
        spread = slopes[0] * missed[1] + slopes[1] * missed[2] - missed[0]
        variance = float(spread.var(ddof=1)) / len(spread)
    else:
        variance = sum(slope**2 * _variance(network) for slope, network in zip((1.0, *slopes), members))
    half = Z_95 * math.sqrt(variance)
    return Difference(value, value - half, value + half, paired)


def _missed(network: Network) -> NDArray[Any]:
    return np.array([hit == "0" for hit in network.score.hits or ""], float)


def _variance(network: Network) -> float:
    share = network.score.accuracy
    return share * (1 - share) / network.score.patches
