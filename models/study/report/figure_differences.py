"""Differences between two networks that differ in one thing, and how much palettes by class give away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bitswath.models.study.report.results import Network, Results
from bitswath.models.study.report.select import (
    Pair,
    companding_pairs,
    compared,
    dither_pairs,
    main_setting,
    width_pairs,
)
from bitswath.models.study.report.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILLION, Picture, new_figure
from bitswath.report import wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LeakRow", "differences", "leak", "leak_rows"]

_COLOURS = (BLUE, VERMILLION, GREEN, ORANGE)
_MARKERS = "osD^"


def differences(results: Results) -> Picture:
    """A row a pair: the difference in points with its interval; filled where that does not include zero."""
    name, title = "differences", "What one change alone does"
    pairs = [*dither_pairs(results), *companding_pairs(results), *width_pairs(results)]
    if not pairs:
        return Picture(name, title, "Left out: no two networks differ in dither, companding or widths alone.")
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
    caption = f"Bars are 95 % intervals, found {how}. Not filled: the interval includes zero, which is noise."
    return Picture(name, title, caption, figure)


def _rows(axes: Axes, groups: list[tuple[str, list[Pair]]]) -> None:
    place = 0.0
    ticks: list[tuple[float, str]] = []
    for index, (what, members) in enumerate(groups):
        axes.text(0.01, place, what, transform=axes.get_yaxis_transform(), weight="bold", va="center", fontsize=9)
        place += 1
        for pair in members:
            _row(axes, pair, place, _COLOURS[index % 4], _MARKERS[index % 4])
            ticks.append((place, pair.where))
            place += 1
        place += 0.3
    axes.set_yticks([tick for tick, _ in ticks], [text for _, text in ticks])
    axes.set_ylim(place - 0.3, -0.7)
    axes.margins(x=0.08)


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


@dataclass(frozen=True)
class LeakRow:
    """A share with its interval; `leaks`: whether the label was in the colours."""

    what: str
    leaks: bool
    accuracy: float
    low: float
    high: float


def leak_rows(results: Results) -> dict[int, list[LeakRow]]:
    """By palette bits: the rule that compares palettes, on leaking and on honest patches, and the networks."""
    found: dict[int, list[LeakRow]] = {}
    for facts in sorted(results.codecs, key=lambda facts: facts.bits):
        rule = (facts.row.get("measures") or {}).get("palette_rule")
        if facts.leaks and rule:
            total = facts.row["measured_patches"]
            rows = [_rule("rule, palettes by class: LEAKS", True, rule["per_class"], total)]
            rows.append(_rule("rule, one palette for all", False, rule["shared"], total))
            found[facts.bits] = rows + _networks(results, facts.codec)
    return found


def _rule(what: str, leaks: bool, found: dict[str, float], total: int) -> LeakRow:
    return LeakRow(what, leaks, found["accuracy"], *wilson_interval(int(found["correct"]), total))


def _networks(results: Results, codec: str) -> list[LeakRow]:
    main = main_setting(results)
    honest = [n for n in compared(results) if n.setting == main and n.original and n.codec == codec]
    leaking = [n for n in results.networks if n.leaks and n.codec == codec and n.setting == main]
    rows = [("network, palettes by class: LEAKS", True, n) for n in leaking[:1]]
    rows += [("network, one palette for all", False, n) for n in honest[:1]]
    return [_scored(*row) for row in rows]


def _scored(what: str, leaks: bool, network: Network) -> LeakRow:
    return LeakRow(what, leaks, network.score.accuracy, network.score.low, network.score.high)


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
