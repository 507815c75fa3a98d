"""Nodes that move elements about: reshapes, transposes, padding, table lookups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.models.lowering.builder import Builder
from bitswath.models.lowering.chains.values import Constant, FloatInput, Node, Symbol, Value, canonical_index, compress
from bitswath.network.network import Lookup

__all__ = ["MOVES", "gather", "move", "pad"]

MOVES = ("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze")


def move(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Symbol:
    """Transpose, Reshape, Flatten, Squeeze or Unsqueeze of a tensor or of a quantized constant."""
    symbol, argument = inputs[0], inputs[1] if len(inputs) > 1 else None
    if argument is not None and not isinstance(argument, Constant):
        raise node.error("expected a constant shape or constant axes")
    given = None if argument is None else [int(v) for v in argument.real.reshape(-1)]
    if given and node.op == "Reshape" and build.batch > 1 and given[0] == build.batch:
        given[0] = 1 if not isinstance(symbol, Constant) else given[0]
    try:
        if isinstance(symbol, Constant):
            integers, scale = (None if a is None else _moved(node, a, given) for a in (symbol.integers, symbol.scale))
            return Constant(_moved(node, symbol.real, given), integers, scale)
        if isinstance(symbol, Value):
            symbol = build.settle_pads(node, symbol)
        if not isinstance(symbol, Value | FloatInput):
            raise node.error("expected a tensor")
        return replace(symbol, index=_moved(node, symbol.index, given))
    except (ValueError, IndexError) as error:
        if isinstance(error, type(node.error(""))):
            raise
        raise node.error(f"does not fit its input: {error}") from error


def _moved(node: Node, array: NDArray[Any], given: list[int] | None) -> Any:
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


def pad(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """Pad with real zeros in height and width; a following convolution takes it in."""
    value = inputs[0]
    if not isinstance(value, Value):
        raise node.error("expected a quantized tensor")
    given = [i.real.reshape(-1) if isinstance(i, Constant) else None for i in inputs[1:]]
    amounts = given[0] if given else node.get("pads", ())
    fill = given[1] if len(given) > 1 and given[1] is not None else np.array([node.get("value", 0.0)])
    if amounts is None or node.get("mode", "constant") != "constant" or np.any(fill) or len(given) > 2:
        raise node.error("expected constant zero padding of height and width")
    value = build.settle_pads(node, build.plain(node, value))
    if np.any(value.offset):
        raise node.error("pads an input whose real zero is not an integer zero")
    layout = next((k for k in ("NCHW", "NHWC") if _is_image(value, k)), None)
    pairs = np.asarray(amounts, np.int64).reshape(2, -1).T
    if layout is None or len(pairs) != 4 or pairs.min() < 0:
        raise node.error("expected an image padded by at least 0 on each side")
    spatial = layout.index("H")
    if np.delete(pairs, [spatial, spatial + 1], axis=0).any():
        raise node.error("pads batch or channels; only height and width can be padded")
    (top, bottom), (left, right) = pairs[spatial].tolist(), pairs[spatial + 1].tolist()
    return replace(value, pads=(top, left, bottom, right))


def _is_image(value: Value, layout: str) -> bool:
    return len(value.shape) == 3 and np.array_equal(value.index, canonical_index(value.shape, layout))


def gather(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """Gather from a constant table by codes: a palette (entries, bands) or levels (entries,).

    Codes plus per-channel constants are the indices, so that one flat table can hold the levels of
    every band. The result's last axis is the table's second, if it has one.
    """
    table, codes = inputs[0], inputs[1]
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
