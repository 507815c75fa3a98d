"""The picture of a confusion matrix."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bitswath.basics.files import write_atomic
from bitswath.basics.pictures import picture_format
from bitswath.errors import DependencyError
from bitswath.evaluation.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

__all__ = ["confusion_figure", "draw_confusion", "save_confusion_picture"]


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
