"""The rasters of a map, from rows as they come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitswath.bundle.bundle import Bundle
from bitswath.scenes.assemble import NO_SCORE, SCORE_STEPS, Rows, label_type
from bitswath.scenes.grid import Grid
from bitswath.scenes.products.cog import Look, cog_writers, names_beside
from bitswath.scenes.products.colours import Colour
from bitswath.scenes.products.made import Outputs

__all__ = ["write_rasters"]


def write_rasters(
    rows: Iterable[Rows],
    bundle: Bundle,
    outputs: Outputs,
    grid: Grid,
    colours: tuple[Colour, ...],
    tags: Mapping[str, str],
    work: Path,
) -> NDArray[np.int64]:
    """Writes all `outputs`, or none if `rows` end in an error; int64 (rows, classes + 1): the pixels of each class in
    each row, nodata last. `tags`: of every file; `work`: a folder for what is written before.

    Raises `SceneError` where they cannot be written.
    """
    counts = np.zeros((grid.height, len(bundle.classes) + 1), np.int64)
    with cog_writers(_looks(bundle, outputs, colours, tags), grid, work) as writers:
        for part in rows:
            for path, values in (
                (outputs.labels, part.labels),
                (outputs.scores, part.scores),
                (outputs.confidence, part.confidence),
            ):
                if path is not None and values is not None:
                    writers[path].write(values)
            counts[part.top : part.top + len(part.labels)] = _counted(part.labels, len(bundle.classes))
    if label_type(len(bundle.classes)) == np.uint8:
        names_beside(outputs.labels, bundle.classes, colours)
    return counts


def _counted(labels: NDArray[np.unsignedinteger], classes: int) -> NDArray[np.int64]:
    """Pixels of each class, nodata last, in each row: (rows, classes + 1). Rows are often like those above."""
    counts = np.empty((len(labels), classes + 1), np.int64)
    for line, row in enumerate(labels):
        if line and np.array_equal(row, labels[line - 1]):
            counts[line] = counts[line - 1]
        else:
            counts[line, :-1] = np.bincount(row, minlength=classes)[:classes]
            counts[line, -1] = len(row) - counts[line, :-1].sum()
    return counts


def _looks(bundle: Bundle, outputs: Outputs, colours: tuple[Colour, ...], tags: Mapping[str, str]) -> dict[Path, Look]:
    kind = label_type(len(bundle.classes))
    names = {f"CLASS_{index}": name for index, name in enumerate(bundle.classes)}
    nodata = int(np.iinfo(kind).max)
    looks = {outputs.labels: Look(str(kind), nodata, ("class",), True, colours, tags=tags, band_tags=names)}
    for path, bands in ((outputs.scores, bundle.classes), (outputs.confidence, ("confidence",))):
        if path is not None:
            looks[path] = Look("uint8", NO_SCORE, bands, False, scale=1 / SCORE_STEPS, tags=tags)
    return looks
