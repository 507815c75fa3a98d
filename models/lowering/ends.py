"""How a graph ends: the order of its outputs, Softmax, TopK and ArgMax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bitswath.models.lowering.arrange import flattened, image
from bitswath.models.lowering.builder import Builder
from bitswath.models.lowering.chains.chain import Link
from bitswath.models.lowering.chains.links import RISING
from bitswath.models.lowering.chains.values import Constant, Node, Symbol, Value
from bitswath.network.network import ArgMax

__all__ = ["End", "arg_max", "closed", "end_of", "in_a_row", "softmax"]

CLOSING = ("Softmax", "LogSoftmax")
"""Which keep the order of the logits."""


@dataclass(frozen=True, eq=False)
class End:
    """A graph output: its logits, whether the head takes their Softmax, and what is left out behind them."""

    name: str
    node: Node
    value: Value
    softmax: bool
    left_out: tuple[str, ...]


def end_of(build: Builder, name: str, node: Node, value: Value) -> End:
    """The end of a graph at the output `name`: flat in QONNX's order, or an image.

    A Sigmoid and its like rise with each logit; LogSoftmax, a quantized Softmax, TopK and an ArgMax that integers
    cannot decide are the host's.
    """
    softmax = value.softmax == "Softmax"
    left_out = [] if softmax else value.softmax.split()
    if not softmax:
        kept = len(value.chain)
        while kept and isinstance(link := value.chain[kept - 1], Link) and link.node.op_type in RISING:
            kept -= 1
        left_out = [link.node.op_type for link in value.chain[kept:] if isinstance(link, Link)] + left_out
        value = replace(value, chain=value.chain[:kept])
    value = _laid_out(build, node, build.plain(node, build.settle_pads(node, replace(value, softmax=""))))
    return End(name, node, value, softmax, tuple(left_out))


def in_a_row(build: Builder, end: End) -> Value:
    """An end's values as one flat tensor, an image's pixel by pixel."""
    value = end.value
    if len(value.shape) == 1:
        return value
    return flattened(build, end.node, replace(value, index=np.arange(value.index.size, dtype=np.int32)[None]))


def softmax(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """Softmax or LogSoftmax over the classes: the head's, after the last integers."""
    value = _logits(build, node, inputs[0])
    rank = value.index.ndim
    axis = node.get("axis", rank - 1 if build.opsets.get("", 13) >= 13 else 1) % rank
    if build.opsets.get("", 13) < 13 and rank > 2 and int(np.prod(value.index.shape[axis + 1 :])) > 1:
        raise node.error("normalizes all axes from its own on together (operator set below 13); export it for 13")
    _require_classes(node, value, axis)
    return closed(value, node)


def arg_max(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> list[Symbol | None]:
    """ArgMax or TopK. The index of the largest is a stage where integers decide it; all else is left to the host."""
    value = inputs[0]
    ordered = isinstance(value, Value) and value.softmax in CLOSING
    value = _logits(build, node, replace(value, softmax="") if isinstance(value, Value) and ordered else value)
    axis = node.get("axis", -1 if node.op == "TopK" else 0) % value.index.ndim
    _require_classes(node, value, axis)
    if node.get("select_last_index", 0):
        raise node.error("expected the first of equal values (select_last_index = 0)")
    count = 1
    if node.op == "TopK":
        given = inputs[1].real if len(inputs) > 1 and isinstance(inputs[1], Constant) else node.get("k", 0)
        count = int(np.asarray(given).reshape(-1)[0])
        if not 1 <= count <= value.index.shape[axis] or not node.get("largest", 1):
            raise node.error(f"expected the largest 1 to {value.index.shape[axis]} values, got {count} of them")
    flat = value.index.size == value.index.shape[axis] and axis == value.index.ndim - 1
    comparable = value.scale.size == value.offset.size == 1 and value.scale[0] > 0
    if not (flat and comparable and count == 1):
        return [closed(inputs[0] if ordered else value, node)] * len(node.proto.output)
    value = flattened(build, node, value)
    name = build.emit(node, ArgMax, [value.tensor])
    keep = node.op == "TopK" or node.get("keepdims", 1)
    index = Value(name, (1,), np.zeros(value.index.shape[:-1] + ((1,) if keep else ()), np.int32))
    return [None, index] if node.op == "TopK" else [index]


def closed(symbol: Symbol | None, node: Node) -> Value:
    """The value, which only the head and the host go on with."""
    assert isinstance(symbol, Value)
    return replace(symbol, softmax=f"{symbol.softmax} {node.op}".strip())


def _laid_out(build: Builder, node: Node, value: Value) -> Value:
    """A flat QONNX tensor as a flat network tensor in the same order, and one of pixels with its pixels in order."""
    index = value.index
    if index.ndim > 2:
        if any((np.diff(np.moveaxis(index, axis, -1).reshape(-1)) == 1).all() for axis in range(1, index.ndim)):
            return value
        if index.ndim == 4:
            return image(build, node, value)
    return flattened(build, node, value)


def _require_classes(node: Node, value: Value, axis: int) -> None:
    """The axis is that of the network's channels."""
    pixel = np.moveaxis(value.index // value.channels, axis, 0)
    if len(value.shape) == 3 and value.index.size > value.index.shape[axis] and (pixel != pixel[:1]).any():
        raise node.error(f"compares positions along axis {axis}; expected the classes of each pixel")
    if len(value.shape) == 1 and value.index.size != value.index.shape[axis]:
        raise node.error(f"expected flat logits (1, classes), got shape {value.index.shape}")


def _logits(build: Builder, node: Node, symbol: Symbol | None) -> Value:
    if not isinstance(symbol, Value):
        raise node.error("expected a quantized tensor")
    return build.plain(node, symbol)
