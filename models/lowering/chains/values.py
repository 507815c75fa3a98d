"""What the lowering knows about each QONNX tensor while it walks the graph.

A QONNX tensor is a `Constant`, the graph's still unquantized `FloatInput`, or a `Value`: an integer
tensor of the network seen through a scale, an offset and a chain of pending elementwise nodes. Where
each element lives is kept as an index array of the QONNX shape (batch 1) that holds the element's
flat (H, W, C) position in the network tensor. Transpose, Reshape and the like act on that array
alone, so no layout needs a case of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from bitswath.errors import LoweringError
from bitswath.models.lowering.chains.chain import Link, Pooling

__all__ = [
    "CHANNELS_LAST",
    "Constant",
    "FloatInput",
    "Node",
    "PositionError",
    "Symbol",
    "Value",
    "canonical_index",
    "channels_of",
    "compress",
    "resized",
]

Floats = NDArray[np.float64]
Index = NDArray[np.int32]
CHANNELS_LAST = "qonnx.custom_op.channels_last"
"""The domain of qonnx's Conv, MaxPool and BatchNormalization on (N, ..., C)."""


class PositionError(LoweringError):
    """Constants differ between positions of one channel."""


@dataclass(frozen=True)
class Node:
    """A graph node with decoded attributes."""

    proto: NodeProto

    @property
    def op(self) -> str:
        return str(self.proto.op_type)

    @property
    def name(self) -> str:
        return str(self.proto.name or self.proto.output[0])

    @property
    def output(self) -> str:
        return str(self.proto.output[0])

    @cached_property
    def attributes(self) -> dict[str, Any]:
        decoded = {a.name: helper.get_attribute_value(a) for a in self.proto.attribute}
        return {k: v.decode() if isinstance(v, bytes) else v for k, v in decoded.items()}

    def get(self, attribute: str, default: Any) -> Any:
        return self.attributes.get(attribute, default)

    def error(self, reason: str) -> LoweringError:
        return LoweringError(f"node {self.name!r} ({self.op}): {reason}")


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor known before execution; if it was quantized, also ``real = scale * integers``.

    `scale` has the full shape of `real`.
    """

    real: NDArray[Any]
    integers: NDArray[np.int64] | None = None
    scale: Floats | None = None

    def as_integers(self, node: Node, what: str) -> tuple[NDArray[np.int64], Floats]:
        """Integers and their scale, both of the constant's shape."""
        if self.integers is not None and self.scale is not None:
            return self.integers, self.scale
        rounded = np.rint(np.asarray(self.real, np.float64))
        if not np.array_equal(rounded, self.real):
            raise node.error(f"expected integer or quantized {what}, got floats; put a Quant before the node")
        return rounded.astype(np.int64), np.ones(rounded.shape)


@dataclass(frozen=True, eq=False)
class FloatInput:
    """``chain(graph input)`` before its first quantizer, when no integer datatype is declared for it."""

    shape: tuple[int, ...]
    index: Index
    chain: tuple[Link, ...] = ()

    @property
    def channels(self) -> int:
        return self.shape[-1]


@dataclass(frozen=True, eq=False)
class Value:
    """``chain(float32(scale * q + offset))`` of the integers q of a network tensor.

    `shape` is the network shape (H, W, C) or (C,) after the poolings that wait in the chain; `scale`
    and `offset` are (1,) or (C,); `pads` are integer zeros yet to be put around it; `softmax` names the
    Softmax, TopK and the like that end the graph, and what quantizes them.
    """

    tensor: str
    shape: tuple[int, ...]
    index: Index
    scale: Floats = field(default_factory=lambda: np.ones(1))
    offset: Floats = field(default_factory=lambda: np.zeros(1))
    chain: tuple[Link | Pooling, ...] = ()
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    softmax: str = ""

    @property
    def channels(self) -> int:
        return self.shape[-1]

    @property
    def padded_shape(self) -> tuple[int, ...]:
        """Network shape with the pending pads."""
        if len(self.shape) != 3:
            return self.shape
        top, left, bottom, right = self.pads
        return self.shape[0] + top + bottom, self.shape[1] + left + right, self.shape[2]

    @property
    def settled(self) -> bool:
        """Whether the tensor's integers are all there is: nothing waits to be applied."""
        return not self.chain and not any(self.pads) and not self.softmax


Symbol = Constant | FloatInput | Value


def canonical_index(shape: tuple[int, ...], layout: str = "NCHW") -> Index:
    """Index array (1, ...) of a network shape (H, W, C) in `layout`, or of (C,) as it is."""
    index = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape)
    if len(shape) == 3 and layout == "NCHW":
        index = index.transpose(2, 0, 1)
    return index[None]


def resized(index: Index, old: tuple[int, ...], new: tuple[int, ...]) -> Index:
    """The index array of an image or a sequence of network shape `old`, in the same layout for shape `new`."""
    first = np.array_equal(canonical_index(old), index if index.ndim == 4 else index[:, :, None])
    image = canonical_index(new, "NCHW" if first else "NHWC")
    return image if index.ndim == 4 else image.squeeze(2 if first else 1)


def compress(values: Any) -> Floats:
    """float64 (1,) if all values are equal, else as they are."""
    array = np.atleast_1d(np.asarray(values, np.float64))
    return array[:1] if (array == array[0]).all() else array


def channels_of(node: Node, symbol: Value | FloatInput, constant: NDArray[Any], what: str) -> NDArray[Any]:
    """A broadcast constant as one value (1,) or one value for each network channel (C,)."""
    constant = np.asarray(constant)
    if constant.size == 1 and constant.ndim <= symbol.index.ndim:
        return constant.reshape(1)
    try:
        spread = np.broadcast_to(constant, symbol.index.shape).reshape(-1)
    except ValueError:
        raise node.error(f"{what} of shape {constant.shape} change the shape {symbol.index.shape}") from None
    channel = symbol.index.reshape(-1) % symbol.shape[-1]
    rows = np.full(symbol.shape[-1], spread[0], constant.dtype)
    rows[channel] = spread
    if not np.array_equal(rows[channel], spread):
        reason = f"{what} differ between positions of one channel; only per-channel constants have a form"
        raise PositionError(str(node.error(reason)))
    return rows
