"""How a graph ends: flat order, Softmax, TopK and ArgMax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bitswath.models.lowering.builder import Builder
from bitswath.models.lowering.chains.chain import Link
from bitswath.models.lowering.chains.links import RISING
from bitswath.models.lowering.chains.values import Constant, Node, Symbol, Value
from bitswath.network.network import ArgMax, Dense

__all__ = ["arg_max", "flat", "open_end", "softmax"]

LARGEST_FLAT = 4096


def flat(build: Builder, node: Node, value: Value) -> Value:
    """A flat QONNX tensor as a flat network tensor in the same order; images stay as they are."""
    order = value.index.reshape(-1)
    if value.index.ndim > 2 or (len(value.shape) == 1 and (np.diff(order) == 1).all()):
        return value
    if order.size > LARGEST_FLAT:
        raise node.error(f"a flat output of {order.size} values needs reordering; at most {LARGEST_FLAT} can be")
    weights = np.zeros((order.size, order.size), np.int8)
    weights[np.arange(order.size), order] = 1
    name = build.emit(node, Dense, [value.tensor], ".flat", weights=weights)
    channel = order % value.channels
    scale, offset = (v if v.size == 1 else v[channel] for v in (value.scale, value.offset))
    index = np.arange(order.size, dtype=np.int32).reshape(value.index.shape)
    return Value(name, (order.size,), index, scale, offset)


def open_end(value: Value) -> tuple[Value, bool, tuple[str, ...]]:
    """The logits of a graph's output, whether the head takes their Softmax, and what is left out behind them.

    A Sigmoid and its like rise with each logit, LogSoftmax and a quantized Softmax keep their order.
    """
    if value.softmax == "Softmax":
        return replace(value, softmax=""), True, ()
    kept = len(value.chain)
    while kept and isinstance(link := value.chain[kept - 1], Link) and link.node.op_type in RISING:
        kept -= 1
    rising = [link.node.op_type for link in value.chain[kept:] if isinstance(link, Link)]
    return replace(value, chain=value.chain[:kept], softmax=""), False, (*rising, *value.softmax.split())


def softmax(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> Value:
    """Softmax or LogSoftmax over flat logits: the head's, after the last integers."""
    value = _logits(build, node, inputs[0])
    if node.get("axis", value.index.ndim - 1) not in (-1, value.index.ndim - 1):
        raise node.error(f"expected {node.op} over the last axis, not axis {node.get('axis', -1)}")
    return replace(value, softmax=node.op)


def arg_max(build: Builder, node: Node, inputs: Sequence[Symbol | None]) -> list[Symbol | None]:
    """ArgMax, or TopK with k = 1, of whose outputs only the second, the index, has a form."""
    value = inputs[0]
    if isinstance(value, Value) and value.softmax in ("Softmax", "LogSoftmax"):  # which keep the logits' order
        value = replace(value, softmax="")
    value = flat(build, node, _logits(build, node, value))
    if node.op == "TopK":
        count = inputs[1].real if len(inputs) > 1 and isinstance(inputs[1], Constant) else node.get("k", 0)
        if int(np.asarray(count).reshape(-1)[0]) != 1 or not node.get("largest", 1):
            raise node.error("expected the single largest value (k = 1)")
    if node.get("select_last_index", 0):
        raise node.error("expected the first of equal values (select_last_index = 0)")
    last = value.index.ndim - 1
    if node.get("axis", -1 if node.op == "TopK" else 0) not in (-1, last):
        raise node.error("expected the last axis")
    if value.scale.size > 1 or value.offset.size > 1 or value.scale[0] <= 0:
        raise node.error(
            "compares logits of different scales or biases, which integers cannot; "
            "use one positive scale and no bias in the last layer, or end the graph with the logits"
        )
    name = build.emit(node, ArgMax, [value.tensor])
    keep = node.op == "TopK" or node.get("keepdims", 1)
    index = Value(name, (1,), np.zeros(value.index.shape[:-1] + ((1,) if keep else ()), np.int32))
    return [None, index] if node.op == "TopK" else [index]


def _logits(build: Builder, node: Node, symbol: Symbol | None) -> Value:
    if not isinstance(symbol, Value):
        raise node.error("expected a quantized tensor")
    value = build.plain(node, symbol)
    if value.index.size != value.index.shape[-1]:
        raise node.error(f"expected flat logits (1, classes), got shape {value.index.shape}")
    return value
