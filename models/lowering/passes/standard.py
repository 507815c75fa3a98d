"""One name and one place for everything: domains, functions, sparse tensors, opset imports."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import onnx
from google.protobuf.message import Message
from onnx import GraphProto, ModelProto, SparseTensorProto, TensorProto, helper, numpy_helper
from onnx.inliner import inline_local_functions

from bitswath.errors import LoweringError
from bitswath.models.lowering.chains.chain import in_a_line
from bitswath.models.lowering.chains.links import QUANTIZERS
from bitswath.models.lowering.passes.rewriting import QONNX

__all__ = ["inlined", "require_text", "standard"]

OLDEST_OPSET = 7
"""Whose operators onnxruntime, and with it qonnx, executes."""
QUANTIZER_DOMAINS = ("", "finn", "finn.custom_op.general")
"""Where exporters other than Brevitas leave the quantizers that qonnx executes in its own domain."""
TRUNC_INPUTS = 6
"""Of the second version of QONNX's Trunc."""
MICROSOFT_TWINS = ("QuantizeLinear", "DequantizeLinear")
"""Of ONNX Runtime's own domain, as ONNX has them."""


def require_text(model: ModelProto) -> None:
    """Raises `LoweringError` for names that are no text, of which protobuf makes bytes or an error of its own."""
    try:
        whole = all(isinstance(name, str) for name in _strings(model))
    except UnicodeDecodeError:
        whole = False
    if not whole:
        raise LoweringError("a node, tensor or domain of the file has a name that is no text; restore the file")


def _strings(message: Message) -> Iterator[object]:
    """Every string of a message and of those within it."""
    for field, value in message.ListFields():
        values = (value,) if isinstance(value, str | bytes | Message) else value
        if field.type == field.TYPE_STRING:
            yield from values
        elif field.type == field.TYPE_MESSAGE:
            for part in values:
                yield from _strings(part)


def inlined(model: ModelProto) -> ModelProto:
    """The model without local functions."""
    if not model.functions:
        return model
    try:
        return inline_local_functions(model)
    except Exception as error:  # the C++ inliner's errors have no common type
        raise LoweringError(f"the model's local functions cannot be inlined: {in_a_line(error)}") from error


def standard(model: ModelProto) -> None:
    """Names "ai.onnx" the standard domain, puts quantizers into QONNX's, makes sparse tensors dense, and drops notes
    that tools leave as attributes no version of an operator has, such as QuantLab's `mult_bits` of Mul."""
    graph = model.graph
    for item in (*model.opset_import, *graph.node):
        if item.domain == "ai.onnx":
            item.domain = ""
    for node in graph.node:
        if node.op_type in QUANTIZERS and node.domain in QUANTIZER_DOMAINS:
            node.domain = QONNX
        if node.op_type in MICROSOFT_TWINS and node.domain == "com.microsoft":
            node.domain = ""
        known = _standard_attributes().get(node.op_type) if not node.domain else None
        for attribute in list(node.attribute):
            if known is not None and attribute.name not in known:
                node.attribute.remove(attribute)
            elif node.op_type == "Constant" and attribute.name == "sparse_value":
                attribute.CopyFrom(helper.make_attribute("value", _dense(attribute.sparse_tensor)))
    graph.initializer.extend(map(_dense, graph.sparse_initializer))
    del graph.sparse_initializer[:]
    _import_quantizers(model)
    _check_opset(model)
    _check_annotations(graph)


@cache
def _standard_attributes() -> dict[str, frozenset[str]]:
    """By operator of the standard domain, the attributes of all its versions."""
    known: dict[str, frozenset[str]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if not schema.domain:
            known[schema.name] = known.get(schema.name, frozenset()) | schema.attributes.keys()
    return known


def _import_quantizers(model: ModelProto) -> None:
    """Imports the domains of quantizers that the file does not, in the version that their nodes are of."""
    imported = {entry.domain for entry in model.opset_import}
    quantizers = [node for node in model.graph.node if node.op_type in QUANTIZERS]
    for domain in sorted({node.domain for node in quantizers} - imported - {""}):
        second = any(node.op_type == "Trunc" and len(node.input) == TRUNC_INPUTS for node in quantizers)
        model.opset_import.append(helper.make_opsetid(domain, 2 if second else 1))


def _dense(sparse: SparseTensorProto) -> TensorProto:
    """Its indices are flat, or one row of coordinates a value."""
    name = sparse.values.name
    try:
        values, indices = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
        dense = np.zeros(tuple(sparse.dims), values.dtype)
        flat = indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), dense.shape)
        dense.reshape(-1)[flat] = values
    except (ValueError, IndexError, TypeError) as error:
        raise LoweringError(f"sparse tensor {name!r} is damaged: {in_a_line(error)}") from error
    return numpy_helper.from_array(dense, name)


def _check_opset(model: ModelProto) -> None:
    newest = onnx.defs.onnx_opset_version()
    for entry in model.opset_import:
        if not entry.domain and not OLDEST_OPSET <= entry.version <= newest:
            raise LoweringError(
                f"the model is of operator set {entry.version}, read are {OLDEST_OPSET} to {newest};"
                " export it again, or convert it with onnx.version_converter"
            )


def _check_annotations(graph: GraphProto) -> None:
    names = [annotation.tensor_name for annotation in graph.quantization_annotation]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise LoweringError(f"tensor {twice!r} is annotated {names.count(twice)} times, expected once; export it again")
