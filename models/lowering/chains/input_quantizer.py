"""How what a user hands over becomes the integers that a network begins with.

A graph whose input declares no integers takes reals, which its first quantizer rounds. `Pixels` states what the
user hands over, raw pixels or other integers, or the reals themselves, and what real each is; then the graph's own
chain and quantizer say where the codes change: for integers by putting every one through it, for float32 by
bisection over all of them in their order, which is as exact (see `thresholds`). That is a codec, and the network
begins with the quantizer's integers. An input of declared integers enters as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.codecs.base import Codec
from bitswath.codecs.integer import IntegerCodec
from bitswath.codecs.threshold import BEYOND_FLOATS, ThresholdCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.models.lowering.chains.chain import Grid, Link
from bitswath.models.lowering.chains.links import levels_of
from bitswath.models.lowering.chains.thresholds import StepsError, find_steps
from bitswath.models.lowering.chains.values import Node
from bitswath.network.network import TensorSpec

__all__ = ["Entry", "InputQuantizer", "Pixels", "find_entry", "levels_reached", "whole"]

Floats = NDArray[np.float64]
Keys = NDArray[np.int64]
MOST_LEVELS = 256
_INFINITE = 0x7F80_0000
"""The number of float32's infinity, behind all that are finite."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """What a user hands over, and the real that a graph is fed of it: ``float32(scale * sample + offset)``.

    `numbers`: "unsigned" or "signed" integers of `depth` bits, or "float", float32 that are fed as they are. `scale`,
    `offset`: float64, (1,) or one for each band. Samples are counted in their order, integers by themselves: the
    number of a float32 is that of its bits, with its sign.
    """

    depth: int = 8
    scale: Floats = field(default_factory=lambda: np.ones(1))
    offset: Floats = field(default_factory=lambda: np.zeros(1))
    numbers: str = "unsigned"

    @property
    def first(self) -> int:
        """The lowest sample's number."""
        return {"unsigned": 0, "signed": -1 << self.depth - 1, "float": 1 - _INFINITE}[self.numbers]

    @property
    def behind(self) -> int:
        """The number behind the highest sample's."""
        return {"unsigned": 1 << self.depth, "signed": 1 << self.depth - 1, "float": _INFINITE}[self.numbers]

    def numbered(self, keys: Keys) -> NDArray[Any]:
        """The samples of these numbers: int64, or float64 that are float32, 2^128 for what lies behind."""
        if self.numbers != "float":
            return keys
        size = np.abs(keys).astype(np.uint32).view(np.float32).astype(np.float64)
        return np.copysign(np.where(np.isfinite(size), size, BEYOND_FLOATS), keys)

    def reals(self, patches: NDArray[Any]) -> NDArray[np.float32]:
        """Patches (..., bands) as the graph takes them."""
        if self.numbers == "float":
            return patches.astype(np.float32, copy=False)
        return (patches * self.scale + self.offset).astype(np.float32)


@dataclass(frozen=True)
class InputQuantizer:
    """How many of its `levels` the quantizer `node` gives for the pixels there can be."""

    node: str
    reached: int
    levels: int


@dataclass(frozen=True, eq=False)
class Entry:
    """``code = #{i : sample >= thresholds[band, i]}``, the network's integer counted from its lowest, or from its
    highest down in bands that `fall`.

    `thresholds`: int64 (1 or bands, levels - 1), numbers of samples, not falling, up to the one behind all; `falls`:
    bool (1 or bands,); `integers`: where the network takes the samples themselves, what they are.
    """

    pixels: Pixels
    thresholds: Keys
    falls: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(1, bool))
    integers: range | None = None

    @property
    def count(self) -> int:
        """Thresholds: the highest code."""
        return int(self.thresholds.shape[1])

    @property
    def bits(self) -> int:
        return max(self.count.bit_length(), 1)

    def codec(self) -> Codec:
        """The codec that computes these codes."""
        depth, bits = self.pixels.depth, self.bits
        rows = np.full((len(self.thresholds), (1 << bits) - 1), self.pixels.behind, np.int64)
        rows[:, : self.count] = self.thresholds
        if self.pixels.numbers == "unsigned" and bits == depth and (rows == np.arange(1, 1 << bits)).all():
            return UniformCodec(bits)
        if self.integers is not None:
            whole = self.integers
            return IntegerCodec(bits, lowest=whole[0], highest=whole[-1], step=whole.step)
        numbers, values = self.pixels.numbers, self.pixels.numbered(rows).tolist()
        return ThresholdCodec(bits, depth=depth, numbers=numbers, thresholds=tuple(map(tuple, values)))


def whole(integers: range, scale: Floats, offset: Floats) -> Entry:
    """The entry of a graph that takes integers of at most 8 bits as they are."""
    numbers = "signed" if integers[0] < 0 else "unsigned"
    return Entry(Pixels(8, scale, offset, numbers), np.array(integers[1:], np.int64)[None], integers=integers)


def find_entry(
    node: Node, pixels: Pixels, links: Sequence[Link], grid: Grid, spec: TensorSpec
) -> tuple[Entry, InputQuantizer]:
    """The entry of the quantizer `node`, last of `links`, whose integers are `spec` on `grid`.

    Raises `LoweringError` where codes rise and fall, and where reals go through a function that is not known to round
    monotonely.
    """
    width = max(pixels.scale.size, pixels.offset.size, grid.scale.size, grid.offset.size, *(k.width for k in links))
    first = (spec.lo - grid.origin) // grid.step
    levels = (spec.hi - spec.lo) // grid.step + 1
    if levels > MOST_LEVELS:
        raise node.error(f"quantizes the input to {levels} levels; codes have at most 8 bits")
    inexact = next((link.node.op_type for link in links if not link.exact), None)
    if inexact and pixels.numbers == "float":
        raise node.error(
            f"quantizes what {inexact} makes of real inputs, of which not every one can be tried; feed integers"
            " (--input-datatype UINT8 --input-scale 1/255), or quantize the input first"
        )

    def level(q: Keys) -> Keys:
        found = levels_of(node, links, pixels.scale, pixels.offset, grid, pixels.numbered(q))
        return np.broadcast_to(found - first, q.shape)

    ends = (np.full(width, end, np.int64) for end in (pixels.first, pixels.behind - 1))
    try:
        steps = find_steps(level, *ends, exact=inexact is None)
    except StepsError as error:
        raise node.error(f"is no step function of its input: {error}") from error
    falls = steps.directions < 0
    rising = np.where(falls[:, None], (1 - steps.thresholds)[:, ::-1], steps.thresholds)
    before, after = steps.base, levels - 1 - steps.base - steps.thresholds.shape[1]
    padded = np.empty((width, levels - 1), np.int64)
    for row, thresholds, fall in zip(padded, rising, falls):
        low, high = (after, before) if fall else (before, after)
        row[:] = np.pad(thresholds, (low, high), constant_values=(pixels.first, pixels.behind))
    return Entry(pixels, padded, falls), InputQuantizer(node.name, levels_reached(steps.thresholds), levels)


def levels_reached(thresholds: NDArray[np.integer]) -> int:
    """How many levels the steps (channels, steps) of one channel tell apart."""
    return 1 + max((len(np.unique(row)) for row in thresholds), default=0)
