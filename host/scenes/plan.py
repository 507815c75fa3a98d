"""How a scene is worked on: its windows, in strips of window rows, read in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bitswath.bundle.bundle import Bundle
from bitswath.errors import SceneError
from bitswath.network.network import ArgMax
from bitswath.scenes.grid import Grid
from bitswath.scenes.settings import MapSettings
from bitswath.scenes.sources.scene import Scene
from bitswath.scenes.windows import Windows

__all__ = ["Plan", "Span", "plan_of"]

_BLOCK_BYTES = 16 << 20
_LEAST_ROWS, _MOST_ROWS = 256, 1024
"""Of pixels in a strip, about: below, much is read twice; above, little is kept when a run is killed."""

Span = tuple[int, int]


@dataclass(frozen=True)
class Plan:
    """`rows`, `columns`: the windows; `strips`: first and last + 1 of each one's window rows, which end in the same row
    of tiles; `classes` of the network's answer; `grid`: of the map; `sample_bytes` of a pixel."""

    rows: Windows
    columns: Windows
    strips: tuple[Span, ...]
    classes: int
    grid: Grid
    sample_bytes: int

    @property
    def windows(self) -> int:
        return len(self.rows) * len(self.columns)

    def windows_of(self, strip: int) -> int:
        first, last = self.strips[strip]
        return (last - first) * len(self.columns)

    def lines(self, strip: int) -> Span:
        """The rows of pixels that belong to a strip: from its first window's to the next strip's."""
        first, last = self.strips[strip]
        top = int(self.rows.starts[first])
        return top, int(self.rows.starts[last]) if last < len(self.rows) else self.rows.end

    def span(self, strip: int) -> Span:
        """The rows of pixels under a strip's windows."""
        first, last = self.strips[strip]
        return int(self.rows.starts[first]), int(self.rows.starts[last - 1]) + self.rows.patch

    def blocks(self, strip: int) -> Iterator[Span]:
        """First and last + 1 of the window columns of a strip that are read at once."""
        most, first, starts = self.block_width(strip), 0, self.columns.starts
        while first < len(starts):
            last = int(np.searchsorted(starts, starts[first] + most - self.columns.patch, side="right"))
            yield first, max(last, first + 1)
            first = max(last, first + 1)

    def block_width(self, strip: int) -> int:
        """Most pixels in a row of a strip's blocks."""
        top, bottom = self.span(strip)
        return max(self.columns.patch, _BLOCK_BYTES // ((bottom - top) * self.sample_bytes))

    @cached_property
    def per_window(self) -> tuple[int, int]:
        """Score cells of a window: rows and columns."""
        return self.rows.per_window, self.columns.per_window


def plan_of(bundle: Bundle, scene: Scene, settings: MapSettings) -> Plan:
    """Raises `InputError` for a stride that does not fit, `SceneError` for answers that do not divide a patch."""
    height, width = bundle.manifest.input.patch_shape[:2]
    cells, classes = _answers(bundle)
    stride = settings.stride or max(1, min(height, width) // 2)
    whole = settings.extent == "scene"
    rows = Windows.of(scene.grid.height, height, stride, whole=whole, per_window=cells[0])
    columns = Windows.of(scene.grid.width, width, stride, whole=whole, per_window=cells[1])
    strip = _strip_rows(scene.tile[0])
    number = (rows.starts + height - 1) // strip
    firsts = np.flatnonzero(np.diff(number, prepend=-1))
    strips = tuple(zip(firsts.tolist(), [*firsts[1:].tolist(), len(rows)]))
    sample_bytes = len(scene.channels) * max(np.dtype(scene.dtype).itemsize, 1)
    return Plan(rows, columns, strips, classes, scene.grid.cropped(columns.end, rows.end), sample_bytes)


def _strip_rows(tile_rows: int) -> int:
    """Whole tiles of the file, about as many as make a strip."""
    if tile_rows >= _MOST_ROWS:
        return _MOST_ROWS
    return tile_rows * -(-_LEAST_ROWS // tile_rows)


def _answers(bundle: Bundle) -> tuple[tuple[int, int], int]:
    """Score cells of a window, and classes."""
    network, outputs = bundle.network, bundle.manifest.outputs
    if isinstance(network.stages[-1], ArgMax):
        return (1, 1), len(bundle.classes)
    shape = outputs[0].shape if outputs else network.output.shape
    cells = shape[-3:-1] if len(shape) == 3 else (1, 1)
    patch = bundle.manifest.input.patch_shape[:2]
    if patch[0] % cells[0] or patch[1] % cells[1]:
        raise SceneError(
            f"bundle {bundle.name!r} answers {cells[0]} x {cells[1]} times for a patch of {patch[0]} x {patch[1]}"
            " pixels, which does not go up; its map cannot be made"
        )
    return (int(cells[0]), int(cells[1])), int(shape[-1])
