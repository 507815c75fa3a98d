"""Scores in integers: what a network says of a window, and what all windows over a pixel say together.

A window's scores are a softmax in fixed point. Its logits are float64 ``scale * y + offset`` of the network's integers
y, each operation rounded as IEEE 754 says. Their distances d from the largest are counted in 64ths,
``t = floor(64 d + 1/2)``, and ``e = EXPONENTIALS[t]`` is 2^20 exp(-t / 64) rounded, 0 from t = 1,024 on. A score is
``FULL e / sum(e)`` rounded half up; that of the window's own label, which `bitswath.bundle.answers` gives, is one more,
so that it is the largest even where rounding makes several equal.

All else is integers: a pixel's score is the sum of ``weight * score`` over the windows above it, its class the largest
of them, of equal ones the first. Sums of integers do not depend on their order, so maps do not depend on strips,
threads, workers or machines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.network.network import Head
from bitswath.scenes.windows import Cover

__all__ = ["EXPONENTIALS", "FULL", "Blended", "blend", "window_scores"]

FULL = 65534
"""The scores of a window sum to this, but for rounding and the one more of its label."""

_STEPS = 64
_REACH = 1024
EXPONENTIALS: NDArray[np.int64] = np.append(np.rint(2.0**20 * np.exp(-np.arange(_REACH) / _STEPS)).astype(np.int64), 0)


def window_scores(values: NDArray[np.integer[Any]], head: Head | None) -> NDArray[np.uint16]:
    """Scores of a network's last integers, both (N, ..., classes); `head` None: votes, FULL for the largest.

    Of equal integers the first class is the label, as everywhere.
    """
    logits = np.asarray(values, np.float64) if head is None else _logits(values, head)
    ordered = values if head is None or (head.scale.size == head.offset.size == 1 and head.scale[0] > 0) else logits
    label = np.expand_dims(ordered.argmax(axis=-1), -1)
    scores = np.zeros(values.shape, np.int64)
    if head is None:
        np.put_along_axis(scores, label, FULL, axis=-1)
    else:
        steps = np.floor((logits.max(axis=-1, keepdims=True) - logits) * _STEPS + 0.5)
        parts = EXPONENTIALS[np.minimum(steps, _REACH).astype(np.int64)]
        whole = parts.sum(axis=-1, keepdims=True)
        scores = (2 * FULL * parts + whole) // (2 * whole)
    np.put_along_axis(scores, label, np.take_along_axis(scores, label, axis=-1) + 1, axis=-1)
    return scores.astype(np.uint16)


def _logits(values: NDArray[np.integer[Any]], head: Head) -> NDArray[np.float64]:
    plain = replace(head, softmax=False)
    return np.asarray(values, np.float64) * plain.scale + plain.offset


@dataclass(frozen=True, eq=False)
class Blended:
    """Of pixels in runs: sums of weighted scores (classes, rows, columns), and of weights (rows, columns), 0 where no
    window speaks; int64."""

    sums: NDArray[np.int64]
    weights: NDArray[np.int64]


def blend(scores: NDArray[np.uint16], spoken: NDArray[np.bool_], rows: Cover, columns: Cover) -> Blended:
    """Scores of cells (rows, columns, classes), of which those count that are `spoken` (rows, columns), for runs of
    pixels, a row and a column a run."""
    told = np.concatenate([scores * spoken[..., None], spoken[..., None]], axis=-1, dtype=np.int64)
    across = np.zeros((told.shape[2], len(told), len(columns.cells)), np.int64)
    planes = np.ascontiguousarray(np.moveaxis(told, -1, 0))
    for cells, weights in zip(columns.cells.T, columns.weights.T):
        across += planes[:, :, cells] * weights
    sums = np.zeros((told.shape[2], len(rows.cells), len(columns.cells)), np.int64)
    for cells, weights in zip(rows.cells.T, rows.weights.T):
        sums += across[:, cells] * weights[:, None]
    return Blended(sums[:-1], sums[-1])
