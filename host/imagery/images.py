"""Patches from image files: single images, folders, folders of classes, and zips of them.

`open_images` lists what is there; the source it returns decodes lazily, in batches, in a fixed order
(names sorted), on a few threads. Nothing of a zip is written to disk. Packed archives (``.bsa``) hold
codes, not images: open them with `bitswath.codecs.archive.open_archive`.

Layouts, for folders and zips alike (a single folder around everything is looked through)::

    a.jpg b.jpg                        no labels
    Forest/a.jpg River/b.jpg           labels by folder, classes sorted
    train/Forest/a.jpg test/...        the same below splits, one of which is chosen with `split`

Images of another size are resized or cropped as they are read (`bitswath.imagery.fit`) where that is asked for.
Files with other suffixes, and hidden ones, are left out; `ImageSource.notes` says so, and what else is not as one
may think, such as classes without images.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bitswath.basics.machine import cores
from bitswath.errors import ImageError
from bitswath.imagery.decode import SUFFIXES, decode, decode_image
from bitswath.imagery.fit import AS_THEY_ARE, Fit
from bitswath.imagery.labels import SPLITS, Item, label_images
from bitswath.imagery.listing import Listing, list_images, read_file

__all__ = ["SPLITS", "Batch", "ImageSource", "open_images", "read_image"]

_CHUNK = 8


@dataclass(frozen=True)
class Batch:
    """Patches (N, H, W, C), uint8 or uint16 unless another type was asked for, labels int64 (N,) or
    None, and N names."""

    patches: NDArray[Any]
    labels: NDArray[np.int64] | None
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class ImageSource:
    """Images in a fixed order; iterate over it, or over `batches`, to decode them.

    `root`: the folder or zip that names are relative to; `items`: (name, label or None); `classes`:
    what labels index, or None; `fit`: what brings every image to its size; `skipped`: (name, reason) of the
    bad images of the last pass, with `skip_bad`; `ignored`: number of files that are no images by their
    suffix; `notes`: what a user should
    be told about what is missing, a line each. All patches have one shape and dtype: `shape` and
    `dtype`, or those of the first good image where they are None.
    """

    root: Path
    items: list[Item]
    classes: tuple[str, ...] | None
    shape: tuple[int, int, int] | None
    dtype: np.dtype[Any] | None
    fit: Fit
    skip_bad: bool
    threads: int
    ignored: int
    notes: tuple[str, ...]
    read: Callable[[str], bytes] = field(repr=False)
    skipped: list[tuple[str, str]] = field(default_factory=list, init=False)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Batch]:
        return self.batches()

    def only(self, items: Sequence[Item]) -> ImageSource:
        """A source of some of the items alone."""
        return replace(self, items=list(items))

    def sample(self, count: int) -> ImageSource:
        """At most `count` of the images, evenly over all of them, and so over classes as far as these lie in a row."""
        kept = min(count, len(self))
        return self.only([self.items[index * len(self) // kept] for index in range(kept)])

    def batches(self, size: int = 256) -> Iterator[Batch]:
        """Batches of `size` good patches, the last one maybe shorter.

        Raises `ImageError` for the first bad image, or, with `skip_bad`, if no image is good.
        """
        self.skipped.clear()
        good = self._good()
        while chunk := list(islice(good, size)):
            names, labels, patches = zip(*chunk)
            yield Batch(np.stack(patches), None if self.classes is None else np.array(labels, np.int64), names)
        if len(self.skipped) == len(self):
            name, reason = self.skipped[0]
            raise ImageError(f"{self.root}: none of its {len(self)} images can be used; {name}: {reason}")

    def _good(self) -> Iterator[tuple[str, int | None, NDArray[Any]]]:
        shape, dtype = self.shape, self.dtype
        for (name, label), patch in _in_order(self._decode, self.items, self.threads):
            reason = patch if isinstance(patch, str) else _misfit(patch, shape, dtype)
            if not isinstance(patch, str) and reason is None:
                shape, dtype = patch.shape, patch.dtype
                yield name, label, patch
            elif self.skip_bad:
                self.skipped.append((name, str(reason)))
            else:
                raise ImageError(f"{self.root / name}: {reason}")

    def _decode(self, item: Item) -> NDArray[Any] | str:
        """The patch, or why there is none."""
        try:
            bands = None if self.shape is None else self.shape[2]
            return self.fit(decode_image(self.read(item[0]), bands, self.dtype))
        except ImageError as error:
            return str(error)


def open_images(
    path: str | Path,
    *,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    shape: tuple[int, int, int] | None = None,
    dtype: DTypeLike | None = None,
    fit: Fit = AS_THEY_ARE,
    skip_bad: bool = False,
    threads: int | None = None,
) -> ImageSource:
    """The images of a file, a folder or a zip.

    `split` chooses one where there are splits. `classes` fixes what labels mean (a bundle's classes):
    folders are then looked up in it (`bitswath.imagery.labels`), and images are unlabelled if no folder is in it.
    `shape` (H, W, C) and `dtype` are what every image must have, once `fit` has brought it to its size.
    `skip_bad` leaves bad images out and lists them in `ImageSource.skipped`. `threads` decode, by default up to 4.

    Raises `ImageError`, in one line with file and reason, if there is nothing to read.
    """
    path = Path(path)
    if shape is not None and fit.size not in (None, shape[:2]):
        raise ImageError(f"{path}: would be brought to {_by(fit.size)}; expected {_by(shape[:2])}")
    listing = list_images(path)
    others = sum(listing.left_out.values())
    if not listing.names:
        raise ImageError(f"{path}: holds no images ({others} other files); expected {', '.join(sorted(SUFFIXES))}")
    found = label_images(path, listing, split, classes)
    wanted = None if dtype is None else np.dtype(dtype)
    workers = threads or min(4, cores())
    ignored = others - listing.left_out["hidden"]
    notes = (*_left_out(listing), *found.notes)
    return ImageSource(
        listing.root, found.items, found.classes, shape, wanted, fit, skip_bad, workers, ignored, notes, listing.read
    )


def read_image(path: str | Path) -> NDArray[Any]:
    """All that an image file holds, upright: samples (H, W, C) of its own type, its alpha channel among them.

    Raises `ImageError` naming file and reason.
    """
    path = Path(path)
    try:
        return decode(read_file(path)).samples
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def _left_out(listing: Listing) -> tuple[str, ...]:
    if not listing.left_out:
        return ()
    kinds = ", ".join(f"{number} {kind}" for kind, number in listing.left_out.most_common())
    return (f"files left out that are no images by their names: {kinds}",)


def _misfit(patch: NDArray[Any], shape: tuple[int, ...] | None, dtype: np.dtype[Any] | None) -> str | None:
    """Why a patch is not of the expected shape and dtype, or None."""
    if shape in (None, patch.shape) and dtype in (None, patch.dtype):
        return None
    expected = _describe(shape or patch.shape, dtype or patch.dtype)
    advice = "" if shape is None or patch.shape[:2] == shape[:2] else f"; {_way_to(shape, patch.shape)}"
    return f"is {_describe(patch.shape, patch.dtype)}; expected {expected}{advice}"


def _way_to(shape: tuple[int, ...], given: tuple[int, ...]) -> str:
    """Which options bring a patch of another size to what is expected."""
    size = f"{shape[0]}x{shape[1]}"
    cut = f" or --crop {size}" if given[0] >= shape[0] and given[1] >= shape[1] else ""
    return f"classify and compress take --resize {size}{cut}, a configuration the same in data"


def _by(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]}"


def _describe(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    kind = {1: "grey", 3: "RGB", 4: "RGBA or 4 bands"}.get(shape[2], f"{shape[2]} bands")
    return f"{shape[0]} x {shape[1]} x {shape[2]} {dtype} ({kind})"


def _in_order(
    decode: Callable[[Item], NDArray[Any] | str], items: Sequence[Item], threads: int
) -> Iterator[tuple[Item, NDArray[Any] | str]]:
    """Each item with what `decode` makes of it, in order, decoded a little ahead on `threads` threads."""
    chunks = (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))

    def work(chunk: Sequence[Item]) -> list[tuple[Item, NDArray[Any] | str]]:
        return [(item, decode(item)) for item in chunk]

    with ThreadPoolExecutor(threads, "bitswath-images") as pool:
        pending = deque(pool.submit(work, chunk) for chunk in islice(chunks, 4 * threads))
        while pending:
            yield from pending.popleft().result()
            pending.extend(pool.submit(work, chunk) for chunk in islice(chunks, 1))
