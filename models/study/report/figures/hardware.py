"""Accuracy against fabric and rate, a point for each build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitswath.models.study.report.facts.labels import Label, place_labels
from bitswath.models.study.report.facts.results import Network, Results
from bitswath.models.study.report.facts.select import at, compared, main_setting
from bitswath.models.study.report.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    VERMILLION,
    Picture,
    error_bars,
    new_figure,
    percent_axis,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["accuracy_by_hardware"]

NAME = "accuracy-hardware"
TITLE = "Accuracy against LUT and patches a second"

_NOT_BUILT = (
    "Left out: no network of this study is built. 'bitswath build FOLDER/bundles/X.bsw --board BOARD' builds one, and"
    " the next report shows it."
)
_LOOKS = ((BLUE, "o"), (VERMILLION, "s"), (GREEN, "^"), (ORANGE, "D"), (BLACK, "v"))


def accuracy_by_hardware(results: Results) -> Picture:
    """Two panels, LUT and patches/s; boards by marker. Left out without builds."""
    built = [(network, build) for network in compared(results) for build in network.builds]
    if not built:
        return Picture(NAME, TITLE, _NOT_BUILT)
    main = main_setting(results)
    usual = next((network.epochs for network in at(results, main)), None)

    def title(network: Network) -> str:
        return network.title(main) + (f", {network.epochs} epochs" if network.epochs != usual else "")

    figure = new_figure(9.6, 6.4)
    panels = figure.subplots(1, 2, sharey=True)
    boards = sorted({str(build["board"]) for _, build in built})
    for axes, key, name in zip(panels, ("lut", "hw_patches_per_s"), ("LUT", "patches/s")):
        _panel(axes, built, boards, key)
        axes.set_xlabel(name)
    panels[0].set_ylabel(f"{results.split} accuracy (%)")
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=len(boards))
    percent_axis(panels[0], [100 * v for network, _ in built for v in (network.score.low, network.score.high)])
    for axes, key in zip(panels, ("lut", "hw_patches_per_s")):
        names = [Label(title(n), [(build[key], 100 * n.score.accuracy)], BLACK) for n, build in built]
        place_labels(axes, names, size=7.0)
    caption = (
        "A point for each build, bars are 95 % intervals. Patches/s are those of the simulated cycles at the build's"
        " clock, LUT those of its report. Epochs are told where they are not those of most networks."
    )
    return Picture(NAME, TITLE, caption, figure)


def _panel(axes: Axes, built: list[tuple[Network, Any]], boards: list[str], key: str) -> None:
    from matplotlib.ticker import EngFormatter

    for network, build in built:
        colour, marker = _LOOKS[boards.index(build["board"]) % len(_LOOKS)]
        score = network.score
        options = {"color": colour, "marker": marker, "markersize": 6}
        error_bars(axes, float(build[key]), score.accuracy, score.low, score.high, **options)
    for board, (colour, marker) in zip(boards, _LOOKS):
        axes.plot([], [], marker, color=colour, label=board)
    values = [float(build[key]) for _, build in built]
    axes.set_xscale("log" if max(values) > 20 * min(values) else "linear")
    axes.margins(x=0.25)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
