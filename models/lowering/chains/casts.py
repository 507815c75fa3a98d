"""Casts as links of a chain: to double, which is exact where float32 is not, and to integers, which truncates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from bitswath.models.lowering.chains.chain import WIDE, Link, evaluate, fold_affine
from bitswath.models.lowering.chains.links import make_link
from bitswath.models.lowering.chains.values import Node, Value

__all__ = ["FLOATS", "cast_link"]

Integers = NDArray[np.int64]
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)
WHOLE_IN_HALF = 1 << 11
"""Up to this float16 holds every integer."""
_ONE, _ZERO = np.ones(1), np.zeros(1)


def cast_link(node: Node, value: Value, ranges: tuple[Integers, Integers], opsets: Mapping[str, int]) -> Link | None:
    """The link of a Cast of a value whose integers reach from the first to the second of `ranges` (C,).

    None where it changes nothing. Raises `LoweringError` for a type that does not hold every value.
    """
    to = node.get("to", TensorProto.FLOAT)
    links = [link for link in value.chain if isinstance(link, Link)]
    if to == TensorProto.FLOAT and not any(map(_is_wide, links)):
        return None
    affine: Any = (_ONE, _ZERO)
    if to not in FLOATS:
        folded = fold_affine(links, value.scale, value.offset)
        whole = folded is not None and all((v == np.rint(v)).all() for v in folded)
        affine = affine if whole else None
        _require_fit(node, to, _ends(value, links, ranges))
    wide = to if to in (*FLOATS, TensorProto.INT64, TensorProto.INT32) else TensorProto.INT64
    return make_link(node, [None], opsets, _ONE, True, affine, to=wide)


def _is_wide(link: Link) -> bool:
    """Whether a link may give anything but float32."""
    return link.node.op_type == "Cast" or any(constant.dtype in WIDE for constant in link.constants.values())


def _ends(value: Value, links: list[Link], ranges: tuple[Integers, Integers]) -> NDArray[Any]:
    """What the smallest and largest integers of each channel become; what a rising chain gives lies between."""
    width = max(value.scale.size, value.offset.size, *(link.width for link in links), 1)
    q = np.stack(ranges, axis=1)
    if width == 1:
        q = np.array([[q.min(), q.max()]])
    reached: NDArray[Any] = np.trunc(evaluate(links, value.scale, value.offset, q))
    return reached


def _require_fit(node: Node, to: int, reached: NDArray[Any]) -> None:
    name = TensorProto.DataType.Name(to)
    if not np.isfinite(reached).all():
        raise node.error("casts infinite or undefined values to integers")
    lowest, highest = int(reached.min()), int(reached.max())
    if not (_within(name, lowest) and _within(name, highest)):
        raise node.error(f"casts {lowest}..{highest} to {name}, which does not hold them all; cast to FLOAT")


def _within(element: str, number: int) -> bool:
    """Whether an element type of ONNX holds an integer as it is."""
    if element == "FLOAT16":
        return abs(number) <= WHOLE_IN_HALF
    bits = element.removeprefix("U").removeprefix("INT")
    if element == "BOOL" or not bits.isdigit():
        return element == "BOOL" and number in (0, 1)
    return 0 <= number < 1 << int(bits) if element[0] == "U" else -1 << int(bits) - 1 <= number < 1 << int(bits) - 1
