"""Elementwise and quantizer nodes as links of a chain.

Which operators may stand between an accumulator and its quantizer, in which direction each moves,
and onto which grid each quantizer rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper
from qonnx.custom_op.general.quant import max_int, min_int, resolve_rounding_mode

from bitswath.models.lowering.chains.chain import WIDE, Grid, Link, evaluate, opset_of
from bitswath.models.lowering.chains.values import Constant, FloatInput, Node, Symbol, Value, channels_of, compress

__all__ = [
    "ELEMENTWISE",
    "QUANTIZERS",
    "RISING",
    "elementwise_link",
    "levels_of",
    "make_link",
    "on_grid",
    "quantizer_link",
    "quantizer_range",
]

Floats = NDArray[np.float64]
Moves = tuple[Floats | None, bool, tuple[Floats, Floats] | None]
Parameters = Sequence[Any]

QUANTIZERS = ("Quant", "IntQuant", "BipolarQuant", "Trunc", "MultiThreshold")
_ONE, _ZERO = np.ones(1), np.zeros(1)


def _rising(node: Node, position: int, p: Parameters) -> Moves:
    return _ONE, True, None


def _approximated(node: Node, position: int, p: Parameters) -> Moves:
    return _ONE, False, None


def _any_way(node: Node, position: int, p: Parameters) -> Moves:
    return None, False, None


def _negative(node: Node, position: int, p: Parameters) -> Moves:
    return -_ONE, True, (-_ONE, _ZERO)


def _product(node: Node, position: int, p: Parameters) -> Moves:
    return p[1 - position], True, (p[1 - position], _ZERO)


def _quotient(node: Node, position: int, p: Parameters) -> Moves:
    if position == 1:
        raise node.error("divides a constant by a tensor, which has no integer form")
    if not np.all(p[1]):
        raise node.error("divides by zero")
    return p[1], True, (1.0 / p[1], _ZERO)


def _sum(node: Node, position: int, p: Parameters) -> Moves:
    return _ONE, True, (_ONE, p[1 - position])


def _difference(node: Node, position: int, p: Parameters) -> Moves:
    return (_ONE, True, (_ONE, -p[1])) if position == 0 else (-_ONE, True, (-_ONE, p[0]))


def _leaky(node: Node, position: int, p: Parameters) -> Moves:
    slope = p[1] if node.op == "PRelu" else np.full(1, node.get("alpha", 0.01))
    return (_ONE if np.all(slope >= 0) else None), bool(np.all(slope >= 0)), None


def _normalization(node: Node, position: int, p: Parameters) -> Moves:
    gamma, beta, mean, variance = p[1:5]
    gain = gamma / np.sqrt(variance + node.get("epsilon", 1e-5))
    return gamma, True, (gain, beta - mean * gain)


OFF_GRID = 1e-3
MAX_WIDTH = 64
RISING = ("Sigmoid", "Tanh", "Softplus", "Softsign", "Selu", "Exp", "Erf")
"""Strictly, but for rounding: of several values the largest stays the largest."""

ELEMENTWISE: dict[str, Callable[[Node, int, Parameters], Moves]] = {
    **dict.fromkeys(("Relu", "Clip", "Min", "Max", "Floor", "Ceil", "Round", "Sign", "HardSigmoid", "Sqrt"), _rising),
    **dict.fromkeys(RISING, _approximated),
    **dict.fromkeys(("Elu", "Abs", "HardSwish", "Gelu", "Mish", "Pow"), _any_way),
    "Neg": _negative,
    "Mul": _product,
    "Div": _quotient,
    "Add": _sum,
    "Sub": _difference,
    "LeakyRelu": _leaky,
    "PRelu": _leaky,
    "BatchNormalization": _normalization,
}


def elementwise_link(
    node: Node, inputs: Sequence[Symbol | None], value: Value | FloatInput, opsets: Mapping[str, int]
) -> Link:
    """The link of an elementwise node that has `value` among its inputs, the rest constants."""
    position = next(i for i, symbol in enumerate(inputs) if symbol is value)
    arrays: list[NDArray[Any] | None] = []
    for i, symbol in enumerate(inputs):
        if i == position:
            arrays.append(None)
        elif symbol is None and node.op == "Clip":
            arrays.append(_open_end(inputs, i))
        elif isinstance(symbol, Constant):
            arrays.append(_rows(node, value, symbol.real, i))
        else:
            raise node.error(
                "expected one computed tensor and constants, got several; of several tensors there is only the sum"
                " (Add, Sub, Concat): leave the operator out before training"
            )
    parameters = [None if a is None else np.asarray(a, np.float64).reshape(-1) for a in arrays]
    direction, exact, affine = ELEMENTWISE[node.op](node, position, parameters)
    flat = node.op == "BatchNormalization"
    if node.op == "Div" and any(a is not None and np.issubdtype(a.dtype, np.integer) for a in arrays):
        affine = None  # which truncates
    if any(a is not None and a.dtype == np.int32 for a in arrays):
        exact = False  # may wrap
    formed = [a if a is None else _kept(a if flat else _aligned(a)) for a in arrays]
    return make_link(node, formed, opsets, direction, exact, affine)


def _kept(constant: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(constant, constant.dtype if constant.dtype in WIDE else np.float32)


def _open_end(inputs: Sequence[Symbol | None], position: int) -> NDArray[Any]:
    """A bound that a Clip leaves out, in the type of its other one."""
    other = next((i.real.dtype for i in inputs[1:] if isinstance(i, Constant)), np.dtype(np.float32))
    limits = np.iinfo(other) if np.issubdtype(other, np.integer) else np.finfo(other)
    return np.array(limits.min if position == 1 else limits.max, other)


def _rows(node: Node, value: Value | FloatInput, constant: NDArray[Any], position: int) -> NDArray[Any]:
    """A parameter as (1,) or (C,)."""
    if node.op != "BatchNormalization":
        return channels_of(node, value, constant, f"constants (input {position})")
    axes = (1, constant.size) + (1,) * (value.index.ndim - 2)
    rows = channels_of(node, value, constant.reshape(axes), "parameters")
    return np.broadcast_to(rows, (value.channels,)).copy()


def _aligned(rows: NDArray[Any]) -> NDArray[Any]:
    """(1,) to () and (C,) to (1, C, 1), which broadcast against (1, C, L)."""
    return rows.reshape(()) if rows.size == 1 else rows.reshape(1, -1, 1)


def make_link(
    node: Node,
    arrays: Sequence[NDArray[Any] | None],
    opsets: Mapping[str, int],
    direction: Floats | None,
    exact: bool = True,
    affine: tuple[Floats, Floats] | None = None,
    **attributes: Any,
) -> Link:
    proto = NodeProto()
    proto.CopyFrom(node.proto)
    names = ["x" if array is None else f"c{i}" for i, array in enumerate(arrays)]
    del proto.input[:], proto.output[:]
    proto.input.extend(names)
    proto.output.append("y")
    kept = [a for a in proto.attribute if a.name not in attributes]
    del proto.attribute[:]
    proto.attribute.extend([*kept, *(helper.make_attribute(k, v) for k, v in attributes.items())])
    constants = {name: array for name, array in zip(names, arrays) if array is not None}
    return Link(node.name, proto, constants, opset_of(node.proto, opsets), direction, exact, affine)


def quantizer_link(
    node: Node, inputs: Sequence[Symbol | None], symbol: Value | FloatInput, opsets: Mapping[str, int]
) -> tuple[Link, Grid]:
    """The link of a quantizer whose first input is `symbol`, and the grid it rounds to."""
    if inputs[0] is not symbol or not all(isinstance(i, Constant) for i in inputs[1:]):
        raise node.error("expected constant parameters; scale, zero point and width must be initializers")
    _require_rounding_mode(node)
    constants = [i.real for i in inputs[1:] if isinstance(i, Constant)]
    if node.op == "MultiThreshold":
        return _multi_threshold(node, symbol, constants[0], opsets)
    widths = () if node.op == "BipolarQuant" else (2, 4) if len(constants) == 5 else (2, 3)[: len(constants) - 2]
    rows: list[NDArray[Any]] = []
    for i, constant in enumerate(constants):
        if i in widths and constant.size != 1:
            raise node.error("expected one bit width for the whole tensor")
        if i in widths and not 1 <= constant.reshape(()) <= MAX_WIDTH:
            raise node.error(f"expected a bit width of 1 to {MAX_WIDTH}, got {constant.reshape(()):g}")
        rows.append(channels_of(node, symbol, constant, "parameters"))
    if not all(np.all(rows[i] > 0) for i in {0, *((3,) if len(rows) == 5 else ())}):
        raise node.error("expected a positive scale")
    link = make_link(node, [None, *(_aligned(r) for r in rows)], opsets, _ONE)
    return link, _grid(node, [np.asarray(r, np.float64) for r in rows])


def _require_rounding_mode(node: Node) -> None:
    mode = node.get("rounding_mode", "ROUND")
    try:
        resolve_rounding_mode(mode)
    except ValueError:
        raise node.error(f"unknown rounding mode {mode!r}") from None


def _grid(node: Node, p: Sequence[Floats]) -> Grid:
    """Zero points go into the integers, so that real zero stays integer zero; a fraction stays behind."""
    if node.op == "BipolarQuant":
        return Grid(compress(p[0]), _ZERO, origin=-1, step=2)
    scale, zero_point = p[0], p[1]
    if len(p) == 5:  # Trunc, version 2
        scale, zero_point = p[3], zero_point / 2 ** np.round(np.log2(p[3] / p[0]))
    if node.op != "Trunc" and p[2] == 1 and node.get("signed", 1):
        if np.any(zero_point):
            raise node.error("a 1-bit signed quantizer with a zero point has no integer form")
        return Grid(compress(scale), _ZERO, origin=-1, step=2)
    fraction = zero_point - np.floor(zero_point)
    return Grid(compress(scale), compress(-fraction * scale))


def _multi_threshold(
    node: Node, symbol: Value | FloatInput, thresholds: NDArray[Any], opsets: Mapping[str, int]
) -> tuple[Link, Grid]:
    rank = symbol.index.ndim
    layout = node.get("data_layout", "") or {2: "NC", 3: "NWC", 4: "NCHW"}.get(rank, "")
    axis = layout.index("C") if "C" in layout else 1
    ids = np.arange(len(thresholds)).reshape([-1 if i == axis else 1 for i in range(rank)])
    table = thresholds[channels_of(node, symbol, ids, "thresholds")]
    grid, ends = _counted(node, thresholds.shape[1])
    rising = np.full(1, ends[1] - ends[0])
    return make_link(node, [None, table], opsets, rising, data_layout="NCW"), grid


def _counted(node: Node, count: int) -> tuple[Grid, tuple[float, float]]:
    """The grid of a MultiThreshold, and what it gives where none and all of its thresholds are reached."""
    scale, bias = float(node.get("out_scale", 1.0)), float(node.get("out_bias", 0.0))
    if scale == 0:
        raise node.error("out_scale is 0")
    shift = bias / scale
    if shift == np.rint(shift):
        grid = Grid(np.full(1, abs(scale)), _ZERO)
    elif 2 * shift == np.rint(2 * shift):
        grid = Grid(np.full(1, abs(scale) / 2), _ZERO, origin=1, step=2)
    else:
        grid = Grid(np.full(1, abs(scale)), np.full(1, bias))
    return grid, (bias, bias + scale * count)


def quantizer_range(node: Node, inputs: Sequence[Symbol | None]) -> tuple[int, int]:
    """Smallest and largest integer of a quantizer's grid, for a quantizer on the graph input."""
    if node.op == "BipolarQuant":
        return -1, 1
    if node.op == "MultiThreshold" and isinstance(inputs[1], Constant):
        grid, ends = _counted(node, inputs[1].real.shape[1])
        reached = np.rint((np.array(ends) - grid.offset) / grid.scale).astype(int)
        return int(reached.min()), int(reached.max())
    if node.op not in ("Quant", "IntQuant"):
        raise node.error("cannot quantize real-valued pixels; declare the input's integers (--input-datatype UINT8)")
    parameters = [np.asarray(i.real, np.float64) for i in inputs[1:] if isinstance(i, Constant)]
    bits, signed, narrow = int(parameters[2].reshape(())), bool(node.get("signed", 1)), bool(node.get("narrow", 0))
    if bits == 1 and signed:
        return -1, 1
    zero_point = np.floor(parameters[1])
    lowest = min_int(signed, narrow, bits) - int(zero_point.max())
    return lowest, max_int(signed, narrow, bits) - int(zero_point.min())


def levels_of(
    node: Node, links: Sequence[Link], scale: Floats, offset: Floats, grid: Grid, q: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Levels (C, L) on the grid of the chain's quantizer `node` that it gives for integers q (C, L)."""
    return on_grid(node, grid, evaluate(links, scale, offset, q))


def on_grid(node: Node, grid: Grid, real: NDArray[Any]) -> NDArray[np.int64]:
    """Levels (C, L) of the reals that a chain to the quantizer `node` gives."""
    if not np.isfinite(real).all():
        raise node.error("the chain before it gives infinite or undefined values")
    levels, distance = grid.levels(real)
    if distance > OFF_GRID:
        raise node.error(f"the chain gives values {distance:.3g} of a step off the grid of its quantizer")
    return levels
