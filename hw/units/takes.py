"""Units that slice, repeat or reorder a tensor, or put a constant into it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.hw.units.base import Choices, Folding, Numbers, Unit, divisors

__all__ = ["FILL", "FILL_BEGUN", "LEAVE_OUT", "PASS", "Ring", "Take", "ring_of", "runs_of"]

PASS, LEAVE_OUT, FILL_BEGUN, FILL = range(4)
"""What take_runs.sv does with beats."""


def runs_of(beats: NDArray[np.int64], count: int) -> list[tuple[int, int]]:
    """(kind, beats) of the runs that make ascending `beats` (-1: the constant) of a frame of `count`."""
    kinds, at = list[int](), 0
    for beat in beats.tolist():
        if beat < 0:
            kinds.append(FILL if at else FILL_BEGUN)
        else:
            kinds += [LEAVE_OUT] * (beat - at) + [PASS]
            at = beat + 1
    kinds += [LEAVE_OUT] * (count - at)
    return [(kind, len(list(run))) for kind, run in groupby(kinds)]


@dataclass(frozen=True, eq=False)
class Ring:
    """A memory of `depth` beats, and for each beat that is given: whether it is the constant, which of those held it
    is, and how many of them are not asked for again. `entries` (n, 3) are given over and over, a frame or less."""

    depth: int
    entries: NDArray[np.int64]

    @property
    def bits(self) -> tuple[int, int]:
        """Of which beat and of how many."""
        return max(int(self.entries[:, 1].max()).bit_length(), 1), max(int(self.entries[:, 2].max()).bit_length(), 1)


def ring_of(beats: NDArray[np.int64], count: int) -> Ring:
    """The ring from which `beats` (-1: the constant) of a frame of `count` are given. It is as deep as it must be for
    beats to come and go at an even rate, and at most two frames."""
    wanted = np.where(beats < 0, count - 1, beats)
    first = np.minimum.accumulate(wanted[::-1])[::-1]
    first[0] = 0
    drops = np.diff(first, append=count)
    entries = np.stack([beats < 0, np.where(beats < 0, 0, beats - first), drops], axis=1)
    step_in, step_out = max(1.0, len(beats) / count), max(1.0, count / len(beats))
    times = np.arange(len(beats)) * step_out
    times += np.max(np.where(beats < 0, 0, beats * step_in - times)) + 1
    even = int((times / step_in + 3 - first).max())
    least = max(int(entries[:, 1].max()) + 1, int(drops.max()), 2)
    periods = (n for n in divisors(len(beats)) if (entries[n:] == entries[:-n]).all())
    return Ring(max(least, min(even, 2 * count)), entries[: next(periods)])


@dataclass(frozen=True, eq=False)
class Take(Unit):
    """``y.flat[i] = x.flat[index[i]]``, or `fill` where the index is -1.

    Beats whose order stays pass as they come; for any other order a ring holds what may still be asked for.
    """

    index: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    fill: int = 0

    @cached_property
    def in_order(self) -> bool:
        """Whether what is taken comes in its order and once."""
        taken = self.index[self.index >= 0]
        return bool((np.diff(taken) > 0).all())

    @cached_property
    def group(self) -> int:
        """The most neighbouring elements that stay together, the first a multiple of their number."""
        sizes = divisors(gcd(self.inputs[0].size, self.index.size))
        return next(size for size in reversed(sizes) if self._together(size))

    def _together(self, size: int) -> bool:
        groups = self.index.reshape(-1, size)
        first = groups[:, :1]
        expected = np.where(first < 0, -1, first + np.arange(size))
        return bool((expected == groups).all() and (np.maximum(first, 0) % size == 0).all())

    def beats(self, elements: int) -> NDArray[np.int64]:
        """Which beat of so many elements each beat of a frame is, or -1."""
        first = self.index[::elements]
        return np.where(first < 0, -1, first // elements)

    @property
    def filled(self) -> int:
        """Elements of the constant."""
        return int((self.index < 0).sum())

    @property
    def parameters(self) -> NDArray[np.float64]:
        return self.index.astype(np.float64)

    @property
    def parameter_type(self) -> Numbers:
        return Numbers.holding(-1, self.inputs[0].size)

    @property
    def op(self) -> str:  # type: ignore[override]
        return "TakeRuns_rtl" if self.in_order else "TakeRing_rtl"

    def operator(self, folding: Folding) -> str:
        return self.op

    def choices(self) -> Choices:
        return {"PE": divisors(self.group)}

    def cycles(self, folding: Folding) -> int:
        taken, given = self.inputs[0].size, self.index.size
        return (taken + self.filled if self.in_order else max(taken, given)) // folding["PE"]

    def attributes(self, folding: Folding) -> dict[str, Any]:
        source, result = self.inputs[0], self.outputs[0]
        return {
            "Sizes": [source.size, result.size],
            "PE": folding["PE"],
            "inputDataType": source.numbers.coded.datatype,
            "outputDataType": result.numbers.coded.datatype,
            "fill": self.fill,
            "filled": self.filled,
        }
