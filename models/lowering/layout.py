"""Nodes that move elements about: reshapes, transposes, padding, table lookups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bitswath.models.lowering.arrange import NOTHING, ORDERS, rearranged, whole
from bitswath.models.lowering.builder import Builder
from bitswath.models.lowering.chains.chain import execute, opset_of
from bitswath.models.lowering.chains.values import (
    Constant,
    FloatInput,
    Index,
    Node,
    Symbol,
    Value,
    canonical_index,
    compress,
)
from bitswath.network.network import Lookup

__all__ = ["MOVES", "SHAPES", "gather", "move", "pad", "reshape"]

OFF_INTEGER = 1e-3

SHAPES = ("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze")
"""Which change the axes, and nothing else."""
MOVES = ("Slice", "Tile", "Expand", "DepthToSpace", "SpaceToDepth", "Resize", "Upsample")
"""Which leave out, repeat or reorder elements."""
MOST_EXACT = 1 << 24
"""Whole numbers below this are float32's, in which onnxruntime moves elements."""


def reshape(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Symbol:
    """Transpose, Reshape, Flatten, Squeeze or Unsqueeze of a tensor or of a quantized constant."""
    symbol, argument = inputs[0], inputs[1] if len(inputs) > 1 else None
    if argument is not None and not isinstance(argument, Constant):
        raise node.error("expected a constant shape or constant axes")
    given = None if argument is None else [int(v) for v in argument.real.reshape(-1)]
    if given and node.op == "Reshape" and build.batch > 1 and given[0] == build.batch:
        given[0] = 1 if not isinstance(symbol, Constant) else given[0]
    try:
        if isinstance(symbol, Constant):
            integers, scale = (
                None if a is None else _reshaped(node, a, given) for a in (symbol.integers, symbol.scale)
            )
            return Constant(_reshaped(node, symbol.real, given), integers, scale)
        if isinstance(symbol, Value):
            symbol = build.settle_pads(node, symbol)
        if not isinstance(symbol, Value | FloatInput):
            raise node.error("expected a tensor")
        return replace(symbol, index=_reshaped(node, symbol.index, given))
    except (ValueError, IndexError) as error:
        if isinstance(error, type(node.error(""))):
            raise
        raise node.error(f"does not fit its input: {error}") from error


def _reshaped(node: Node, array: NDArray[Any], given: list[int] | None) -> Any:
    axes = given if given is not None else node.get("axes", None)
    if node.op == "Transpose":
        return array.transpose(node.get("perm", None))
    if node.op == "Flatten":
        axis = node.get("axis", 1)
        return array.reshape(int(np.prod(array.shape[:axis])), -1)
    if node.op == "Reshape":
        wanted = given or []
        if not node.get("allowzero", 0):
            wanted = [array.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
        return array.reshape(wanted)
    if node.op == "Squeeze":
        return array.squeeze(None if axes is None else tuple(axes))
    return np.expand_dims(array, tuple(axes or ()))


def move(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> list[Symbol]:
    """A node that moves elements, done to the index array by onnxruntime; a Split gives several tensors."""
    if node.op in ("Resize", "Upsample") and node.get("mode", "nearest") != "nearest":
        raise node.error(
            f"interpolates ({node.get('mode', '')}), which gives reals between the integers; resize by 'nearest'"
        )
    data = inputs[0]
    if isinstance(data, FloatInput):
        return [replace(data, index=index) for index in _moved(build, node, inputs, data.index)]
    if not isinstance(data, Value):
        raise node.error("expected a tensor")
    value = whole(build, node, data)
    return [rearranged(build, node, value, index) for index in _moved(build, node, inputs, value.index)]


def _moved(build: Builder, node: Node, inputs: Sequence[Symbol | None], index: Index) -> list[Index]:
    """What a node gives for an index array in place of its input's elements."""
    if index.size >= MOST_EXACT:
        raise node.error(f"moves {index.size:,} elements, at most {MOST_EXACT:,} can be")
    constants = [i.real if isinstance(i, Constant) else None for i in inputs[1:]]
    if any(given is not None and constant is None for given, constant in zip(inputs[1:], constants)):
        raise node.error("expected constants to say which elements go where")
    moved = execute(node.proto, [index.astype(np.float32), *constants], opset_of(node.proto, build.opsets))
    return [np.asarray(array, np.int32) for array in moved]


def pad(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """Pad; zeros around height and width wait for a convolution that takes them in, all else is moved at once."""
    value = inputs[0]
    if not isinstance(value, Value):
        raise node.error("expected a quantized tensor")
    if node.get("mode", "constant") != "constant":
        return cast(Value, move(build, node, inputs)[0])
    value = build.settle_pads(node, build.plain(node, value))
    given = [i.real.reshape(-1) if isinstance(i, Constant) else None for i in inputs[1:]]
    pairs, filled = _amounts(node, value, given), _fill(node, value, given)
    if filled == 0 and pairs.min() >= 0:
        around = _around(value, pairs)
        if around is not None:
            return replace(value, pads=around)
    cut = value.index[tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(pairs, value.index.shape))]
    return rearranged(build, node, value, np.pad(cut, np.maximum(pairs, 0), constant_values=NOTHING), filled)


def _amounts(node: Node, value: Value, given: Sequence[NDArray[Any] | None]) -> NDArray[np.int64]:
    """Elements (rank, 2) put before and after each axis, below 0 where some are taken off."""
    amounts = given[0] if given else node.get("pads", ())
    if amounts is None:
        raise node.error("expected constant pads")
    pairs, rank = np.asarray(amounts, np.int64).reshape(2, -1).T, value.index.ndim
    axes = [int(a) % rank for a in given[2]] if len(given) > 2 and given[2] is not None else list(range(rank))
    if len(pairs) != len(axes):
        raise node.error(f"expected pads for {len(axes)} axes, got {len(pairs)}")
    every = np.zeros((rank, 2), np.int64)
    every[axes] = pairs
    return every


def _fill(node: Node, data: Value, given: Sequence[NDArray[Any] | None]) -> int:
    """The integer that stands for what a Pad puts in."""
    real = given[1] if len(given) > 1 and given[1] is not None else np.array([node.get("value", 0.0)])
    integers = (np.asarray(real, np.float64).reshape(-1)[:1] - data.offset) / data.scale
    whole_numbers = np.rint(integers)
    if np.abs(integers - whole_numbers).max() > OFF_INTEGER or (whole_numbers != whole_numbers[0]).any():
        raise node.error(
            f"pads with {float(real.reshape(-1)[0]):g}, which is no integer of its input's scale and offset"
        )
    return int(whole_numbers[0])


def _around(value: Value, pairs: NDArray[np.int64]) -> tuple[int, int, int, int] | None:
    """Pads (top, left, bottom, right) of an image or a sequence; None where other axes or another layout are padded."""
    sequence = value.index.ndim == 3
    if len(value.shape) != 3 or value.index.ndim not in (3, 4):
        return None
    for layout, order in ORDERS.items():
        index = np.expand_dims(value.index, order[1]) if sequence else value.index
        if np.array_equal(index, canonical_index(value.shape, layout)):
            full = np.insert(pairs, order[1], 0, axis=0) if sequence else pairs
            (top, bottom), (left, right) = full[list(order[1:3])].tolist()
            return None if full[[order[0], order[3]]].any() else (top, left, bottom, right)
    return None


def gather(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Symbol:
    """Gather of elements of a tensor, or from a constant table by codes: a palette (entries, bands), levels (entries,).

    Codes plus per-channel constants are the indices, so that one flat table can hold the levels of
    every band. The result's last axis is the table's second, if it has one.
    """
    table, codes = inputs[0], inputs[1]
    if isinstance(codes, Constant):
        return move(build, node, inputs)[0]
    if not isinstance(table, Constant) or not isinstance(codes, Value):
        raise node.error("expected a constant table and a tensor of codes")
    if node.get("axis", 0) != 0 or table.real.ndim not in (1, 2):
        raise node.error(f"expected a table (entries,) or (entries, bands) on axis 0, got shape {table.real.shape}")
    codes = build.plain(node, codes)
    spec, channels = build.specs[codes.tensor], codes.channels
    if spec.lo < 0:
        raise node.error(f"expected codes of at least 0, got {spec.lo}..{spec.hi}")
    reals = np.arange(spec.hi + 1) * codes.scale[:, None] + codes.offset[:, None]
    entries = np.broadcast_to(np.rint(reals).astype(np.int64), (channels, spec.hi + 1))
    if np.abs(reals - np.rint(reals)).max() > 1e-6 or entries.min() < 0 or entries.max() >= len(table.real):
        raise node.error(f"codes give indices outside the integers 0..{len(table.real) - 1} of the table")
    integers, scale = table.as_integers(node, "table")
    integers, scale = integers.reshape(len(integers), -1), scale.reshape(len(scale), -1)
    if (scale != scale[0]).any():
        raise node.error("expected one scale for all entries of the table")
    depth = integers.shape[1]
    name = build.emit(node, Lookup, [codes.tensor], table=integers[entries])
    index = codes.index // channels * (channels * depth) + codes.index % channels * depth
    index = (index[..., None] + np.arange(depth)).astype(np.int32).reshape(*codes.index.shape, *table.real.shape[1:])
    return Value(name, build.specs[name].shape, index, compress(np.tile(scale[0], channels)))
