"""An ONNX file as one model that is complete in itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    numpy_helper,
)
from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_tensor, uses_external_data

from bitswath.errors import LoweringError
from bitswath.models.lowering.chains.chain import in_a_line
from bitswath.models.lowering.passes import canonical

__all__ = ["complete", "read_model"]

LARGEST_MODEL = (1 << 31) - 1
"""Bytes that one protobuf message, and so one ONNX file, can hold."""


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
    """The same model, changed in place where it can be, with nothing in it that `lower` and qonnx do not know."""
    return canonical(model)


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


def _too_large(path: Path, size: int) -> LoweringError:
    return LoweringError(
        f"{path}: holds {size:,} bytes with its external data; one ONNX file can hold {LARGEST_MODEL:,}"
    )
