"""Accuracy against bytes a patch: on the link, in files, and as the JPEG that patches went through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bitswath.models.study.report.facts.labels import Label, place_labels
from bitswath.models.study.report.facts.results import Results
from bitswath.models.study.report.facts.select import (
    Cost,
    costs,
    dithers_of,
    jpeg_head_bytes,
    main_setting,
    pareto_front,
)
from bitswath.models.study.report.figures.style import (
    BLACK,
    GREY,
    Look,
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
    """A filled marker for a frame on the link, a hollow one for the same codes in a file, crosses for JPEG."""
    points = costs(results)
    main = main_setting(results)
    if not points or main is None:
        return Picture(NAME, TITLE, "Left out: no network is trained yet.")
    figure = new_figure(8.2, 5.6)
    axes = figure.add_subplot()
    dithers = dithers_of(results)
    for codec in dict.fromkeys(cost.network.codec for cost in points if cost.how != "jpeg"):
        _codes(axes, [cost for cost in points if cost.how != "jpeg" and cost.network.codec == codec], dithers)
    front = pareto_front(points)
    labels = _jpeg(axes, [cost for cost in points if cost.how == "jpeg"], front)
    _front(axes, front)
    percent_axis(axes, [100 * v for cost in points for v in (cost.network.score.low, cost.network.score.high)])
    _finish(axes, results, points, dithers)
    labels = [Label(cost.label, [_place(cost)]) for cost in front] + labels
    place_labels(axes, labels, size=7.0)
    members = "; ".join(f"{cost.label} ({cost.bytes_per_patch:,.0f} B)" for cost in front)
    caption = (
        f"Network {main}. Bars are 95 % intervals. A line joins a codec's packed frame with its codes in their smallest"
        f" lossless container. On the front, by the measured accuracies: {members}.{_tables(points)}"
    )
    return Picture(NAME, TITLE, caption, figure)


def _tables(points: list[Cost]) -> str:
    """How much of every JPEG is not the patch."""
    jpeg = any(cost.how == "jpeg" for cost in points)
    return f" {jpeg_head_bytes()} bytes of each JPEG are headers and tables, at every quality." * jpeg


def _place(cost: Cost) -> tuple[float, float]:
    return cost.bytes_per_patch, 100 * cost.network.score.accuracy


def _codes(axes: Axes, points: list[Cost], dithers: list[str]) -> None:
    look = look_of(*points[0].network.series, dithers)
    if len(points) > 1:
        axes.plot(*zip(*map(_place, points)), "-", color=look.colour, linewidth=0.5)
    for cost in points:
        _point(axes, cost, look, "full" if cost.how == "link" else "none")


def _point(axes: Axes, cost: Cost, look: Look, fill: str) -> None:
    score = cost.network.score
    options = {"marker": look.marker, "color": look.colour, "fillstyle": fill, "markersize": 6}
    error_bars(axes, cost.bytes_per_patch, score.accuracy, score.low, score.high, **options)


def _jpeg(axes: Axes, points: list[Cost], front: list[Cost]) -> list[Label]:
    labels: list[Label] = []
    for codec, marker, line in zip(
        dict.fromkeys(cost.network.codec for cost in points), "x+1234", ("-", "--", ":") * 2
    ):
        members = [cost for cost in points if cost.network.codec == codec]
        name = "JPEG" if codec == "uniform:8" else f"JPEG, then {codec}"
        axes.plot(*zip(*map(_place, members)), line, color=GREY, linewidth=0.9)
        for cost in members:
            _point(axes, cost, Look(BLACK, marker, line), "full")
        axes.plot([], [], color=BLACK, marker=marker, linestyle=line, label=name)
        if not labels:  # the others lie at the same bytes
            labels += [Label(f"q{cost.network.quality}", [_place(cost)], GREY) for cost in members if cost not in front]
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
    for series in dict.fromkeys(cost.network.series for cost in points if cost.how != "jpeg"):
        look = look_of(*series, dithers)
        axes.plot([], [], look.marker, color=look.colour, linestyle="none", label=series_name(*series))
    axes.plot([], [], "o", color=GREY, fillstyle="none", linestyle="none", label="not filled: in a lossless file")
    axes.plot([], [], "o", markersize=11, markerfacecolor="none", color=BLACK, linestyle="none", label="Pareto front")
    axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
