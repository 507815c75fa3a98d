"""How all figures of a report look: colours, markers and lines that differ in grey print and without colour vision."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bitswath.errors import DependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BLACK", "BLUE", "GREEN", "GREY", "ORANGE", "VERMILLION", "Look", "Picture", "data_url", "error_bars",
    "look_of", "look_of_format", "new_figure", "percent_axis", "rendered", "series_name", "styled",
]  # fmt: skip

# M. Okabe and K. Ito, Color Universal Design, 2008
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY, BROWN, OLIVE, VIOLET = "#5A5A5A", "#8C510A", "#7A7A00", "#6A3D9A"

_SETTINGS = {
    "font.size": 9, "font.family": "DejaVu Sans", "axes.titlesize": 10, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.color": "0.9", "grid.linewidth": 0.6, "axes.axisbelow": True,
    "svg.hashsalt": "bitswath", "svg.fonttype": "path", "legend.frameon": False, "legend.fontsize": 8.5,
}  # fmt: skip

_COLOURS = {"uniform": BLUE, "companded": VERMILLION, "palette": GREEN, "transform": VIOLET}
_MARKERS = {"uniform": "os<8HP", "companded": "DX>pd*", "palette": "^vPh14", "transform": "*H|_"}
_LINES = ("-", "--", ":", "-.")

DPI = 200

WIDE_RANGE = 25.0
"""Points of accuracy from which on an axis is by errors."""
_ERROR_TICKS = (0, 20, 40, 50, 60, 70, 75, 80, 85, 88, 90, 92, 94, 95, 96, 97, 98, 99, 100)


@dataclass(frozen=True)
class Look:
    """A series' colour, marker and line."""

    colour: str
    marker: str
    line: str


@dataclass(frozen=True)
class Picture:
    """A figure of the page. `figure` None: it is left out, and `caption` says why and how to get it."""

    name: str
    title: str
    caption: str
    figure: Figure | None = None
    pixels: bool = False
    """Whether the page shows it as PNG, not as SVG."""


_FORMATS = {
    "JPEG": Look(BLACK, "X", "-"),
    "WebP": Look(ORANGE, "P", "-"),
    "JPEG 2000": Look(SKY, "s", "-"),
    "JPEG XL": Look(BROWN, "D", "-"),
    "AVIF": Look(OLIVE, "v", "-"),
}


def look_of(kind: str, dither: str | None, dithers: list[str]) -> Look:
    """`dithers`: all of the study, so that each has the same look in every figure."""
    place = 0 if dither is None else 1 + dithers.index(dither) if dither in dithers else 1
    markers = _MARKERS.get(kind, "*H|_")
    return Look(_COLOURS.get(kind, PURPLE), markers[place % len(markers)], _LINES[place % len(_LINES)])


def look_of_format(name: str) -> Look:
    """Of a lossy format; those without a look of their own share one."""
    return _FORMATS.get(name, Look(PURPLE, "h", "-"))


def series_name(kind: str, dither: str | None) -> str:
    return f"{kind}, {dither} dither" if dither else kind


@contextmanager
def styled() -> Iterator[None]:
    """Within it figures are made and saved. Raises `DependencyError` without matplotlib."""
    try:
        import matplotlib
    except ImportError as error:
        raise DependencyError(f"a report needs matplotlib, pip install matplotlib ({error})") from error
    with matplotlib.rc_context(_SETTINGS):
        yield


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """In inches, with Agg and without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), **{"layout": "constrained", **options})
    FigureCanvasAgg(figure)
    return figure


def rendered(figure: Figure, ending: str) -> bytes:
    """PNG or SVG, the same bytes for the same figure."""
    content = io.BytesIO()
    metadata = {"Date": None} if ending == "svg" else {"Software": None}
    with styled():
        figure.savefig(content, format=ending, dpi=DPI, metadata=metadata)
    return content.getvalue()


def data_url(content: bytes, kind: str) -> str:
    """For an image inside a page."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def percent_axis(axes: Axes, values: list[float]) -> None:
    """The y axis around all values, in percent, with room for labels. Over a wide range it is by the logarithm of the
    errors, as otherwise one poor value presses all good ones together."""
    low, high = min(values), max(values)
    if high - low > WIDE_RANGE and high > 100 - WIDE_RANGE:
        axes.set_yscale("function", functions=(_by_errors, _from_errors))
        ends = _by_errors(np.array([low, high]))
        room = 0.1 * (ends[1] - ends[0])
        axes.set_ylim(*_from_errors(np.array([ends[0] - room, ends[1] + room])))
        axes.set_yticks([tick for tick in _ERROR_TICKS if low - 2 <= tick <= high], minor=False)
    else:
        room = max(0.08 * (high - low), 0.5)
        axes.set_ylim(max(low - room, -1.0), min(high + room, 101.5))
        axes.yaxis.set_major_locator(_ticks())


def _ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=9, steps=(1, 2, 5, 10))


def _by_errors(percent: Any) -> Any:
    return -np.log10(np.maximum(101.0 - np.asarray(percent, float), 1e-3))


def _from_errors(value: Any) -> Any:
    return 101.0 - 10.0 ** -np.asarray(value, float)


def error_bars(axes: Axes, x: float, share: float, low: float, high: float, **options: Any) -> None:
    """A point with its interval, shares drawn in percent."""
    spread = [[100 * (share - low)], [100 * (high - share)]]
    axes.errorbar([x], [100 * share], yerr=spread, capsize=2.5, elinewidth=1.0, **{"linestyle": "none", **options})
