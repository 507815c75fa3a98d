"""Sequences (N, C, L) and channels-last images as the (N, C, H, W) images that the lowering knows.

A node on another form is seen as its twin on an image: the data's index array is turned, weights and
attributes get the missing axis, and the twin's result is turned back. A sequence is an image of height 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from bitswath.models.lowering.builder import Builder
from bitswath.models.lowering.chains.values import CHANNELS_LAST, Constant, Node, Symbol, Value

__all__ = ["as_image"]

Inputs = Sequence[Symbol | None]
Handler = Callable[[Builder, Node, Inputs], Symbol]
Turn = Callable[[NDArray[Any]], NDArray[Any]]
ONE_D = {"kernel_shape": 1, "strides": 1, "dilations": 1, "pads": 0, "output_padding": 0, "output_shape": 1}
"""Attributes of a sequence's node, with the number that stands for height."""


def as_image(handler: Handler) -> Handler:
    """The handler of an operator on NCHW images, for the other forms too."""

    def handle(build: Builder, node: Node, inputs: Inputs) -> Symbol:
        if node.proto.domain == CHANNELS_LAST or node.op == "MaxPoolNHWC":
            return _through(build, node, inputs, _channels_first, _channels_last, again=handle)
        if isinstance(inputs[0], Value) and inputs[0].index.ndim == 3:
            return _through(build, node, inputs, _with_height, _without_height, again=handler)
        return handler(build, node, inputs)

    return handle


def _through(build: Builder, node: Node, inputs: Inputs, there: Turn, back: Turn, again: Handler) -> Symbol:
    twin = NodeProto()
    twin.CopyFrom(node.proto)
    twin.domain = ""
    if node.op == "MaxPoolNHWC":
        twin.op_type = "MaxPool"
    if there is _with_height:
        _give_height(twin)
    turned = [_turned(symbol, there) if i < _images(node) else symbol for i, symbol in enumerate(inputs)]
    result = again(build, Node(twin), turned)
    return result if isinstance(result, Constant) else replace(result, index=back(result.index))


def _images(node: Node) -> int:
    """How many of its inputs have the axes of an image: the data, and a convolution's weights."""
    return 2 if node.op in ("Conv", "ConvTranspose") else 1


def _turned(symbol: Symbol | None, there: Turn) -> Symbol | None:
    if isinstance(symbol, Constant):
        integers, scale = (None if a is None else there(a) for a in (symbol.integers, symbol.scale))
        return Constant(there(symbol.real), integers, scale)
    return symbol if symbol is None else replace(symbol, index=there(symbol.index))


def _give_height(proto: NodeProto) -> None:
    attributes = {a.name: helper.get_attribute_value(a) for a in proto.attribute}
    for name, value in ONE_D.items():
        given = attributes.get(name)
        if given is not None:
            half = len(given) // 2 if name == "pads" else 0
            attributes[name] = [value, *given[:half], value, *given[half:]] if half else [value, *given]
    del proto.attribute[:]
    proto.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())


def _channels_first(array: NDArray[Any]) -> NDArray[Any]:
    return np.moveaxis(array, -1, 1)


def _channels_last(array: NDArray[Any]) -> NDArray[Any]:
    return np.moveaxis(array, 1, -1)


def _with_height(array: NDArray[Any]) -> NDArray[Any]:
    return np.expand_dims(array, 2)


def _without_height(array: NDArray[Any]) -> NDArray[Any]:
    return array.squeeze(2)
