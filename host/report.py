"""How well labels were predicted: accuracy with its interval, a table per class, a confusion matrix."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitswath.errors import DependencyError, InputError
from bitswath.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from rich.table import Table

__all__ = [
    "ClassScore",
    "Report",
    "class_table",
    "confusion_figure",
    "confusion_matrix",
    "confusion_table",
    "difference_interval",
    "draw_confusion",
    "paired_difference_interval",
    "picture_format",
    "save_confusion_picture",
    "wilson_interval",
]

_Z_95 = 1.959963984540054
_PICTURE_FORMATS = ("png", "svg", "pdf")


def wilson_interval(correct: int, total: int, z: float = _Z_95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (E. B. Wilson, JASA 22, 1927), by default at 95 %.

    Raises `InputError` unless ``0 <= correct <= total`` and ``total >= 1``.
    """
    if not 0 <= correct <= total or total < 1:
        raise InputError(f"expected 0 <= correct <= total and at least one, got {correct} of {total}")
    share = correct / total
    spread = z * z / total
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    low = 0.0 if correct == 0 else max(0.0, centre - half)
    high = 1.0 if correct == total else min(1.0, centre + half)
    return low, high


def difference_interval(first: tuple[int, int], second: tuple[int, int], z: float = _Z_95) -> tuple[float, float]:
    """Interval of the first share minus the second, each (correct, total) of patches of its own.

    R. G. Newcombe, Interval estimation for the difference between independent proportions, Statistics in Medicine 17
    (1998) 873-890, method 10: the square-and-add of two Wilson intervals. Raises `InputError` as `wilson_interval`.
    """
    return _square_and_add(first, second, 0.0, z)


def paired_difference_interval(first: ArrayLike, second: ArrayLike, z: float = _Z_95) -> tuple[float, float]:
    """Interval of the first share minus the second, of hits (N,), booleans or 0 and 1, on the same patches in order.

    R. G. Newcombe, Improved confidence intervals for the difference between binomial proportions based on paired data,
    Statistics in Medicine 17 (1998) 2635-2650, method 10. Raises `InputError` unless both are of one length, not empty.
    """
    one, other = np.asarray(first).reshape(-1), np.asarray(second).reshape(-1)
    if one.shape != other.shape or not one.size:
        raise InputError(f"expected hits on the same patches, at least one, got {one.size} and {other.size}")
    for hits in (one, other):
        if not np.isin(hits, (0, 1)).all():
            raise InputError(f"expected hits of 0 and 1, got {_span(hits)}")
    total, one, other = one.size, one.astype(bool), other.astype(bool)
    both, neither = int((one & other).sum()), int((~one & ~other).sum())
    only_one, only_other = int((one & ~other).sum()), int((~one & other).sum())
    margins = math.prod(map(int, (one.sum(), total - one.sum(), other.sum(), total - other.sum())))
    excess = both * neither - only_one * only_other
    corrected = max(excess - total / 2, 0.0) if excess > 0 else excess
    correlation = corrected / math.sqrt(margins) if margins else 0.0
    return _square_and_add((int(one.sum()), total), (int(other.sum()), total), correlation, z)


def _square_and_add(
    first: tuple[int, int], second: tuple[int, int], correlation: float, z: float
) -> tuple[float, float]:
    share, other = first[0] / max(first[1], 1), second[0] / max(second[1], 1)
    low, high = wilson_interval(*first, z)
    other_low, other_high = wilson_interval(*second, z)
    below, other_above = share - low, other_high - other
    above, other_below = high - share, other - other_low
    down = below**2 - 2 * correlation * below * other_above + other_above**2
    up = above**2 - 2 * correlation * above * other_below + other_below**2
    return share - other - math.sqrt(max(down, 0.0)), share - other + math.sqrt(max(up, 0.0))


def confusion_matrix(labels: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Counts (classes, classes): row = true class, column = predicted class.

    Raises `InputError` unless both are integers of one length in ``0..classes - 1``.
    """
    true, guess = np.asarray(labels).reshape(-1), np.asarray(predicted).reshape(-1)
    if true.shape != guess.shape:
        raise InputError(f"expected one prediction a label, got {guess.size} for {true.size}")
    for name, values in (("labels", true), ("predictions", guess)):
        if values.size and (values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= classes):
            raise InputError(f"expected {name} to be integers in 0..{classes - 1}, got {_span(values)}")
    cells = true.astype(np.int64) * classes + guess.astype(np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


@dataclass(frozen=True)
class ClassScore:
    """One class: `correct` of `patches` found, `predicted` times named; shares are None where they have
    nothing to divide by."""

    name: str
    patches: int
    correct: int
    predicted: int

    @property
    def recall(self) -> float | None:
        return self.correct / self.patches if self.patches else None

    @property
    def precision(self) -> float | None:
        return self.correct / self.predicted if self.predicted else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall."""
        both = self.patches + self.predicted
        return 2 * self.correct / both if both else None


@dataclass(frozen=True, eq=False)
class Report:
    """Predictions against labels. `matrix`: int64 counts, row = true class, column = predicted class."""

    classes: tuple[str, ...]
    matrix: NDArray[np.int64]

    @classmethod
    def of(cls, labels: ArrayLike, predicted: ArrayLike, classes: Sequence[str]) -> Report:
        """Raises `InputError` if labels and predictions do not fit each other or the classes."""
        return cls(tuple(classes), confusion_matrix(labels, predicted, len(classes)))

    @property
    def patches(self) -> int:
        return int(self.matrix.sum())

    @property
    def correct(self) -> int:
        return int(np.trace(self.matrix))

    @property
    def accuracy(self) -> float:
        """Share of correct labels. Raises `InputError` without patches."""
        if not self.patches:
            raise InputError("expected at least one labelled patch, got none")
        return self.correct / self.patches

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy."""
        return wilson_interval(self.correct, self.patches)

    @cached_property
    def scores(self) -> tuple[ClassScore, ...]:
        counts = zip(self.classes, self.matrix.sum(axis=1), np.diag(self.matrix), self.matrix.sum(axis=0))
        return tuple(ClassScore(name, int(n), int(correct), int(named)) for name, n, correct, named in counts)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "correct": self.correct,
            "patches": self.patches,
            "classes": {
                score.name: {
                    "patches": score.patches,
                    "correct": score.correct,
                    "predicted": score.predicted,
                    "precision": score.precision,
                    "recall": score.recall,
                    "f1": score.f1,
                }
                for score in self.scores
            },
            "confusion_matrix": self.matrix.tolist(),
        }


def class_table(report: Report, title: str | None = None) -> Table:
    """A table for the terminal: a row a class, the whole in the footer."""
    from rich.markup import escape
    from rich.table import Table

    low, high = report.interval
    table = Table(title=escape(title) if title else None, show_footer=True)
    table.add_column("class", footer="all", overflow="fold")
    table.add_column("patches", justify="right", footer=str(report.patches))
    table.add_column("correct", justify="right", footer=str(report.correct))
    table.add_column("recall %", justify="right", footer=f"{100 * report.accuracy:.1f}")
    table.add_column("precision %", justify="right", footer="")
    table.add_column("most confused with", footer=f"95 %: {100 * low:.1f}-{100 * high:.1f}")
    for index, score in enumerate(report.scores):
        shares = ("-" if share is None else f"{100 * share:.1f}" for share in (score.recall, score.precision))
        confused = escape(_confused_with(report, index))
        table.add_row(escape(score.name), str(score.patches), str(score.correct), *shares, confused)
    return table


def confusion_table(report: Report) -> Table:
    """The matrix for the terminal: a row a true class, a column a predicted one."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="confusion matrix: rows true, columns predicted")
    table.add_column("class", overflow="fold")
    for index in range(len(report.classes)):
        table.add_column(str(index), justify="right")
    for index, (name, row) in enumerate(zip(report.classes, report.matrix)):
        cells = (f"[bold]{n}[/]" if column == index else str(n) if n else "·" for column, n in enumerate(row))
        table.add_row(escape(f"{index} {name}"), *cells)
    return table


def confusion_figure(report: Report, title: str | None = None) -> Figure:
    """The matrix as a picture: shade = share of the true class, number = patches.

    One hue from white to dark, so that it reads the same in grey print and without colour vision.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DependencyError(f"a confusion picture needs matplotlib, pip install matplotlib ({error})") from error

    side = 2.6 + 0.52 * len(report.classes)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.add_subplot()
    image = draw_confusion(axes, report)
    figure.colorbar(image, ax=axes, label="share of the true class (%)", shrink=0.8)
    low, high = report.interval
    share = f"{100 * report.accuracy:.2f} % of {report.patches} patches correct"
    measured = f"{share} (95 %: {100 * low:.2f}-{100 * high:.2f})"
    axes.set_title(f"{title}\n{measured}" if title else measured)
    return figure


def draw_confusion(axes: Axes, report: Report) -> AxesImage:
    """The matrix on matplotlib's axes, shades from 0 to 100 % of the true class; for `confusion_figure` and others."""
    count = len(report.classes)
    shares = report.matrix / np.maximum(report.matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
    axes.set_xticks(range(count), report.classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(count), report.classes)
    axes.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="0.85", linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    for (row, column), patches in np.ndenumerate(report.matrix):
        ink = "white" if shares[row, column] > 0.55 else "black"
        weight = "bold" if row == column else "normal"
        axes.text(column, row, str(patches) if patches else "·", ha="center", va="center", color=ink, weight=weight)
    return image


def save_confusion_picture(report: Report, path: str | Path, title: str | None = None) -> None:
    """Write `confusion_figure` as PNG, SVG or PDF, by the path's ending; atomically.

    Raises `InputError` for another ending or an empty report, `DependencyError`, `OSError`.
    """
    path = Path(path)
    ending = picture_format(path)
    content = io.BytesIO()
    confusion_figure(report, title).savefig(content, format=ending, dpi=150)
    write_atomic(path, content.getvalue())


def picture_format(path: Path) -> str:
    """png, svg or pdf, by the path's ending; raises `InputError` for another."""
    ending = path.suffix.lower().lstrip(".")
    if ending not in _PICTURE_FORMATS:
        raise InputError(
            f"{path}: expected a picture ending in {', '.join(_PICTURE_FORMATS)}, not {ending or 'none'!r}"
        )
    return ending


def _confused_with(report: Report, index: int) -> str:
    row = report.matrix[index].copy()
    row[index] = 0
    worst = int(row.argmax())
    return f"{report.classes[worst]} ({row[worst]})" if row[worst] else ""


def _span(values: NDArray[Any]) -> str:
    return f"{values.dtype} {values.min()}..{values.max()}" if values.dtype.kind in "iuf" else str(values.dtype)
