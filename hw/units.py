"""The hardware units that compute a network: FINN's operators and our own, with their foldings and cycles.

A folding gives a unit's degrees of parallelism: `PE` (outputs or channels at a time) and `SIMD` (inputs at a
time). Shapes are channels-last, without a batch axis. Cycle counts are those of a frame in the steady state;
FINN's own are repeated here because searching a folding needs thousands of them, and FINN runs elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AddStreams",
    "ArgMax",
    "Concat",
    "Depthwise",
    "Duplicate",
    "Folding",
    "GlobalSum",
    "Lookup",
    "MatVec",
    "MaxPool",
    "Numbers",
    "Pack",
    "Pad",
    "Pool",
    "SumPool",
    "Threshold",
    "Unit",
    "Unpack",
    "Window",
    "Wire",
]

Pair = tuple[int, int]
Shape = tuple[int, ...]
Folding = Mapping[str, int]
Choices = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Numbers:
    """The integers on a wire: two's complement or unsigned, or one bit that stands for -1 and +1."""

    bits: int
    signed: bool = False
    bipolar: bool = False

    @property
    def lo(self) -> int:
        return -1 if self.bipolar else -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def hi(self) -> int:
        return 1 if self.bipolar else (1 << (self.bits - self.signed)) - 1

    @classmethod
    def holding(cls, lo: int, hi: int, signed: bool = False) -> Numbers:
        """The narrowest that hold lo..hi; `signed` even where nothing is below zero."""
        if lo >= 0 and not signed:
            return cls(max(hi.bit_length(), 1))
        return cls(max((-lo - 1).bit_length() if lo < 0 else 0, hi.bit_length() if hi > 0 else 0) + 1, True)

    @property
    def datatype(self) -> str:
        """The name QONNX gives them."""
        if self.bipolar:
            return "BIPOLAR"
        if self.bits == 1 and not self.signed:
            return "BINARY"
        return f"{'INT' if self.signed else 'UINT'}{self.bits}"


@dataclass(frozen=True)
class Wire:
    """What passes between two units. `tensor`: the network's tensor whose integers they are, if one's."""

    name: str
    shape: Shape
    numbers: Numbers
    tensor: str | None = None

    @property
    def size(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True, eq=False)
class Unit:
    """One node of the hardware graph. `layer`: the network's stage it is there for."""

    name: str
    layer: str
    inputs: tuple[Wire, ...]
    outputs: tuple[Wire, ...]

    op = ""

    def operator(self, folding: Folding) -> str:
        """FINN's operator type."""
        return self.op

    @property
    def parameters(self) -> NDArray[np.float32] | None:
        """FINN's second input: weights, thresholds or a table."""
        return None

    @property
    def parameter_type(self) -> Numbers | None:
        """Of `parameters`."""
        return None

    def choices(self) -> Choices:
        """Allowed values of each degree of parallelism, ascending."""
        return {"PE": divisors(self.inputs[0].shape[-1])}

    def cycles(self, folding: Folding) -> int:
        """Clock cycles a frame."""
        return self.inputs[0].size // folding["PE"]

    def taken(self, folding: Folding) -> int:
        """Elements in a beat of each input."""
        return folding["PE"]

    def given(self, folding: Folding) -> int:
        """Elements in a beat of each output."""
        return folding["PE"]

    def attributes(self, folding: Folding) -> dict[str, Any]:
        """FINN's node attributes."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class _Simd(Unit):
    """A unit whose only parallelism is FINN's SIMD."""

    def choices(self) -> Choices:
        return {"SIMD": divisors(self.inputs[0].shape[-1])}

    def taken(self, folding: Folding) -> int:
        return folding["SIMD"]

    def given(self, folding: Folding) -> int:
        return folding["SIMD"]


@dataclass(frozen=True, eq=False)
class Unpack(_Simd):
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
    """Integers to packed words."""

    op = "DensePack_rtl"

    def cycles(self, folding: Folding) -> int:
        return max(self.outputs[0].size, self.inputs[0].size // folding["PE"])

    def given(self, folding: Folding) -> int:
        return 1

    def attributes(self, folding: Folding) -> dict[str, Any]:
        (values,), (words,) = self.inputs, self.outputs
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
class Pad(_Simd):
    """Zeros around an image. `pads`: (top, left, bottom, right)."""

    pads: tuple[int, int, int, int] = (0, 0, 0, 0)

    op = "FMPadding_rtl"

    def cycles(self, folding: Folding) -> int:
        return self.outputs[0].size // folding["SIMD"]

    def attributes(self, folding: Folding) -> dict[str, Any]:
        source = self.inputs[0]
        return {
            "ImgDim": list(source.shape[:2]),
            "Padding": list(self.pads),
            "NumChannels": source.shape[2],
            "SIMD": folding["SIMD"],
            "inputDataType": source.numbers.datatype,
            "numInputVectors": 1,
        }


@dataclass(frozen=True, eq=False)
class Window(_Simd):
    """Sliding windows. In the order (pixel, kernel, channel), or with `depthwise` (pixel, channel, kernel), where
    SIMD must be the PE of the unit behind it. Folded `parallel`, a whole window leaves in a beat."""

    kernel: Pair = (1, 1)
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    depthwise: bool = False

    op = "ConvolutionInputGenerator_rtl"

    @property
    def taps(self) -> int:
        return prod(self.kernel)

    def choices(self) -> Choices:
        parallel = (0, 1) if self.taps > 1 else (0,)
        return {**super().choices(), "parallel": parallel}

    def given(self, folding: Folding) -> int:
        return folding["SIMD"] * (self.taps if folding.get("parallel") else 1)

    def cycles(self, folding: Folding) -> int:
        """As FINN's ConvolutionInputGenerator_rtl.get_exp_cycles."""
        height, width, channels = self.inputs[0].shape
        fold = channels // folding["SIMD"]
        if folding.get("parallel") or self.taps == 1:
            return height * width * fold + 2
        out_h, out_w = self.outputs[0].shape[:2]
        (kernel_h, kernel_w), (stride_h, stride_w), (step_h, step_w) = self.kernel, self.strides, self.dilations
        row = max(out_w * kernel_w * kernel_h * fold, stride_h * width * fold)
        cycles = ((kernel_h - 1) * step_h * width + (kernel_w - 1) * step_w + 1) * fold
        if self.depthwise:
            row += out_w * (stride_w - 1) * (fold - 1)
            cycles += (stride_h - 1) * width * fold
        return cycles + out_h * row

    def attributes(self, folding: Folding) -> dict[str, Any]:
        (source,), (windows,) = self.inputs, self.outputs
        return {
            "ConvKernelDim": list(self.kernel),
            "IFMChannels": source.shape[2],
            "IFMDim": list(source.shape[:2]),
            "OFMDim": list(windows.shape[:2]),
            "SIMD": folding["SIMD"],
            "M": 1,
            "Stride": list(self.strides),
            "Dilation": list(self.dilations),
            "inputDataType": source.numbers.datatype,
            "outputDataType": source.numbers.datatype,
            "depthwise": int(self.depthwise),
            "parallel_window": int(folding.get("parallel", 0)),
            "ram_style": "auto",
        }


@dataclass(frozen=True, eq=False)
class _Weighted(Unit):
    """A unit with a weight memory. `weights`: integers (MW, MH)."""

    weights: NDArray[np.integer] = field(default_factory=lambda: np.zeros((1, 1), np.int64))

    @property
    def parameters(self) -> NDArray[np.float32]:
        return self.weights.astype(np.float32)

    @property
    def parameter_type(self) -> Numbers:
        return self.weight_numbers

    @property
    def narrow(self) -> bool:
        """Whether no weight is the lowest of its type."""
        return int(self.weights.min()) > self.weight_numbers.lo

    @cached_property
    def weight_numbers(self) -> Numbers:
        if set(np.unique(self.weights).tolist()) <= {-1, 1}:
            return Numbers(1, bipolar=True)
        numbers = Numbers.holding(int(self.weights.min()), int(self.weights.max()), signed=True)
        return Numbers(max(numbers.bits, 2), True)

    @property
    def pixels(self) -> int:
        return self.outputs[0].size // self.outputs[0].shape[-1]

    @property
    def fits_dsp(self) -> bool:
        """FINN's DSP kernels take weights and activations of two bits or more."""
        return self.weight_numbers.bits >= 2 and self.inputs[0].numbers.bits >= 2

    def _shared(self, folding: Folding) -> dict[str, Any]:
        sums = self.outputs[0].numbers
        return {
            "PE": folding["PE"],
            "SIMD": folding["SIMD"],
            "inputDataType": self.inputs[0].numbers.datatype,
            "weightDataType": self.weight_numbers.datatype,
            "outputDataType": sums.datatype,
            "accDataType": sums.datatype,
            "noActivation": 1,
            "mem_mode": "internal_decoupled",
            "ram_style": "auto",
        }


@dataclass(frozen=True, eq=False)
class MatVec(_Weighted):
    """Matrix-vector products: convolutions behind a window, and dense layers. Folded `lut`, products are made of
    LUTs instead of DSPs."""

    @property
    def rows(self) -> int:
        """FINN's MW: inputs of a product."""
        return int(self.weights.shape[0])

    @property
    def columns(self) -> int:
        """FINN's MH: outputs."""
        return int(self.weights.shape[1])

    def choices(self) -> Choices:
        return {
            "PE": divisors(self.columns),
            "SIMD": divisors(self.rows),
            "lut": (0, 1) if self.fits_dsp else (1,),
        }

    def operator(self, folding: Folding) -> str:
        return "LutMVAU_rtl" if folding["lut"] else "MVAU_rtl"

    def cycles(self, folding: Folding) -> int:
        return self.pixels * (self.rows // folding["SIMD"]) * (self.columns // folding["PE"])

    def taken(self, folding: Folding) -> int:
        return folding["SIMD"]

    def attributes(self, folding: Folding) -> dict[str, Any]:
        return {
            **self._shared(folding),
            "MW": self.rows,
            "MH": self.columns,
            "numInputVectors": [1, *self.outputs[0].shape[:-1]],
        }


@dataclass(frozen=True, eq=False)
class Depthwise(_Weighted):
    """A dot product for each channel, behind a depthwise window. `weights`: (taps, channels). Folded `lut`, as
    for MatVec; DSPs only on Versal."""

    kernel: Pair = (1, 1)

    def choices(self) -> Choices:
        return {"PE": divisors(self.weights.shape[1]), "SIMD": divisors(self.weights.shape[0]), "lut": (1,)}

    def operator(self, folding: Folding) -> str:
        return "LutVVAU_rtl" if folding["lut"] else "VVAU_rtl"

    def cycles(self, folding: Folding) -> int:
        return self.pixels * self.weights.size // (folding["SIMD"] * folding["PE"])

    def taken(self, folding: Folding) -> int:
        return folding["SIMD"] * folding["PE"]

    @property
    def parameters(self) -> NDArray[np.float32]:
        """FINN's (channels, 1, kernel height, kernel width)."""
        return self.weights.T.reshape(-1, 1, *self.kernel).astype(np.float32)

    def attributes(self, folding: Folding) -> dict[str, Any]:
        return {
            **self._shared(folding),
            "Channels": self.weights.shape[1],
            "Kernel": list(self.kernel),
            "Dim": list(self.outputs[0].shape[:2]),
        }


@dataclass(frozen=True, eq=False)
class Threshold(Unit):
    """Counts of thresholds reached, plus `base`. `thresholds`: integers (channels, steps), ascending."""

    thresholds: NDArray[np.int64] = field(default_factory=lambda: np.zeros((1, 1), np.int64))
    base: int = 0

    op = "Thresholding_rtl"

    @property
    def parameters(self) -> NDArray[np.float32]:
        return self.thresholds.astype(np.float32)

    @property
    def parameter_type(self) -> Numbers:
        return Numbers.holding(
            int(self.thresholds.min()), int(self.thresholds.max()), signed=self.inputs[0].numbers.signed
        )

    def attributes(self, folding: Folding) -> dict[str, Any]:
        source, result = self.inputs[0], self.outputs[0]
        return {
            "PE": folding["PE"],
            "NumChannels": source.shape[-1],
            "numSteps": self.thresholds.shape[1],
            "inputDataType": source.numbers.datatype,
            "weightDataType": self.parameter_type.datatype,
            "outputDataType": result.numbers.datatype,
            "numInputVectors": [1, *source.shape[:-1]],
            "ActVal": self.base,
            "runtime_writeable_weights": 0,
        }


@dataclass(frozen=True, eq=False)
class Pool(Unit):
    """A pool behind a depthwise window."""

    kernel: Pair = (1, 1)

    op = "Pool_rtl"
    function = ""

    def choices(self) -> Choices:
        return {"PE": divisors(self.outputs[0].shape[-1])}

    def attributes(self, folding: Folding) -> dict[str, Any]:
        result = self.outputs[0]
        return {
            "Channels": result.shape[2],
            "PE": folding["PE"],
            "KernelSize": list(self.kernel),
            "Function": self.function,
            "OutImgDims": list(result.shape[:2]),
            "InputDataType": self.inputs[0].numbers.datatype,
            "OutputDataType": result.numbers.datatype,
        }


@dataclass(frozen=True, eq=False)
class MaxPool(Pool):
    """The largest of each window."""

    function = "MaxPool"


@dataclass(frozen=True, eq=False)
class SumPool(Pool):
    """The sum of each window."""

    function = "AccPool"


@dataclass(frozen=True, eq=False)
class GlobalSum(Unit):
    """The sum over an image, channel by channel."""

    op = "GlobalAccPool_rtl"

    def attributes(self, folding: Folding) -> dict[str, Any]:
        source = self.inputs[0]
        return {
            "NumChannels": source.shape[-1],
            "PE": folding["PE"],
            "inputDataType": source.numbers.datatype,
            "numInputVectors": [1, *source.shape[:-1]],
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
class Concat(_Simd):
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
            "numInputVectors": [1, *self.outputs[0].shape[:-1]],
        }


@dataclass(frozen=True, eq=False)
class ArgMax(Unit):
    """Index of the largest value, of equal values the lowest."""

    op = "LabelSelect_rtl"

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


def divisors(number: int) -> tuple[int, ...]:
    """Ascending."""
    return tuple(n for n in range(1, number + 1) if number % n == 0)
