"""Strips of a scene through an accelerator: blocks read, windows classified, scores gathered."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bitswath.bundle.bundle import Bundle
from bitswath.codecs.base import Codec, PointwiseCodec
from bitswath.errors import SceneError
from bitswath.network.network import ArgMax, Head
from bitswath.scenes.gdal import limit_cache
from bitswath.scenes.plan import Plan
from bitswath.scenes.scores import window_scores
from bitswath.scenes.sources.scene import Block, Scene, SceneReader
from bitswath.scenes.sources.strip_reader import StripReader
from bitswath.scenes.strips import Strip
from bitswath.streaming.counters import Counters
from bitswath.streaming.stream import Stream

__all__ = ["Classifier", "Job", "work"]

_BATCH_BYTES = 12 << 20
_BATCH = 256
_TRIES = 3
_CACHE = (32 << 20, 144 << 20)


class Classifier(Protocol):
    """What `bitswath.accelerator.Accelerator` is to scenes."""

    bundle: Bundle

    def stream_integers(
        self,
        batches: Iterable[NDArray[Any]],
        *,
        also: Sequence[Any] = (),
        total: int | None = None,
        progress: Callable[[Counters], None] = lambda counters: None,
        copy: bool = True,
        frames: bool = False,
    ) -> Stream[NDArray[np.integer[Any]]]: ...


@dataclass(frozen=True)
class Job:
    """A scene, how it is cut, how many of a window's pixels may be nodata, and whether to go on where a block cannot
    be read."""

    scene: Scene
    plan: Plan
    most_empty: int
    skip_bad: bool = False


@dataclass(eq=False)
class _Filling:
    """A strip that is being gathered; `left`: batches that are under way, and one until all are drawn."""

    number: int
    scores: NDArray[np.uint16]
    spoken: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    bad: list[str] = field(default_factory=list)
    left: int = 1

    def strip(self) -> Strip:
        return Strip(self.scores, self.spoken, np.packbits(self.valid, axis=1), tuple(self.bad))


def work(
    classifier: Classifier,
    job: Job,
    strips: Sequence[int],
    *,
    also: Sequence[Any] = (),
    progress: Callable[[Counters], None] = lambda counters: None,
) -> Generator[tuple[int, Strip], None, None]:
    """Each of the `strips` (ascending) with its number, as it is done.

    Raises `SceneError` where a block cannot be read, after three tries, unless such are skipped; `BackendError`.
    """
    drawn: deque[tuple[_Filling, NDArray[np.int64]]] = deque()
    ready: deque[_Filling] = deque()
    total = sum(job.plan.windows_of(strip) for strip in strips)
    codec = _row_codec(classifier.bundle, job.plan)
    batches = _batches(job, codec, strips, drawn, ready)
    votes = isinstance(classifier.bundle.network.stages[-1], ArgMax)
    with classifier.stream_integers(
        batches, also=also, total=total, progress=progress, copy=False, frames=codec is not None
    ) as results:
        for values in results:
            filling, places = drawn.popleft()
            told = _one_hot(values, job.plan.classes) if votes else _first_output(values, job.plan)
            scores = window_scores(told, None if votes else _head(classifier.bundle))
            _place(filling, places, scores, job.plan)
            filling.left -= 1
            yield from _finished(ready)
        yield from _finished(ready)


def _finished(ready: deque[_Filling]) -> Iterator[tuple[int, Strip]]:
    while ready and not ready[0].left:
        filling = ready.popleft()
        yield filling.number, filling.strip()


def _row_codec(bundle: Bundle, plan: Plan) -> Codec | None:
    """The codec, if windows can be cut from rows that it packed: its codes depend on their pixel alone, and windows
    begin and end with a byte."""
    codec = bundle.codec
    bits = codec.bits * codec.code_shape(bundle.manifest.input.patch_shape)[2]
    whole = not (np.append(plan.columns.starts, plan.columns.patch) * bits % 8).any()
    return codec if isinstance(codec, PointwiseCodec) and codec.dither is None and whole else None


def _batches(
    job: Job,
    codec: Codec | None,
    strips: Sequence[int],
    drawn: deque[tuple[_Filling, NDArray[np.int64]]],
    ready: deque[_Filling],
) -> Iterator[NDArray[Any]]:
    """Windows (N, H, W, C) of strip after strip, with a `codec` its frames of them (N, frame_bytes); where they belong
    goes into `drawn`, their strips into `ready`."""
    plan = job.plan
    limit_cache(_cache_bytes(job, strips))
    with SceneReader(job.scene) as files:
        reader = StripReader(files)
        for number in strips:
            filling = _empty(plan, number)
            ready.append(filling)
            top, bottom = plan.span(number)
            reader.begin(top, bottom, top + len(filling.valid))
            for block_columns in plan.blocks(number):
                block = _read(reader, job, filling, block_columns)
                if block is None:
                    continue
                for places, windows in _windows(job, codec, filling, block, block_columns):
                    filling.left += 1
                    drawn.append((filling, places))
                    yield windows
            filling.left -= 1


def _cache_bytes(job: Job, strips: Sequence[int]) -> int:
    """What GDAL is to keep: the tiles under a block, which the next one needs again."""
    most = 0
    for number in strips:
        top, bottom = job.plan.span(number)
        width = min(job.plan.block_width(number) + 2 * job.scene.tile[1], job.scene.grid.width)
        most = max(most, (bottom - top + job.scene.tile[0]) * width * job.plan.sample_bytes)
    return min(max(most, _CACHE[0]), _CACHE[1])


def _empty(plan: Plan, number: int) -> _Filling:
    first, last = plan.strips[number]
    high, wide = plan.per_window
    rows, columns = last - first, len(plan.columns)
    top, bottom = plan.lines(number)
    return _Filling(
        number,
        np.zeros((rows * high, columns * wide, plan.classes), np.uint16),
        np.zeros((rows, columns), bool),
        np.zeros((bottom - top, plan.columns.end), bool),
    )


def _read(reader: StripReader, job: Job, filling: _Filling, columns: tuple[int, int]) -> Block | None:
    """The block under these window columns of a strip, or None where it cannot be read and such are skipped."""
    plan = job.plan
    top, bottom = plan.span(filling.number)
    left, right = int(plan.columns.starts[columns[0]]), int(plan.columns.starts[columns[1] - 1]) + plan.columns.patch
    where = f"rows {top} to {bottom}, columns {left} to {right}"
    try:
        block = _patiently(reader, left, right)
    except SceneError as error:
        if not job.skip_bad:
            raise SceneError(f"{error}, {where}; --skip-bad leaves such blocks out") from error
        filling.bad.append(f"{where}: {error}")
        return None
    filling.valid[:, left:right] = block.valid[: len(filling.valid)]
    return block


def _patiently(reader: StripReader, left: int, right: int) -> Block:
    """A part of a strip that is tried again, with its files opened anew, before it counts as damaged."""
    for _ in range(_TRIES - 1):
        try:
            return reader.read(left, right)
        except SceneError:
            reader.close()
    return reader.read(left, right)


def _windows(
    job: Job, codec: Codec | None, filling: _Filling, block: Block, columns: tuple[int, int]
) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Batches of windows that hold enough: their rows and columns (N, 2) in the strip, and themselves."""
    plan = job.plan
    first, last = plan.strips[filling.number]
    tops = plan.rows.starts[first:last] - plan.rows.starts[first]
    lefts = plan.columns.starts[slice(*columns)] - plan.columns.starts[columns[0]]
    patch = (plan.rows.patch, plan.columns.patch)
    filling.spoken[:, slice(*columns)] = enough = _enough(block.valid, tops, lefts, patch, job.most_empty)
    speaking = np.argwhere(enough)
    views, lefts = _cut(block.samples, patch, lefts, codec)
    size = min(_BATCH, max(1, _BATCH_BYTES // (views[0, 0].size * views.itemsize)))
    for start in range(0, len(speaking), size):
        places = speaking[start : start + size]
        windows = _gathered(views, tops[places[:, 0]], lefts[places[:, 1]])
        yield places + np.array([0, columns[0]]), windows if codec is None else windows.reshape(len(windows), -1)


def _cut(
    samples: NDArray[Any], patch: tuple[int, int], lefts: NDArray[np.int64], codec: Codec | None
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Windows at all places of a block (H, W, C), as (rows, columns, *patch, C), and which columns are at `lefts`;
    with a codec its packed codes, as (rows, bytes, rows of a patch, bytes of one)."""
    views = np.lib.stride_tricks.sliding_window_view
    if codec is None:
        return np.moveaxis(views(samples, patch, axis=(0, 1)), 2, -1), lefts
    rows = codec.encode_packed(samples[:, None])
    bits = codec.bits * codec.code_shape((1, 1, samples.shape[2]))[2]
    return views(rows, (patch[0], patch[1] * bits // 8)), lefts * bits // 8


def _gathered(views: NDArray[Any], tops: NDArray[np.int64], lefts: NDArray[np.int64]) -> NDArray[Any]:
    """The windows `views` [tops, lefts], evenly spaced ones at once."""
    windows = np.empty((len(tops), *views.shape[2:]), views.dtype)
    step = int(lefts[1] - lefts[0]) if len(lefts) > 1 and lefts[1] > lefts[0] else 1
    breaks = np.flatnonzero((np.diff(tops) != 0) | (np.diff(lefts) != step)) + 1
    for start, end in zip((0, *breaks), (*breaks, len(tops))):
        windows[start:end] = views[tops[start], lefts[start] : lefts[end - 1] + 1 : step]
    return windows


def _enough(
    valid: NDArray[np.bool_],
    tops: NDArray[np.int64],
    lefts: NDArray[np.int64],
    patch: tuple[int, int],
    most_empty: int,
) -> NDArray[np.bool_]:
    """Which windows (rows, columns) have no more empty pixels than that."""
    if valid.all():
        return np.ones((len(tops), len(lefts)), bool)
    sums = np.zeros((valid.shape[0] + 1, valid.shape[1] + 1), np.int32)
    np.cumsum(~valid, axis=0, dtype=np.int32, out=sums[1:, 1:])
    np.cumsum(sums[1:, 1:], axis=1, out=sums[1:, 1:])
    high, low = sums[tops + patch[0]], sums[tops]
    right, left = lefts + patch[1], lefts
    empty = high[:, right] - high[:, left] - low[:, right] + low[:, left]
    return np.asarray(empty <= most_empty)


def _place(filling: _Filling, places: NDArray[np.int64], scores: NDArray[np.uint16], plan: Plan) -> None:
    high, wide = plan.per_window
    cells = filling.scores.reshape(-1, high, len(plan.columns), wide, plan.classes)
    cells[places[:, 0], :, places[:, 1]] = scores.reshape(len(places), high, wide, plan.classes)


def _first_output(values: NDArray[np.integer[Any]], plan: Plan) -> NDArray[np.integer[Any]]:
    """The integers (N, rows, columns, classes) of the output that maps are made of."""
    size = plan.per_window[0] * plan.per_window[1] * plan.classes
    return values.reshape(len(values), -1)[:, :size].reshape(len(values), *plan.per_window, plan.classes)


def _head(bundle: Bundle) -> Head:
    """Of the output that maps are made of."""
    head, outputs = bundle.network.head, bundle.manifest.outputs
    if not outputs:
        return head
    shape = (1, 1, *outputs[0].shape)[-3:]
    scale, offset = (v if v.size == 1 else v[: math.prod(shape)].reshape(shape) for v in (head.scale, head.offset))
    return replace(head, scale=scale, offset=offset)


def _one_hot(values: NDArray[np.integer[Any]], classes: int) -> NDArray[np.int64]:
    return np.asarray(values.reshape(-1, 1, 1, 1) == np.arange(classes), np.int64)
