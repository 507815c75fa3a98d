"""The one image that a TIFF holds, whatever else is in the file.

Dataset masks and overviews are no images. Blocks that were never written (sparse files) hold the
file's nodata value, else zeros. An array that was written page by page is put together again, with
its bands last:

* axes that the file names: C and S are bands, Z, T and others are a stack of images and are refused;
* pages of one band that nothing is said about are the bands of (C, H, W). Only where the pages' own
  width is evidently the bands, as in the 64 pages of 64 x 13 samples that `tifffile.imwrite` makes of
  (64, 64, 13), are they the rows of (H, W, C). Georeferenced pages are images of their own.
"""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import ImageError

__all__ = ["TiffImage", "open_tiff"]

_SILENT = logging.NullHandler()
_GDAL_NODATA = 42113
_MOST_PAGES = 10_000
_MASK = 4
"""As PhotometricInterpretation; the same as a bit of NewSubfileType."""


@dataclass(frozen=True)
class TiffImage:
    """`page`: the tifffile.TiffPage whose tags hold for all of it; `size`: how many samples `samples` gives."""

    page: Any
    axes: str
    shape: tuple[int, ...]
    read: Callable[[], NDArray[Any]]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def samples(self) -> NDArray[Any]:
        """(H, W, C), of the file's type."""
        bands = _band_axis(self.axes, self.shape)
        samples = np.asarray(self.read()).reshape(self.shape)
        return samples[..., None] if bands is None else np.moveaxis(samples, bands, -1)


@contextmanager
def open_tiff(data: bytes) -> Iterator[TiffImage]:
    """The image of a TIFF's bytes, not yet decoded. Raises `ImageError` where there is none, or more than one.

    tifffile's complaints are ValueErrors (older ones derive from Exception) and stay off stderr.
    """
    import tifffile

    logging.getLogger("tifffile").addHandler(_SILENT)
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            yield _image(file, len(data))
    except tifffile.TiffFileError as error:
        raise ValueError(str(error)) from error


def _image(file: Any, size: int) -> TiffImage:
    pages = [page for page in _pages(file) if not _is_beside(page)]
    if not pages:
        raise ImageError("holds masks and overviews alone; expected an image")
    for page in pages:
        _check_blocks(page, size)
        page.nodata = _nodata(page)
    series = next((series for series in file.series if series.keyframe.index == pages[0].index), None)
    if len(pages) == 1 and (series is None or math.prod(series.shape) == pages[0].size):
        return TiffImage(pages[0], pages[0].axes, pages[0].shape, pages[0].asarray)
    if series is None or len(series.pages) != len(pages) or any(page.is_geotiff for page in pages[1:]):
        raise ImageError(f"holds {len(pages)} pages; expected one image, with interleaved or planar bands")
    return TiffImage(pages[0], series.get_axes(squeeze=True), series.get_shape(squeeze=True), series.asarray)


def _pages(file: Any) -> Iterator[Any]:
    """All of them. In a damaged file they may go in a circle, which tifffile would follow for ever."""
    offsets = set()
    for page in file.pages:
        if page.offset in offsets:
            raise ImageError("is damaged: its pages go in a circle")
        offsets.add(page.offset)
        if len(offsets) > _MOST_PAGES:
            raise ImageError(f"holds more than {_MOST_PAGES:,} pages; expected one image")
        yield page.aspage()


def _is_beside(page: Any) -> bool:
    """Whether a page is an overview or a mask of another one."""
    return bool(page.is_reduced or page.is_mask or page.photometric == _MASK)


def _check_blocks(page: Any, size: int) -> None:
    """All strips or tiles are in the file, but for those of zero bytes, which were never written."""
    blocks = list(zip(page.dataoffsets, page.databytecounts))
    if len(blocks) != math.prod(page.chunked):
        raise ImageError(f"is damaged: lists {len(blocks)} blocks of samples; expected {math.prod(page.chunked)}")
    if any(count and not 0 < start <= size - count for start, count in blocks):
        raise ImageError("is truncated: its samples reach beyond the end")


def _nodata(page: Any) -> int | float:
    """What GDAL fills blocks with that were never written: the nodata value, drawn into the samples' range, or zero.

    tifffile's own reading of the tag takes integers alone.
    """
    try:
        value = float(page.tags.valueof(_GDAL_NODATA, default="0").replace(",", "."))
    except ValueError:
        return 0
    if page.dtype is None or page.dtype.kind not in "ui":
        return value
    limits = np.iinfo(page.dtype)
    return 0 if math.isnan(value) else int(min(max(value, limits.min), limits.max) + 0.5)


def _band_axis(axes: str, shape: Sequence[int]) -> int | None:
    """Which axis the bands are along; None for an image of one band."""
    if axes == "YX":
        return None
    if axes in ("YXS", "YXC"):
        return 2
    if axes in ("SYX", "CYX"):
        return 0
    if axes in ("QYX", "IYX"):  # what tifffile calls axes that nothing is said about
        return 2 if _is_rows(shape) else 0
    along = {"Z": "depths", "T": "times"}.get(axes[0], "images")
    raise ImageError(
        f"holds {shape[0]} pages, a stack of {along} (axes {axes});"
        " expected one image, with its bands as (H, W, C) or with axes CYX"
    )


def _is_rows(shape: Sequence[int]) -> bool:
    """Whether n pages of h x w are the n rows of an image of h columns with w bands."""
    pages, height, width = shape
    return width < min(pages, height) and (pages == height or 2 * width <= min(pages, height))
