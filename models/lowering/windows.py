"""Windows over images: the attributes that convolutions and poolings share."""

from __future__ import annotations

from collections.abc import Sequence

from bitswath.models.lowering.chains.values import Node

__all__ = ["Pads", "add_pads", "node_pads", "pair"]

Pads = tuple[int, int, int, int]


def node_pads(node: Node, shape: Sequence[int], extent: tuple[int, int], strides: tuple[int, int]) -> Pads:
    """(top, left, bottom, right) from `pads` or `auto_pad`."""
    mode = node.get("auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        pads = tuple(int(p) for p in node.get("pads", (0, 0, 0, 0)))
        if len(pads) != 4 or min(pads) < 0:
            raise node.error(f"expected four pads of at least 0, got {pads}")
        return pads[0], pads[1], pads[2], pads[3]
    if mode == "VALID":
        return 0, 0, 0, 0
    totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip(shape, strides, extent)]
    first = [t // 2 if mode == "SAME_UPPER" else t - t // 2 for t in totals]
    return first[0], first[1], totals[0] - first[0], totals[1] - first[1]


def add_pads(first: Pads, second: Pads) -> Pads:
    return first[0] + second[0], first[1] + second[1], first[2] + second[2], first[3] + second[3]


def pair(node: Node, attribute: str, default: Sequence[int] = (1, 1)) -> tuple[int, int]:
    values = node.get(attribute, default)
    if len(values) != 2:
        raise node.error(f"expected {attribute} of two spatial dimensions, got {list(values)}")
    return int(values[0]), int(values[1])
