"""Ways to spoil a model file."""

from __future__ import annotations

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto


def spoiled(model: ModelProto, rng: np.random.Generator) -> bytes:
    """The model's file, cut, with other bytes in it, or with its parts changed about: one to three times."""
    if rng.random() < 0.4:
        return _bytes_changed(model.SerializeToString(), rng)
    proto = ModelProto()
    proto.CopyFrom(model)
    for _ in range(rng.integers(1, 4)):
        CHANGES[rng.integers(len(CHANGES))](proto.graph, rng)
    return bytes(proto.SerializeToString())


def _bytes_changed(data: bytes, rng: np.random.Generator) -> bytes:
    spoilt = bytearray(data)
    if rng.random() < 0.2:
        return bytes(spoilt[: rng.integers(len(spoilt))])
    for _ in range(rng.integers(1, 6)):
        position = rng.integers(len(spoilt))
        spoilt[position] = rng.integers(256) if rng.random() < 0.5 else spoilt[position] ^ (1 << rng.integers(8))
    return bytes(spoilt)


def _node(graph: GraphProto, rng: np.random.Generator) -> NodeProto:
    return graph.node[rng.integers(len(graph.node))] if graph.node else NodeProto()


def _tensor(graph: GraphProto, rng: np.random.Generator) -> TensorProto:
    return graph.initializer[rng.integers(len(graph.initializer))] if graph.initializer else TensorProto()


def _names(graph: GraphProto) -> list[str]:
    return [
        *(i.name for i in graph.initializer),
        *(o for n in graph.node for o in n.output),
        "global_in",
        "",
        "nowhere",
    ]


def _input_exchanged(graph: GraphProto, rng: np.random.Generator) -> None:
    node = _node(graph, rng)
    if node.input:
        node.input[rng.integers(len(node.input))] = _names(graph)[rng.integers(len(_names(graph)))]


def _input_dropped(graph: GraphProto, rng: np.random.Generator) -> None:
    node = _node(graph, rng)
    if node.input:
        del node.input[rng.integers(len(node.input))]


def _input_added(graph: GraphProto, rng: np.random.Generator) -> None:
    _node(graph, rng).input.append(_names(graph)[rng.integers(len(_names(graph)))])


def _node_dropped(graph: GraphProto, rng: np.random.Generator) -> None:
    if graph.node:
        del graph.node[rng.integers(len(graph.node))]


def _operator_exchanged(graph: GraphProto, rng: np.random.Generator) -> None:
    _node(graph, rng).op_type = str(rng.choice(OPERATORS))


def _attribute_changed(graph: GraphProto, rng: np.random.Generator) -> None:
    node = _node(graph, rng)
    if not node.attribute:
        node.attribute.append(AttributeProto(name="axis", type=AttributeProto.INT, i=int(rng.integers(-5, 6))))
        return
    attribute = node.attribute[rng.integers(len(node.attribute))]
    numbers = [int(n) for n in rng.choice([-(1 << 40), -1, 0, 1, 2, 7, 1 << 20, 1 << 40], rng.integers(0, 5))]
    kind = rng.integers(4)
    if kind == 0:
        del attribute.ints[:]
        attribute.ints.extend(numbers)
    elif kind == 1:
        attribute.i = numbers[0] if numbers else 0
    elif kind == 2:
        attribute.type = int(rng.integers(1, 9))
    else:
        attribute.name = str(rng.choice(["axis", "pads", "kernel_shape", "mode", "group", "nothing"]))


def _shape_changed(graph: GraphProto, rng: np.random.Generator) -> None:
    tensor = _tensor(graph, rng)
    if tensor.dims and rng.random() < 0.5:
        tensor.dims[rng.integers(len(tensor.dims))] = int(rng.choice([-1, 0, 1, 3, 1 << 33]))
    elif graph.input:
        dims = graph.input[0].type.tensor_type.shape.dim
        if dims:
            dims[rng.integers(len(dims))].dim_value = int(rng.choice([-1, 0, 1, 2, 5, 1 << 33]))


def _values_changed(graph: GraphProto, rng: np.random.Generator) -> None:
    """Numbers that no exporter writes: not finite, none, of another type."""
    tensor = _tensor(graph, rng)
    if rng.random() < 0.3:
        tensor.data_type = int(rng.integers(0, 24))
    elif tensor.raw_data:
        count = len(tensor.raw_data) // 4
        values = rng.choice([np.nan, np.inf, -np.inf, 0, -1, 1e38, 0.3, 1e-40], count).astype(np.float32)
        tensor.raw_data = values.tobytes()


def _outputs_changed(graph: GraphProto, rng: np.random.Generator) -> None:
    if not graph.output or rng.random() < 0.2:
        del graph.output[:]
        return
    graph.output[rng.integers(len(graph.output))].name = _names(graph)[rng.integers(len(_names(graph)))]


def _node_repeated(graph: GraphProto, rng: np.random.Generator) -> None:
    graph.node.append(_node(graph, rng))


OPERATORS = (
    "Conv", "ConvTranspose", "MatMul", "Gemm", "MaxPool", "AveragePool", "GlobalAveragePool", "Relu", "Quant", "Trunc",
    "BipolarQuant", "MultiThreshold", "Add", "Concat", "Pad", "Slice", "Split", "Resize", "Reshape", "Transpose",
    "Gather", "TopK", "ArgMax", "Softmax", "LSTM", "Attention", "If", "Loop", "Constant", "Shape", "Cast", "Im2Col",
    "QLinearConv", "QGemm", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "RequantShift", "Tile",
)  # fmt: skip
CHANGES = (
    _input_exchanged, _input_dropped, _input_added, _node_dropped, _operator_exchanged, _attribute_changed,
    _shape_changed, _values_changed, _outputs_changed, _node_repeated,
)  # fmt: skip
