"""Two networks on the same patches: the difference of their accuracies, with its interval."""

from __future__ import annotations

from dataclasses import dataclass

from bitswath.basics.proportions import difference_interval, paired_difference_interval
from bitswath.models.study.report.facts.results import Network, Score

__all__ = ["Difference", "difference"]


@dataclass(frozen=True)
class Difference:
    """First minus second, as shares, with a 95 % interval; `paired`: by each patch's hits on both."""

    value: float
    low: float
    high: float
    paired: bool

    @property
    def is_noise(self) -> bool:
        """Whether the interval includes zero."""
        return self.low <= 0 <= self.high

    def __str__(self) -> str:
        """In points: "+1.2 points (0.8 to 1.6)"."""
        noise = ", within noise" if self.is_noise else ""
        return f"{_signed(self.value)} points ({_plain(self.low)} to {_plain(self.high)}{noise})"


def difference(first: Network, second: Network) -> Difference:
    """Paired where the hits of both on the same patches are known, else as of two samples, which is wider."""
    one, other = first.score, second.score
    paired = first.data == second.data and one.patches == other.patches and bool(one.hits and other.hits)
    if paired:
        low, high = paired_difference_interval(_hits(one), _hits(other))
    else:
        low, high = difference_interval((one.correct, one.patches), (other.correct, other.patches))
    return Difference(one.accuracy - other.accuracy, low, high, paired)


def _hits(score: Score) -> list[bool]:
    return [hit == "1" for hit in score.hits or ""]


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-0.0", "0.0").replace("+0.0", "0.0")


def _plain(share: float) -> str:
    return f"{100 * share:.1f}".replace("-0.0", "0.0")
