"""Lossy formats in figures: their curves over bytes, and how far compressed frames are ahead of them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from bitswath.models.study.report.facts.curves import Beside, Curve, beside, compressed, smallest_forms
from bitswath.models.study.report.facts.labels import Label
from bitswath.models.study.report.facts.results import Results
from bitswath.models.study.report.facts.select import SHARED, Cost
from bitswath.models.study.report.figures.style import (
    BLACK,
    GREY,
    Look,
    Picture,
    error_bars,
    look_of_format,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_formats", "equal_bytes"]

NAME = "equal-bytes"
TITLE = "Compressed frames beside lossy formats of equal bytes"


def draw_formats(axes: Axes, formats: list[Curve], front: list[Cost]) -> list[Label]:
    """A line for each; what to call them: one format alone by its qualities, several by their names."""
    if len(formats) > 1:
        names = {curve.name for curve in formats}
        return [label for curve in formats for label in _one_of_several(axes, curve, curve.name + SHARED in names)]
    return [label for curve in formats for label in _alone(axes, curve, front)]


def _alone(axes: Axes, curve: Curve, front: list[Cost]) -> list[Label]:
    places = list(map(_place, curve.points))
    axes.plot(*zip(*places), "-", color=GREY, linewidth=0.9)
    for cost in curve.points:
        _point(axes, cost, Look(BLACK, "x", "-"), "full")
    axes.plot([], [], color=BLACK, marker="x", linestyle="-", label=curve.name)
    return [
        Label(f"q{cost.network.lossy.quality:g}", [_place(cost)], GREY)
        for cost in curve.points
        if cost.network.lossy and cost not in front
    ]


def _one_of_several(axes: Axes, curve: Curve, whole: bool) -> list[Label]:
    """`whole`: as files, beside the same without their head."""
    name = curve.points[0].network.lossy.name if curve.points[0].network.lossy else curve.name
    look = look_of_format(name)
    places = list(map(_place, curve.points))
    axes.plot(*zip(*places), "--" if whole else "-", color=look.colour, linewidth=0.8 if whole else 1.5)
    for cost in curve.points:
        _point(axes, cost, look, "none" if whole else "full")
    if whole:
        return []
    axes.plot([], [], look.marker, color=look.colour, linestyle="-", label=curve.name)
    between = [((a * c) ** 0.5, (b + d) / 2) for (a, b), (c, d) in pairwise(places)]
    return [Label(curve.name.removesuffix(SHARED), places + between, look.colour, bold=True)]


def _place(cost: Cost) -> tuple[float, float]:
    return cost.bytes_per_patch, 100 * cost.network.score.accuracy


def _point(axes: Axes, cost: Cost, look: Look, fill: str) -> None:
    score = cost.network.score
    options = {"marker": look.marker, "color": look.colour, "fillstyle": fill, "markersize": 6}
    error_bars(axes, cost.bytes_per_patch, score.accuracy, score.low, score.high, **options)


def equal_bytes(results: Results) -> Picture:
    """Accuracy of compressed frames minus that of each format in its form of fewest bytes, a line a format; left out
    unsaid without such frames."""
    frames, formats = compressed(results), smallest_forms(results)
    if not frames or not formats:
        return Picture(NAME, TITLE, "")
    figure = new_figure(8.2, 5.2)
    axes = figure.add_subplot()
    for place, curve in enumerate(formats):
        found = [one for first in frames if (one := beside(first, curve)) is not None]
        if found:
            aside = 1 + 0.012 * (place - (len(formats) - 1) / 2)
            _differences(axes, curve, found, aside)
    axes.axhline(0, color=BLACK, linewidth=0.9)
    _finish(axes, results, frames)
    caption = (
        "Above zero the frames are ahead. Formats are interpolated between their qualities, by the logarithms of errors"
        " and bytes; crosses are of a format's smallest files, which have more bytes than the frames. Bars are 95 %"
        " intervals; filled where they do not include zero. Points of equal bytes are drawn side by side; beyond two"
        " points the axis is by logarithms."
    )
    return Picture(NAME, TITLE, caption, figure)


def _differences(axes: Axes, curve: Curve, found: list[Beside], aside: float) -> None:
    name = curve.points[0].network.lossy.name if curve.points[0].network.lossy else curve.name
    look = look_of_format(name)
    places = [(aside * one.first.bytes_per_patch, 100 * one.difference.value) for one in found]
    axes.plot(*zip(*places), "-", color=look.colour, linewidth=1.4)
    for (x, _), one in zip(places, found):
        marker = "x" if one.smallest else look.marker
        fill = "none" if one.difference.is_noise else "full"
        options = {"marker": marker, "color": look.colour, "fillstyle": fill, "markersize": 6}
        error_bars(axes, x, one.difference.value, one.difference.low, one.difference.high, **options)
    axes.plot([], [], look.marker, color=look.colour, linestyle="-", label=curve.name)


def _finish(axes: Axes, results: Results, frames: list[Cost]) -> None:
    kinds = " and ".join(dict.fromkeys(cost.network.kind for cost in frames))
    sizes = sorted({cost.bytes_per_patch for cost in frames})
    axes.set_yscale("symlog", linthresh=2, linscale=1.2)
    low, high = (round(value) for value in axes.get_ylim())
    ticks = [tick for size in (0, 1, 2, 5, 10, 20, 50) for tick in {size, -size} if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick:+d}" if tick else "0" for tick in ticks])
    axes.set_xscale("log")
    axes.set_xlim(sizes[0] / 1.2, sizes[-1] * 1.2)
    axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel(f"bytes a patch, means of {kinds} frames")
    axes.set_ylabel(f"{kinds} minus the format, {results.split} accuracy (points)")
    axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
