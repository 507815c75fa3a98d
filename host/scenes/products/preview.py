"""A picture of a map with its legend."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitswath.basics.files import write_atomic
from bitswath.scenes.products.areas import Area, areas
from bitswath.scenes.products.made import Map
from bitswath.scenes.products.thumbnails import thumbnails

__all__ = ["coloured", "save_preview"]

_SIDE = 1200


def save_preview(made: Map, path: Path) -> None:
    """Scene and map side by side, and what each colour means, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.patches import Patch

    small = thumbnails(made, _SIDE)
    shape = small.labels.shape
    height = 4.9 * shape[0] / shape[1]
    figure, (left, middle, right) = pyplot.subplots(
        1, 3, figsize=(12.4, max(height, 3.2)), width_ratios=(4.9, 4.9, 2.4), layout="constrained"
    )
    for axes, picture in ((left, small.scene), (middle, coloured(small.labels, made))):
        axes.imshow(picture, interpolation="nearest")
        axes.set_axis_off()
    right.set_axis_off()
    shown = sorted((area for area in areas(made) if area.pixels), key=lambda area: -area.pixels)
    handles = [Patch(color=_hex(made.colours[made.classes.index(area.name)]), label=_line(area)) for area in shown]
    right.legend(handles=handles, loc="center left", frameon=False, fontsize=10, title=made.bundle.name)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    pyplot.close(figure)
    write_atomic(path, content.getvalue())


def coloured(labels: NDArray[np.unsignedinteger], made: Map) -> NDArray[np.uint8]:
    """Labels (H, W) as colours (H, W, 4), nodata transparent."""
    table = np.array([(*colour, 255) for colour in made.colours] + [(0, 0, 0, 0)], np.uint8)
    return np.asarray(table[np.minimum(labels, len(made.colours))])


def _line(area: Area) -> str:
    hectares = "" if area.hectares is None else f", {area.hectares:,.0f} ha"
    return f"{area.name}: {100 * area.share:.1f} %{hectares}"


def _hex(colour: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour)
