"""QONNX graphs written by hand, and the check that a lowered network computes the same integers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from numpy.typing import ArrayLike, NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.basic import qonnx_make_model

from bitswath.models.lowering import Lowered, lower
from tests import reference

QONNX = "qonnx.custom_op.general"
ALL_SIGNED = np.repeat(np.arange(-128, 128).reshape(1, 1, 256, 1), 3, axis=3)
FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
MANY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)


class Graph:
    """Collects nodes; each method returns the name of its output tensor."""

    def __init__(self, shape: tuple[int, ...], datatype: str | None) -> None:
        self.shape, self.datatype = shape, datatype
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def constant(self, value: ArrayLike, dtype: Any = np.float32) -> str:
        name = f"const{len(self.constants)}"
        self.constants[name] = np.array(value, dtype)
        return name

    def node(self, op: str, *inputs: Any, outputs: int = 1, domain: str = "", **attributes: Any) -> str:
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        out = [f"{op.lower()}{len(self.nodes)}{'' if i == 0 else f'_{i}'}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, names, out, name=f"{op}_{len(self.nodes)}", domain=domain, **attributes))
        return out[-1]

    def quant(
        self,
        x: str | ArrayLike,
        scale: ArrayLike,
        bits: float,
        signed: int = 0,
        narrow: int = 0,
        zero_point: ArrayLike = 0.0,
        mode: str = "ROUND",
    ) -> str:
        attributes = {"signed": signed, "narrow": narrow, "rounding_mode": mode}
        return self.node("Quant", x, scale, zero_point, float(bits), domain=QONNX, **attributes)

    def weights(self, integers: ArrayLike, scale: ArrayLike = 1.0, bits: int = 8) -> str:
        """Integers times scale, through a Quant that keeps them."""
        real = np.asarray(integers) * np.asarray(scale, np.float32)
        return self.quant(np.asarray(real, np.float32), scale, bits, signed=1)

    def normalize(self, x: str, gamma: ArrayLike, beta: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> str:
        return self.node("BatchNormalization", x, gamma, beta, mean, variance, epsilon=1e-5)

    def model(self, *outputs: str, **options: Any) -> ModelWrapper:
        """The model with inferred shapes, which qonnx executes."""
        return self.unchecked(*outputs, **options).transform(InferShapes())

    def unchecked(
        self,
        *outputs: str,
        opset: int = 13,
        element: int = TensorProto.FLOAT,
        shapes: dict[str, tuple[int, ...]] | None = None,
        quantizers: int = 1,
    ) -> ModelWrapper:
        """`shapes`: of tensors qonnx's shape inference must be told; `quantizers`: version of QONNX's domain."""
        graph = helper.make_graph(
            self.nodes,
            "graph",
            [helper.make_tensor_value_info("global_in", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(o, element, None) for o in outputs],
            [numpy_helper.from_array(a, k) for k, a in self.constants.items()],
            value_info=[helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in (shapes or {}).items()],
        )
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid(QONNX, quantizers)]
        model = ModelWrapper(qonnx_make_model(graph, opset_imports=opsets))
        if self.datatype is not None:
            model.set_tensor_datatype("global_in", DataType[self.datatype])
        return model


def run_qonnx(model: ModelWrapper, frame: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Every tensor that qonnx computes for one frame (1, ...)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context: dict[str, NDArray[Any]] = execute_onnx(
            model, {model.graph.input[0].name: frame}, return_full_exec_context=True
        )
    return context


def assert_head_equals(lowered: Lowered, output: NDArray[np.int64], expected: NDArray[Any]) -> None:
    """The dequantized last integers (1, ...) are the graph's output."""
    real = lowered.network.head.dequantize(output).reshape(-1)
    if lowered.output in lowered.tensors:
        real = real[lowered.tensors[lowered.output].index.reshape(-1)]
    np.testing.assert_allclose(real, expected.reshape(-1), rtol=1e-5, atol=1e-6 * max(1.0, np.abs(expected).max()))


def random_codes(lowered: Lowered, rng: np.random.Generator, frames: int = 2) -> NDArray[np.int64]:
    spec = lowered.network.input
    return rng.integers(spec.lo, spec.hi + 1, (frames, *spec.shape))


def assert_same_integers(model: ModelWrapper, codes: NDArray[np.int64] | None = None, **options: Any) -> Lowered:
    """Lowers the model; every tensor that both sides have must hold equal integers, and the head equal floats."""
    lowered = lower(model, **options)
    if codes is None:
        codes = random_codes(lowered, np.random.default_rng(0))
    computed = reference.interpret(lowered.network, codes)
    output = computed[lowered.network.stages[-1].name]
    for i, frame in enumerate(lowered.reals(lowered.input, codes)):
        context = run_qonnx(model, frame[None])
        for name, pair in lowered.tensors.items():
            integers = lowered.integers(name, context[name])
            np.testing.assert_array_equal(integers[0], computed[pair.tensor][i], err_msg=name)
        assert_head_equals(lowered, output[i : i + 1], context[lowered.output])
    return lowered


def stages_of(lowered: Lowered) -> list[str]:
    return [type(stage).__name__ for stage in lowered.network.stages]


def powers(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    return 2.0 ** rng.integers(-3, 2, shape)


def every_value(graph: Graph, scale: Any) -> str:
    """Accumulators that take all values of an 8-bit input, times the scales of three channels."""
    return graph.node("Conv", "global_in", graph.weights(np.ones((3, 1, 1, 1)), scale), group=3, kernel_shape=(1, 1))


def classifier(domain: str = QONNX) -> ModelProto:
    """A small one, whose quantizers are of this domain."""
    rng = np.random.default_rng(0)
    graph = Graph((1, 3, 8, 8), "UINT8")
    y = graph.node("Conv", "global_in", graph.weights(rng.integers(-7, 8, (4, 3, 3, 3))), kernel_shape=(3, 3))
    y = graph.quant(graph.node("Relu", y), 32.0, 4)
    y = graph.node("MatMul", graph.node("Flatten", y), graph.weights(rng.integers(-7, 8, (144, 5))))
    model: ModelProto = graph.unchecked(y).model
    for node in model.graph.node:
        node.domain = domain if node.op_type == "Quant" else ""
    return model
