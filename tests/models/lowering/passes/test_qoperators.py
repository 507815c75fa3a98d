"""Operators on integers, written as standard ones, give what ONNX Runtime's integer kernels give, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper

from bitswath.errors import LoweringError
from bitswath.models.lowering.reading.source import complete
from tests.models.graphs import FEW, MANY

MICROSOFT = "com.microsoft"
Arrays = dict[str, NDArray[Any]]


class Case:
    """Random integers, scales and zero points of one type; many scales are powers of two, which makes ties."""

    def __init__(self, seed: int, dtype: Any) -> None:
        self.rng, self.dtype = np.random.default_rng(seed), np.dtype(dtype)
        self.constants: Arrays = {}
        self.inputs: Arrays = {}

    def integers(self, *shape: int, dtype: Any = None) -> NDArray[Any]:
        limits = np.iinfo(dtype or self.dtype)
        return self.rng.integers(limits.min, limits.max + 1, shape).astype(dtype or self.dtype)

    def scale(self, size: int | None = None) -> NDArray[np.float32]:
        uneven, even = self.rng.uniform(0.001, 0.2, size), 2.0 ** -self.rng.integers(2, 9, size)
        return np.asarray(uneven if self.rng.integers(2) else even, np.float32)

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def data(self, *shape: int) -> str:
        name = f"x{len(self.inputs)}"
        self.inputs[name] = self.integers(*shape)
        return name

    def parameters(self, scale: Any = None, zero: Any = None) -> list[str]:
        """Names of a scale and a zero point."""
        scale = self.scale() if scale is None else np.float32(scale)
        return [self.constant(scale), self.constant(self.integers() if zero is None else zero)]

    def weights(self, outputs: int, *shape: int, axis: int = 0) -> list[str]:
        """Names of weights, a scale for each output or one for all, a zero point."""
        weights = np.moveaxis(self.integers(outputs, *shape), 0, axis)
        if self.rng.integers(2):
            scale, zero = self.scale(outputs), np.full(outputs, self.integers(), self.dtype)
        else:
            scale, zero = self.scale(), self.integers()
        return [self.constant(weights), self.constant(scale), self.constant(zero)]

    def model(self, op: str, names: list[str], domain: str = "", result: Any = None, **attributes: Any) -> ModelProto:
        node = helper.make_node(op, names, ["y"], name="node", domain=domain, **attributes)

        def info(name: str, dtype: Any, shape: Any) -> Any:
            return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)

        graph = helper.make_graph(
            [node], "graph",
            [info(k, v.dtype, v.shape) for k, v in self.inputs.items()],
            [info("y", result or self.dtype, None)],
            [numpy_helper.from_array(v, k) for k, v in self.constants.items() if k in names],
        )  # fmt: skip
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def assert_same(self, op: str, names: list[str], domain: str = MICROSOFT, **options: Any) -> None:
        model = self.model(op, names, domain, **options)
        standard = onnx.ModelProto()
        standard.CopyFrom(model)
        standard = complete(standard)
        assert {node.domain for node in standard.graph.node} == {""}
        assert not any("Linear" in n.op_type.removesuffix("tizeLinear") for n in standard.graph.node)
        np.testing.assert_array_equal(run(standard, self.inputs), run(model, self.inputs))


def run(model: ModelProto, inputs: Arrays) -> NDArray[Any]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    (result,) = onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, inputs)
    return np.asarray(result)


random_case = given(seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from([np.uint8, np.int8]))


@MANY
@random_case
def test_convolutions(seed: int, dtype: Any) -> None:
    case = Case(seed, dtype)
    groups, channels, outputs = [(1, 3, 5), (4, 4, 4), (2, 4, 8)][seed % 3]
    names = [case.data(1, channels, 9, 9), *case.parameters(), *case.weights(outputs, channels // groups, 3, 3)]
    names += case.parameters(case.rng.uniform(0.5, 40))
    if case.rng.integers(2):
        names.append(case.constant(case.rng.integers(-40000, 40000, outputs).astype(np.int32)))
    pads = case.rng.integers(0, 3, 4).tolist()
    case.assert_same("QLinearConv", names, "", group=groups, pads=pads, strides=[1, 2])


def test_a_bias_beyond_float32() -> None:
    case = Case(3, np.uint8)
    bias = np.array([(1 << 30) + 1, -(1 << 29) - 3, (1 << 24) + 1], np.int32)
    names = [case.data(1, 2, 20, 20), *case.parameters(2.0**-8, np.uint8(3))]
    names += [case.constant(case.integers(3, 2, 1, 1)), *case.parameters(2.0**-8, np.uint8(7))]
    case.assert_same("QLinearConv", [*names, *case.parameters(37.7, np.uint8(0)), case.constant(bias)], "")


@MANY
@random_case
def test_matrix_products(seed: int, dtype: Any) -> None:
    case = Case(seed, dtype)
    x = [case.data(6, 20), *case.parameters()]
    transposed = int(case.rng.integers(2))
    weights = case.weights(7, 20, axis=0 if transposed else 1)
    ends = case.parameters(case.rng.uniform(0.5, 40))
    bias = case.constant(case.rng.integers(-4000, 4000, 7).astype(np.int32))
    if not transposed:
        case.assert_same("QLinearMatMul", [*x, *weights, *ends], "")
        case.assert_same("MatMulInteger", [x[0], weights[0], x[2], weights[2]], "", result=np.int32)
    alpha = float(case.rng.choice([1.0, 0.3]))
    case.assert_same("QGemm", [*x, *weights, bias, *ends], transB=transposed, alpha=alpha)
    case.assert_same("QGemm", [*x, *weights, bias], result=np.float32, transB=transposed, alpha=alpha)


def test_integer_convolutions() -> None:
    case = Case(5, np.uint8)
    x, weights = case.data(1, 3, 8, 8), case.constant(case.integers(4, 3, 3, 3))
    zeros = [case.constant(case.integers()), case.constant(case.integers())]
    case.assert_same("ConvInteger", [x, weights, *zeros], "", result=np.int32, pads=[1, 1, 1, 1])
    case.assert_same("ConvInteger", [x, weights], "", result=np.int32)


@MANY
@random_case
def test_sums_and_products(seed: int, dtype: Any) -> None:
    case = Case(seed, dtype)
    a, b = case.data(1, 3, 16, 16), case.data(1, 3, 16, 16)
    first, second, ends = case.parameters(), case.parameters(), case.parameters()
    case.assert_same("QLinearAdd", [a, *first, b, *second, *ends])
    del case.inputs[b]
    for shape in ((), (3, 1, 1), (1, 3, 16, 16)):
        stored = case.constant(case.integers(*shape))
        case.assert_same("QLinearAdd", [a, *first, stored, *second, *ends])
        case.assert_same("QLinearAdd", [stored, *second, a, *first, *ends])
        case.assert_same("QLinearMul", [a, *first, stored, *second, *case.parameters(case.rng.uniform(0.1, 5))])


@MANY
@random_case
def test_functions_of_every_value(seed: int, dtype: Any) -> None:
    case = Case(seed, dtype)
    x = case.data(1, 2, 8, 16)
    case.inputs[x][:] = np.arange(256).reshape(1, 2, 8, 16).astype(dtype)
    names = [x, *case.parameters(), *case.parameters()]
    case.assert_same("QLinearLeakyRelu", names, alpha=0.1)
    case.assert_same("QLinearSigmoid", [*names[:3], *case.parameters(1 / 256)])
    case.assert_same("QLinearGlobalAveragePool", names)
    case.assert_same("QLinearAveragePool", names, kernel_shape=[2, 2], strides=[2, 2])


def test_a_softmax_keeps_the_order() -> None:
    """ONNX Runtime's table of exponents is coarser than the function; the network leaves both out."""
    case = Case(1, np.uint8)
    names = [case.data(1, 9), *case.parameters(), *case.parameters(1 / 256, np.uint8(0))]
    model = case.model("QLinearSoftmax", names, MICROSOFT, axis=1, opset=13)
    expected, found = run(model, case.inputs), run(complete(model), case.inputs)
    assert np.abs(expected.astype(int) - found).max() <= 1
    assert expected.reshape(-1)[found.argmax()] == expected.max()


@FEW
@random_case
def test_channels_last(seed: int, dtype: Any) -> None:
    case = Case(seed, dtype)
    names = [case.data(1, 6, 5, 4), *case.parameters(), *case.weights(3, 4, 3, 3), *case.parameters(2.0)]
    case.assert_same("QLinearConv", names, channels_last=1, pads=[1, 0, 0, 1])
    names = [*names[:3], *case.parameters()]
    case.assert_same("QLinearGlobalAveragePool", names, channels_last=1)
    case.assert_same("QLinearAveragePool", names, channels_last=1, kernel_shape=[2, 2])


@MANY
@random_case
def test_concatenations(seed: int, dtype: Any) -> None:
    case = Case(seed, dtype)
    ends, other = case.parameters(), case.parameters()
    parts = [case.data(1, 2, 4, 4), *ends, case.data(1, 3, 4, 4), *other]
    case.assert_same("QLinearConcat", [*ends, *parts], axis=1)


@pytest.mark.parametrize(
    ("op", "computed", "reason"),
    [
        ("QLinearConv", 3, "expected a constant weights"),
        ("QLinearConv", 6, "expected a constant scale"),
        ("QLinearConv", 7, "expected a constant zero point"),
    ],
)
def test_computed_parameters_are_refused(op: str, computed: int, reason: str) -> None:
    case = Case(0, np.uint8)
    names = [case.data(1, 3, 8, 8), *case.parameters(), *case.weights(4, 3, 3, 3), *case.parameters(1.0)]
    case.inputs["given"] = case.constants[names[computed]]
    names[computed] = "given"
    with pytest.raises(LoweringError, match=rf"node 'node' \({op}\): {reason}"):
        complete(case.model(op, names))


def test_products_of_two_tensors_are_refused() -> None:
    case = Case(0, np.uint8)
    names = [case.data(1, 4), *case.parameters(), case.data(1, 4), *case.parameters(), *case.parameters()]
    with pytest.raises(LoweringError, match=r"\(QLinearMul\): multiplies two computed tensors"):
        complete(case.model("QLinearMul", names, MICROSOFT))
