"""Graphs lie in one order, with what their outputs need and nothing else, however a tool wrote them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from bitswath.errors import LoweringError
from bitswath.models.lowering import lower
from bitswath.models.lowering.reading.source import complete
from tests import reference
from tests.models.graphs import QONNX, Graph, classifier


def outputs(model: ModelProto) -> np.ndarray:
    network = lower(model).network
    codes = np.random.default_rng(1).integers(0, 256, (4, *network.input.shape))
    return network.head.dequantize(reference.output(network, codes))


def _unsorted(model: ModelProto) -> None:
    nodes = list(model.graph.node)
    order = np.random.default_rng(3).permutation(len(nodes))
    del model.graph.node[:]
    model.graph.node.extend(nodes[i] for i in order)


def _constant_outputs(model: ModelProto) -> None:
    """As old Brevitas: scale, zero point and bit width are outputs too, some of them computed."""
    quantizer = next(node for node in model.graph.node if node.op_type == "Quant")
    model.graph.node.append(helper.make_node("Mul", [quantizer.input[1], quantizer.input[3]], ["range"]))
    for name in (*quantizer.input[1:], "range"):
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, []))


def _constants_as_inputs(model: ModelProto) -> None:
    model.ir_version = 3
    for tensor in model.graph.initializer:
        info = helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        model.graph.input.insert(0, info)


def _repeated_descriptions(model: ModelProto) -> None:
    (end,) = model.graph.output
    end.CopyFrom(helper.make_tensor_value_info(end.name, TensorProto.FLOAT, [1, 5]))
    model.graph.value_info.extend([end, end, model.graph.input[0]])


def _batch(size: str | int | None) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        end = model.graph.output[0]
        for value, shape in ((model.graph.input[0], (3, 8, 8)), (end, (5,))):
            value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, [size, *shape]))

    return change


def _needless(model: ModelProto) -> None:
    """A node that nothing reads, and that nothing lowers."""
    model.graph.node.insert(0, helper.make_node("LSTM", ["global_in"], ["unread"]))


def _no_import(model: ModelProto) -> None:
    del model.opset_import[1:]


def _notes(model: ModelProto) -> None:
    """As QuantLab: what ONNX Runtime refuses, on operators that are executed to find thresholds and on others."""
    for node in model.graph.node:
        if not node.domain:
            node.attribute.append(helper.make_attribute("out_bits", 4))


CHANGES = {
    "unsorted": _unsorted,
    "constant outputs": _constant_outputs,
    "constants as inputs": _constants_as_inputs,
    "repeated descriptions": _repeated_descriptions,
    "a named batch": _batch("N"),
    "a batch of -1": _batch(-1),
    "a batch of 0": _batch(0),
    "a batch nobody says": _batch(None),
    "a needless node": _needless,
    "no import": _no_import,
    "notes as attributes": _notes,
}


@pytest.mark.parametrize("domain", ["", "onnx.brevitas", "finn.custom_op.general", QONNX])
@pytest.mark.parametrize("change", CHANGES)
def test_the_same_network_comes_of_it(change: str, domain: str) -> None:
    model = classifier(domain)
    CHANGES[change](model)
    np.testing.assert_array_equal(outputs(model), outputs(classifier()))
    changed = complete(model)
    assert changed.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    assert [value.name for value in changed.graph.input] == ["global_in"] and len(changed.graph.output) == 1
    assert {entry.domain for entry in changed.opset_import} >= {node.domain for node in changed.graph.node}


@pytest.mark.parametrize("second", [False, True])
def test_a_trunc_without_import_is_of_the_version_that_its_inputs_tell(second: bool) -> None:
    graph = Graph((1, 1, 1, 256), "INT8")
    y = graph.quant(graph.node("Conv", "global_in", graph.weights([[[[1]]]]), kernel_shape=(1, 1)), 1.0, 8, signed=1)
    parameters = (1.0, 0.0, 8.0, 4.0, 4.0) if second else (1.0, 0.0, 8.0, 4.0)
    attributes = {"rounding_mode": "FLOOR", **({"signed": 1, "narrow": 0} if second else {})}
    y = graph.node("Trunc", y, *parameters, domain=QONNX, **attributes)
    whole = graph.unchecked(y, quantizers=2 if second else 1).model
    bare = ModelProto.FromString(whole.SerializeToString())
    del bare.opset_import[1:]
    codes = np.arange(-128, 128).reshape(1, 1, 256, 1)
    results = [lower(model).network for model in (whole, bare)]
    ours = [network.head.dequantize(reference.output(network, codes)) for network in results]
    np.testing.assert_array_equal(*ours)


def _cycle(model: ModelProto) -> None:
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    conv.input[0] = relu.output[0]


def _twice(model: ModelProto) -> None:
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    model.graph.node.append(relu)


def _unknown(model: ModelProto) -> None:
    next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Rectify"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_cycle, r"node 'Conv_\d' \(Conv\): needs its own output; the graph has a cycle"),
        (_twice, r"tensor 'relu\d' is computed by two nodes, expected one"),
        (_unknown, r"node 'Relu_\d' \(Rectify\): this operator has no integer form"),
    ],
)
def test_graphs_that_are_none_are_refused(change: Callable[[ModelProto], None], reason: str) -> None:
    model = classifier()
    change(model)
    with pytest.raises(LoweringError, match=reason):
        lower(model)


def test_a_tensor_is_dequantized_once_however_often_it_is_read() -> None:
    graph = Graph((1, 3, 4, 4), "INT8")
    scale, zero = np.float32(0.5), graph.constant(3, np.int8)
    q = graph.node("QuantizeLinear", graph.node("Mul", "global_in", np.float32(0.7)), scale, zero)
    parts = [graph.node("DequantizeLinear", q, scale, zero) for _ in range(3)]
    weights = graph.weights(np.ones((2, 3, 1, 1)))
    ends = [graph.node("Conv", part, weights, kernel_shape=(1, 1)) for part in parts]
    model = graph.model(graph.node("Concat", *ends, axis=1)).model
    changed = complete(ModelProto.FromString(model.SerializeToString()))
    assert [node.op_type for node in changed.graph.node].count("DequantizeLinear") == 1
    network = lower(model).network
    assert [type(stage).__name__ for stage in network.stages].count("Threshold") == 1
