"""How raw pixels become the integers that a network begins with.

A graph whose input declares no integers takes reals, which its first quantizer rounds. `Pixels` states what
real a raw pixel is; then every pixel is put through the graph's own chain and quantizer, and `Entry` keeps what
came out, as steps over pixels: that is a codec, and the network begins with the quantizer's integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bitswath.codecs.base import Codec
from bitswath.codecs.threshold import ThresholdCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.models.lowering.chains.chain import Grid, Link
from bitswath.models.lowering.chains.links import levels_of
from bitswath.models.lowering.chains.thresholds import StepsError, find_steps
from bitswath.models.lowering.chains.values import Node
from bitswath.network.network import TensorSpec

__all__ = ["Entry", "InputQuantizer", "Pixels", "find_entry", "levels_reached"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pixels:
    """A graph is fed ``float32(scale * pixel + offset)`` of unsigned pixels of `depth` bits.

    `scale`, `offset`: float64, (1,) or one for each band.
    """

    depth: int = 8
    scale: Floats = field(default_factory=lambda: np.ones(1))
    offset: Floats = field(default_factory=lambda: np.zeros(1))

    def reals(self, patches: NDArray[np.uint8 | np.uint16]) -> NDArray[np.float32]:
        """Patches (..., bands) as the graph takes them."""
        return (patches * self.scale + self.offset).astype(np.float32)


@dataclass(frozen=True)
class InputQuantizer:
    """How many of its `levels` the quantizer `node` gives for the pixels there can be."""

    node: str
    reached: int
    levels: int


@dataclass(frozen=True, eq=False)
class Entry:
    """``code = #{i : pixel >= thresholds[band, i]}``, the quantizer's integer counted from its lowest.

    `thresholds`: int64 (1 or bands, levels - 1), not falling, in 0..2^depth, which no pixel reaches.
    """

    pixels: Pixels
    thresholds: NDArray[np.int64]

    def codec(self, bands: int) -> Codec:
        """The codec that computes these codes of patches of so many bands."""
        depth, count = self.pixels.depth, self.thresholds.shape[1]
        bits = max(count.bit_length(), 1)
        rows = np.full((len(self.thresholds), (1 << bits) - 1), 1 << depth, np.int64)
        rows[:, :count] = self.thresholds
        if bits == depth and (rows == np.arange(1, 1 << bits)).all():
            return UniformCodec(bits)
        rows = np.broadcast_to(rows, (bands, rows.shape[1]))
        return ThresholdCodec(bits, depth=depth, thresholds=tuple(tuple(row) for row in rows.tolist()))


def find_entry(
    node: Node, pixels: Pixels, links: Sequence[Link], grid: Grid, spec: TensorSpec
) -> tuple[Entry, InputQuantizer]:
    """The entry of the quantizer `node`, last of `links`, whose integers are `spec` on `grid`.

    Raises `LoweringError` where codes do not rise with pixels.
    """
    width = max(pixels.scale.size, pixels.offset.size, grid.scale.size, grid.offset.size, *(k.width for k in links))
    first = (spec.lo - grid.origin) // grid.step
    levels = (spec.hi - spec.lo) // grid.step + 1
    if levels > 256:
        raise node.error(f"quantizes the input to {levels} levels; codes have at most 8 bits")

    def level(q: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.broadcast_to(levels_of(node, links, pixels.scale, pixels.offset, grid, q) - first, q.shape)

    try:
        steps = find_steps(level, *(np.full(width, end) for end in (0, (1 << pixels.depth) - 1)), exact=False)
    except StepsError as error:
        raise node.error(f"is no step function of pixels: {error}") from error
    if (steps.directions < 0).any():
        raise node.error("its integers fall as pixels rise; declare the input with --input-datatype UINT8")
    before, after = steps.base, levels - 1 - steps.base - steps.thresholds.shape[1]
    padded = np.pad(steps.thresholds, ((0, 0), (before, 0)))
    padded = np.pad(padded, ((0, 0), (0, after)), constant_values=1 << pixels.depth)
    return Entry(pixels, padded), InputQuantizer(node.name, levels_reached(steps.thresholds), levels)


def levels_reached(thresholds: NDArray[np.integer]) -> int:
    """How many levels the steps (channels, steps) of one channel tell apart."""
    return 1 + max((len(np.unique(row)) for row in thresholds), default=0)
