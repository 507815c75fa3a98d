"""``bitswath classify``."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bitswath.accelerator import Accelerator
from bitswath.accelerator import open as open_accelerator
from bitswath.archive import Archive, is_archive, open_archive
from bitswath.bundle import Bundle, load_bundle, update_accuracy
from bitswath.errors import ArchiveError, InputError
from bitswath.files import write_atomic
from bitswath.images import open_images
from bitswath.report import Report, class_table, save_confusion_picture

__all__ = ["Classified", "classify_path", "command"]

BATCH = 1024


@dataclass(frozen=True, eq=False)
class Classified:
    """What came of a run. `labels`: int64 (N,) or None; `seconds`: all of it, reading and decoding included;
    `classify_s`: encode, pack, compute, and nothing else."""

    names: tuple[str, ...]
    predicted: NDArray[np.int64]
    labels: NDArray[np.int64] | None
    skipped: tuple[tuple[str, str], ...]
    seconds: float
    classify_s: float

    def to_dict(self, bundle: Bundle) -> dict[str, Any]:
        """Plain JSON; `accuracy` is null where the patches carry no labels."""
        count = len(self.predicted)
        report = self.report(bundle)
        return {
            "bundle": bundle.name,
            "patches": count,
            "patches_per_s": count / self.seconds,
            "classify_patches_per_s": count / self.classify_s,
            "bytes_per_patch": bundle.manifest.input.frame_bytes,
            "skipped": [{"name": name, "reason": reason} for name, reason in self.skipped],
            "accuracy": None,
            **(report.to_dict() if report else {}),
        }

    def report(self, bundle: Bundle) -> Report | None:
        return None if self.labels is None else Report.of(self.labels, self.predicted, bundle.classes)


@dataclass(frozen=True, eq=False)
class _Part:
    names: tuple[str, ...]
    predicted: NDArray[np.int64]
    labels: NDArray[np.int64] | None
    classify_s: float


def classify_path(
    accelerator: Accelerator, path: Path, *, split: str | None = None, skip_bad: bool = False, progress: Progress
) -> Classified:
    """Classify what is at `path`: an image, a folder, a zip, or a packed archive (``.bsa``).

    Raises `ImageError`, `ArchiveError` or `InputError` naming the file that is wrong.
    """
    started = time.perf_counter()
    skipped: list[tuple[str, str]] = []
    if is_archive(path):
        total, source = _archive_parts(accelerator, path)
    else:
        total, source = _image_parts(accelerator, path, split, skip_bad, skipped)
    task = progress.add_task("classify", total=total)
    parts = []
    for part in source:
        parts.append(part)
        progress.advance(task, len(part.names))
    progress.update(task, completed=total)
    labels = [part.labels for part in parts if part.labels is not None]
    return Classified(
        tuple(name for part in parts for name in part.names),
        np.concatenate([part.predicted for part in parts]),
        np.concatenate(labels) if labels else None,
        tuple(skipped),
        time.perf_counter() - started,
        sum(part.classify_s for part in parts),
    )


def _image_parts(
    accelerator: Accelerator, path: Path, split: str | None, skip_bad: bool, skipped: list[tuple[str, str]]
) -> tuple[int, Iterator[_Part]]:
    entry = accelerator.bundle.manifest.input
    source = open_images(
        path,
        split=split,
        classes=accelerator.classes,
        shape=entry.patch_shape,
        dtype=entry.patch_dtype,
        skip_bad=skip_bad,
    )

    def parts() -> Iterator[_Part]:
        for batch in source.batches(BATCH):
            started = time.perf_counter()
            predicted = accelerator.classify(batch.patches).labels
            yield _Part(batch.names, predicted, batch.labels, time.perf_counter() - started)
        skipped.extend(source.skipped)

    return len(source), parts()


def _archive_parts(accelerator: Accelerator, path: Path) -> tuple[int, Iterator[_Part]]:
    archive = open_archive(path)
    bundle = accelerator.bundle
    if archive.codec.to_dict() != bundle.codec.to_dict():
        raise ArchiveError(
            f"{path}: was packed with another codec than bundle {bundle.name!r} takes; compress it again"
        )
    labels = _archive_labels(path, archive, bundle)

    def parts() -> Iterator[_Part]:
        for start in range(0, len(archive.frames), BATCH):
            part = slice(start, start + BATCH)
            started = time.perf_counter()
            predicted = accelerator.classify_frames(np.asarray(archive.frames[part])).labels
            elapsed = time.perf_counter() - started
            names = (
                tuple(archive.names[part])
                if archive.names
                else tuple(str(index) for index in range(start, start + len(predicted)))
            )
            yield _Part(names, predicted, None if labels is None else labels[part], elapsed)

    return len(archive.frames), parts()


def _archive_labels(path: Path, archive: Archive, bundle: Bundle) -> NDArray[np.int64] | None:
    if archive.labels is None or archive.classes is None:
        return None
    unknown = sorted(set(archive.classes) - set(bundle.classes))
    if unknown:
        raise ArchiveError(f"{path}: holds the class {unknown[0]!r}, which bundle {bundle.name!r} does not know")
    order = np.array([bundle.classes.index(name) for name in archive.classes], np.int64)
    labels: NDArray[np.int64] = order[archive.labels]
    return labels


@click.command("classify")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("images", type=click.Path(path_type=Path))
@click.option("--split", help="Which split, where the folder or zip holds train, val and test.")
@click.option("--skip-bad", is_flag=True, help="Go on after images that cannot be used, and list them.")
@click.option("--backend", default="auto", show_default=True, help="emulator, rtl, pynq or auto.")
@click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures as JSON.")
@click.option("--predictions", type=click.Path(path_type=Path, dir_okay=False), help="Write a CSV of every patch.")
@click.option("--confusion", type=click.Path(path_type=Path, dir_okay=False), help="Write the matrix as PNG, SVG, PDF.")
@click.option("--record", metavar="SPLIT", help="Store the accuracy in the bundle's manifest under this name.")
def command(
    bundle: Path,
    images: Path,
    split: str | None,
    skip_bad: bool,
    backend: str,
    json_path: Path | None,
    predictions: Path | None,
    confusion: Path | None,
    record: str | None,
) -> None:
    """Classify IMAGES (an image, a folder, a zip or a .bsa archive) with BUNDLE."""
    console = Console()
    loaded = load_bundle(bundle)
    with open_accelerator(loaded, backend) as accelerator, _progress() as progress:
        done = classify_path(accelerator, images, split=split, skip_bad=skip_bad, progress=progress)
    report = done.report(loaded)
    if (confusion or record) and report is None:
        raise InputError(f"{images}: has no labels, so there is no accuracy; give a folder of the bundle's classes")
    _show(console, loaded, done, report)
    if json_path:
        write_atomic(json_path, (json.dumps(done.to_dict(loaded), indent=2) + "\n").encode())
    if predictions:
        write_atomic(predictions, _csv(loaded, done).encode())
    if confusion and report:
        save_confusion_picture(report, confusion, loaded.name)
    if record and report:
        update_accuracy(loaded, record, report.correct, report.patches)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True, quiet=not sys.stderr.isatty())
    return Progress(*columns, console=console, transient=True)


def _show(console: Console, bundle: Bundle, done: Classified, report: Report | None) -> None:
    if report:
        console.print(class_table(report, bundle.name))
    elif len(done.names) <= 20:
        for name, label in zip(done.names, done.predicted):
            console.print(f"{name}: [bold]{bundle.classes[label]}[/]", highlight=False, soft_wrap=True)
    else:
        counts = np.bincount(done.predicted, minlength=len(bundle.classes))
        for name, count in zip(bundle.classes, counts):
            console.print(f"{name}: {count}", highlight=False, soft_wrap=True)
    for name, reason in done.skipped:
        console.print(f"skipped {name}: {reason}", style="yellow", highlight=False, soft_wrap=True)
    figures = done.to_dict(bundle)
    console.print(
        f"{figures['patches']} patches, {figures['patches_per_s']:,.0f} patches/s from file to label"
        f" ({figures['classify_patches_per_s']:,.0f} once decoded), {figures['bytes_per_patch']} bytes per patch",
        highlight=False,
        soft_wrap=True,
    )


def _csv(bundle: Bundle, done: Classified) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "predicted", "true"])
    truth = [""] * len(done.names) if done.labels is None else [bundle.classes[label] for label in done.labels]
    for name, label, true in zip(done.names, done.predicted, truth):
        writer.writerow([name, bundle.classes[label], true])
    return text.getvalue()
