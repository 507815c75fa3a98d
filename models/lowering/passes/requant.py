"""RequantShift, the requantization of Deeploy and DORY: integers scaled by an integer and shifted.

``clip((x * mul + add + div / 2) >> log2(div))``, rounding halves up, as Deeploy computes it (its kernel libraries
add half of `div`, and its published outputs have it so). Every product is exact in a double, so that integers
beyond float32's 24 bits stay whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, numpy_helper

from bitswath.models.lowering.chains.values import Node
from bitswath.models.lowering.passes.rewriting import QONNX, Rewriter, rewrite

__all__ = ["requant"]

DOMAINS = ("", "PACTOps", "pactops", "Deeploy", "ai.onnx.contrib")


def requant(model: ModelProto) -> None:
    """Writes RequantShift as Mul, Add, Div and Floor in double, and a Quant of its levels."""
    rewrite(model, {"RequantShift": _requant_shift}, DOMAINS)


def _requant_shift(rewriter: Rewriter, node: Node) -> None:
    x, mul, add = node.proto.input
    div, signed = _number(node, "div"), bool(_number(node, "signed"))
    levels = _number(node, "n_levels_out" if "n_levels_out" in node.attributes else "n_levels")
    bits = levels.bit_length() - 1
    if div < 1 or div & (div - 1) or levels != 1 << bits or not bits:
        raise node.error(f"expected powers of two as div and n_levels, got {div} and {levels}")
    rank = rewriter.rank(node.output, rewriter.rank(x, 0))
    factor, shift = (_by_channel(np.asarray(rewriter.array(name), np.float64), rank) for name in (mul, add))
    y = rewriter.node(node, "Cast", x, to=TensorProto.DOUBLE)
    y = rewriter.node(node, "Mul", y, rewriter.constant(node, factor, "mul", np.float64))
    y = rewriter.node(node, "Add", y, rewriter.constant(node, shift + div // 2, "add", np.float64))
    y = rewriter.node(node, "Div", y, rewriter.constant(node, div, "div", np.float64))
    y = rewriter.node(node, "Cast", rewriter.node(node, "Floor", y), to=TensorProto.FLOAT)
    parameters = (rewriter.constant(node, value, what) for value, what in ((1, "scale"), (0, "zero"), (bits, "bits")))
    attributes = {"signed": int(signed), "narrow": 0, "rounding_mode": "ROUND"}
    rewriter.node(node, "Quant", y, *parameters, output=node.output, domain=QONNX, **attributes)


def _by_channel(values: NDArray[np.float64], rank: int) -> NDArray[np.float64]:
    """Those of a sequence (1, C, L) as (C, 1), for which Deeploy writes an image's (C, 1, 1)."""
    return values.reshape(-1, 1) if rank == values.ndim == 3 and values.size == len(values) else values


def _number(node: Node, name: str) -> int:
    """An attribute that is a number, or a tensor of one."""
    value: Any = node.get(name, None)
    if value is None:
        raise node.error(f"expected an attribute {name!r}")
    array = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)
    return int(array.reshape(-1)[0])
