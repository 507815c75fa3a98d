"""Tensors on the wire: the protocol's datatypes, data in JSON (flat or nested) and in binary."""

from __future__ import annotations

import base64
import binascii
import math
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import InputError

__all__ = [
    "BYTES",
    "DATATYPES",
    "Parameters",
    "Tensor",
    "datatype_of",
    "from_binary",
    "from_json",
    "to_binary",
    "to_json",
]

Parameters = dict[str, bool | int | float | str]

BYTES = "BYTES"
DATATYPES = {
    "BOOL": np.dtype(bool),
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
}
"""By its name, how elements lie in binary data; beside them there is `BYTES`, strings that begin with their length."""

_NAMES = {dtype: name for name, dtype in DATATYPES.items()}
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, eq=False)
class Tensor:
    """`data`: an array of `shape`, of bytes objects a list of all elements in row-major order."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Any
    parameters: Parameters = field(default_factory=dict)

    @property
    def array(self) -> NDArray[Any]:
        """Raises `InputError` for bytes objects."""
        if self.datatype == BYTES:
            raise InputError(f"{self.name}: expected numbers, got {BYTES}")
        array: NDArray[Any] = self.data
        return array


def datatype_of(dtype: np.dtype[Any]) -> str:
    """The protocol's name of a NumPy type."""
    return _NAMES[dtype.newbyteorder("<")]


def from_binary(name: str, datatype: str, shape: tuple[int, ...], data: memoryview) -> Any:
    """`Tensor.data` of binary data, little-endian and row-major, without a copy. Raises `InputError` if its length or
    one in it is not what it must be."""
    count = math.prod(shape)
    if datatype == BYTES:
        return _split(name, data, count)
    dtype = DATATYPES[datatype]
    if len(data) != count * dtype.itemsize:
        raise InputError(
            f"{name}: expected {count * dtype.itemsize} bytes of {datatype} {list(shape)}, got {len(data)}"
        )
    if datatype == "BOOL" and np.frombuffer(data, np.uint8).max(initial=0) > 1:
        raise InputError(f"{name}: expected BOOL as bytes 0 and 1")
    return np.frombuffer(data, dtype).reshape(shape)


def from_json(name: str, datatype: str, shape: tuple[int, ...], data: list[Any]) -> Any:
    """`Tensor.data` of a JSON array, flat or nested as `shape` says; bytes objects are strings in Base64.

    Numbers keep their value or are refused: 7.0 is 7 to an integer (some clients write all numbers so), 7.5 and 1e300
    are errors. Raises `InputError`.
    """
    flat = _flattened(name, shape, data)
    kinds: set[type] = {str} if datatype == BYTES else {bool} if datatype == "BOOL" else {int, float}
    if not kinds.issuperset(map(type, flat)):
        wanted = "strings in Base64" if datatype == BYTES else "true and false" if datatype == "BOOL" else "numbers"
        raise InputError(f"{name}: expected {wanted} for {datatype}, got others")
    if datatype == BYTES:
        return [_decoded(name, text) for text in flat]
    dtype = DATATYPES[datatype]
    if dtype.kind in "iu":
        if not all(type(number) is int or number.is_integer() for number in flat):
            raise InputError(f"{name}: expected whole numbers for {datatype}, got others")
        flat = list(map(int, flat))
    if flat and dtype.kind != "b":
        limits = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
        if min(flat) < limits.min or max(flat) > limits.max:
            raise InputError(f"{name}: expected numbers from {limits.min} to {limits.max} for {datatype}, got others")
    return np.array(flat, dtype).reshape(shape)


def to_binary(data: Any) -> bytes:
    """An array, or bytes objects, as binary data."""
    if isinstance(data, np.ndarray):
        return data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes()
    return b"".join(part for item in data for part in (_LENGTH.pack(len(item)), item))


def to_json(data: Any) -> list[Any]:
    """An array, or bytes objects that are UTF-8, flat."""
    if isinstance(data, np.ndarray):
        values: list[Any] = data.reshape(-1).tolist()
        return values
    return [item.decode() for item in data]


def _split(name: str, data: memoryview, count: int) -> list[memoryview]:
    items: list[memoryview] = []
    at = 0
    while at < len(data) and len(items) <= count:
        if at + _LENGTH.size > len(data):
            raise InputError(f"{name}: the length of element {len(items)} is cut off")
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if at + length > len(data):
            raise InputError(f"{name}: element {len(items)} says {length} bytes, {len(data) - at} are left")
        items.append(data[at : at + length])
        at += length
    if len(items) != count:
        raise InputError(f"{name}: expected {count} elements, got {'more' if len(items) > count else len(items)}")
    return items


def _decoded(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InputError(f"{name}: expected strings in Base64 for {BYTES}") from None


def _flattened(name: str, shape: tuple[int, ...], data: list[Any]) -> list[Any]:
    """All elements, however they lie in lists. No array is made before their types are known: NumPy gives strings of
    different lengths the room of the longest."""
    if len(data) == math.prod(shape) and not (data and type(data[0]) is list):
        return data
    rows: list[Any] = [data]
    for extent in shape:
        if any(type(row) is not list or len(row) != extent for row in rows):
            raise InputError(f"{name}: expected data of {list(shape)}, nested so or flat")
        rows = [item for row in rows for item in row]
    return rows
