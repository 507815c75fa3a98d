"""Accuracy against bytes a patch: frames on the link, codes in files, and the lossy files that patches went through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bitswath.models.study.report.facts.curves import compressed, curves
from bitswath.models.study.report.facts.labels import Label, place_labels
from bitswath.models.study.report.facts.results import Results
from bitswath.models.study.report.facts.select import (
    Cost,
    costs,
    dithers_of,
    jpeg_head_bytes,
    longer_costs,
    main_setting,
    pareto_front,
)
from bitswath.models.study.report.figures.lossy import draw_formats
from bitswath.models.study.report.figures.style import (
    BLACK,
    GREY,
    Picture,
    error_bars,
    look_of,
    new_figure,
    percent_axis,
    series_name,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["accuracy_by_bytes"]

NAME = "accuracy-bytes"
TITLE = "Accuracy against bytes a patch"


def accuracy_by_bytes(results: Results) -> Picture:
    """A filled marker for a frame on the link, a hollow one for the same codes in a file, a line for compressed frames
    and for each lossy format."""
    points = costs(results)
    main = main_setting(results)
    if not points or main is None:
        return Picture(NAME, TITLE, "Left out: no network is trained yet.")
    figure = new_figure(8.2, 5.6 if len(curves(results)) < 2 else 6.6)
    axes = figure.add_subplot()
    dithers = dithers_of(results)
    for codec in dict.fromkeys(cost.network.codec for cost in points if not cost.lossy):
        _codes(axes, [cost for cost in points if not cost.lossy and cost.network.codec == codec], dithers)
    front = pareto_front(points)
    lines = _compressed(axes, compressed(results), dithers) + draw_formats(axes, curves(results), front)
    for cost in longer_costs(results):
        _codes(axes, [cost], dithers)
        lines.append(Label(cost.label, [_place(cost)], look_of(cost.network.kind, None, dithers).colour))
    _front(axes, front)
    percent_axis(axes, [100 * v for cost in points for v in (cost.network.score.low, cost.network.score.high)])
    _finish(axes, results, points, dithers)
    drawn = {label.text for label in lines}
    named = [cost for cost in front if len(curves(results)) < 2 or not (cost.lossy or cost.network.compressed)]
    place_labels(
        axes, [Label(cost.label, [_place(cost)]) for cost in named if cost.label not in drawn] + lines, size=7.0
    )
    members = "; ".join(f"{cost.label} ({cost.bytes_per_patch:,.0f} B)" for cost in front)
    caption = (
        f"Network {main}. Bars are 95 % intervals. A line joins a codec's packed frame with its codes in their smallest"
        f" lossless container. On the front, by the measured accuracies: {members}.{_heads(points)}"
    )
    return Picture(NAME, TITLE, caption, figure)


def _heads(points: list[Cost]) -> str:
    """How much of lossy files is not the patch."""
    if any(cost.how == "payload" for cost in points):
        return (
            " Lossy formats, solid and filled: without what is the same in every file, JPEG with Huffman tables fitted"
            " to the training split; dashed and hollow: files as they are. Bytes of frames and lossy files are means of"
            " the patches that the accuracy is of."
        )
    jpeg = any(cost.lossy for cost in points)
    return f" {jpeg_head_bytes()} bytes of each JPEG are headers and tables, at every quality." * jpeg


def _place(cost: Cost) -> tuple[float, float]:
    return cost.bytes_per_patch, 100 * cost.network.score.accuracy


def _codes(axes: Axes, points: list[Cost], dithers: list[str]) -> None:
    look = look_of(*points[0].network.series, dithers)
    if len(points) > 1:
        axes.plot(*zip(*map(_place, points)), "-", color=look.colour, linewidth=0.5)
    for cost in points:
        score = cost.network.score
        fill, size = "full" if cost.how == "link" else "none", 9 if cost.network.compressed else 6
        options = {"marker": look.marker, "color": look.colour, "fillstyle": fill, "markersize": size}
        error_bars(axes, cost.bytes_per_patch, score.accuracy, score.low, score.high, **options)


def _compressed(axes: Axes, points: list[Cost], dithers: list[str]) -> list[Label]:
    """A line for each codec of compressed frames."""
    labels = []
    for kind in dict.fromkeys(cost.network.kind for cost in points):
        places = [_place(cost) for cost in points if cost.network.kind == kind]
        colour = look_of(kind, None, dithers).colour
        axes.plot(*zip(*places), "-", color=colour, linewidth=2.2)
        labels.append(Label(kind, places, colour, bold=True))
    return labels


def _front(axes: Axes, front: list[Cost]) -> None:
    """A step line: at so many bytes no measured accuracy is higher."""
    axes.step(*zip(*map(_place, front)), where="post", color=BLACK, linewidth=2.6, alpha=0.18, zorder=1)
    axes.plot(*zip(*map(_place, front)), "o", markersize=12, markerfacecolor="none", color=BLACK, markeredgewidth=0.9)


def _finish(axes: Axes, results: Results, points: list[Cost], dithers: list[str]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator

    axes.set_xscale("log")
    sizes = [cost.bytes_per_patch for cost in points]
    axes.set_xlim(min(sizes) / 1.5, max(sizes) * 1.5)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.minorticks_off()
    axes.set_xlabel("bytes a patch")
    axes.set_ylabel(f"{results.split} accuracy (%)")
    for series in dict.fromkeys(cost.network.series for cost in points if not cost.lossy):
        look = look_of(*series, dithers)
        axes.plot([], [], look.marker, color=look.colour, linestyle="none", label=series_name(*series))
    kept = "whole files" if any(cost.how == "payload" for cost in points) else "in a lossless file"
    axes.plot([], [], "o", color=GREY, fillstyle="none", linestyle="none", label=f"not filled: {kept}")
    axes.plot([], [], "o", markersize=11, markerfacecolor="none", color=BLACK, linestyle="none", label="Pareto front")
    axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
