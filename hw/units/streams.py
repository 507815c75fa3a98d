"""Units that repack, copy, join or pick values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.hw.units.base import Choices, Folding, Numbers, Pair, SimdUnit, Unit, divisors

__all__ = ["AddStreams", "ArgMax", "Concat", "Duplicate", "Lookup", "Pack", "Unpack"]

_MOST_COMPARED = 2
"""Values in a beat of a choice of the largest: one takes 3 levels of logic, four with five places took 20."""


@dataclass(frozen=True, eq=False)
class Unpack(SimdUnit):
    """Packed words to codes."""

    op = "DenseUnpack_rtl"

    def choices(self) -> Choices:
        return {"SIMD": divisors(self.outputs[0].shape[-1])}

    def cycles(self, folding: Folding) -> int:
        return max(self.inputs[0].size, self.outputs[0].size // folding["SIMD"])

    def taken(self, folding: Folding) -> int:
        return 1

    def attributes(self, folding: Folding) -> dict[str, Any]:
        (words,), (codes,) = self.inputs, self.outputs
        return {
            "wordBits": words.numbers.bits,
            "Shape": list(codes.shape),
            "SIMD": folding["SIMD"],
            "dataType": codes.numbers.datatype,
        }


@dataclass(frozen=True, eq=False)
class Pack(Unit):
    """Integers to packed words. A second input is a status, which goes into the last byte of each frame."""

    @property
    def op(self) -> str:  # type: ignore[override]
        return "DensePack_rtl" if len(self.inputs) == 1 else "PackStatus_rtl"

    def operator(self, folding: Folding) -> str:
        return self.op

    def cycles(self, folding: Folding) -> int:
        return max(self.outputs[0].size, self.inputs[0].size // folding["PE"])

    def given(self, folding: Folding) -> int:
        return 1

    def attributes(self, folding: Folding) -> dict[str, Any]:
        values, (words,) = self.inputs[0], self.outputs
        return {
            "wordBits": words.numbers.bits,
            "Shape": [values.size],
            "PE": folding["PE"],
            "dataType": values.numbers.datatype,
        }


@dataclass(frozen=True, eq=False)
class Lookup(Unit):
    """A palette or a codec's levels: `table` (channels, entries, depth), one code a cycle."""

    table: NDArray[np.integer] = field(default_factory=lambda: np.zeros((1, 1, 1), np.int64))

    op = "Lookup_rtl"

    @property
    def parameters(self) -> NDArray[np.float32]:
        return self.table.astype(np.float32)

    @property
    def parameter_type(self) -> Numbers:
        return self.outputs[0].numbers

    def choices(self) -> Choices:
        return {}

    def cycles(self, folding: Folding) -> int:
        return self.inputs[0].size

    def taken(self, folding: Folding) -> int:
        return 1

    def given(self, folding: Folding) -> int:
        return int(self.table.shape[2])

    def attributes(self, folding: Folding) -> dict[str, Any]:
        channels, entries, depth = self.table.shape
        return {
            "NumEmbeddings": entries,
            "EmbeddingDim": depth,
            "NumChannels": channels,
            "InputShape": [1, *self.inputs[0].shape],
            "InputType": self.inputs[0].numbers.datatype,
            "EmbeddingType": self.outputs[0].numbers.datatype,
        }


@dataclass(frozen=True, eq=False)
class Duplicate(Unit):
    """One stream to several."""

    op = "DuplicateStreams_rtl"

    def attributes(self, folding: Folding) -> dict[str, Any]:
        source = self.inputs[0]
        return {
            "NumChannels": source.shape[-1],
            "PE": folding["PE"],
            "NumOutputStreams": len(self.outputs),
            "inputDataType": source.numbers.datatype,
            "numInputVectors": [1, *source.shape[:-1]],
        }


@dataclass(frozen=True, eq=False)
class AddStreams(Unit):
    """Weighted sum of two streams."""

    multipliers: Pair = (1, 1)

    op = "AddStreams_rtl"

    def attributes(self, folding: Folding) -> dict[str, Any]:
        left, right = self.inputs
        return {
            "NumChannels": left.shape[-1],
            "PE": folding["PE"],
            "inputDataTypes": [left.numbers.datatype, right.numbers.datatype],
            "outputDataType": self.outputs[0].numbers.datatype,
            "multipliers": list(self.multipliers),
            "numInputVectors": [1, *left.shape[:-1]],
        }


@dataclass(frozen=True, eq=False)
class Concat(SimdUnit):
    """Channels of several streams behind each other."""

    op = "StreamingConcat_rtl"

    def choices(self) -> Choices:
        shared = set.intersection(*(set(divisors(wire.shape[-1])) for wire in self.inputs))
        return {"SIMD": tuple(sorted(shared))}

    def cycles(self, folding: Folding) -> int:
        return self.outputs[0].size // folding["SIMD"]

    def attributes(self, folding: Folding) -> dict[str, Any]:
        return {
            "ChannelsPerStream": [wire.shape[-1] for wire in self.inputs],
            "SIMD": folding["SIMD"],
            "inputDataTypes": [wire.numbers.datatype for wire in self.inputs],
            "outputDataType": self.outputs[0].numbers.datatype,
            "numInputVectors": [1, *self.outputs[0].shape[:-1]],
        }


@dataclass(frozen=True, eq=False)
class ArgMax(Unit):
    """Index of the largest value, of equal values the lowest."""

    op = "LabelSelect_rtl"

    def choices(self) -> Choices:
        """A beat is compared in one cycle, one value after the other, so there are few in it; there is time enough."""
        return {"PE": tuple(pe for pe in divisors(self.inputs[0].shape[-1]) if pe <= _MOST_COMPARED)}

    def given(self, folding: Folding) -> int:
        return 1

    def attributes(self, folding: Folding) -> dict[str, Any]:
        source = self.inputs[0]
        return {
            "Labels": source.size,
            "PE": folding["PE"],
            "K": 1,
            "inputDataType": source.numbers.datatype,
            "outputDataType": self.outputs[0].numbers.datatype,
            "numInputVectors": [1],
        }
