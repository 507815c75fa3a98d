"""Differences between two networks of a pair, and how much palettes by class give away."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

from bitswath.models.study.report.facts.pairs import (
    Pair,
    companding_pairs,
    dither_pairs,
    longer_pairs,
    mask_pairs,
    width_pairs,
)
from bitswath.models.study.report.facts.results import Results
from bitswath.models.study.report.facts.select import leak_rows
from bitswath.models.study.report.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILLION, Picture, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["differences", "leak"]

_COLOURS = (BLUE, VERMILLION, GREEN, ORANGE)
_MARKERS = "osD^"

WRAPPED = 46
"""Letters of a row's name from which on it takes two lines."""


def differences(results: Results) -> Picture:
    """A row a pair: the difference in points with its interval; filled where that does not include zero."""
    name, title = "differences", "What dither, its mask, companding, longer training and widths change"
    kinds = (dither_pairs, mask_pairs, companding_pairs, longer_pairs, width_pairs)
    pairs = [pair for kind in kinds for pair in kind(results)]
    if not pairs:
        return Picture(name, title, "Left out: no two networks differ in dither, companding or widths as pairs do.")
    groups = [(what, [pair for pair in pairs if pair.what == what]) for what in dict.fromkeys(p.what for p in pairs)]
    figure = new_figure(7.6, 1.1 + 0.24 * (len(pairs) + 1.2 * len(groups)))
    axes = figure.add_subplot()
    _rows(axes, groups)
    axes.axvline(0, color=BLACK, linewidth=0.9)
    axes.set_xlabel(f"difference of {results.split} accuracy (points)")
    axes.grid(visible=False, axis="y")
    paired = sum(pair.difference.paired for pair in pairs)
    how = (
        "by each patch"
        if paired == len(pairs)
        else f"by each patch in {paired} of {len(pairs)} pairs, else as of two samples"
    )
    caption = (
        f"Bars are 95 % intervals, found {how}. Not filled: the interval includes zero, which is noise. Two networks"
        " may differ in how they were trained, too; where their schedules differ, the row says so."
    )
    return Picture(name, title, caption, figure)


def _rows(axes: Axes, groups: list[tuple[str, list[Pair]]]) -> None:
    place = 0.0
    ticks: list[tuple[float, str]] = []
    for index, (what, members) in enumerate(groups):
        aside = axes.get_yaxis_transform()
        axes.text(-0.02, place, what, transform=aside, weight="bold", va="center", ha="right", fontsize=9)
        place += 1
        for pair in members:
            _row(axes, pair, place, _COLOURS[index % 4], _MARKERS[index % 4])
            ticks.append((place, pair.where))
            place += 1
        place += 0.3
    axes.set_yticks([tick for tick, _ in ticks], [fill(text, WRAPPED) for _, text in ticks])
    for label in axes.get_yticklabels():
        label.set_fontsize(6.5 if "\n" in label.get_text() else 8.5)
    axes.set_ylim(place - 0.3, -0.7)
    axes.margins(x=0.14)


def _row(axes: Axes, pair: Pair, place: float, colour: str, marker: str) -> None:
    found = pair.difference
    spread = [[100 * (found.value - found.low)], [100 * (found.high - found.value)]]
    axes.errorbar(
        [100 * found.value], [place], xerr=spread, color=colour, marker=marker, capsize=2.5, elinewidth=1.1,
        markersize=6, fillstyle="none" if found.is_noise else "full",
    )  # fmt: skip
    outer, side = (found.high, "left") if found.value >= 0 else (found.low, "right")
    axes.annotate(
        f"{100 * found.value:+.1f}", (100 * outer, place), (5 if side == "left" else -5, 0), textcoords="offset points",
        va="center", ha=side, fontsize=7.5, color=GREY,
    )  # fmt: skip


def leak(results: Results) -> Picture:
    """Leaking rows beside honest ones; only for studies with palettes by class."""
    name, title = "leak", "LEAKING: what palettes by class give away"
    rows = leak_rows(results)
    if not rows:
        return Picture(name, title, "")
    figure = new_figure(8.2, 4.4)
    axes = figure.add_subplot()
    names = dict.fromkeys(row.what for members in rows.values() for row in members)
    looks = {
        "rule, palettes by class: LEAKS": (VERMILLION, "X", "--"), "rule, one palette for all": (GREY, "o", ":"),
        "network, palettes by class: LEAKS": (ORANGE, "P", "-."), "network, one palette for all": (GREEN, "^", "-"),
    }  # fmt: skip
    for index, what in enumerate(names):
        colour, marker, line = looks[what]
        drawn = [(bits, row) for bits, members in rows.items() for row in members if row.what == what]
        x = [bits + 0.06 * (index - 1.5) for bits, _ in drawn]
        y = [100 * row.accuracy for _, row in drawn]
        spread = [
            [100 * (row.accuracy - row.low) for _, row in drawn],
            [100 * (row.high - row.accuracy) for _, row in drawn],
        ]
        axes.errorbar(
            x, y, yerr=spread, color=colour, marker=marker, linestyle=line, capsize=2.5, markersize=7, label=what
        )
    axes.set_xticks(list(rows))
    axes.set_ylim(0, 102)
    axes.set_xlabel("bits of the palette, a pixel")
    axes.set_ylabel("accuracy (%)")
    axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    caption = (
        "NOT a result: rows marked LEAKS got every class's patches in a palette of that class, test patches too, which"
        f" gives the label away. The rule compares palettes and learns nothing. Rule: {_measured(results)} patches of"
        f" val; networks: {results.split}. Bars are 95 % intervals."
    )
    return Picture(name, title, caption, figure)


def _measured(results: Results) -> str:
    return " or ".join(f"{n:,}" for n in sorted({f.row["measured_patches"] for f in results.codecs if f.leaks}))
