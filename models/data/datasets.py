"""Data sets of labelled patches: by name, or any folder or zip of class folders.

Named sets are looked for in one folder: `data`, else the environment variable BITSWATH_DATA, else
``~/.cache/bitswath/data``; downloads go there too. Splits inside a set (train/, val/, test/) are used
as they are; without a val/, a part of train/ is taken for it, the same share of every class, drawn by `seed` from
hashes of the files' names. Other sets are split by a hash of each file's folder and name, 70 : 10 : 20 in every class
up to chance, so that a file's split depends neither on the other files nor on their order (nor on its
suffix: the JPEG and the TIFF of one place in EuroSAT fall into the same split).
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.basics.console import say
from bitswath.errors import DatasetError, ImageError
from bitswath.imagery.fit import Fit, Size
from bitswath.imagery.images import SPLITS as FOLDERS
from bitswath.imagery.images import ImageSource, open_images
from bitswath.imagery.labels import Item, class_index, class_name
from bitswath.models.data import synthetic
from bitswath.models.data.catalogue import CATALOGUE, Published
from bitswath.models.data.download import download as fetch
from bitswath.models.nets.config import DataConfig

__all__ = ["FRACTIONS", "NAMES", "SPLITS", "Dataset", "data_folder", "load_configured", "load_dataset", "split_of"]

FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}
"""Share of each split where a set comes without any."""

SPLITS = tuple(FRACTIONS)

NAMES = (*CATALOGUE, "synthetic")
"""What `load_dataset` knows by name."""

_SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_BATCH = 64


@dataclass(frozen=True, eq=False)
class Dataset:
    """Patches uint8 or uint16 (N, H, W, C) with labels int64 (N,), indices into `classes`; `notes`: what a user should
    be told about how they came about, a line each."""

    name: str
    split: str
    patches: NDArray[Any]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def digest(self) -> str:
        """``sha256:...`` of classes, shape, labels and patches: equal for equal data, wherever it came from."""
        digest = hashlib.sha256(repr((self.classes, self.patches.shape, self.patches.dtype.name)).encode())
        for array in (self.labels, self.patches):
            digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
        return f"sha256:{digest.hexdigest()}"


def load_dataset(
    name: str | Path,
    split: str,
    *,
    data: str | Path | None = None,
    download: bool = False,
    limit: int | None = None,
    size: int | None = None,
    resize: Size | None = None,
    crop: Size | None = None,
    val_share: float = 0.1,
    bands: int | None = None,
    depth: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Dataset:
    """One split ("train", "val" or "test") of a data set, decoded into memory.

    `name`: one of `NAMES`, or the path of a folder or zip of class folders. `data`: where named sets are
    (module docstring), or the set itself. `download` fetches what is missing, if its publisher lets
    programs do so. `limit` keeps at most so many patches, as evenly over the classes as they last; a
    smaller limit keeps a subset of a larger one. `resize` and `crop`, (height, width) each, bring every image
    to one size, in this order; `size` is `resize` to (size, size). `val_share` of train/ is val where there is
    none (module docstring). `bands` and `depth` (bits) are what files are required to have. Patches of
    `synthetic` are drawn: `limit` of them (by default `synthetic.SPLIT_SIZES`), of 64 pixels, 3 bands and 8 bits
    unless said otherwise, from `seed`.

    Raises `DatasetError`, in one line with what is missing or wrong and what to do.
    """
    if split not in SPLITS:
        raise DatasetError(f"split: expected one of {', '.join(SPLITS)}, not {split!r}")
    for option, value in (("limit", limit), ("size", size), ("bands", bands), ("depth", depth)):
        if value is not None and value < 1:
            raise DatasetError(f"{option}: expected a number >= 1, not {value}")
    if not 0 < val_share < 1:
        raise DatasetError(f"val_share: expected a share between 0 and 1, not {val_share:g}")
    if size is not None and resize is not None:
        raise DatasetError(f"size {size} and resize {resize}: expected one of them")
    if str(name) == "synthetic":
        if resize is not None or crop is not None:
            raise DatasetError("data set 'synthetic': is drawn at any size; give size instead of resize and crop")
        indices = range(limit or synthetic.SPLIT_SIZES[split])
        options = {"size": size or 64, "bands": bands or 3, "depth": depth or 8, "seed": seed}
        return Dataset("synthetic", split, *synthetic.synthetic_patches(indices, split, **options), synthetic.CLASSES)
    published = CATALOGUE.get(str(name))
    path = _known_path(str(name)) if published is None else _find(str(name), published, data, download, progress)
    try:
        fit = Fit((size, size) if size is not None else resize, crop)
        source = replace(_open(path, split, published, _Part(val_share, seed)), fit=fit)
        if limit is not None:
            source = source.only(_thinned(source, limit))
        if published is not None:
            bands, depth = bands or published.bands, depth or published.depth
        patches, labels = _read(source, bands, depth)
    except ImageError as error:
        raise DatasetError(str(error)) from error
    for note in source.notes if progress else ():
        say(f"{path}: {note}", "yellow")
    known_as = path.stem if published is None else str(name)
    return Dataset(known_as, split, patches, labels, source.classes or (), source.notes)


def load_configured(
    config: DataConfig, split: str, *, data: str | Path | None = None, download: bool = False, progress: bool = True
) -> Dataset:
    """`load_dataset` with the arguments that a training configuration names."""
    arguments = config.model_dump()
    return load_dataset(arguments.pop("name"), split, data=data, download=download, progress=progress, **arguments)


def data_folder(data: str | Path | None = None) -> Path:
    """Where data sets are: `data`, else BITSWATH_DATA, else ``~/.cache/bitswath/data``."""
    return Path(data or os.environ.get("BITSWATH_DATA") or Path.home() / ".cache" / "bitswath" / "data")


def split_of(file: str) -> str:
    """The split of a file in a set without splits: the SHA-256 of ``folder/stem`` as a place in 0..1."""
    place = int.from_bytes(_hash(file)[:8], "big") / 2.0**64
    if place < FRACTIONS["train"]:
        return "train"
    return "val" if place < FRACTIONS["train"] + FRACTIONS["val"] else "test"


def _hash(file: str, seed: int | None = None) -> bytes:
    path = PurePosixPath(file)
    place = f"{class_name(path.parent.name)}/{class_name(path.stem)}"  # the same in every normal form
    seeded = place if seed is None else f"{seed}/{place}"
    return hashlib.sha256(seeded.encode(errors="surrogateescape")).digest()


def _known_path(name: str) -> Path:
    if not Path(name).exists():
        raise DatasetError(f"no data set {name!r}: expected {', '.join(NAMES)}, or the path of a folder or zip")
    return Path(name)


def _find(name: str, published: Published, data: str | Path | None, download: bool, progress: bool) -> Path:
    folder = data_folder(data)
    if folder.is_file():
        return folder
    try:
        found = _search(folder, published.names) if folder.is_dir() else None
    except OSError as error:
        raise DatasetError(f"{error.filename or folder}: cannot be read: {error.strerror}") from error
    if found is not None:
        return found
    offer = published.download
    if offer is None:
        advice = f"get it from {published.home} and put it there as {published.names[0]}.zip or {published.names[0]}/"
    elif download:
        target = folder / offer.file
        return fetch(offer.url, target, checksum=offer.checksum, size_bytes=offer.size_bytes, progress=progress)
    else:
        advice = (
            f"ask for a download ({offer.size_bytes / 1e6:.0f} MB), or put {offer.file} from {published.home} there"
        )
    raise DatasetError(f"data set {name!r} is not in {folder}: {advice}, or say where it is (--data, BITSWATH_DATA)")


def _search(folder: Path, names: Sequence[str]) -> Path | None:
    """The zip or innermost folder in `folder`, or `folder` itself, that has one of the names, in their order."""
    entries = sorted(entry for entry in folder.iterdir() if entry.suffix.lower() == ".zip" or entry.is_dir())
    for name in names:
        for entry in entries:
            if entry.is_dir() and entry.name.lower() == name:
                return _search(entry, names)
            if entry.is_file() and entry.stem.lower() == name:
                return entry
    return folder if folder.name.lower() in names else None


@dataclass(frozen=True)
class _Part:
    """Which part of train/ is val where a set has none: a share of each class, of two images or more at least one."""

    share: float = 0.1
    seed: int = 0

    def of(self, items: Sequence[Item]) -> set[str]:
        ranked = sorted((label, _hash(file, self.seed), file) for file, label in items)
        taken: set[str] = set()
        for _, group in groupby(ranked, key=lambda item: item[0]):
            files = [file for *_, file in group]
            taken.update(files[: min(max(1, round(self.share * len(files))), len(files) - 1)])
        return taken


_TENTH = _Part()


def _open(path: Path, split: str, published: Published | None, part: _Part = _TENTH) -> ImageSource:
    """The images of one split, labelled."""
    try:
        train = open_images(path, split="train")
    except ImageError:
        source = _share(path, split, open_images(path), nested=published is not None and published.nested)
    else:
        source = _sibling(path, "test", train) if split == "test" else _train_or_val(path, split, train, part)
    classes = source.classes
    if classes is None:
        raise DatasetError(f"{path}: expected a folder for each of at least two classes, found none")
    if published is not None and len(classes) != published.classes:
        raise DatasetError(f"{path}: expected {published.classes} classes, found {len(classes)}; is it whole?")
    if not source.items:
        raise DatasetError(f"{path}: none of its images falls into the split {split!r}; there are too few")
    empty = set(range(len(classes))) - {label for _, label in source.items}
    if split == "train" and empty:
        raise DatasetError(f"{path}: class {classes[min(empty)]!r} has no image in the split 'train'")
    return source


def _train_or_val(path: Path, split: str, train: ImageSource, part: _Part) -> ImageSource:
    """train/ and val/ as they are; without val/, the part of train/ that stands for it, or the rest."""
    if _split_folder(path, "val") is not None:
        return train if split == "train" else _sibling(path, "val", train)
    taken = part.of(train.items)
    drawn = f"{part.share:g} of each class, drawn by seed {part.seed}"
    note = f"has no val: {len(taken)} of the {len(train)} images of train stand for it, {drawn}"
    kept = [item for item in train.items if (item[0] in taken) == (split == "val")]
    return replace(train.only(kept), notes=(*train.notes, note))


def _sibling(path: Path, split: str, train: ImageSource) -> ImageSource:
    """The images in a split's folder, labelled as those in train/."""
    return open_images(path, split=_split_folder(path, split) or split, classes=train.classes)


def _split_folder(path: Path, split: str) -> str | None:
    for folder in _SPLIT_FOLDERS[split]:
        try:
            open_images(path, split=folder)
        except ImageError:
            continue
        return folder
    return None


def _share(path: Path, split: str, source: ImageSource, nested: bool) -> ImageSource:
    """The images of a set without split folders that fall into a split."""
    parts = [PurePosixPath(file).parts for file, _ in source.items]
    if parts[0][-3:-2] and parts[0][-3] in FOLDERS:
        raise DatasetError(f"{path}: has no split 'train', only {parts[0][-3]!r}; name the folder inside to split it")
    if nested and min(map(len, parts)) > 1:
        folders = [class_name(part[-2]) for part in parts]
        classes = tuple(sorted(set(folders)))
        labelled = [(file, classes.index(folder)) for (file, _), folder in zip(source.items, folders)]
        source = replace(source, items=list(labelled), classes=classes)
    elif source.classes is not None and path.is_dir():
        _require_no_empty_folder(source.root / source.items[0][0], source.classes)
    return source.only([item for item in source.items if split_of(item[0]) == split])


def _require_no_empty_folder(image: Path, classes: Sequence[str]) -> None:
    """No folder beside that of an image's class is without images."""
    own = next(parent for parent in image.parents if class_index(parent.name, classes) is not None)
    for entry in sorted(own.parent.iterdir()):
        if entry.is_dir() and class_index(entry.name, classes) is None and not entry.name.startswith((".", "__")):
            raise DatasetError(f"{entry}: expected images of a class, found none; fill or remove it")


def _thinned(source: ImageSource, limit: int) -> list[tuple[str, int | None]]:
    """At most `limit` items, in order: by turns the first of each class in the order of their hashes."""
    ranked, taken = [], Counter[int | None]()
    for file, label in sorted(source.items, key=lambda item: _hash(item[0])[8:]):
        ranked.append((taken[label], label, file))
        taken[label] += 1
    kept = {file for _, _, file in sorted(ranked)[:limit]}
    return [item for item in source.items if item[0] in kept]


def _read(source: ImageSource, bands: int | None, depth: int | None) -> tuple[NDArray[Any], NDArray[np.int64]]:
    patches: NDArray[Any] | None = None
    done = 0
    for batch in source.batches(_BATCH):
        block = batch.patches
        if patches is None:
            _require_format(source.root / batch.names[0], block, bands, depth)
            patches = _room(source, block)
        patches[done : done + len(block)] = block
        done += len(block)
    if patches is None:
        raise DatasetError(f"{source.root}: holds no images")
    return patches, np.array([label for _, label in source.items], np.int64)


def _require_format(path: Path, patches: NDArray[Any], bands: int | None, depth: int | None) -> None:
    found = patches.shape[3], 8 * patches.itemsize
    expected = bands or found[0], depth or found[1]
    if found != expected:
        kinds = ["{} band{} of {} bits".format(n, "s" * (n > 1), bits) for n, bits in (expected, found)]
        raise DatasetError(f"{path}: expected {kinds[0]}, found {kinds[1]}")


def _room(source: ImageSource, block: NDArray[Any]) -> NDArray[Any]:
    needed = len(source) * block[0].nbytes
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else needed
    if needed > memory:
        sizes = f"its patches take {needed / 1e9:.1f} GB, this machine has {memory / 1e9:.1f}"
        raise DatasetError(f"{source.root}: {sizes}; ask for a smaller size or a limit")
    return np.empty((len(source), *block.shape[1:]), block.dtype)
