"""Confusion matrices side by side, on one scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from bitswath.evaluation.confusion import draw_confusion
from bitswath.evaluation.report import Report
from bitswath.models.study.report.facts.results import Network, Results
from bitswath.models.study.report.facts.select import at, compared, eight_bit, main_setting
from bitswath.models.study.report.figures.style import Picture, new_figure

__all__ = ["class_names", "confusion_matrices", "report_of"]

NAME = "confusion"
TITLE = "What is taken for what"

MOST = 4


def confusion_matrices(results: Results) -> Picture:
    """The best network, the 8-bit one, and those of the fewest bits; at most four."""
    chosen, main = _chosen(results), main_setting(results)
    if not chosen:
        return Picture(NAME, TITLE, "Left out: no network is trained yet.")
    reports = [report_of(network, results.split) for network in chosen]
    count = len(reports[0].classes)
    columns = min(2, len(chosen))
    rows = -(-len(chosen) // columns)
    side = 1.6 + 0.36 * count
    figure = new_figure((side + 0.4) * columns + 0.8, (side + 0.5) * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    for place, axes in enumerate(panels.flat):
        if place >= len(chosen):
            axes.set_axis_off()
            continue
        image = draw_confusion(axes, reports[place])
        axes.grid(visible=False, which="major")
        network = chosen[place]
        axes.set_title(f"{network.title(main)}: {100 * network.score.accuracy:.1f} %")
        for text in axes.texts:
            text.set_fontsize(7)
        if place % columns:
            axes.set_ylabel("")
    figure.colorbar(image, ax=panels, label="share of the true class (%)", shrink=0.6, aspect=35)
    caption = (
        "Rows are true classes, columns predicted ones; a number counts patches, its shade is the share of the class."
    )
    return Picture(NAME, TITLE, caption, figure)


def _chosen(results: Results) -> list[Network]:
    main = main_setting(results)
    networks = at(results, main)
    best = max(networks, key=lambda n: n.score.accuracy, default=None)
    fewest = sorted(networks, key=lambda n: (n.bits_per_pixel or 99, -n.score.accuracy))
    narrow = sorted(
        (n for n in compared(results) if n.original and n.setting.weights is not None),
        key=lambda n: ((n.setting.weights or 99) * (n.setting.activations or 99), -n.score.accuracy),
    )
    candidates = [best, eight_bit(results, main), *fewest[:1], *narrow[:1], *fewest[1:]]
    found = {network.row["digest"]: network for network in candidates if network is not None}
    return list(found.values())[:MOST]


def report_of(network: Network, split: str) -> Report:
    """Predictions against labels of a network on a split."""
    measured = network.row["measures"][split]
    matrix = np.array(measured["confusion_matrix"], np.int64)
    return Report(class_names(measured["classes"], matrix), matrix)


def class_names(classes: dict[str, dict[str, Any]], matrix: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[str, ...]:
    """Names in the order of the matrix.

    A store sorts the classes by name, labels need not be. So they are put where their counts fit, and where those do
    not tell two classes apart, every class is a number.
    """
    counts = list(zip(matrix.sum(axis=1).tolist(), np.diag(matrix).tolist(), matrix.sum(axis=0).tolist()))
    named = [((c["patches"], c["correct"], c["predicted"]), name) for name, c in classes.items()]
    if [count for count, _ in named] == counts:
        return tuple(classes)
    by_counts = dict(named)
    if len(by_counts) == len(classes) and set(by_counts) == set(counts):
        return tuple(by_counts[count] for count in counts)
    return tuple(f"class {index}" for index in range(len(matrix)))
