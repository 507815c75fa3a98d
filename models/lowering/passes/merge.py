"""A tensor that several nodes quantize or dequantize alike is so once."""

from __future__ import annotations

from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

__all__ = ["merged"]

MERGED = ("QuantizeLinear", "DequantizeLinear")
LARGEST = 1 << 16
"""Values of a constant that is looked into."""


def _content(tensor: TensorProto) -> tuple[object, ...]:
    """What tells a constant from another: its values if they are few, else its name."""
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError):  # damaged: who needs it says so
        return (tensor.name,)
    return (str(array.dtype), array.shape, array.tobytes()) if array.size <= LARGEST else (tensor.name,)


def merged(model: ModelProto) -> None:
    """Of nodes that compute the same of the same tensor the first stays, and the others' readers read its output."""
    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    contents: dict[str, tuple[object, ...]] = {}
    ends = {value.name for value in graph.output}
    renamed: dict[str, str] = {}
    first: dict[tuple[object, ...], str] = {}
    kept: list[NodeProto] = []

    def content(name: str) -> tuple[object, ...]:
        if name in stored and name not in contents:
            contents[name] = _content(stored[name])
        return contents.get(name, (name,))

    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = renamed.get(name, name)
        if node.op_type in MERGED and not node.domain and node.output[0] not in ends:
            attributes = tuple(sorted(attribute.SerializeToString() for attribute in node.attribute))
            key = (node.op_type, attributes, *map(content, node.input))
            if key in first:
                renamed[node.output[0]] = first[key]
                continue
            first[key] = node.output[0]
        kept.append(NodeProto.FromString(node.SerializeToString()))
    del graph.node[:]
    graph.node.extend(kept)
