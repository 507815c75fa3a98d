"""Accuracy against bits a pixel: a line for each kind of codec, plain and dithered."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from bitswath.models.study.report.facts.labels import Label, place_labels
from bitswath.models.study.report.facts.results import Network, Results, Setting
from bitswath.models.study.report.facts.select import (
    at,
    compared,
    dithers_of,
    eight_bit,
    float_network,
    main_setting,
    once,
    series_of,
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

__all__ = ["accuracy_by_bits"]

NAME = "accuracy-bits"
TITLE = "Accuracy against bits a pixel"

_FILLS = ("none", "left", "bottom", "right", "top")


def accuracy_by_bits(results: Results) -> Picture:
    """The main setting in lines, plain and by the usual dither; other masks in markers alone, other widths of the same
    architecture in hollow ones; references as bands."""
    main = main_setting(results)
    networks = [network for network in at(results, main) if network.bits_per_pixel]
    if main is None or not networks:
        return Picture(NAME, TITLE, "Left out: no network is trained yet.")
    figure = new_figure(8.2, 5.4)
    axes = figure.add_subplot()
    dithers = dithers_of(results)
    labels = _references(axes, results, main)
    values = [100 * value for n in networks for value in (n.score.low, n.score.high)]
    found = series_of(networks)
    for index, (series, members) in enumerate(found.items()):
        aside = 1 + 0.018 * (index - (len(found) - 1) / 2)
        look, name = look_of(*series, dithers), series_name(*series)
        places = _points(axes, members, look, aside)
        if series[1] in (None, *dithers[:1]):
            labels.append(_line(axes, places, look, name))
        else:
            axes.plot([], [], look.marker, color=look.colour, linestyle="none", label=name)
    others = _other_widths(results, main)
    shown = list(networks)
    for fill, (setting, members) in zip(_FILLS, others.items()):
        shown += members
        for network in members:
            _hollow(axes, network, look_of(*network.series, dithers), fill)
            values += [100 * network.score.low, 100 * network.score.high]
        axes.plot([], [], "o", color=BLACK, fillstyle=fill, linestyle="none", label=setting.widths)
    _finish(axes, results, main, shown, values)
    place_labels(axes, labels)
    return Picture(NAME, TITLE, _caption(main, list(others)), figure)


def _points(axes: Axes, members: list[Network], look: Look, aside: float) -> list[tuple[float, float]]:
    """A series; `aside` moves it, so that it covers no other's marker at the same bits."""
    places = [(aside * float(n.bits_per_pixel or 0), 100 * n.score.accuracy) for n in members]
    for (x, _), network in zip(places, members):
        score = network.score
        error_bars(axes, x, score.accuracy, score.low, score.high, marker=look.marker, color=look.colour, markersize=6)
    return places


def _line(axes: Axes, places: list[tuple[float, float]], look: Look, name: str) -> Label:
    axes.plot(*zip(*places), look.line, color=look.colour, linewidth=1.3)
    between = [((a + c) / 2, (b + d) / 2) for (a, b), (c, d) in pairwise(places)]
    return Label(name, places + between, look.colour, bold=True)


def _hollow(axes: Axes, network: Network, look: Look, fill: str) -> None:
    score = network.score
    options = {"color": look.colour, "marker": look.marker, "fillstyle": fill, "markersize": 6}
    error_bars(axes, float(network.bits_per_pixel or 0), score.accuracy, score.low, score.high, **options)


def _references(axes: Axes, results: Results, main: Setting) -> list[Label]:
    """The float and the 8-bit network as lines over the whole width, their intervals as bands."""
    labels = []
    hatched = {"facecolor": "none", "hatch": "////", "edgecolor": "0.75"}
    lines = (
        ("float network, 8-bit patches", float_network(results, main), "-.", {"color": "0.75", "alpha": 0.45}),
        (f"{main.widths}, 8-bit codes", eight_bit(results, main), ":", hatched),
    )
    for name, network, line, band in lines:
        if network is None:
            continue
        score = network.score
        axes.axhspan(100 * score.low, 100 * score.high, linewidth=0, zorder=0, **band)
        axes.axhline(100 * score.accuracy, linestyle=line, color=GREY, linewidth=1.1, zorder=1)
        places = [(x, 100 * score.accuracy) for x in (1.1, 1.5, 2.2, 4.5, 10.0)]
        labels.append(Label(f"{name}: {100 * score.accuracy:.1f} %", places, GREY))
    return labels


def _other_widths(results: Results, main: Setting) -> dict[Setting, list[Network]]:
    found: dict[Setting, list[Network]] = {}
    for network in once(compared(results)):
        setting = network.setting
        if setting.weights is None or setting == main or setting.network != main.network:
            continue
        if network.original and network.bits_per_pixel:
            found.setdefault(setting, []).append(network)
    return dict(sorted(found.items(), key=lambda item: -(item[0].weights or 0)))


def _finish(axes: Axes, results: Results, main: Setting, networks: list[Network], values: list[float]) -> None:
    references = [n.score for n in (float_network(results, main), eight_bit(results, main)) if n]
    percent_axis(axes, values + [100 * v for score in references for v in (score.low, score.high)])
    bits = sorted({float(network.bits_per_pixel or 0) for network in networks})
    ticks = _ticks(networks)
    axes.set_xscale("log", base=2)
    axes.set_xlim(bits[0] / 1.35, bits[-1] * 1.35)
    axes.set_xticks(ticks, [f"{value:.3g}" for value in ticks])
    axes.minorticks_off()
    axes.set_xlabel("bits a pixel, all bands together")
    axes.set_ylabel(f"{results.split} accuracy (%)")
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="lower right")


def _ticks(networks: list[Network]) -> list[float]:
    """Bits of codes, and powers of two below them where frames are compressed."""
    codes = sorted({float(n.bits_per_pixel or 0) for n in networks if not n.compressed})
    frames = [float(n.bits_per_pixel or 0) for n in networks if n.compressed]
    below = [2.0**power for power in range(-8, 5) if frames and min(frames) / 1.35 <= 2.0**power]
    return sorted({*codes, *(power for power in below if power < min(codes, default=math.inf))})


def _caption(main: Setting, widths: list[Setting]) -> str:
    others = " Markers that are not filled: the same architecture at other widths." if widths else ""
    if left := ", ".join(setting.widths for setting in widths[len(_FILLS) :]):
        others += f" Not drawn, for want of markers: {left}."
    return (
        f"Network {main}; bars and bands are 95 % intervals; points of equal bits are drawn side by side. Bits of all"
        f" bands together: 4-bit codes of three bands are 12 bits a pixel, a 4-bit palette is 4.{others}"
    )
