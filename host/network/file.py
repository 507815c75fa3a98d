"""An integer network in one safetensors file.

Arrays are tensors named ``<stage>.<field>`` in the narrowest integer type that holds them;
the graph is JSON in the header's metadata. Nothing in the file names code: a stage's kind is
looked up in the forms below, and every array's type, rank and size is checked before it is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import safetensors
from numpy.typing import NDArray
from pydantic import Field
from safetensors.numpy import save as to_safetensors

from bitswath.basics.files import write_atomic
from bitswath.basics.schema import Schema, build, parse_json
from bitswath.errors import NetworkError
from bitswath.network.network import (
    Add,
    ArgMax,
    Concat,
    Conv,
    Dense,
    Head,
    Lookup,
    MaxPool,
    Network,
    Stage,
    SumPool,
    Take,
    TensorSpec,
    Threshold,
)

__all__ = ["MAX_TENSOR_SIZE", "load_network", "network_bytes", "save_network"]

MAX_TENSOR_SIZE = 1 << 28
"""Most values that one tensor of a frame may have, so that a file cannot ask for all memory."""

_MAX_ACCUMULATOR = 1 << 62
_METADATA_KEY = "network"

_Int = Annotated[int, Field(ge=-(1 << 31), lt=1 << 31)]
_Name = Annotated[str, Field(min_length=1, max_length=512)]
_Pair = tuple[_Int, _Int]
_Pads = tuple[_Int, _Int, _Int, _Int]
_Shape = Annotated[tuple[Annotated[int, Field(ge=1, lt=1 << 31)], ...], Field(min_length=1, max_length=3)]


@dataclass(frozen=True)
class _Array:
    """What an array in the file may be: its rank and its types, narrowest first."""

    rank: int
    dtypes: tuple[str, ...] = ("int8", "uint8", "int16", "uint16", "int32")
    may_be_empty: bool = False


_HEAD_ARRAY = _Array(1, ("float64",))
_CODES = {
    "int8": "I8",
    "uint8": "U8",
    "int16": "I16",
    "uint16": "U16",
    "int32": "I32",
    "int64": "I64",
    "float64": "F64",
}


class _Form(Schema):
    """How a stage is written; subclasses add `op`, its kind, and its settings."""

    stage: ClassVar[type[Stage]]
    arrays: ClassVar[dict[str, _Array]] = {}

    op: str
    name: _Name
    inputs: tuple[_Name, ...]

    @classmethod
    def settings(cls) -> list[str]:
        """The stage's fields that are plain data."""
        return [name for name in cls.model_fields if name != "op"]


class _OneInput(_Form):
    inputs: tuple[_Name]


class _SomeInputs(_Form):
    inputs: Annotated[tuple[_Name, ...], Field(min_length=1)]


class _Conv(_OneInput):
    stage: ClassVar[type[Stage]] = Conv
    arrays: ClassVar[dict[str, _Array]] = {"weights": _Array(4)}
    op: Literal["Conv"] = "Conv"
    strides: _Pair
    pads: _Pads
    dilations: _Pair
    groups: _Int


class _Dense(_OneInput):
    stage: ClassVar[type[Stage]] = Dense
    arrays: ClassVar[dict[str, _Array]] = {"weights": _Array(2)}
    op: Literal["Dense"] = "Dense"


class _Threshold(_OneInput):
    stage: ClassVar[type[Stage]] = Threshold
    arrays: ClassVar[dict[str, _Array]] = {
        "thresholds": _Array(2, ("int8", "int16", "int32", "int64"), may_be_empty=True),
        "directions": _Array(1, ("int8",)),
    }
    op: Literal["Threshold"] = "Threshold"
    base: _Int
    step: _Int


class _Pool(_OneInput):
    kernel: _Pair
    strides: _Pair
    pads: _Pads


class _MaxPool(_Pool):
    stage: ClassVar[type[Stage]] = MaxPool
    op: Literal["MaxPool"] = "MaxPool"


class _SumPool(_Pool):
    stage: ClassVar[type[Stage]] = SumPool
    op: Literal["SumPool"] = "SumPool"


class _Add(_SomeInputs):
    stage: ClassVar[type[Stage]] = Add
    op: Literal["Add"] = "Add"
    multipliers: tuple[_Int, ...]


class _Concat(_SomeInputs):
    stage: ClassVar[type[Stage]] = Concat
    op: Literal["Concat"] = "Concat"


class _Lookup(_OneInput):
    stage: ClassVar[type[Stage]] = Lookup
    arrays: ClassVar[dict[str, _Array]] = {"table": _Array(3)}
    op: Literal["Lookup"] = "Lookup"


class _Take(_OneInput):
    stage: ClassVar[type[Stage]] = Take
    arrays: ClassVar[dict[str, _Array]] = {"index": _Array(1)}
    op: Literal["Take"] = "Take"
    shape: _Shape
    fill: _Int


class _ArgMax(_OneInput):
    stage: ClassVar[type[Stage]] = ArgMax
    op: Literal["ArgMax"] = "ArgMax"


_AnyForm = Annotated[
    _Conv | _Dense | _Threshold | _MaxPool | _SumPool | _Add | _Concat | _Lookup | _Take | _ArgMax,
    Field(discriminator="op"),
]
_FORMS: dict[type[Stage], type[_Form]] = {
    form.stage: form for form in (_Conv, _Dense, _Threshold, _MaxPool, _SumPool, _Add, _Concat, _Lookup, _Take, _ArgMax)
}


class _Input(Schema):
    shape: _Shape
    lo: _Int
    hi: _Int


class _Graph(Schema):
    schema_version: Literal[1] = 1
    input: _Input
    stages: tuple[_AnyForm, ...]
    softmax: bool


def save_network(network: Network, path: str | Path) -> None:
    """Write `network` atomically. Raises `NetworkError` for what the format cannot hold, `OSError`."""
    write_atomic(Path(path), network_bytes(network))


def network_bytes(network: Network) -> bytes:
    """The file's content; equal networks give equal bytes. Raises `NetworkError`."""
    arrays = {
        "head.scale": _narrowed("head.scale", network.head.scale, _HEAD_ARRAY),
        "head.offset": _narrowed("head.offset", network.head.offset, _HEAD_ARRAY),
    }
    forms = []
    for stage in network.stages:
        form = _FORMS.get(type(stage))
        if form is None:
            raise NetworkError(f"stage {stage.name!r}: {type(stage).__name__} has no written form")
        settings = {name: _plain(getattr(stage, name)) for name in form.settings()}
        forms.append(build(form, NetworkError, **settings))
        for name, rule in form.arrays.items():
            key = f"{stage.name}.{name}"
            if key in arrays:
                raise NetworkError(f"stage {stage.name!r}: its array {key!r} is taken, rename the stage")
            arrays[key] = _narrowed(key, getattr(stage, name), rule)
    source = {"shape": _plain(network.input.shape), "lo": _plain(network.input.lo), "hi": _plain(network.input.hi)}
    graph = build(
        _Graph,
        NetworkError,
        input=build(_Input, NetworkError, **source),
        stages=tuple(forms),
        softmax=bool(network.head.softmax),
    )
    text = json.dumps(graph.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    content: bytes = to_safetensors(arrays, {_METADATA_KEY: text})
    return content


def load_network(path: str | Path) -> Network:
    """Read a network; raises `NetworkError` naming the file and what in it does not fit."""
    path = Path(path)
    if not path.is_file():
        raise NetworkError(f"{path}: expected a network file, found {'no such file' if not path.exists() else 'none'}")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return _read(file)
    except (OSError, safetensors.SafetensorError) as error:
        raise NetworkError(f"{path}: not a readable safetensors file ({error})") from None
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from None


def _read(file: Any) -> Network:
    text = (file.metadata() or {}).get(_METADATA_KEY)
    if text is None:
        raise NetworkError(f"expected a {_METADATA_KEY!r} entry in the header, this file holds no network")
    graph = parse_json(_Graph, text, NetworkError)
    source = _input(graph.input)
    unread = set(file.keys())

    def take(key: str, rule: _Array) -> NDArray[Any]:
        if key not in unread:
            raise NetworkError(f"tensor {key!r} is missing")
        unread.discard(key)
        return _checked(file, key, rule)

    head = Head(take("head.scale", _HEAD_ARRAY), take("head.offset", _HEAD_ARRAY), graph.softmax)
    stages = tuple(_stage(form, take) for form in graph.stages)
    if unread:
        raise NetworkError(f"tensor {min(unread)!r} belongs to no stage")
    network = Network(source, stages, head)
    _check_limits(network)
    return network


def _input(form: _Input) -> TensorSpec:
    if form.lo > form.hi:
        raise NetworkError(f"input: expected lo <= hi, not {form.lo} > {form.hi}")
    if math.prod(form.shape) > MAX_TENSOR_SIZE:
        raise NetworkError(f"input: expected at most {MAX_TENSOR_SIZE} values a frame, not shape {form.shape}")
    return TensorSpec(form.shape, form.lo, form.hi)


def _stage(form: _Form, take: Callable[[str, _Array], NDArray[Any]]) -> Stage:
    arrays: dict[str, Any] = {name: take(f"{form.name}.{name}", rule) for name, rule in form.arrays.items()}
    if "thresholds" in arrays:
        arrays["thresholds"] = arrays["thresholds"].astype(np.int64)
    settings = {name: getattr(form, name) for name in form.settings()}
    return form.stage(**settings, **arrays)


def _checked(file: Any, key: str, rule: _Array) -> NDArray[Any]:
    entry = file.get_slice(key)
    shape, code = tuple(entry.get_shape()), entry.get_dtype()
    if code not in (_CODES[dtype] for dtype in rule.dtypes):
        raise NetworkError(f"tensor {key!r}: expected {' or '.join(rule.dtypes)}, not {code}")
    smallest = 0 if rule.may_be_empty else 1
    if len(shape) != rule.rank or not all(smallest <= n <= MAX_TENSOR_SIZE for n in shape):
        raise NetworkError(f"tensor {key!r}: expected {rule.rank} dimensions in bounds, not shape {shape}")
    array: NDArray[Any] = file.get_tensor(key)
    if not np.isfinite(array).all():
        raise NetworkError(f"tensor {key!r}: expected finite values")
    return array


def _check_limits(network: Network) -> None:
    """Sizes that fit in memory and sums that fit in 64 bits, stage by stage in order of computation."""
    for stage, sources in network.walk():
        spec = network.tensors[stage.name]
        if math.prod(spec.shape) > MAX_TENSOR_SIZE:
            raise NetworkError(
                f"stage {stage.name!r}: expected at most {MAX_TENSOR_SIZE} values a frame, not shape {spec.shape}"
            )
        if _largest(stage, sources, spec) >= _MAX_ACCUMULATOR:
            raise NetworkError(f"stage {stage.name!r}: its sums can exceed 62 bits, no accumulator holds them")


def _largest(stage: Stage, sources: tuple[TensorSpec, ...], spec: TensorSpec) -> float:
    """Upper bound of a stage's absolute values, in floats, which do not wrap around."""
    if not isinstance(stage, Conv | Dense):
        return float(max(-spec.lo, spec.hi))
    rows = np.abs(stage.weights.astype(np.float64)).reshape(len(stage.weights), -1)
    return float(rows.sum(axis=1).max()) * float(max(-sources[0].lo, sources[0].hi))


def _narrowed(key: str, array: NDArray[Any], rule: _Array) -> NDArray[Any]:
    """A contiguous copy in the first of the rule's types that holds every value."""
    array = np.asarray(array)
    if array.ndim != rule.rank or (array.size == 0 and not rule.may_be_empty):
        raise NetworkError(f"tensor {key!r}: expected {rule.rank} non-empty dimensions, not shape {array.shape}")
    for dtype in rule.dtypes:
        if dtype == "float64":
            if not np.isfinite(array).all():
                raise NetworkError(f"tensor {key!r}: expected finite values")
            return np.ascontiguousarray(array, dtype)
        limits = np.iinfo(dtype)
        if array.size == 0 or (array.min() >= limits.min and array.max() <= limits.max):
            return np.ascontiguousarray(array, dtype)
    raise NetworkError(f"tensor {key!r}: values {array.min()}..{array.max()} do not fit {rule.dtypes[-1]}")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(map(_plain, value))
    return int(value) if isinstance(value, np.integer) else value
