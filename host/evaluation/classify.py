"""Classifying whatever a path names, and what that took: the work behind ``bitswath classify``."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.accelerator import Accelerator, DenseResult, Result
from bitswath.bundle.bundle import Bundle
from bitswath.codecs.archive import Archive, is_archive, open_archive
from bitswath.errors import ArchiveError, InputError
from bitswath.evaluation.arrays import Arrays, is_arrays, read_arrays
from bitswath.evaluation.report import Report
from bitswath.imagery.fit import AS_THEY_ARE, Fit
from bitswath.imagery.images import ImageSource, open_images
from bitswath.imagery.labels import class_index
from bitswath.streaming.counters import Counters

__all__ = ["Classified", "classify_path"]

BATCH = 256


@dataclass(frozen=True, eq=False)
class Classified:
    """What came of a run over N patches.

    `predicted`: int64 (N,), of a dense bundle the class that most of a patch's pixels have; `pixels`: int64 (classes,),
    its pixels of each class. `labels`: int64 (N,), or None where the patches carry none; `skipped`: (name, reason) of
    bad images; `ignored`: files that are no images by their suffix; `notes`: what a user should be told about what is
    missing, a line each; `seconds`: all of it, reading and decoding included; `counters`: of the stream.
    """

    names: tuple[str, ...]
    predicted: NDArray[np.int64]
    labels: NDArray[np.int64] | None
    skipped: tuple[tuple[str, str], ...]
    ignored: int
    notes: tuple[str, ...]
    seconds: float
    counters: Counters
    pixels: NDArray[np.int64] | None = None

    def report(self, bundle: Bundle) -> Report | None:
        """The predictions against the labels, or None where there are no labels."""
        return None if self.labels is None else Report.of(self.labels, self.predicted, bundle.classes)

    def to_dict(self, bundle: Bundle) -> dict[str, Any]:
        """Plain JSON; `accuracy` is null where the patches carry no labels."""
        count, compressed = len(self.predicted), bundle.codec.compressed
        report = self.report(bundle)
        return {
            "bundle": bundle.name,
            "patches": count,
            "patches_per_s": count / self.seconds,
            "classify_patches_per_s": count / (self.counters.host_s + self.counters.device_s),
            "bytes_per_patch": self.counters.bytes_per_frame,
            **({"p99_bytes": self.counters.p99_bytes, "max_bytes": self.counters.max_bytes} if compressed else {}),
            "skipped": [{"name": name, "reason": reason} for name, reason in self.skipped],
            "ignored_files": self.ignored,
            "notes": list(self.notes),
            **({} if self.pixels is None else {"pixels": dict(zip(bundle.classes, self.pixels.tolist()))}),
            "accuracy": None,
            **(report.to_dict() if report else {}),
        }


@dataclass(frozen=True, eq=False)
class _Batch:
    names: tuple[str, ...]
    labels: NDArray[np.int64] | None
    items: NDArray[Any]


def classify_path(
    accelerator: Accelerator,
    path: Path,
    *,
    split: str | None = None,
    fit: Fit = AS_THEY_ARE,
    skip_bad: bool = False,
    progress: Callable[[Counters], None] = lambda counters: None,
    take: Callable[[Sequence[str], Result], None] = lambda names, result: None,
) -> Classified:
    """Classify what is at `path`: an image, a folder, a zip, a packed archive (``.bsa``), or numbers (``.npy``,
    ``.npz``, ``.csv``, see `bitswath.evaluation.arrays`).

    `fit` brings images to the bundle's size. Images are read while those before are classified. After every batch
    `progress` is called, and `take` with the patches' names and predictions. Raises `ImageError`, `ArchiveError` or
    `InputError` naming the file that is wrong.
    """
    started = time.perf_counter()
    drawn: deque[_Batch] = deque()
    source, batches, count = _batches(accelerator, path, split, fit, skip_bad)
    stream = accelerator.stream_frames if isinstance(source, Archive) else accelerator.stream
    results = stream(_noted(batches, drawn), total=count, progress=progress)
    names: list[str] = []
    labels, predicted, pixels = [], [], []
    with results:
        for result in results:
            batch = drawn.popleft()
            take(batch.names, result)
            predicted.append(result.of_patches)
            if isinstance(result, DenseResult):
                pixels.append(result.counts.sum(axis=0))
            names.extend(batch.names)
            if batch.labels is not None:
                labels.append(batch.labels)
    images = source if isinstance(source, ImageSource) else None
    return Classified(
        tuple(names),
        np.concatenate(predicted),
        np.concatenate(labels) if labels else None,
        tuple(images.skipped) if images else (),
        images.ignored if images else 0,
        images.notes if images else (),
        time.perf_counter() - started,
        results.counters,
        np.sum(pixels, axis=0) if pixels else None,
    )


def _batches(
    accelerator: Accelerator, path: Path, split: str | None, fit: Fit, skip_bad: bool
) -> tuple[Archive | Arrays | ImageSource, Iterator[_Batch], int]:
    """What is at a path, its batches, and how many patches they have."""
    if is_archive(path):
        if split is not None:
            raise InputError(f"{path}: is an archive and holds no splits; leave --split out")
        if fit.size is not None:
            raise InputError(f"{path}: is an archive of packed patches; leave --resize and --crop out")
        archive = _fitting_archive(path, accelerator.bundle)
        return archive, _archive_batches(accelerator, archive), len(archive)
    if is_arrays(path):
        if split is not None or fit.size is not None:
            raise InputError(f"{path}: holds numbers as they are; leave --split, --resize and --crop out")
        arrays = read_arrays(path, accelerator.bundle)
        return arrays, _array_batches(arrays), len(arrays)
    source = _fitting_images(path, accelerator.bundle, split, fit, skip_bad)
    return source, _image_batches(source), len(source)


def _noted(batches: Iterable[_Batch], drawn: deque[_Batch]) -> Iterator[NDArray[Any]]:
    """The batches' arrays for a stream; what else they hold is kept for when the results come."""
    for batch in batches:
        drawn.append(batch)
        yield batch.items


def _fitting_images(path: Path, bundle: Bundle, split: str | None, fit: Fit, skip_bad: bool) -> ImageSource:
    entry = bundle.manifest.input
    if entry.layout != "image":
        raise InputError(
            f"{path}: bundle {bundle.name!r} takes {entry.described}; give a .npy, .npz or .csv file of them"
        )
    return open_images(
        path,
        split=split,
        classes=bundle.classes,
        shape=entry.patch_shape,
        dtype=entry.patch_dtype,
        fit=fit,
        skip_bad=skip_bad,
    )


def _array_batches(arrays: Arrays) -> Iterator[_Batch]:
    for start in range(0, len(arrays), BATCH):
        part = slice(start, start + BATCH)
        known = None if arrays.labels is None else arrays.labels[part]
        yield _Batch(arrays.names[part], known, arrays.patches[part])


def _image_batches(source: ImageSource) -> Iterator[_Batch]:
    for batch in source.batches(BATCH):
        yield _Batch(batch.names, batch.labels, batch.patches)


def _fitting_archive(path: Path, bundle: Bundle) -> Archive:
    archive = open_archive(path, verify=True)
    if not len(archive):
        raise InputError(f"{path}: holds no patches")
    if archive.codec.to_dict() != bundle.codec.to_dict():
        raise ArchiveError(
            f"{path}: was packed with another codec than bundle {bundle.name!r} takes; compress it again with --bundle"
        )
    wanted = bundle.manifest.input.patch_shape
    if archive.patch_shape != wanted:
        raise ArchiveError(f"{path}: holds patches {archive.patch_shape}, bundle {bundle.name!r} takes {wanted}")
    for name in archive.classes or ():
        if class_index(name, bundle.classes) is None:
            raise ArchiveError(f"{path}: holds the class {name!r}, which bundle {bundle.name!r} does not know")
    return archive


def _archive_batches(accelerator: Accelerator, archive: Archive) -> Iterator[_Batch]:
    names = archive.names or tuple(map(str, range(len(archive))))
    labels = None
    if archive.labels is not None and archive.classes is not None:
        meant = [class_index(name, accelerator.classes) for name in archive.classes]
        labels = np.array(meant, np.int64)[archive.labels]
    for start in range(0, len(archive), BATCH):
        part = slice(start, start + BATCH)
        known = None if labels is None else labels[part]
        yield _Batch(names[part], known, archive.rows(start, start + BATCH))
