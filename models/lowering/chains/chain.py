"""Chains of elementwise QONNX nodes, evaluated exactly as qonnx executes them.

Between an accumulator and its quantizer a graph computes in float32: batch normalization, ReLU,
scalings. The chain keeps those nodes as they are, with constants brought to one form: the chain runs
on arrays (1, C, L), channels on axis 1, so a per-channel constant is (1, C, 1). Arrays are float32, or
double, int64 or int32 where a Cast or a constant says so. Every node is executed by qonnx's own
`execute_node` (which asks onnxruntime for standard operators), so all rounding, clipping and tie rules
are those of the reference.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper
from qonnx.core.onnx_exec import execute_node
from qonnx.util.basic import get_preferred_qonnx_opset

from bitswath.errors import LoweringError

__all__ = [
    "WIDE",
    "Grid",
    "Link",
    "Pooling",
    "direction_of",
    "evaluate",
    "execute",
    "fold_affine",
    "in_a_line",
    "run_chain",
]

Floats = NDArray[np.float64]
LONGEST_REASON = 200
WIDE = (np.float64, np.int64, np.int32)
"""Types that a chain keeps; everything else is float32."""
ROUNDING = 2.0**-23
"""Of float32, relative: of a scale's multiple and of what was added to it."""


@dataclass(frozen=True, eq=False)
class Link:
    """One elementwise node: `node` reads "x" and the named `constants`, and writes "y".

    `direction`: float64 (1,) or (C,), positive where y rises with x, negative where it falls, zero
    where it is constant; None if it may do both. `exact`: y is monotone in x as computed, rounding
    included (true of single IEEE operations, not of approximated functions). `affine`: gain and shift
    (1,) or (C,) if ``y = gain * x + shift`` but for rounding.
    """

    label: str
    node: NodeProto
    constants: Mapping[str, NDArray[Any]]
    opset: int
    direction: Floats | None = None
    exact: bool = True
    affine: tuple[Floats, Floats] | None = None

    def same_as(self, other: Link) -> bool:
        """Whether both compute the same of the same x."""
        return (
            self.node.op_type == other.node.op_type
            and sorted(a.SerializeToString() for a in self.node.attribute)
            == sorted(a.SerializeToString() for a in other.node.attribute)
            and list(self.node.input) == list(other.node.input)
            and all(np.array_equal(c, other.constants[name]) for name, c in self.constants.items())
        )

    def taken(self, channels: NDArray[np.intp]) -> Link:
        """The link for a tensor whose channels are these of its own."""

        def chosen(array: NDArray[Any]) -> NDArray[Any]:
            if array.ndim == 3:
                return array if array.shape[1] == 1 else array[:, channels]
            return array if array.ndim == 0 or (array.ndim == 2 and len(array) == 1) else array[channels]

        def rows(values: Floats) -> Floats:
            return values if values.size == 1 else values[channels]

        return replace(
            self,
            constants={name: chosen(array) for name, array in self.constants.items()},
            direction=None if self.direction is None else rows(self.direction),
            affine=None if self.affine is None else (rows(self.affine[0]), rows(self.affine[1])),
        )

    @property
    def is_table(self) -> bool:
        """Whether x is an index, not a number among its constants."""
        return bool(self.node.op_type == "GatherElements")

    @property
    def width(self) -> int:
        """Channels that the constants tell apart: 1 or C."""
        per_channel = [c for c in self.constants.values() if c.ndim]
        return max((c.shape[0] if c.ndim <= 2 else c.shape[1] for c in per_channel), default=1)


@dataclass(frozen=True)
class Pooling:
    """A maximum pooling met while a chain was pending."""

    label: str
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]

    width: ClassVar[int] = 1
    """See `Link.width`: it takes all channels alike."""

    def taken(self, channels: NDArray[np.intp]) -> Pooling:
        return self


@dataclass(frozen=True, eq=False)
class Grid:
    """The reals a quantizer can give: ``real = scale * q + offset``, ``q = origin + step * level``."""

    scale: Floats
    offset: Floats
    origin: int = 0
    step: int = 1

    def levels(self, real: NDArray[np.floating[Any]]) -> tuple[NDArray[np.int64], float]:
        """Level of each real (C or 1, L), and the largest distance of any from its level but for float32's rounding."""
        q = (real.astype(np.float64) - self.offset[:, None]) / self.scale[:, None]
        level = (q - self.origin) / self.step
        nearest = np.rint(level)
        distance = np.abs(level - nearest) - np.abs(q) * ROUNDING
        return nearest.astype(np.int64), float(distance.max(initial=0.0))


def in_a_line(error: BaseException) -> str:
    """What another library's error says, without line breaks and onnxruntime's source paths."""
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : (/\S+ [^:]*\)( \[with [^]]*\])? )?", "", str(error))
    return " ".join(text.split())[:LONGEST_REASON] or type(error).__name__


def execute(node: NodeProto, arrays: Sequence[NDArray[Any] | None], opset: int) -> list[NDArray[Any]]:
    """Outputs of one node for these inputs (None: an input left out), as qonnx executes it."""
    context: dict[str, Any] = {}
    infos = []
    for name, array in zip(node.input, arrays):
        if array is not None and name not in context:
            context[name] = array
            infos.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), None))
    infos += [helper.make_empty_tensor_value_info(name) for name in node.output]
    context |= {name: np.empty(0, np.float32) for name in node.output}
    graph = helper.make_graph([node], "one_node", [], [], value_info=infos)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # qonnx warns of output shapes it was not told
        try:
            execute_node(node, context, graph, opset)
        except Exception as error:  # qonnx raises bare ones, onnxruntime's have no base of their own
            name = node.name or node.output[0]
            raise LoweringError(f"node {name!r} ({node.op_type}): cannot be executed: {in_a_line(error)}") from error
    return [context[name] for name in node.output]


def opset_of(node: NodeProto, opsets: Mapping[str, int]) -> int:
    """The operator-set version under which `execute_onnx` runs this node."""
    return opsets.get(node.domain, int(get_preferred_qonnx_opset()))


def run_chain(links: Sequence[Link], start: NDArray[Any]) -> NDArray[Any]:
    """The chain's result for float32 (1, C, L), or for doubles that its first link casts."""
    for link in links:
        constant = start if link.is_table else next(iter(link.constants.values()), start)
        data = start.astype(constant.dtype, copy=False)
        arrays = [data if name == "x" else link.constants[name] for name in link.node.input]
        result = execute(link.node, arrays, link.opset)[0]
        start = np.asarray(result, result.dtype if result.dtype in WIDE else np.float32)
    return start


def evaluate(links: Sequence[Link], scale: Floats, offset: Floats, q: NDArray[np.int64]) -> NDArray[Any]:
    """Reals (C, L) that the chain gives for integers q (C, L) of scale and offset (1,) or (C,).

    A Cast at its beginning takes them as they are, not as float32: an accumulator is an integer.
    """
    start = q * scale[:, None] + offset[:, None]
    if not links or links[0].node.op_type != "Cast":
        start = start.astype(np.float32)
    return np.asarray(run_chain(links, start[None])[0])


def direction_of(links: Sequence[Link], scale: Floats) -> Floats | None:
    """Sign of the whole chain per channel, or None if a node may both rise and fall."""
    total = np.sign(scale)
    for link in links:
        if link.direction is None:
            return None
        total = total * np.sign(link.direction)
    return np.asarray(total, np.float64)


def fold_affine(links: Sequence[Link], scale: Floats, offset: Floats) -> tuple[Floats, Floats] | None:
    """Scale and offset after an affine chain, or None if a link is not affine."""
    for link in links:
        if link.affine is None:
            return None
        gain, shift = link.affine
        scale, offset = scale * gain, offset * gain + shift
    return scale, offset
