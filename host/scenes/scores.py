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

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.network.network import Head
from bitswath.scenes.windows import Cover

__all__ = ["EXPONENTIALS", "FULL", "Sums", "across", "down", "largest", "sum_type", "window_scores"]

Sums = NDArray[np.integer[Any]]

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


def sum_type(classes: int, weight: int) -> np.dtype[np.integer[Any]]:
    """In which `largest` finds the class of sums whose weights are `weight` at most: the smaller, the quicker."""
    return np.dtype(np.uint32 if (FULL + 1) * weight << _rank_bits(classes) < 1 << 32 else np.int64)


def _rank_bits(classes: int) -> int:
    """For the number of a class below its sum, so that one maximum finds both."""
    return (classes - 1).bit_length()


def across(
    scores: NDArray[np.uint16], spoken: NDArray[np.bool_], columns: Cover, kind: np.dtype[np.integer[Any]]
) -> Sums:
    """Weighted sums along a row of cells (cells, classes), of which those count that are `spoken` (cells,): of type
    `kind`, (classes + 1, runs) for the runs of `columns`, last the sums of weights."""
    told = np.empty((scores.shape[1] + 1, len(scores)), kind)
    np.multiply(scores.T, spoken, out=told[:-1], casting="unsafe")
    told[-1] = spoken
    sums = np.zeros((len(told), len(columns.cells)), kind)
    for cells, weights in zip(columns.cells.T, columns.weights.T):
        sums += told[:, cells] * weights.astype(kind)
    return sums


def down(rows: Sequence[Sums], weights: Sequence[int], out: Sums, scratch: Sums) -> None:
    """Weighted sums into `out` of what `across` gave for the rows of cells above a row of pixels; `scratch` is of the
    same shape: fresh memory costs more than the sums."""
    np.multiply(rows[0], weights[0], out=out)
    for row, weight in zip(rows[1:], weights[1:]):
        out += np.multiply(row, weight, out=scratch)


def largest(sums: Sums) -> tuple[Sums, Sums]:
    """Of sums (classes + 1, ...) the class (...) of the largest, of equal ones the first, and that sum."""
    classes = len(sums) - 1
    bits = _rank_bits(classes)
    best = (sums[0] << bits) + (classes - 1)
    for label in range(1, classes):
        np.maximum(best, (sums[label] << bits) + (classes - 1 - label), out=best)
    return classes - 1 - (best & (1 << bits) - 1), best >> bits
