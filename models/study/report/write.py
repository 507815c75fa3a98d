"""A report into a folder: the data, the figures, and last the page that shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bitswath.basics.files import write_atomic
from bitswath.errors import StudyError
from bitswath.models.study.plan.cells import Cell
from bitswath.models.study.plan.config import Fidelity
from bitswath.models.study.report.facts.examples import borrowed_examples, own_examples
from bitswath.models.study.report.facts.results import Results, results_of
from bitswath.models.study.report.figures.bits import accuracy_by_bits
from bitswath.models.study.report.figures.bytes import accuracy_by_bytes
from bitswath.models.study.report.figures.confusion import confusion_matrices
from bitswath.models.study.report.figures.differences import differences, leak
from bitswath.models.study.report.figures.examples import example_patches
from bitswath.models.study.report.figures.hardware import accuracy_by_hardware
from bitswath.models.study.report.figures.lossy import equal_bytes
from bitswath.models.study.report.figures.style import Picture, rendered, styled
from bitswath.models.study.report.page import report_page
from bitswath.models.study.table import whole_row, write_rows
from bitswath.models.study.work.patches import Shelf
from bitswath.models.study.work.store import FILE, Row, Store

__all__ = ["PAGE", "make_report"]

PAGE = "report.html"

_ENDINGS = ("png", "svg")


def make_report(
    name: str,
    cells: Sequence[Cell],
    fidelity: Fidelity,
    folder: Path,
    target: Path,
    *,
    examples: str | None = None,
    data: str | None = None,
) -> Path:
    """Write the report of these cells, as far as the study in `folder` has them, into `target`; returns the page.

    `examples`: the data set of the example patches, by default the study's own; `data`: where data sets are. Each file
    is written whole, the page last; figures of an earlier report that this one has not are removed.

    Raises `StudyError` where there is no study, or one in `target`, `DatasetError` for `examples`, `DependencyError`,
    `OSError`.
    """
    if not (folder / FILE).is_file():
        raise StudyError(f"{folder}: no study is there; run 'bitswath study' first, or say where it is (-o)")
    if (target / FILE).exists():
        raise StudyError(f"{target}: holds a study, whose data a report would write over; give it a folder of its own")
    results = results_of(name, fidelity, _rows(Store(folder), cells))
    found = (
        own_examples(results, Shelf(folder, data)) if examples is None else borrowed_examples(results, examples, data)
    )
    with styled():
        pictures = [*_pictures(results), example_patches(found)]
        drawn = {(p.name, ending): rendered(p.figure, ending) for p in pictures if p.figure for ending in _ENDINGS}
    page = report_page(results, pictures, drawn)
    target.mkdir(parents=True, exist_ok=True)
    write_rows(results.rows, target)
    for picture in pictures:
        for ending in _ENDINGS:
            path = target / f"{picture.name}.{ending}"
            if picture.figure is None:
                path.unlink(missing_ok=True)
            else:
                write_atomic(path, drawn[picture.name, ending])
    write_atomic(target / PAGE, page.encode())
    return target / PAGE


def _pictures(results: Results) -> list[Picture]:
    draws = (
        accuracy_by_bits, accuracy_by_bytes, equal_bytes, accuracy_by_hardware, confusion_matrices, differences, leak,
    )  # fmt: skip
    return [draw(results) for draw in draws]


def _rows(store: Store, cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """The cells' rows; a cell that the study does not have yet is waiting. What is no part of a digest is as in the
    cells given, for the store keeps what it was first given."""
    known = {row.digest: row for row in store.rows()}
    return [whole_row(replace(known.get(cell.digest) or _waiting(cell), cell=cell), store.folder) for cell in cells]


def _waiting(cell: Cell) -> Row:
    return Row(cell.digest, cell, "waiting", 0, None, None, None, None, None)
