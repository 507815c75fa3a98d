"""Vectors, signals and patches in files of numbers: .npy, .npz and .csv."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.bundle.bundle import Bundle
from bitswath.bundle.patches import as_patches
from bitswath.errors import BitswathError, InputError
from bitswath.imagery.labels import class_index

__all__ = ["Arrays", "is_arrays", "read_arrays"]

SUFFIXES = (".npy", ".npz", ".csv")
LABELS = ("labels", "label", "y")
PATCHES = ("patches", "x")
"""Names of an .npz's arrays, in any case."""

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Arrays:
    """`patches`: (N, H, W, C) of the bundle's dtype; `labels`: int64 (N,) or None; `names`: their names or numbers."""

    patches: Array
    labels: NDArray[np.int64] | None
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.patches)

    def sample(self, count: int) -> Arrays:
        """At most `count` of them, evenly over all."""
        chosen = np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(np.int64))
        labels = None if self.labels is None else self.labels[chosen]
        return Arrays(self.patches[chosen], labels, tuple(self.names[i] for i in chosen))


def is_arrays(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


def read_arrays(path: Path, bundle: Bundle) -> Arrays:
    """What a file holds for a bundle.

    A .npy holds patches in a form that `as_patches` takes, a .npz such an array and perhaps "labels". A .csv has a
    patch a line, (H, W, C) in that order; a first line of names may call columns "label" and "name". Labels are
    classes' names or numbers. Raises `InputError` naming the file, and the line.
    """
    entry = bundle.manifest.input
    given: Sequence[str] | Array | None
    names: Sequence[str] | None = None
    try:
        if path.suffix.lower() == ".csv":
            patches, given, names = _table(path, bundle)
        else:
            patches, given = _loaded(path)
        patches = as_patches(entry, patches)
        if not len(patches):
            raise InputError("holds no patches")
        labels = None if given is None else _labels(given, len(patches), bundle.classes)
    except BitswathError as error:
        raise InputError(f"{path}: {error}") from error
    return Arrays(patches, labels, tuple(names or map(str, range(len(patches)))))


def _loaded(path: Path) -> tuple[Array, Array | None]:
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded, None
        with loaded:
            arrays = {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot be read: {str(error) or type(error).__name__}") from error
    labels = next((array for name, array in arrays.items() if name.lower() in LABELS), None)
    others = {name: array for name, array in arrays.items() if name.lower() not in LABELS}
    named = [name for name in others if name.lower() in PATCHES] or list(others)
    if len(named) != 1:
        raise InputError(f"expected an array 'patches', and perhaps 'labels', got {', '.join(arrays) or 'none'}")
    return others[named[0]], labels


def _table(path: Path, bundle: Bundle) -> tuple[Array, list[str] | None, list[str] | None]:
    """Patches, labels and names of a .csv."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [(number, line) for number, line in enumerate(csv.reader(file), 1) if any(map(str.strip, line))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot be read: {error}") from error
    told = [cell.strip().lower() for cell in lines[0][1]] if lines and not all(map(_is_number, lines[0][1])) else []
    columns = {name: told.index(name) for name in ("label", "name") if name in told}
    lines = lines[1:] if told else lines
    shape = bundle.manifest.input.patch_shape
    width = int(np.prod(shape)) + len(columns)
    wrong = next(((number, len(line)) for number, line in lines if len(line) != width), None)
    if wrong:
        also = f" beside {' and '.join(columns)}" if columns else ""
        raise InputError(
            f"line {wrong[0]}: expected {width - len(columns)} values{also}, got {wrong[1] - len(columns)}"
        )
    others = {what: [line[column].strip() for _, line in lines] for what, column in columns.items()}
    kept = [i for i in range(width) if i not in columns.values()]
    try:
        values = np.array([[float(line[i]) for i in kept] for _, line in lines], np.float64)
    except ValueError:
        number, cell = next((n, line[i]) for n, line in lines for i in kept if not _is_number(line[i]))
        raise InputError(f"line {number}: expected numbers, got {cell!r:.40}") from None
    patches = _of_type(values, np.dtype(bundle.manifest.input.patch_dtype), [number for number, _ in lines])
    return patches.reshape(-1, *shape), others.get("label"), others.get("name")


def _of_type(values: NDArray[np.float64], dtype: np.dtype[Any], numbers: list[int]) -> Array:
    if dtype.kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    misfits = ~((values >= limits.min) & (values <= limits.max) & (values == np.rint(values)))
    if misfits.any():
        row, column = (int(i) for i in np.argwhere(misfits)[0])
        raise InputError(f"line {numbers[row]}: expected {dtype} integers, got {values[row, column]:g}")
    return values.astype(dtype)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _labels(given: Sequence[str] | Array, count: int, classes: Sequence[str]) -> NDArray[np.int64]:
    if len(given) != count or np.ndim(given) != 1:
        raise InputError(f"expected a label for each of {count} patches, got labels of shape {np.shape(given)}")
    meant = {label: _label(label, classes) for label in {*np.asarray(given).tolist()}}
    return np.array([meant[label] for label in np.asarray(given).tolist()], np.int64)


def _label(label: Any, classes: Sequence[str]) -> int:
    index = class_index(label, classes) if isinstance(label, str) else label
    if index is None and label.isdecimal():
        index = int(label)
    if not isinstance(index, int) or not 0 <= index < len(classes):
        raise InputError(f"label {label!r} is none of the classes {', '.join(classes[:6])}, nor one's number")
    return index
