"""What every hardware unit has: wires, choices of parallelism, cycles, FINN's attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MEMORIES", "Choices", "Folding", "Numbers", "Pair", "Shape", "SimdUnit", "Unit", "Wire", "divisors"]

Pair = tuple[int, int]
Shape = tuple[int, ...]
Folding = Mapping[str, int]
Choices = dict[str, tuple[int, ...]]

MEMORIES = ("auto", "distributed", "block", "ultra")
"""What a folding's `ram` chooses for a unit's memory, by its number: as synthesis likes, LUTs, block RAM, UltraRAM."""


@dataclass(frozen=True)
class Numbers:
    """The integers on a wire: two's complement or unsigned, or one bit that stands for -1 and +1."""

    bits: int
    signed: bool = False
    bipolar: bool = False

    @property
    def lo(self) -> int:
        return -1 if self.bipolar else -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def hi(self) -> int:
        return 1 if self.bipolar else (1 << (self.bits - self.signed)) - 1

    @classmethod
    def holding(cls, lo: int, hi: int, signed: bool = False) -> Numbers:
        """The narrowest that hold lo..hi; `signed` even where nothing is below zero."""
        if lo >= 0 and not signed:
            return cls(max(hi.bit_length(), 1))
        return cls(max((-lo - 1).bit_length() if lo < 0 else 0, hi.bit_length() if hi > 0 else 0) + 1, True)

    @property
    def coded(self) -> Numbers:
        """As the bits on the wire: 0 and 1 where they stand for -1 and +1."""
        return replace(self, bipolar=False)

    @property
    def datatype(self) -> str:
        """The name QONNX gives them."""
        if self.bipolar:
            return "BIPOLAR"
        if self.bits == 1 and not self.signed:
            return "BINARY"
        return f"{'INT' if self.signed else 'UINT'}{self.bits}"


@dataclass(frozen=True)
class Wire:
    """What passes between two units. `tensor`: the network's tensor whose integers they are, if one's. `pixels`:
    neighbours of a row whose channels stand side by side in the shape's last axis; in the stream they do anyway."""

    name: str
    shape: Shape
    numbers: Numbers
    tensor: str | None = None
    pixels: int = 1

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def apart(self) -> Wire:
        """With each pixel for itself."""
        if self.pixels == 1:
            return self
        height, groups, channels = self.shape
        return replace(self, shape=(height, groups * self.pixels, channels // self.pixels), pixels=1)

    def abreast(self, pixels: int) -> Wire:
        """With so many pixels side by side."""
        if pixels == self.pixels:
            return self
        height, width, channels = self.apart.shape
        return replace(self, shape=(height, width // pixels, channels * pixels), pixels=pixels)


@dataclass(frozen=True, eq=False)
class Unit:
    """One node of the hardware graph. `layer`: the network's stage it is there for."""

    name: str
    layer: str
    inputs: tuple[Wire, ...]
    outputs: tuple[Wire, ...]

    op = ""

    def operator(self, folding: Folding) -> str:
        """FINN's operator type."""
        return self.op

    @property
    def parameters(self) -> NDArray[np.floating] | None:
        """FINN's second input: weights, thresholds or a table; integers that its type holds exactly."""
        return None

    @property
    def parameter_type(self) -> Numbers | None:
        """Of `parameters`."""
        return None

    def choices(self) -> Choices:
        """Allowed values of each degree of parallelism, ascending."""
        return {"PE": divisors(self.inputs[0].shape[-1])}

    def cycles(self, folding: Folding) -> int:
        """Clock cycles a frame."""
        return self.inputs[0].size // folding["PE"]

    def taken(self, folding: Folding) -> int:
        """Elements in a beat of each input."""
        return folding["PE"]

    def given(self, folding: Folding) -> int:
        """Elements in a beat of each output."""
        return folding["PE"]

    def taken_of(self, wire: Wire, folding: Folding) -> int:
        """Elements in a beat of one input: what has only one, such as a frame's status, has beats of one."""
        return min(self.taken(folding), wire.size)

    def given_of(self, wire: Wire, folding: Folding) -> int:
        """Elements in a beat of one output."""
        return min(self.given(folding), wire.size)

    def attributes(self, folding: Folding) -> dict[str, Any]:
        """FINN's node attributes."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class SimdUnit(Unit):
    """A unit whose only parallelism is FINN's SIMD."""

    def choices(self) -> Choices:
        return {"SIMD": divisors(self.inputs[0].shape[-1])}

    def taken(self, folding: Folding) -> int:
        return folding["SIMD"]

    def given(self, folding: Folding) -> int:
        return folding["SIMD"]


def divisors(number: int) -> tuple[int, ...]:
    """Ascending."""
    return tuple(n for n in range(1, number + 1) if number % n == 0)
