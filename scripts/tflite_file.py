"""A TFLite flatbuffer from tensors and operators.

The schema is the one that TensorFlow ships, read alone: TensorFlow must not enter a process that measures.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import flatbuffers
import numpy as np
from flatbuffers import flexbuffers
from numpy.typing import DTypeLike, NDArray

from bitswath.errors import DependencyError

__all__ = ["PADDINGS", "TfliteFile", "same_pads", "schema"]

VERSION = 3
IDENTIFIER = b"TFL3"
OPERATORS = {
    "CONV_2D": ("Conv2DOptions", 3),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", 3),
    "FULLY_CONNECTED": ("FullyConnectedOptions", 4),
    "MAX_POOL_2D": ("Pool2DOptions", 2),
    "ADD": ("AddOptions", 2),
    "MEAN": ("ReducerOptions", 2),
    "PAD": ("PadOptions", 2),
    "PADV2": ("PadV2Options", 2),
}
"""The type of their options, and their first version with int8."""
CUSTOM = "CUSTOM"
KINDS = {"int8": "INT8", "int32": "INT32", "float32": "FLOAT32"}
PADDINGS = {"SAME": 0, "VALID": 1}


class TfliteFile:
    """Tensors are known by the numbers that they get."""

    def __init__(self) -> None:
        self.buffers = [_made("Buffer")]  # the first stands for none
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.names: list[str] = []

    def tensor(self, name: str, shape: Sequence[int], dtype: DTypeLike, **quantization: Any) -> int:
        """One that is computed, or the input. `quantization`: "scale" and "zeroPoint", lists, and so on."""
        return self._add(name, shape, dtype, 0, quantization)

    def constant(self, name: str, values: NDArray[Any], **quantization: Any) -> int:
        self.buffers.append(_made("Buffer", data=np.frombuffer(values.tobytes(), np.uint8)))
        return self._add(name, values.shape, values.dtype, len(self.buffers) - 1, quantization)

    def operator(self, name: str, inputs: Sequence[int], output: int, **options: Any) -> None:
        """One of `OPERATORS`, or a custom one. An input of -1 is left out."""
        if name not in self.names:
            self.names.append(name)
        ends = {"inputs": list(inputs), "outputs": [output], "opcodeIndex": self.names.index(name)}
        if name in OPERATORS:
            kind, _ = OPERATORS[name]
            number = getattr(schema().BuiltinOptions, kind)
            ends |= {"builtinOptionsType": number, "builtinOptions": _made(kind, **options)}
        elif options:
            ends["customOptions"] = np.frombuffer(flexbuffers.Dumps(options), np.uint8)
        self.operators.append(_made("Operator", **ends))

    def data(self, source: int, target: int) -> bytes:
        """The whole file: from one input to one output."""
        graph = _made("SubGraph", tensors=self.tensors, operators=self.operators, inputs=[source], outputs=[target])
        codes = [self._code(name) for name in self.names]
        model = _made("Model", version=VERSION, subgraphs=[graph], buffers=self.buffers, operatorCodes=codes)
        builder = flatbuffers.Builder()
        builder.Finish(model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())

    def _add(self, name: str, shape: Sequence[int], dtype: DTypeLike, buffer: int, quantization: dict[str, Any]) -> int:
        kind = getattr(schema().TensorType, KINDS[np.dtype(dtype).name])
        by = _made("QuantizationParameters", **quantization) if quantization else None
        self.tensors.append(_made("Tensor", name=name, shape=list(shape), type=kind, buffer=buffer, quantization=by))
        return len(self.tensors) - 1

    @staticmethod
    def _code(name: str) -> Any:
        number = getattr(schema().BuiltinOperator, name if name in OPERATORS else CUSTOM)
        codes = {"builtinCode": number, "deprecatedBuiltinCode": number}
        return _made(
            "OperatorCode", **codes, **({"version": OPERATORS[name][1]} if name in OPERATORS else {"customCode": name})
        )


def same_pads(
    sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[int, ...]:
    """TensorFlow's "SAME" padding of a map of these sizes: (top, left, bottom, right)."""
    before, after = [], []
    for size, taps, stride, dilation in zip(sizes, kernel, strides, dilations):
        whole = max(-(-size // stride) * stride - stride + dilation * (taps - 1) + 1 - size, 0)
        before.append(whole // 2)
        after.append(whole - whole // 2)
    return (*before, *after)


def _made(kind: str, **values: Any) -> Any:
    """An object of the schema with these fields."""
    found = getattr(schema(), f"{kind}T")()
    for name, value in values.items():
        setattr(found, name, value)
    return found


@cache
def schema() -> ModuleType:
    """TFLite's flatbuffer schema. Raises `DependencyError` without TensorFlow."""
    tensorflow = importlib.util.find_spec("tensorflow")
    if tensorflow is None or tensorflow.origin is None:
        raise DependencyError("expected TensorFlow, whose TFLite schema is needed; install bitswath[train]")
    path = Path(tensorflow.origin).parent / "lite" / "python" / "schema_py_generated.py"
    spec = importlib.util.spec_from_file_location("tflite_schema", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
