"""How well labels were predicted: accuracy with its interval, a table per class, a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitswath.basics.proportions import span, wilson_interval
from bitswath.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["ClassScore", "Report", "class_table", "confusion_matrix", "confusion_table"]


def confusion_matrix(labels: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Counts (classes, classes): row = true class, column = predicted class.

    Raises `InputError` unless both are integers of one length in ``0..classes - 1``.
    """
    true, guess = np.asarray(labels).reshape(-1), np.asarray(predicted).reshape(-1)
    if true.shape != guess.shape:
        raise InputError(f"expected one prediction a label, got {guess.size} for {true.size}")
    for name, values in (("labels", true), ("predictions", guess)):
        if values.size and (values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= classes):
            raise InputError(f"expected {name} to be integers in 0..{classes - 1}, got {span(values)}")
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


def _confused_with(report: Report, index: int) -> str:
    row = report.matrix[index].copy()
    row[index] = 0
    worst = int(row.argmax())
    return f"{report.classes[worst]} ({row[worst]})" if row[worst] else ""
