"""Labels beside what they name, where they cover nothing: of the places around each point the freest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Label", "place_labels"]

_Points = NDArray[np.float64]
_Box = tuple[float, float, float, float]

ANGLES = tuple(math.radians(degrees) for degrees in (0, 180, 90, 270, 45, 315, 135, 225, 20, 340, 160, 200))
REACHES = (6.0, 13.0, 22.0, 34.0, 48.0, 66.0, 90.0, 120.0)
"""Points from what is named to its label; from the second on a line leads there."""

STEP = 4.0
"""Pixels between the places of a line that a label should not cover."""


@dataclass(frozen=True)
class Label:
    """A text for any one of several points, in data coordinates."""

    text: str
    points: Sequence[tuple[float, float]]
    colour: str = "black"
    bold: bool = False


def place_labels(axes: Axes, labels: Sequence[Label], size: float = 8.0) -> None:
    """Write each label where it covers least of what is drawn and none of the others; call it last."""
    figure: Any = axes.get_figure()
    figure.draw_without_rendering()
    scale = figure.dpi / 72
    inside = axes.get_window_extent()
    frame = (inside.x0, inside.y0, inside.x1, inside.y1)
    covered, taken = _drawn(axes), _written(axes)
    for label in labels:
        width, height = _extent(axes, label, size)
        best: tuple[float, Any] = (math.inf, None)
        for point, reach, angle in product(label.points, REACHES, ANGLES):
            x, y = axes.transData.transform(point)
            box = _box(x, y, reach * scale, angle, width, height)
            if not _within(box, frame) or not _within((x, y, x, y), frame):  # a label of what is outside is not drawn
                continue
            cost = 30 * _count_inside(covered, box) + 1000 * sum(_meet(box, other) for other in taken) + reach
            if cost < best[0] and reach > REACHES[0]:
                leader = _leader(x, y, box)
                cost += 25 + 10 * _count_near(covered, leader) + 500 * sum(_count_inside(leader, b) for b in taken)
            if cost < best[0]:
                best = cost, (point, reach, box, (x, y))
        if best[1] is not None:
            point, reach, box, start = best[1]
            taken.append(box)
            far = reach > REACHES[0]
            _write(axes, label, point, box, size, far)
            covered = np.concatenate([covered, _leader(start[0], start[1], box)]) if far else covered


def _write(axes: Axes, label: Label, point: tuple[float, float], box: _Box, size: float, far: bool) -> None:
    figure: Any = axes.get_figure()
    x, y = axes.transData.transform(point)
    to_points = 72 / figure.dpi
    offset = ((box[0] + box[2]) / 2 - x) * to_points, ((box[1] + box[3]) / 2 - y) * to_points
    leader = {"arrowstyle": "-", "color": label.colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3}
    written = axes.annotate(
        label.text, point, offset, textcoords="offset points",
        ha="center", va="center", fontsize=size, color=label.colour, weight="bold" if label.bold else "normal",
        arrowprops=leader if far else None, zorder=6,
        bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.3},
    )  # fmt: skip
    written.set_in_layout(False)


def _extent(axes: Axes, label: Label, size: float) -> tuple[float, float]:
    trial = axes.text(0, 0, label.text, fontsize=size, weight="bold" if label.bold else "normal")
    box = trial.get_window_extent()
    trial.remove()
    return box.width + 3, box.height + 2


def _box(x: float, y: float, reach: float, angle: float, width: float, height: float) -> _Box:
    """A box whose edge is `reach` from the point, in that direction."""
    across, up = math.cos(angle), math.sin(angle)
    centre_x = x + across * reach + (width / 2) * (np.sign(across) if abs(across) > 0.3 else 0)
    centre_y = y + up * reach + (height / 2) * (np.sign(up) if abs(up) > 0.3 else 0)
    return centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2


def _leader(x: float, y: float, box: _Box) -> _Points:
    """Places along the line from a point to the nearest edge of a box, without its first few pixels."""
    end = np.array([min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3])])
    return _along(np.array([(x, y), end]))[3:]


def _drawn(axes: Axes) -> _Points:
    """Places (N, 2) in pixels along all lines, error bars and markers."""
    from matplotlib.collections import LineCollection

    paths = [np.asarray(line.get_transform().transform(line.get_xydata()), float) for line in axes.lines]
    for collection in axes.collections:
        if isinstance(collection, LineCollection):
            transform = collection.get_transform()
            paths += [np.asarray(transform.transform(segment), float) for segment in collection.get_segments()]
    found = [np.zeros((0, 2))]
    for line, path in zip([*axes.lines, *[None] * len(paths)], paths):
        joined = line is None or str(line.get_linestyle()).lower() not in ("none", "", " ")
        found.append(_along(path) if joined else path)
        if line is not None and str(line.get_marker()).lower() not in ("none", "", " "):
            around = 4.0 * np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)])
            found.append((path[:, None] + around).reshape(-1, 2))
    return np.concatenate(found)


def _along(path: _Points) -> _Points:
    parts = [path[:1]]
    for start, end in pairwise(path):
        count = max(1, int(np.hypot(*(end - start)) / STEP))
        parts.append(start + (end - start) * np.linspace(0, 1, count + 1)[1:, None])
    return np.concatenate(parts)


def _written(axes: Axes) -> list[_Box]:
    legend = axes.get_legend()
    texts = [*axes.texts, *([legend] if legend else [])]
    return [(box.x0, box.y0, box.x1, box.y1) for box in (text.get_window_extent() for text in texts)]


def _count_inside(points: _Points, box: _Box) -> int:
    x, y = points.T
    return int(((x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3])).sum())


def _count_near(points: _Points, places: _Points) -> int:
    """How many of the places have a point within half a step."""
    if not len(points) or not len(places):
        return 0
    gaps = np.abs(places[:, None] - points[None]).max(axis=2)
    return int((gaps.min(axis=1) < STEP / 2).sum())


def _meet(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _within(box: _Box, frame: _Box) -> bool:
    return box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]
