"""Messages to requests, and answers to messages."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bitswath.errors import InputError
from bitswath.serving.grpc.messages import message
from bitswath.serving.protocol.requests import Answer, InferRequest, Wanted, checked_shape
from bitswath.serving.protocol.tensors import BYTES, DATATYPES, Parameters, Tensor, from_binary, to_binary

__all__ = ["as_response", "read_message"]

_CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}


def read_message(request: Any) -> InferRequest:
    """A ModelInferRequest. Raises `InputError` that says what of it is wrong."""
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InputError(f"expected raw_input_contents for {len(request.inputs)} inputs, got {len(raw)}")
    inputs = tuple(_tensor(entry, raw[index] if raw else None) for index, entry in enumerate(request.inputs))
    outputs = tuple(_wanted(output) for output in request.outputs) or None
    return InferRequest(request.id, inputs, outputs, _parameters(request.parameters), binary=True)


def as_response(answer: Answer) -> Any:
    """A ModelInferResponse with raw contents."""
    response = message("ModelInferResponse")(
        model_name=answer.model_name, model_version=answer.model_version, id=answer.id
    )
    for tensor, _ in answer.outputs:
        response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        response.raw_output_contents.append(to_binary(tensor.data))
    return response


def _tensor(entry: Any, raw: bytes | None) -> Tensor:
    shape = checked_shape(entry.name, entry.datatype, entry.shape)
    if raw is not None:
        if entry.HasField("contents"):
            raise InputError(f"{entry.name[:80]}: expected either contents or raw_input_contents")
        data = from_binary(entry.name, entry.datatype, shape, memoryview(raw))
    else:
        data = _from_contents(entry, shape)
    return Tensor(entry.name, entry.datatype, shape, data, _parameters(entry.parameters))


def _from_contents(entry: Any, shape: tuple[int, ...]) -> Any:
    if entry.datatype not in _CONTENTS:
        raise InputError(f"{entry.name[:80]}: expected raw_input_contents for {entry.datatype}")
    field = _CONTENTS[entry.datatype]
    values = getattr(entry.contents, field)
    if len(values) != math.prod(shape):
        raise InputError(f"{entry.name[:80]}: expected {math.prod(shape)} values in {field}, got {len(values)}")
    if entry.datatype == BYTES:
        return list(values)
    array, dtype = np.array(values), DATATYPES[entry.datatype]
    if array.size and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if array.min() < limits.min or array.max() > limits.max:
            raise InputError(f"{entry.name[:80]}: expected {entry.datatype} from {limits.min} to {limits.max}")
    return array.astype(dtype).reshape(shape)


def _parameters(given: Any) -> Parameters:
    return {name: getattr(value, value.WhichOneof("parameter_choice") or "bool_param") for name, value in given.items()}


def _wanted(output: Any) -> Wanted:
    count = _parameters(output.parameters).get("classification")
    if count is not None and (type(count) is not int or count < 0):
        raise InputError(f"{output.name[:80]}: expected classification as a number of classes, got {str(count)[:40]}")
    return Wanted(output.name, True, count or None)
