"""An inference request, from JSON with binary tensors behind it, and the answer in the same form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bitswath.errors import InputError
from bitswath.serving.protocol.tensors import (
    BYTES,
    DATATYPES,
    Parameters,
    Tensor,
    from_binary,
    from_json,
    to_binary,
    to_json,
)

__all__ = ["Answer", "InferRequest", "Wanted", "as_body", "checked_shape", "json_of", "read_request"]

_MOST_DIMENSIONS = 8
_SMALL_BYTES = 1024
_Name = Annotated[str, Field(min_length=1, max_length=256)]
_Parameters = Annotated[Parameters, Field(max_length=64)]


class _Form(BaseModel):
    """Keys that are not known are left alone: other servers' clients send them."""

    model_config = ConfigDict(strict=True, frozen=True)


class RequestInput(_Form):
    """`data`, or a `binary_data_size` among the parameters."""

    name: _Name
    shape: Annotated[list[Annotated[int, Field(ge=0, lt=1 << 63)]], Field(max_length=_MOST_DIMENSIONS)]
    datatype: _Name
    parameters: _Parameters | None = None
    data: list[Any] | None = None


class RequestOutput(_Form):
    name: _Name
    parameters: _Parameters | None = None


class RequestForm(_Form):
    """`$inference_request` of the Open Inference Protocol."""

    id: Annotated[str, Field(max_length=4096)] | None = None
    parameters: _Parameters | None = None
    inputs: Annotated[list[RequestInput], Field(max_length=16)]
    outputs: Annotated[list[RequestOutput], Field(max_length=64)] | None = None


@dataclass(frozen=True)
class Wanted:
    """An output that was asked for. `classification`: so many best classes in its place."""

    name: str
    binary: bool = False
    classification: int | None = None


@dataclass(frozen=True, eq=False)
class InferRequest:
    """`outputs`: None for all; `binary`: what holds for outputs that are not named."""

    id: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Wanted, ...] | None
    parameters: Parameters = field(default_factory=dict)
    binary: bool = False


@dataclass(frozen=True, eq=False)
class Answer:
    """`outputs`: each with whether it goes as binary data."""

    model_name: str
    model_version: str
    id: str
    outputs: tuple[tuple[Tensor, bool], ...]


def json_of(body: bytes | memoryview) -> Any:
    """A JSON document. Raises `InputError`, also for NaN and infinities, which JSON has not."""
    try:
        return pydantic_core.from_json(bytes(body), allow_inf_nan=False, cache_strings="none")
    except ValueError as error:
        raise InputError(f"the body is no JSON: {error}") from None


def read_request(body: bytes, header_length: int | None, most_json_bytes: int) -> InferRequest:
    """A request's body; `header_length`: bytes of JSON before binary data, None: all of it.

    Raises `InputError` that says what of it is wrong. Nothing in it is believed before it was compared with the bytes
    that are there.
    """
    if header_length is not None and not 0 <= header_length <= len(body):
        raise InputError(f"expected Inference-Header-Content-Length up to {len(body)}, the body's, got {header_length}")
    json_bytes = len(body) if header_length is None else header_length
    if json_bytes > most_json_bytes:
        raise InputError(
            f"expected at most {most_json_bytes} bytes of JSON, got {json_bytes}; send tensors as binary data"
        )
    asked = (_asked_before if json_bytes <= _SMALL_BYTES else _asked)(body[:json_bytes])
    inputs, rest = [], memoryview(body)[json_bytes:]
    for entry in asked.form.inputs:
        tensor, rest = _tensor(entry, rest)
        inputs.append(tensor)
    if rest:
        raise InputError(f"{len(rest)} bytes of binary data belong to no input")
    form = asked.form
    return InferRequest(form.id or "", tuple(inputs), asked.outputs, form.parameters or {}, asked.binary)


def as_body(answer: Answer) -> tuple[bytes, int | None]:
    """The body of an answer, and the length of the JSON in it if binary data follow."""
    parts: list[bytes] = []
    outputs = []
    for tensor, binary in answer.outputs:
        entry: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if binary:
            parts.append(to_binary(tensor.data))
            entry["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            entry["data"] = to_json(tensor.data)
        outputs.append(entry)
    document: dict[str, Any] = {"model_name": answer.model_name, "model_version": answer.model_version}
    if answer.id:
        document["id"] = answer.id
    header = pydantic_core.to_json({**document, "outputs": outputs})
    return b"".join([header, *parts]), len(header) if parts else None


def checked_shape(name: str, datatype: str, shape: Sequence[int]) -> tuple[int, ...]:
    """Raises `InputError` for an unknown datatype, or a shape that no array has."""
    if datatype not in DATATYPES and datatype != BYTES:
        raise InputError(f"{name}: expected a datatype of {', '.join((*DATATYPES, BYTES))}, got {datatype[:40]!r}")
    if len(shape) > _MOST_DIMENSIONS or any(extent < 0 for extent in shape) or math.prod(shape) >= 1 << 40:
        raise InputError(f"{name}: no tensor has the shape {str(list(shape))[:120]}")
    return tuple(shape)


class _Asked(NamedTuple):
    """The JSON of a request, and what of `InferRequest` is in it alone."""

    form: RequestForm
    outputs: tuple[Wanted, ...] | None
    binary: bool


def _asked(data: bytes) -> _Asked:
    form = _form(data)
    binary = _flag(form.parameters or {}, "binary_data_output", False)
    return _Asked(form, tuple(_wanted(output, binary) for output in form.outputs or ()) or None, binary)


_asked_before = lru_cache(maxsize=128)(_asked)
"""With binary data behind it, a client's JSON is the same for all its requests."""


def _form(data: bytes) -> RequestForm:
    document = json_of(data)
    try:
        return RequestForm.model_validate(document)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the request"
        raise InputError(f"{where[:120]}: {first['msg']}") from None


def _tensor(entry: RequestInput, rest: memoryview) -> tuple[Tensor, memoryview]:
    """An input, and the binary data behind its own."""
    shape = checked_shape(entry.name, entry.datatype, entry.shape)
    parameters = entry.parameters or {}
    size = parameters.get("binary_data_size")
    if (size is None) == (entry.data is None):
        raise InputError(f"{entry.name}: expected either data or the parameter binary_data_size")
    if entry.data is not None:
        data = from_json(entry.name, entry.datatype, shape, entry.data)
        return Tensor(entry.name, entry.datatype, shape, data, parameters), rest
    if type(size) is not int or not 0 <= size <= len(rest):
        raise InputError(
            f"{entry.name}: says binary_data_size {str(size)[:40]}, {len(rest)} bytes of binary data are left"
        )
    data = from_binary(entry.name, entry.datatype, shape, rest[:size])
    return Tensor(entry.name, entry.datatype, shape, data, parameters), rest[size:]


def _wanted(output: RequestOutput, binary: bool) -> Wanted:
    parameters = output.parameters or {}
    count = parameters.get("classification")
    if count is not None and (type(count) is not int or count < 0):
        raise InputError(f"{output.name}: expected classification as a number of classes, got {str(count)[:40]}")
    return Wanted(output.name, _flag(parameters, "binary_data", binary), count or None)


def _flag(parameters: Parameters, name: str, otherwise: bool) -> bool:
    value = parameters.get(name, otherwise)
    if not isinstance(value, bool):
        raise InputError(f"{name}: expected true or false, got {str(value)[:40]}")
    return value
