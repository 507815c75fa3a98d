"""Transforms that were candidates of the transform codec, in floats, and what static contexts would make of them.

`forward` gives coefficients at the scale of an orthonormal transform, a list of arrays (N, ..., C); `is_mean` says
which of them stand for the mean of a block or of the image; `parts` are levels as they would be coded, with what a
decoder knows when it comes to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BlockDct", "Transform", "Wavelet", "ideal_bits", "scanned"]

Floats = NDArray[np.float32]
Levels = NDArray[np.int32]

LIFTING = {"5/3": (-0.5, 0.25), "9/7": (-1.586134342, -0.052980118, 0.882911075, 0.443506852)}
LARGEST = 31
SYMBOLS = 2 * LARGEST + 1
UNSEEN = 0.02
"""A count that every symbol has before any is seen."""


@dataclass(frozen=True)
class Part:
    """Levels of one kind, and a context for each, of the same shape."""

    levels: Levels
    contexts: Levels


@dataclass(frozen=True)
class Wavelet:
    """So many `levels` of lifting steps, boundaries mirrored; subbands are scaled by the norm of their synthesis."""

    kind: str
    levels: int

    @property
    def name(self) -> str:
        return f"wavelet {self.kind}, {self.levels} levels"

    def forward(self, components: Floats) -> list[Floats]:
        return [part * norm for part, norm in zip(self._analysed(components), self._norms)]

    def inverse(self, values: list[Floats]) -> Floats:
        return self._synthesized([part / norm for part, norm in zip(values, self._norms)])

    def is_mean(self, values: list[Floats]) -> list[Any]:
        return [index == 0 for index in range(len(values))]

    def parts(self, levels: list[Levels]) -> Iterator[Part]:
        for index, subband in enumerate(levels):
            size = np.minimum(np.abs(subband), 8)
            near = np.pad(size, ((0, 0), (1, 0), (1, 1), (0, 0)))
            seen = 2 * near[:, 1:, :-2] + 2 * near[:, :-1, 1:-1] + near[:, :-1, :-2] + near[:, :-1, 2:]
            seen[..., 1:] += size[..., :-1]
            if index > 3:
                seen = seen + np.minimum(np.abs(levels[index - 3]), 8).repeat(2, axis=1).repeat(2, axis=2)
            coded = subband - _predicted(subband) if index == 0 else subband
            yield Part(coded, np.digitize(seen, [1, 2, 3, 4, 6, 8, 12, 18, 26]) + 10 * np.arange(subband.shape[-1]))

    @cached_property
    def _norms(self) -> list[float]:
        parts = self._analysed(np.zeros((1, 128, 128, 1), np.float32))
        norms = []
        for index, part in enumerate(parts):
            impulse = [np.zeros_like(other) for other in parts]
            impulse[index][0, part.shape[1] // 2, part.shape[2] // 2] = 1
            norms.append(float(np.sqrt(np.square(self._synthesized(impulse)).sum())))
        return norms

    def _analysed(self, image: Floats) -> list[Floats]:
        """The lowest subband, then three of each level, the coarsest first."""
        parts: list[Floats] = []
        for _ in range(self.levels):
            (low, right), (below, both) = (_split(half, 2, self.kind) for half in _split(image, 1, self.kind))
            image, parts = low, [right, below, both, *parts]
        return [image, *parts]

    def _synthesized(self, parts: list[Floats]) -> Floats:
        image, *rest = parts
        for right, below, both in zip(*[iter(rest)] * 3):
            halves = (_joined(image, right, 2, self.kind), _joined(below, both, 2, self.kind))
            image = _joined(*halves, 1, self.kind)
        return image


def _split(image: Floats, axis: int, kind: str) -> tuple[Floats, Floats]:
    x = np.moveaxis(image, axis, 0)
    halves = [x[0::2], x[1::2]]
    for number, factor in enumerate(LIFTING[kind]):
        _lift(halves, number % 2 == 0, factor)
    return np.moveaxis(halves[0], 0, axis), np.moveaxis(halves[1], 0, axis)


def _joined(even: Floats, odd: Floats, axis: int, kind: str) -> Floats:
    halves = [np.moveaxis(even, axis, 0), np.moveaxis(odd, axis, 0)]
    for number, factor in reversed(list(enumerate(LIFTING[kind]))):
        _lift(halves, number % 2 == 0, -factor)
    x = np.empty((2 * len(halves[0]), *halves[0].shape[1:]), np.float32)
    x[0::2], x[1::2] = halves
    return np.moveaxis(x, 0, axis)


def _lift(halves: list[Floats], odd: bool, factor: float) -> None:
    if odd:
        halves[1] = halves[1] + np.float32(factor) * (halves[0] + np.concatenate([halves[0][1:], halves[0][-1:]]))
    else:
        halves[0] = halves[0] + np.float32(factor) * (halves[1] + np.concatenate([halves[1][:1], halves[1][:-1]]))


@dataclass(frozen=True)
class BlockDct:
    """The orthonormal DCT-II of blocks of `side` x `side`: coefficients (N, rows, columns, u, v, C)."""

    side: int

    @property
    def name(self) -> str:
        return f"DCT {self.side} x {self.side}"

    def forward(self, components: Floats) -> list[Floats]:
        n, height, width, bands = components.shape
        cut = components.reshape(n, height // self.side, self.side, width // self.side, self.side, bands)
        return [np.einsum("uy,nrycxb,vx->nrcuvb", self._matrix, cut, self._matrix, optimize=True)]

    def inverse(self, values: list[Floats]) -> Floats:
        image = np.einsum("uy,nrcuvb,vx->nrycxb", self._matrix, values[0], self._matrix, optimize=True)
        n, rows, _, columns, _, bands = image.shape
        return image.reshape(n, rows * self.side, columns * self.side, bands)

    def is_mean(self, values: list[Floats]) -> list[Any]:
        mask = np.zeros((self.side, self.side, 1), bool)
        mask[0, 0] = True
        return [mask]

    def parts(self, levels: list[Levels]) -> Iterator[Part]:
        (k,) = levels
        size = np.minimum(np.abs(k), 8)
        near = np.pad(size, ((0, 0), (1, 0), (1, 0), (2, 0), (2, 0), (0, 0)))
        seen = 2 * near[:, 1:, 1:, 1:-1, 2:] + 2 * near[:, 1:, 1:, 2:, 1:-1] + near[:, 1:, 1:, 1:-1, 1:-1]
        seen += near[:, 1:, 1:, :-2, 2:] + near[:, 1:, 1:, 2:, :-2]
        seen += near[:, :-1, 1:, 2:, 2:] + near[:, 1:, :-1, 2:, 2:]
        seen[..., 1:] += size[..., :-1]
        seen = np.digitize(seen, [1, 2, 3, 4, 6, 8, 12, 18, 26]) + 10 * np.arange(k.shape[-1])
        frequency = np.add.outer(np.arange(self.side), np.arange(self.side)) * 8 / self.side
        zones = np.digitize(frequency, [0.25, 1.1, 2.1, 3.1, 4.1, 6.1, 8.1])
        for zone in range(zones.max() + 1):
            chosen = zones == zone
            contexts, coded = seen[:, :, :, chosen], k[:, :, :, chosen]
            if zone == 0:
                coded = coded - _predicted(k[:, :, :, 0, 0])[:, :, :, None]
                contexts = np.broadcast_to(10 * np.arange(k.shape[-1], dtype=np.int32), coded.shape)
            yield Part(coded, contexts)

    @cached_property
    def _matrix(self) -> Floats:
        u, x = np.arange(self.side)[:, None], np.arange(self.side)
        rows = np.cos(np.pi * (2 * x + 1) * u / (2 * self.side)) * np.sqrt(2 / self.side)
        rows[0] /= np.sqrt(2)
        return rows.astype(np.float32)


def _predicted(means: Levels) -> Levels:
    """From the left and above, (N, rows, columns, C)."""
    left, above = np.zeros_like(means), np.zeros_like(means)
    left[:, :, 1:], above[:, 1:] = means[:, :, :-1], means[:, :-1]
    left[:, 1:, 0], above[:, 0, 1:] = means[:, :-1, 0], means[:, 0, :-1]
    return (left + above) >> 1


Transform = Wavelet | BlockDct


def ideal_bits(transform: Transform, train: list[Levels], val: list[Levels]) -> float:
    """Of the levels `val`, by the frequencies that `train` has in each context; larger ones than 31 are 31."""
    bits = 0.0
    for known, coded in zip(transform.parts(train), transform.parts(val)):
        cells = [part.contexts * SYMBOLS + np.clip(part.levels, -LARGEST, LARGEST) + LARGEST for part in (known, coded)]
        size = (max(int(cell.max()) for cell in cells) // SYMBOLS + 1) * SYMBOLS
        seen, wanted = (np.bincount(cell.ravel(), minlength=size).reshape(-1, SYMBOLS) for cell in cells)
        likely = (seen + UNSEEN) / (seen + UNSEEN).sum(axis=1, keepdims=True)
        bits -= float((wanted * np.log2(likely)).sum())
    return bits


def scanned(levels: Levels) -> Levels:
    """Levels (N, rows, columns, C, side^2) of blocks (N, rows, columns, u, v, C), in JPEG's zigzag, means predicted."""
    side = levels.shape[3]
    places = sorted(np.ndindex(side, side), key=lambda p: (sum(p), p[0] if sum(p) % 2 else p[1]))
    rows, columns = np.array(places).T
    scan = np.moveaxis(levels[:, :, :, rows, columns], -1, 3).copy()
    scan[..., 0] -= _predicted(scan[..., 0])
    return scan
