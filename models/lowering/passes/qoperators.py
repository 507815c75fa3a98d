"""QOperator graphs: ONNX Runtime's operators on integers as floats that hold the same integers.

Integers are taken relative to their zero point, so that padding is 0. A product of integers is a Conv, Gemm or
MatMul of whole numbers, whose float32 sums are the int32 accumulator; then comes the requantization in the order in
which ONNX Runtime computes it: ``saturate(round(float(accumulator) * (x_scale * w_scale / y_scale)) + zero point)``,
which is Mul and a QuantizeLinear of scale 1 (MLAS: `MlasRequantizeOutput`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto

from bitswath.models.lowering.chains.values import Node
from bitswath.models.lowering.passes.rewriting import Rewriter, Rule, rewrite

__all__ = ["qoperators"]

MICROSOFT = "com.microsoft"
"""ONNX Runtime's own domain."""
COMPUTED = (
    "one computed for each input (dynamic quantization) has no integer form; quantize the model statically"
    " (onnxruntime.quantization.quantize_static)"
)
WHOLE = 1 << 24
"""Up to this float32 holds every integer."""


def qoperators(model: ModelProto) -> None:
    """Writes operators on integers as standard ones on floats."""
    rewrite(model, RULES, ("", MICROSOFT))


def _relative(rewriter: Rewriter, node: Node, x: str, zero: str | None) -> str:
    """A tensor of integers as floats, less its zero point."""
    if zero is None:
        return rewriter.node(node, "Cast", x, to=TensorProto.FLOAT)
    value = _integer(rewriter, node, zero)
    one = rewriter.constant(node, 1, "one")
    return rewriter.node(node, "DequantizeLinear", x, one, rewriter.constant(node, value, "zero", value.dtype))


def _requantized(rewriter: Rewriter, node: Node, y: str, zero: Any, output: str | None = None) -> str:
    """Floats rounded to even and saturated, as integers of the zero point's type."""
    one = rewriter.constant(node, 1, "one")
    return rewriter.node(
        node, "QuantizeLinear", y, one, rewriter.constant(node, zero, "zero", zero.dtype), output=output
    )


def _input(node: Node, position: int) -> str | None:
    names = node.proto.input
    return str(names[position]) if position < len(names) and names[position] else None


def _constant(rewriter: Rewriter, node: Node, position: int, what: str) -> NDArray[Any]:
    name = _input(node, position)
    if name is None or not rewriter.known(name):
        raise node.error(f"expected a constant {what} (input {position}); {COMPUTED}")
    return rewriter.array(name)


def _scale(rewriter: Rewriter, node: Node, position: int) -> NDArray[Any]:
    scale = _constant(rewriter, node, position, "scale")
    if scale.size != 1 or not (scale > 0).all():
        raise node.error(f"expected one positive scale for the tensor, got {scale.reshape(-1)[:4]}")
    return scale.reshape(()).astype(np.float32)


def _zero(rewriter: Rewriter, node: Node, position: int) -> NDArray[Any]:
    return _integer(rewriter, node, _input(node, position) or "")


def _integer(rewriter: Rewriter, node: Node, name: str) -> NDArray[Any]:
    if not rewriter.known(name):
        raise node.error(f"expected a constant zero point; {COMPUTED}")
    array = rewriter.array(name)
    if array.size != 1 or array.dtype not in (np.uint8, np.int8, np.uint16, np.int16):
        raise node.error(f"expected one zero point of 8 or 16 bits, got {array.dtype} of shape {array.shape}")
    return array.reshape(())


def _weights(rewriter: Rewriter, node: Node, position: int, zero: int | None, axis: int) -> NDArray[np.int64]:
    """Constant weights less their zero point, one for all or one for each place on the axis of outputs."""
    weights: NDArray[np.int64] = _constant(rewriter, node, position, "weights").astype(np.int64)
    if zero is None or _input(node, zero) is None:
        return weights
    return weights - _along(_constant(rewriter, node, zero, "zero point of weights"), axis, weights.ndim)


def _along(values: NDArray[Any], axis: int, rank: int) -> NDArray[np.int64]:
    if values.size == 1:
        return values.reshape(()).astype(np.int64)
    return values.reshape([-1 if i == axis % rank else 1 for i in range(rank)]).astype(np.int64)


def _kept(node: Node, *left_out: str) -> dict[str, Any]:
    return {k: v for k, v in node.attributes.items() if k not in left_out}


def _product(
    rewriter: Rewriter, node: Node, op: str, x: str, weights: NDArray[np.int64], bias: Any, attributes: Any
) -> str:
    """The int32 accumulator of a Conv, Gemm or MatMul as floats."""
    inputs = [x, rewriter.constant(node, weights, "integers")]
    if bias is None:
        return rewriter.node(node, op, *inputs, **attributes)
    bias = bias.astype(np.int64)
    if op != "MatMul" and np.abs(bias).max(initial=0) <= WHOLE:
        return rewriter.node(node, op, *inputs, rewriter.constant(node, bias, "bias"), **attributes)
    y = rewriter.node(node, "Cast", rewriter.node(node, op, *inputs, **attributes), to=TensorProto.DOUBLE)
    if op == "Conv":
        bias = bias.reshape(-1, *[1] * (weights.ndim - 2))
    y = rewriter.node(node, "Add", y, rewriter.constant(node, bias, "bias", np.float64))
    return rewriter.node(node, "Cast", y, to=TensorProto.FLOAT)


def _qlinear_conv(rewriter: Rewriter, node: Node) -> None:
    x = _relative(rewriter, node, node.proto.input[0], _input(node, 2))
    weights = _weights(rewriter, node, 3, 5, 0)
    bias = None if _input(node, 8) is None else _constant(rewriter, node, 8, "bias")
    y = _product(rewriter, node, "Conv", x, weights, bias, _kept(node, "channels_last"))
    scale = _requantization(rewriter, node, 1, 4, 6)
    scale = scale.reshape(-1, *[1] * (weights.ndim - 2)) if scale.size > 1 else scale.reshape(())
    y = rewriter.node(node, "Mul", y, rewriter.constant(node, scale, "scale"))
    _requantized(rewriter, node, y, _zero(rewriter, node, 7), node.output)


def _requantization(rewriter: Rewriter, node: Node, x: int, w: int, y: int | None, alpha: float = 1.0) -> NDArray[Any]:
    """Scale of the accumulator in units of the output's, float32 throughout."""
    product = np.float32(alpha) * _scale(rewriter, node, x)
    scales = product * _constant(rewriter, node, w, "scale").astype(np.float32)
    result = scales if y is None else scales / _scale(rewriter, node, y)
    return np.asarray(result, np.float32)


def _qlinear_matmul(rewriter: Rewriter, node: Node) -> None:
    x = _relative(rewriter, node, node.proto.input[0], _input(node, 2))
    y = _product(rewriter, node, "MatMul", x, _weights(rewriter, node, 3, 5, -1), None, {})
    scale = _requantization(rewriter, node, 1, 4, 6)
    y = rewriter.node(node, "Mul", y, rewriter.constant(node, _flat(scale), "scale"))
    _requantized(rewriter, node, y, _zero(rewriter, node, 7), node.output)


def _qgemm(rewriter: Rewriter, node: Node) -> None:
    x = _relative(rewriter, node, node.proto.input[0], _input(node, 2))
    weights = _weights(rewriter, node, 3, 5, 0 if node.get("transB", 0) else 1)
    bias = None if _input(node, 6) is None else _constant(rewriter, node, 6, "bias").reshape(-1)
    y = _product(rewriter, node, "Gemm", x, weights, bias, _kept(node, "alpha"))
    given = None if _input(node, 7) is None else 7
    scale = _flat(_requantization(rewriter, node, 1, 4, given, node.get("alpha", 1.0)))
    y = rewriter.node(node, "Mul", y, rewriter.constant(node, scale, "scale"), output=None if given else node.output)
    if given is not None:
        _requantized(rewriter, node, y, _zero(rewriter, node, 8), node.output)


def _flat(scale: NDArray[Any]) -> NDArray[Any]:
    return scale.reshape(()) if scale.size == 1 else scale.reshape(-1)


def _integer_product(rewriter: Rewriter, node: Node) -> None:
    """ConvInteger and MatMulInteger: the accumulator itself."""
    op = node.op.removesuffix("Integer")
    weights = _weights(rewriter, node, 1, 3, 0 if op == "Conv" else -1)
    x = _relative(rewriter, node, node.proto.input[0], _input(node, 2))
    y = _product(rewriter, node, op, x, weights, None, node.attributes)
    rewriter.node(node, "Cast", y, output=node.output, to=TensorProto.INT32)


def _qlinear_add(rewriter: Rewriter, node: Node) -> None:
    """Two fused multiply-adds in float32 (MLAS: `MlasQLinearAddKernelAvx2`), each as one rounding of a double."""
    positions = (3, 0) if _is_spread(rewriter, node.proto.input[0]) else (0, 3)
    scales = [_scale(rewriter, node, i + 1) for i in positions]
    zeros = [_zero(rewriter, node, i + 2) for i in positions]
    unit, zero = _scale(rewriter, node, 6), _zero(rewriter, node, 7)
    ratios = [np.float32(scale / unit) for scale in scales]
    shift = _fused(ratios[0], zeros[0], np.float32(ratios[1] * np.float32(zeros[1])))
    fixed = np.float32(np.float32(zero) - shift)
    y = rewriter.constant(node, fixed, "fixed")
    for i in (1, 0):
        part = rewriter.node(node, "Cast", _raw(rewriter, node, positions[i], zeros[i]), to=TensorProto.DOUBLE)
        part = rewriter.node(node, "Mul", part, rewriter.constant(node, ratios[i], "ratio", np.float64))
        rest = rewriter.node(node, "Cast", y, to=TensorProto.DOUBLE)
        y = rewriter.node(node, "Cast", rewriter.node(node, "Add", part, rest), to=TensorProto.FLOAT)
    _requantized(rewriter, node, y, np.zeros((), zero.dtype), node.output)


def _is_spread(rewriter: Rewriter, name: str) -> bool:
    """Whether each value of a constant goes to many of the other's; ONNX Runtime takes such a one for the second."""
    return rewriter.known(name) and (rewriter.array(name).size == 1 or rewriter.array(name).shape[-1] == 1)


def _fused(a: Any, b: Any, c: Any) -> np.float32:
    """``a * b + c`` rounded once."""
    return np.float32(np.float64(a) * np.float64(b) + np.float64(c))


def _raw(rewriter: Rewriter, node: Node, position: int, zero: NDArray[Any]) -> str:
    """An input's integers as they are stored, as floats."""
    name = node.proto.input[position]
    if rewriter.known(name):
        return rewriter.constant(node, rewriter.array(name), "stored")
    x = _relative(rewriter, node, name, node.proto.input[position + 2])
    return rewriter.node(node, "Add", x, rewriter.constant(node, zero, "zero")) if zero else x


def _qlinear_mul(rewriter: Rewriter, node: Node) -> None:
    first = next((i for i in (0, 3) if not rewriter.known(node.proto.input[i])), None)
    constant = next((i for i in (0, 3) if rewriter.known(node.proto.input[i])), None)
    if first is None or constant is None:
        raise node.error("multiplies two computed tensors, which has no integer form; one of them must be a constant")
    zero = _zero(rewriter, node, 7)
    factor = rewriter.array(node.proto.input[constant]).astype(np.int64) - int(_zero(rewriter, node, constant + 2))
    ratio = np.float32(_scale(rewriter, node, 1) * _scale(rewriter, node, 4)) / _scale(rewriter, node, 6)
    y = _relative(rewriter, node, node.proto.input[first], node.proto.input[first + 2])
    y = rewriter.node(node, "Mul", y, rewriter.constant(node, factor, "factor"))
    y = rewriter.node(node, "Mul", y, rewriter.constant(node, ratio, "ratio"))
    y = rewriter.node(node, "Add", y, rewriter.constant(node, zero, "shift"))
    _requantized(rewriter, node, y, np.zeros((), zero.dtype), node.output)


def _function(rewriter: Rewriter, node: Node) -> None:
    """QLinearLeakyRelu, QLinearSigmoid, QLinearSoftmax: the function of the reals, quantized again."""
    op = node.op.removeprefix("QLinear")
    attributes = _kept(node, "opset")
    y = rewriter.node(node, op, _reals(rewriter, node, 0, 1, 2), **attributes)
    scale, zero = rewriter.constant(node, _scale(rewriter, node, 3), "scale"), _zero(rewriter, node, 4)
    zero_name = rewriter.constant(node, zero, "zero", zero.dtype)
    rewriter.node(node, "QuantizeLinear", y, scale, zero_name, output=node.output)


def _reals(rewriter: Rewriter, node: Node, x: int, scale: int, zero: int) -> str:
    y = _relative(rewriter, node, node.proto.input[x], _input(node, zero))
    return rewriter.node(node, "Mul", y, rewriter.constant(node, _scale(rewriter, node, scale), "scale"))


def _global_average(rewriter: Rewriter, node: Node) -> None:
    """The sum of integers, then one factor (MLAS: `MlasQLinearGlobalAveragePool`)."""
    x = _relative(rewriter, node, node.proto.input[0], _input(node, 2))
    axes = list(range(2, rewriter.rank(node.proto.input[0], 4)))
    shape = rewriter.node(node, "Shape", x)
    if rewriter.opset < 13:
        y = rewriter.node(node, "ReduceSum", x, axes=axes)
    else:
        y = rewriter.node(node, "ReduceSum", x, rewriter.constant(node, axes, "axes", np.int64))
    pixels = rewriter.node(node, "Gather", shape, rewriter.constant(node, axes, "axes", np.int64))
    pixels = rewriter.node(node, "ReduceProd", rewriter.node(node, "Cast", pixels, to=TensorProto.FLOAT), keepdims=0)
    unit = rewriter.node(node, "Mul", rewriter.constant(node, _scale(rewriter, node, 3), "scale"), pixels)
    factor = rewriter.node(node, "Div", rewriter.constant(node, _scale(rewriter, node, 1), "scale"), unit)
    _requantized(rewriter, node, rewriter.node(node, "Mul", y, factor), _zero(rewriter, node, 4), node.output)


def _average(rewriter: Rewriter, node: Node) -> None:
    """The mean of the reals, the zero point added before it is rounded."""
    zero = _zero(rewriter, node, 4)
    y = rewriter.node(node, "AveragePool", _reals(rewriter, node, 0, 1, 2), **_kept(node, "channels_last"))
    y = rewriter.node(node, "Div", y, rewriter.constant(node, _scale(rewriter, node, 3), "scale"))
    y = rewriter.node(node, "Add", y, rewriter.constant(node, zero, "shift"))
    _requantized(rewriter, node, y, np.zeros((), zero.dtype), node.output)


def _concat(rewriter: Rewriter, node: Node) -> None:
    """Joins integers; those of another scale or zero point are quantized anew."""
    unit, zero = _scale(rewriter, node, 0), _zero(rewriter, node, 1)
    parts = []
    for i in range(2, len(node.proto.input), 3):
        if _scale(rewriter, node, i + 1) == unit and _zero(rewriter, node, i + 2) == zero:
            parts.append(_relative(rewriter, node, node.proto.input[i], node.proto.input[i + 2]))
            continue
        scale = rewriter.constant(node, unit, "scale")
        y = _reals(rewriter, node, i, i + 1, i + 2)
        y = rewriter.node(node, "QuantizeLinear", y, scale, rewriter.constant(node, zero, "zero", zero.dtype))
        parts.append(_relative(rewriter, node, y, node.proto.input[1]))
    _requantized(rewriter, node, rewriter.node(node, "Concat", *parts, **node.attributes), zero, node.output)


def _standard(rewriter: Rewriter, node: Node) -> None:
    """ONNX Runtime's own QuantizeLinear and DequantizeLinear are those of ONNX."""
    rewriter.node(node, node.op, *node.proto.input, output=node.output, **node.attributes)


def _in_either_layout(rule: Rule) -> Rule:
    """The rule of an operator on NCHW, for channels_last = 1 too."""

    def write(rewriter: Rewriter, node: Node) -> None:
        if not node.get("channels_last", 0):
            rule(rewriter, node)
            return
        last = rewriter.rank(node.proto.input[0], 4) - 1
        twin = NodeProto.FromString(node.proto.SerializeToString())
        twin.input[0] = rewriter.node(node, "Transpose", twin.input[0], perm=(0, last, *range(1, last)))
        twin.output[0] = f"{node.output}.channels_first"
        kept = [attribute for attribute in twin.attribute if attribute.name != "channels_last"]
        del twin.attribute[:]
        twin.attribute.extend(kept)
        rule(rewriter, Node(twin))
        rewriter.node(node, "Transpose", twin.output[0], output=node.output, perm=(0, *range(2, last + 1), 1))

    return write


RULES: dict[str, Rule] = {
    "QLinearConv": _in_either_layout(_qlinear_conv),
    "QLinearMatMul": _qlinear_matmul,
    "QGemm": _qgemm,
    "ConvInteger": _integer_product,
    "MatMulInteger": _integer_product,
    "QLinearAdd": _qlinear_add,
    "QLinearMul": _qlinear_mul,
    "QLinearLeakyRelu": _function,
    "QLinearSigmoid": _function,
    "QLinearSoftmax": _function,
    "QLinearGlobalAveragePool": _in_either_layout(_global_average),
    "QLinearAveragePool": _in_either_layout(_average),
    "QLinearConcat": _concat,
}
