"""Measured facts as one picture, PNG, SVG or PDF, without a display."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitswath.basics.files import write_atomic
from bitswath.basics.pictures import picture_format
from bitswath.bench.tables import joules, seconds
from bitswath.errors import DependencyError, InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import Formatter

__all__ = ["PANELS", "bench_figure", "save_picture"]

Facts = dict[str, Any]
_WIDE = 30.0
"""Bars further apart than this are drawn on a logarithmic scale."""

_COLOURS = ("#1b6ca8", "#e08e45", "#4f9d69", "#a14a76", "#7d7d7d")


def bench_figure(facts: Facts) -> Figure:
    """The panels of all measurements that were made, below each other.

    Raises `InputError` if there are none, `DependencyError` without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise DependencyError("pictures need matplotlib; pip install matplotlib") from error
    drawn = [(draw, facts[name]) for name, panels in PANELS.items() if facts.get(name) for draw in panels]
    if not drawn:
        raise InputError("expected something measured to draw, but every figure is absent")
    figure = Figure(figsize=(8, 2.6 * len(drawn)), layout="constrained")
    for axes, (draw, found) in zip(figure.subplots(len(drawn), squeeze=False)[:, 0], drawn):
        draw(axes, found)
        axes.spines[["top", "right"]].set_visible(False)
    backend = facts["backend"]
    board = f", {backend['board']}" if backend["board"] else ""
    figure.suptitle(f"{facts['bundle']['name']} on {backend['name']}{board}", fontsize=11)
    return figure


def save_picture(facts: Facts, path: Path) -> None:
    """Write `bench_figure`, the format by the path's ending; atomically. Raises as it does, and `OSError`."""
    ending = picture_format(path)
    content = io.BytesIO()
    bench_figure(facts).savefig(content, format=ending, dpi=150)
    write_atomic(path, content.getvalue())


def _percentiles(axes: Axes, found: Facts) -> None:
    rows = found["percentiles"]
    for index, (key, label) in enumerate((("p50_s", "p50"), ("p95_s", "p95"), ("p99_s", "p99"), ("max_s", "max"))):
        heights = [position + (index - 1.5) * 0.2 for position in range(len(rows))]
        widths = [row[key] for row in rows.values()]
        bars = axes.barh(heights, widths, 0.18, label=label, color=_COLOURS[index])
        axes.bar_label(bars, [seconds(width) for width in widths], padding=3, fontsize=7)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    values = [row[key] for row in rows.values() for key in ("p50_s", "max_s")]
    axes.set_xscale("log" if max(values) > _WIDE * min(values) else "linear")
    axes.margins(x=0.15)
    axes.set_xlabel("latency at batch 1")
    axes.xaxis.set_major_formatter(_engineering("s"))
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _steps(axes: Axes, found: Facts) -> None:
    left = 0.0
    for index, (name, value) in enumerate(found["steps"].items()):
        label = f"{name} {seconds(value)}"
        axes.barh([0], [value], 0.5, left=left, label=label, color=_COLOURS[index % len(_COLOURS)])
        left += value
    axes.set_yticks([])
    axes.set_xlim(0, left)
    axes.set_ylim(-0.4, 1.4)
    axes.set_xlabel("one query, medians of its steps")
    axes.xaxis.set_major_formatter(_engineering("s"))
    axes.legend(fontsize=8, ncols=2, loc="upper left")


def _by_batch(axes: Axes, found: Facts) -> None:
    sizes = [row["batch"] for row in found["by_batch"]]
    axes.plot(sizes, [row["patches_per_s"] for row in found["by_batch"]], "o-", color=_COLOURS[0], label="stream")
    axes.axhline(found["kernel_per_s"], color=_COLOURS[1], linestyle="--", label="bare device, packed frames")
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, list(map(str, sizes)))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("patches in a batch")
    axes.set_ylabel("patches/s")
    axes.legend(fontsize=8, loc="lower right")


def _by_bits(axes: Axes, found: Facts) -> None:
    rows = found.get("by_bits") or [found]
    places = range(len(rows))
    bars = axes.bar(places, [row["stream_per_s"] for row in rows], 0.6, color=_COLOURS[0])
    axes.bar_label(bars, [f"{row['link_mb_per_s']:.1f} MB/s" for row in rows], fontsize=8)
    axes.set_xticks(places, [f"{row['bits']} bit\n{row['frame_bytes']:,} B" for row in rows], fontsize=8)
    axes.margins(y=0.15)
    axes.set_xlabel("input, bytes a patch on the link")
    axes.set_ylabel("patches/s")


def _energy(axes: Axes, found: Facts) -> None:
    rows = {"gross": found["gross_j"], "net of idle": found["net_j"]}
    means = [row["mean"] for row in rows.values()]
    errors = [row["high"] - row["mean"] for row in rows.values()]
    bars = axes.barh(range(len(rows)), means, 0.5, xerr=errors, capsize=4, color=_COLOURS[:2])
    axes.bar_label(bars, [joules(mean) for mean in means], label_type="center", color="white", fontsize=9)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    rails = ", ".join(found["rails"][:4]) + (" ..." if len(found["rails"]) > 4 else "")
    axes.set_xlabel(f"energy per patch with 95 % interval ({found['meter']}: {rails})")
    axes.xaxis.set_major_formatter(_engineering("J"))


def _engineering(unit: str) -> Formatter:
    from matplotlib.ticker import EngFormatter

    return EngFormatter(unit=unit)


PANELS: dict[str, tuple[Callable[[Any, Facts], None], ...]] = {
    "latency": (_percentiles, _steps),
    "throughput": (_by_batch, _by_bits),
    "energy": (_energy,),
}
"""By measurement, what draws it: each takes matplotlib's axes and the measurement's facts."""
