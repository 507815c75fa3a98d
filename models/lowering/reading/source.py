"""An ONNX file as one model that is complete in itself and that qonnx executes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)
from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_tensor, uses_external_data
from onnx.inliner import inline_local_functions

from bitswath.errors import LoweringError
from bitswath.models.lowering.chains.chain import in_a_line
from bitswath.models.lowering.chains.links import QUANTIZERS

__all__ = ["complete", "read_model"]

LARGEST_MODEL = (1 << 31) - 1
"""Bytes that one protobuf message, and so one ONNX file, can hold."""
OLDEST_OPSET = 7
"""Whose operators onnxruntime, and with it qonnx, executes."""
QUANTIZER_DOMAINS = ("", "finn", "finn.custom_op.general")
"""Where exporters other than Brevitas leave the quantizers that qonnx executes in its own domain."""


def read_model(path: str | Path) -> ModelProto:
    """The model of a file with all its weights in it, wherever they are stored, as `complete` gives it.

    Raises `LoweringError` that names the tensor and the file of weights that are missing, cut short or outside the
    model's folder, and for a model over 2 GB.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_MODEL:
            raise _too_large(path, path.stat().st_size)
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise LoweringError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise LoweringError(f"{path}: not an ONNX file: {in_a_line(error)}") from error
    _take_in(model, path)
    return complete(model)


def complete(model: ModelProto) -> ModelProto:
    """The same model, changed in place where it can be, with nothing in it that qonnx does not know.

    Local functions are inlined, sparse tensors dense, "ai.onnx" is the standard domain, quantizers are in
    QONNX's, and a tensor has one value info.
    """
    if model.functions:
        try:
            model = inline_local_functions(model)
        except Exception as error:  # the C++ inliner's errors have no common type
            raise LoweringError(f"the model's local functions cannot be inlined: {in_a_line(error)}") from error
    graph = model.graph
    for item in (*model.opset_import, *graph.node):
        if item.domain == "ai.onnx":
            item.domain = ""
    for node in graph.node:
        if node.op_type in QUANTIZERS and node.domain in QUANTIZER_DOMAINS:
            node.domain = "qonnx.custom_op.general"
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "sparse_value":
                attribute.CopyFrom(helper.make_attribute("value", _dense(attribute.sparse_tensor)))
    graph.initializer.extend(map(_dense, graph.sparse_initializer))
    del graph.sparse_initializer[:]
    _check_opset(model)
    _check_annotations(graph)
    _describe_once(graph)
    _settle_batch(graph)
    return model


def _take_in(model: ModelProto, path: Path) -> None:
    """Reads external data into the model."""
    total = model.ByteSize()
    for tensor in _tensors(model):
        if not uses_external_data(tensor):
            continue
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        try:
            info = ExternalDataInfo(tensor)
            total += info.length or (path.parent / location).stat().st_size - (info.offset or 0)
            if total > LARGEST_MODEL:
                raise _too_large(path, total)
            load_external_data_for_tensor(tensor, str(path.parent))
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]
            numpy_helper.to_array(tensor)
        except LoweringError:
            raise
        except (OSError, ValueError, TypeError, onnx.checker.ValidationError) as error:
            raise LoweringError(
                f"{path}: tensor {tensor.name!r}: its external data in {location!r} cannot be taken in"
                f" ({in_a_line(error)}); keep the model's data files beside it, complete, as they were written"
            ) from error


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _node_tensors(function.node)


def _graph_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from _attribute_tensors(attribute)


def _attribute_tensors(attribute: AttributeProto) -> Iterator[TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    sparse = [*attribute.sparse_tensors, *([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else ())]
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)
    for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
        yield from _graph_tensors(graph)


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


def _describe_once(graph: GraphProto) -> None:
    """Of the descriptions of one tensor the first stays: an input's, an output's, then the others."""
    fed = {value.name for value in graph.input}
    computed = next((value.name for value in graph.output if value.name in fed), None)
    if computed is not None:
        raise LoweringError(f"output {computed!r}: no node computes it, it is the graph's input")
    known: set[str] = set()
    for values in (graph.input, graph.output, graph.value_info):
        kept = []
        for value in values:
            if value.name not in known:
                known.add(value.name)
                kept.append(value)
        if len(kept) < len(values):
            del values[:]
            values.extend(kept)


def _settle_batch(graph: GraphProto) -> None:
    """A batch of any size is one of 1, wherever it is named."""
    stored = {tensor.name for tensor in graph.initializer}
    shapes = [v.type.tensor_type.shape for v in (*graph.input, *graph.output, *graph.value_info)]
    names = {v.type.tensor_type.shape.dim[0].dim_param for v in graph.input if v.name not in stored and _dims(v)}
    for dim in (dim for shape in shapes for dim in shape.dim):
        if dim.dim_param and dim.dim_param in names:
            dim.dim_value = 1


def _dims(value: ValueInfoProto) -> int:
    return len(value.type.tensor_type.shape.dim)


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


def _too_large(path: Path, size: int) -> LoweringError:
    return LoweringError(
        f"{path}: holds {size:,} bytes with its external data; one ONNX file can hold {LARGEST_MODEL:,}"
    )
