"""Units that work on images: padding, windows, pools."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from bitswath.hw.units.base import MEMORIES, Choices, Folding, Pair, SimdUnit, Unit, divisors

__all__ = ["GlobalSum", "MaxPool", "Pad", "Pool", "SumPool", "Window"]


@dataclass(frozen=True, eq=False)
class Pad(SimdUnit):
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
class Window(SimdUnit):
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
        return {**super().choices(), "parallel": parallel, "ram": tuple(range(len(MEMORIES)))}

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
            "ram_style": MEMORIES[folding.get("ram", 0)],
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
            "InputDataType": self.inputs[0].numbers.coded.datatype,
            "OutputDataType": result.numbers.coded.datatype,
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
