"""``bitswath classify``."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console

from bitswath.accelerator import Result
from bitswath.accelerator import open as open_accelerator
from bitswath.basics.console import say
from bitswath.basics.files import check_outputs, write_atomic
from bitswath.basics.pictures import picture_format
from bitswath.bundle.bundle import Bundle, load_bundle, update_accuracy
from bitswath.bundle.zoo import refuse_writing
from bitswath.commands.sizes import crop_option, resize_option
from bitswath.errors import InputError
from bitswath.evaluation.classify import Classified, classify_path
from bitswath.evaluation.confusion import save_confusion_picture
from bitswath.evaluation.maps import save_maps
from bitswath.evaluation.report import Report, class_table
from bitswath.imagery.fit import Fit, Size
from bitswath.streaming.progress import stream_progress

__all__ = ["command"]


@click.command("classify")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("images", type=click.Path(path_type=Path))
@click.option("--split", help="Which split, where the folder or zip holds train, val and test.")
@resize_option
@crop_option
@click.option("--skip-bad", is_flag=True, help="Go on after images that cannot be used, and list them.")
@click.option("--backend", default="auto", show_default=True, help="emulator, rtl, pynq or auto.")
@click.option("--board", help="Which board's build, for a backend of hardware; needless if there is one.")
@click.option("--bitstream", type=click.Path(path_type=Path), help="A bitstream's folder or archive, such as FINN's.")
@click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures as JSON.")
@click.option("--predictions", type=click.Path(path_type=Path, dir_okay=False), help="Write a CSV of every patch.")
@click.option(
    "--maps", type=click.Path(path_type=Path, file_okay=False), help="Write a PNG of each patch's classes, if dense."
)
@click.option("--confusion", type=click.Path(path_type=Path, dir_okay=False), help="Write the matrix as PNG, SVG, PDF.")
@click.option("--record", metavar="SPLIT", help="Store the accuracy in the bundle's manifest under this name.")
def command(
    bundle: Path,
    images: Path,
    split: str | None,
    resize: Size | None,
    crop: Size | None,
    skip_bad: bool,
    backend: str,
    board: str | None,
    bitstream: Path | None,
    json_path: Path | None,
    predictions: Path | None,
    maps: Path | None,
    confusion: Path | None,
    record: str | None,
) -> None:
    """Classify IMAGES (an image, a folder, a zip, a .bsa archive, or numbers in a .npy, .npz or .csv) with BUNDLE."""
    check_outputs(json_path, predictions, confusion)
    if confusion:
        picture_format(confusion)
    if record and split and record != split:
        raise InputError(f"--record: expected {split!r}, the split that is measured, got {record!r}")
    if record:
        refuse_writing(bundle)
    loaded = load_bundle(bundle)
    if maps:
        _check_maps(loaded, maps)
    given: dict[str, Any] = {"board": board, "bitstream": bitstream}
    options = {name: value for name, value in given.items() if value is not None}
    with open_accelerator(loaded, backend, **options) as accelerator, stream_progress() as progress:
        fit = Fit(resize, crop)
        take = partial(save_maps, maps) if maps else _nothing
        done = classify_path(accelerator, images, split=split, fit=fit, skip_bad=skip_bad, progress=progress, take=take)
    report = done.report(loaded)
    if (confusion or record) and report is None:
        raise InputError(f"{images}: has no labels, so there is no accuracy; give a folder of the bundle's classes")
    _show(loaded, done, report)
    if json_path:
        write_atomic(json_path, (json.dumps(done.to_dict(loaded), indent=2) + "\n").encode())
    if predictions:
        write_atomic(predictions, _csv(loaded, done).encode(errors="surrogateescape"))
    if confusion and report:
        save_confusion_picture(report, confusion, loaded.name)
    if record and report:
        update_accuracy(loaded, record, report.correct, report.patches)


def _check_maps(bundle: Bundle, folder: Path) -> None:
    if math.prod(bundle.network.output.shape[:-1]) == 1:
        raise InputError(f"--maps: bundle {bundle.name!r} gives a class a patch, none a pixel; leave it out")
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder}: expected an empty folder, or none yet, for the maps")


def _nothing(names: Sequence[str], result: Result) -> None: ...


def _show(bundle: Bundle, done: Classified, report: Report | None) -> None:
    if report:
        Console().print(class_table(report, bundle.name))
    elif len(done.names) <= 20:
        for name, label in zip(done.names, done.predicted):
            say(f"{name}: {bundle.classes[label]}")
    else:
        counts = np.bincount(done.predicted, minlength=len(bundle.classes))
        for name, count in zip(bundle.classes, counts):
            say(f"{name}: {count}")
    if done.pixels is not None:
        for name, share in zip(bundle.classes, done.pixels / max(int(done.pixels.sum()), 1)):
            say(f"{name}: {100 * share:.2f} % of the pixels")
    for name, reason in done.skipped:
        say(f"skipped {name}: {reason}", "yellow")
    for note in done.notes:
        say(note, "yellow")
    figures = done.to_dict(bundle)
    say(
        f"{figures['patches']} patches, {figures['patches_per_s']:,.0f} patches/s from file to label"
        f" ({figures['classify_patches_per_s']:,.0f} once decoded), {_link(figures)}"
    )


def _link(figures: Mapping[str, Any]) -> str:
    mean = f"{figures['bytes_per_patch']:,.1f}".removesuffix(".0")
    if "max_bytes" not in figures:
        return f"{mean} bytes per patch"
    return (
        f"{mean} bytes per patch on average (99 % up to {figures['p99_bytes']:,}, all up to {figures['max_bytes']:,})"
    )


def _csv(bundle: Bundle, done: Classified) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "predicted", "true"])
    truth = [""] * len(done.names) if done.labels is None else [bundle.classes[label] for label in done.labels]
    for name, label, true in zip(done.names, done.predicted, truth):
        writer.writerow([name, bundle.classes[label], true])
    return text.getvalue()
