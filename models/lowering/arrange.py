"""Elements of a network tensor brought where a stage wants them, by a `Take`.

A node that moves elements changes a value's index array alone, as long as each element is there once. Where some
are left out or repeated, or a stage needs an image, `Take` makes a tensor of them. Its channels keep their scales and
pending chains if each comes from one channel; where channels mix, each element becomes a channel of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.models.lowering.builder import Builder
from bitswath.models.lowering.chains.chain import ROUNDING, Grid
from bitswath.models.lowering.chains.values import FloatInput, Index, Node, Value, canonical_index, compress
from bitswath.network.network import INPUT, Take

__all__ = [
    "NOTHING",
    "ORDERS",
    "aligned",
    "entered",
    "flattened",
    "image",
    "padded",
    "per_element",
    "rearranged",
    "whole",
]

ORDERS = {"NCHW": (0, 2, 3, 1), "NHWC": (0, 1, 2, 3)}
Channels = NDArray[Any]
NOTHING = -1
"""The index of an element that no tensor has: a real zero, or what the fill stands for."""


def rearranged(build: Builder, node: Node, value: Value, index: Index, fill: int = 0) -> Value:
    """The elements of the value's network tensor at `index` (1, ...), `fill` where it is -1.

    Its pads and poolings must be settled (`whole`), and nothing must wait where there are fills.
    """
    if index.shape[0] != 1:
        raise node.error("moves or repeats frames along the batch axis, which must stay 1 frame")
    size = int(np.prod(value.shape))
    if index.size == size and np.array_equal(np.sort(index, axis=None), np.arange(size)):
        return replace(value, index=index)
    for order in sorted(_orders(index), key=lambda order: _mixed(value, index.transpose(order))):
        moved = index.transpose(order)
        shape = moved.shape[1:] if index.ndim != 3 else (1, *moved.shape[1:])
        channels = _channels(value, moved.reshape(-1, shape[-1]))
        if channels is not None:
            place = np.arange(index.size, dtype=np.int32).reshape(moved.shape).transpose(np.argsort(order))
            taken = _take(build, node, value, moved, shape, channels, fill)
            return replace(taken, index=np.ascontiguousarray(place))
    flat = index.reshape(-1)
    taken = _take(build, node, value, flat, (flat.size,), flat % value.channels, fill)
    return replace(taken, index=np.arange(flat.size, dtype=np.int32).reshape(index.shape))


def entered(build: Builder, node: Node, data: FloatInput, grid: Grid) -> Value:
    """The network's input, once a quantizer has given the graph input integers on this grid."""
    return rearranged(build, node, Value(INPUT, data.shape, data.index, grid.scale, grid.offset), data.index)


def whole(build: Builder, node: Node, value: Value) -> Value:
    """The value with pads and poolings done, so that its index array is one of its tensor."""
    return build.settle_pools(node, build.settle_pads(node, value))


def image(build: Builder, node: Node, value: Value, layout: str = "NCHW") -> Value:
    """The value of rank 4 as a network image, its axes in this layout."""
    if value.index.ndim != 4:
        raise node.error(f"expected an image (N, C, H, W), got a tensor of shape {value.index.shape}")
    axes = ORDERS[layout]
    shape = tuple(value.index.shape[axis] for axis in axes[1:])
    if value.shape == shape and np.array_equal(value.index, canonical_index(shape, layout)):
        return value
    value = whole(build, node, value)
    moved = value.index.transpose(axes)
    channels = _channels(value, moved.reshape(-1, shape[-1]))
    if channels is None:
        value = build.plain(node, value)
        channels = _channels(value, moved.reshape(-1, shape[-1]))
    if channels is None:
        raise node.error("needs one scale for each channel of its input; put a Quant before it")
    taken = _take(build, node, value, moved, shape, channels)
    return replace(taken, index=canonical_index(shape, layout))


def padded(build: Builder, node: Node, value: Value, pads: tuple[int, int, int, int]) -> Value:
    """The NCHW image with real zeros around it (top, left, bottom, right), whose integer need not be 0."""
    zero = -value.offset / value.scale
    fill = int(np.rint(zero.flat[0]))
    if np.abs(zero - fill).max() > ROUNDING * max(abs(fill), 1):
        raise node.error("pads an input whose real zero is not an integer zero; use an integer zero point")
    top, left, bottom, right = pads
    index = np.pad(value.index, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=NOTHING)
    return image(build, node, rearranged(build, node, value, index, fill))


def per_element(build: Builder, node: Node, value: Value) -> Value:
    """The value with each element a channel of its own, for constants that differ by position."""
    value = whole(build, node, value)
    size = int(np.prod(value.shape))
    if value.channels == size:
        return value
    order = np.arange(size, dtype=np.int32)
    return replace(_take(build, node, value, order, (size,), order % value.channels), index=value.index)


def flattened(build: Builder, node: Node, value: Value) -> Value:
    """The value as a flat network tensor in the order of its own elements."""
    order = value.index.reshape(-1)
    if len(value.shape) == 1 and (np.diff(order) == 1).all():
        return value
    value = whole(build, node, value)
    index = np.arange(order.size, dtype=np.int32).reshape(value.index.shape)
    return replace(_take(build, node, value, order, (order.size,), order % value.channels), index=index)


def aligned(build: Builder, node: Node, value: Value, like: Value) -> Value:
    """The value in the network layout of `like`, to whose shape it is broadcast."""
    try:
        index = np.broadcast_to(value.index, like.index.shape)
    except ValueError:
        raise node.error(f"joins tensors of shapes {value.index.shape} and {like.index.shape}") from None
    if value.shape == like.shape and np.array_equal(index, like.index):
        return value
    moved = np.empty(like.index.size, np.int32)
    moved[like.index.reshape(-1)] = index.reshape(-1)
    channels = _channels(value, moved.reshape(-1, like.channels))
    if channels is None:
        raise node.error("joins tensors whose scales differ by position; quantize both with one scale")
    return replace(_take(build, node, value, moved, like.shape, channels), index=like.index)


def _take(
    build: Builder, node: Node, value: Value, index: Index, shape: tuple[int, ...], channels: Channels, fill: int = 0
) -> Value:
    """`channels`: for each of the new ones an old one with its scale and chain."""
    flat = np.ascontiguousarray(index.reshape(-1), np.int32)
    name = build.emit(node, Take, [value.tensor], ".taken", shape=shape, index=flat, fill=fill)
    scale, offset = (compress(v[channels]) if v.size > 1 else v for v in (value.scale, value.offset))
    chain = tuple(link.taken(channels) for link in value.chain)
    return replace(value, tensor=name, shape=shape, scale=scale, offset=offset, chain=chain)


def _orders(index: Index) -> list[tuple[int, ...]]:
    """Which axes may be a network tensor's: the channels second, or last."""
    if index.ndim == 4:
        return list(ORDERS.values())
    return [(0, 2, 1), (0, 1, 2)] if index.ndim == 3 else [(0, 1)] if index.ndim == 2 else []


def _channels(value: Value, rows: Index) -> Channels | None:
    """For each column of flat positions one channel that all of it comes from, or is like; None where they differ."""
    return _of_columns(_alike(value), rows)


def _mixed(value: Value, moved: Index) -> bool:
    """Whether a column, on the last axis, has elements of several channels."""
    return _of_columns(np.arange(value.channels), moved.reshape(-1, moved.shape[-1])) is None


def _of_columns(ids: Channels, rows: Index) -> Channels | None:
    """The id, by channel, of each column of flat positions; None where a column has several."""
    real = rows != NOTHING
    first = ids[rows[real.argmax(axis=0), np.arange(rows.shape[1])] % len(ids)]
    return first if (ids[rows % len(ids)] == first)[real].all() else None


def _alike(value: Value) -> Channels:
    """For each channel the first of the same scale, offset and chain."""
    width = max(value.scale.size, value.offset.size, *(link.width for link in value.chain), 1)
    if width == 1:
        return np.zeros(value.channels, np.intp)
    if any(link.width > 1 for link in value.chain):
        return np.arange(value.channels)
    both = np.stack([np.broadcast_to(v, value.channels) for v in (value.scale, value.offset)], axis=1)
    _, first, inverse = np.unique(both, axis=0, return_index=True, return_inverse=True)
    return first[inverse.reshape(-1)]
