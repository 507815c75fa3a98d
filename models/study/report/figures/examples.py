"""Example patches as each codec leaves them, beside the original."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.models.study.report.facts.examples import Examples, NoExamples
from bitswath.models.study.report.facts.select import series_order
from bitswath.models.study.report.figures.style import DPI, Picture, new_figure

__all__ = ["example_patches", "shown"]

NAME = "examples"
TITLE = "Example patches"

SIDE = 128
"""Pixels of a patch in the picture, about: whole multiples keep dither patterns as they are."""
GAP = 6


def example_patches(examples: Examples | NoExamples) -> Picture:
    """A block a class: a row for each kind of codec and dither, the original and then fewer and fewer bits."""
    if isinstance(examples, NoExamples):
        return Picture(NAME, TITLE, f"Left out: {examples.reason}.")
    series = sorted({key for key, _ in examples.decoded}, key=series_order)
    bits = sorted({bits for _, bits in examples.decoded}, reverse=True)
    scale = max(1, round(SIDE / max(examples.patches.shape[1:3])))
    blocks = [_block(examples, index, series, bits, scale) for index in range(len(examples.names))]
    gap = np.full((blocks[0].shape[0], 3 * GAP, 3), 255, np.uint8)
    mosaic = np.concatenate([part for block in blocks for part in (block, gap)][:-1], axis=1)
    figure = _framed(mosaic, examples, series, bits, scale)
    caption = f"From {examples.source}. Codes as their codec decodes them; an empty place: the study has no such codec."
    return Picture(NAME, TITLE, caption, figure, pixels=True)


def _block(
    examples: Examples, index: int, series: list[tuple[str, str | None]], bits: list[int], scale: int
) -> NDArray[np.uint8]:
    original = examples.patches[index]
    rows = []
    for name in series:
        found = [examples.decoded.get((name, width)) for width in bits]
        tiles = [original, *(None if patches is None else patches[index] for patches in found)]
        rows.append(np.concatenate([_tile(tile, original, scale) for tile in tiles], axis=1))
    return np.concatenate(rows)[GAP // 2 : -(GAP // 2), GAP // 2 : -(GAP // 2)]


def _tile(patch: NDArray[Any] | None, original: NDArray[Any], scale: int) -> NDArray[np.uint8]:
    """A patch enlarged, with a white edge; white where there is none."""
    height, width = original.shape[0] * scale, original.shape[1] * scale
    tile = np.full((height + GAP, width + GAP, 3), 255, np.uint8)
    if patch is not None:
        enlarged = shown(patch, original).repeat(scale, axis=0).repeat(scale, axis=1)
        tile[GAP // 2 : GAP // 2 + height, GAP // 2 : GAP // 2 + width] = enlarged
    return tile


def shown(patch: NDArray[Any], original: NDArray[Any]) -> NDArray[np.uint8]:
    """RGB uint8 (H, W, 3): the first three bands, or the first as grey; samples of more than 8 bits are stretched from
    the original's 2nd to its 98th percentile."""
    bands = slice(0, 3) if patch.shape[-1] >= 3 else slice(0, 1)
    picked = patch[..., bands]
    if patch.dtype != np.uint8:
        low, high = np.percentile(original[..., bands], (2, 98))
        picked = (255 * ((picked - low) / max(high - low, 1)).clip(0, 1)).round().astype(np.uint8)
    return np.broadcast_to(picked, (*picked.shape[:2], 3))


def _framed(
    mosaic: NDArray[np.uint8], examples: Examples, series: list[tuple[str, str | None]], bits: list[int], scale: int
) -> Any:
    """The mosaic at a pixel of the figure for each of its own, with its rows and columns named."""
    height, width = mosaic.shape[:2]
    left, top, edge = int(1.25 * DPI), int(0.55 * DPI), int(0.08 * DPI)
    whole_width, whole_height = left + width + edge, top + height + edge
    figure = new_figure(whole_width / DPI, whole_height / DPI, layout="none")
    axes = figure.add_axes((left / whole_width, edge / whole_height, width / whole_width, height / whole_height))
    axes.imshow(mosaic, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    tall, wide = (extent * scale + GAP for extent in examples.patches.shape[1:3])
    block = wide * (1 + len(bits)) - GAP + 3 * GAP
    for row, (kind, dither) in enumerate(series):
        name = f"{kind},\n{dither}" if dither else kind
        axes.text(-12, (row + 0.5) * tall, name, ha="right", va="center", fontsize=8)
    for index, label in enumerate(examples.names):
        middle = index * block + (block - 3 * GAP) / 2
        axes.text(middle, -0.32 * DPI, label, ha="center", va="center", fontsize=9, weight="bold")
        for column, text in enumerate(["original", *(f"{width} bit" for width in bits)]):
            centre = index * block + (column + 0.5) * wide
            axes.text(centre, -0.1 * DPI, text, ha="center", va="center", fontsize=7.5)
    return figure
