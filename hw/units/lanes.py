"""Units for pixels that come abreast, several neighbours of a row in a beat: windows leave in as many lanes, a stream
each, and what lanes give stands side by side again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bitswath.hw.units.base import Choices, Folding, Pair, Unit

__all__ = ["Join", "LineWindows", "Raster", "WindowPool"]


@dataclass(frozen=True)
class Raster:
    """How line_windows.sv goes over an image (height, width) that comes `pixels` a beat. `pads`: (top, left, bottom,
    right)."""

    image: Pair
    pixels: int
    kernel: Pair
    strides: Pair
    pads: tuple[int, int, int, int]

    @property
    def windows(self) -> Pair:
        """Rows and columns of them."""
        ends = (self.pads[0] + self.pads[2], self.pads[1] + self.pads[3])
        sizes = zip(self.image, ends, self.kernel, self.strides)
        rows, columns = ((size + pads - kernel) // stride + 1 for size, pads, kernel, stride in sizes)
        return rows, columns

    @property
    def lanes(self) -> int:
        """Windows that a beat completes."""
        return max(self.pixels // self.strides[1], 1)

    @property
    def possible(self) -> bool:
        """Whether rows of pixels and of windows are whole beats, more than one."""
        pixels, stride, (top, left, bottom, right) = self.pixels, self.strides[1], self.pads
        whole = self.image[1] % pixels == self.windows[1] % self.lanes == max(pixels, stride) % min(pixels, stride) == 0
        less = max(top, bottom) < self.kernel[0] and max(left, right) < self.kernel[1]
        return whole and less and self.image[1] > pixels

    @property
    def held(self) -> int:
        """Columns of pixels that the windows of one beat, and of the next, take from registers."""
        return self.pads[1] + self.pixels * (1 + self._behind)

    @property
    def _behind(self) -> int:
        """Beats of a row behind that in which its windows begin."""
        columns = (self.lanes - 1) * self.strides[1] + self.kernel[1] - self.pads[1]
        return max(-(-columns // self.pixels) - 1, 0)

    @property
    def steps(self) -> int:
        """Cycles a frame."""
        (height, width), (rows, columns) = self.image, self.windows
        last_column = (columns // self.lanes - 1) * max(self.strides[1] // self.pixels, 1) + self._behind
        last_row = (rows - 1) * self.strides[0] + self.kernel[0] - 1 - self.pads[0]
        return max(last_row + 1, height) * max(last_column + 1, width // self.pixels)


@dataclass(frozen=True, eq=False)
class LineWindows(Unit):
    """Sliding windows of an image that is padded on the way. Each lane has the windows of one pixel of a beat, or of
    one in so many, whole, in the order (pixel, kernel, channel)."""

    raster: Raster = Raster((1, 1), 1, (1, 1), (1, 1), (0, 0, 0, 0))

    op = "LineWindows_rtl"

    def choices(self) -> Choices:
        return {"SIMD": (self.inputs[0].shape[2],)}

    def cycles(self, folding: Folding) -> int:
        return self.raster.steps

    def taken(self, folding: Folding) -> int:
        return folding["SIMD"]

    def given(self, folding: Folding) -> int:
        return self.outputs[0].shape[2]

    def attributes(self, folding: Folding) -> dict[str, Any]:
        source, raster = self.inputs[0], self.raster
        return {
            "ImgDim": list(raster.image),
            "NumChannels": source.shape[2] // source.pixels,
            "Pixels": raster.pixels,
            "KernelSize": list(raster.kernel),
            "Stride": list(raster.strides),
            "Padding": list(raster.pads),
            "inputDataType": source.numbers.coded.datatype,
        }


@dataclass(frozen=True, eq=False)
class WindowPool(Unit):
    """The largest, or with `total` the sum, of each whole window of (taps, channels)."""

    total: bool = False

    op = "WindowPool_rtl"

    @property
    def taps(self) -> int:
        return self.inputs[0].shape[-1] // self.outputs[0].shape[-1]

    def choices(self) -> Choices:
        return {"PE": (self.outputs[0].shape[-1],)}

    def cycles(self, folding: Folding) -> int:
        return self.outputs[0].size // folding["PE"]

    def taken(self, folding: Folding) -> int:
        return folding["PE"] * self.taps

    def attributes(self, folding: Folding) -> dict[str, Any]:
        source, result = self.inputs[0], self.outputs[0]
        return {
            "Channels": result.shape[-1],
            "Taps": self.taps,
            "numInputVectors": [1, *result.shape[:-1]],
            "Function": "AccPool" if self.total else "MaxPool",
            "inputDataType": source.numbers.coded.datatype,
            "outputDataType": result.numbers.coded.datatype,
        }


@dataclass(frozen=True, eq=False)
class Join(Unit):
    """Pixels of several lanes side by side, a whole pixel of each."""

    op = "JoinStreams_rtl"

    def choices(self) -> Choices:
        return {"PE": (self.inputs[0].shape[-1],)}

    def given(self, folding: Folding) -> int:
        return folding["PE"] * len(self.inputs)

    def attributes(self, folding: Folding) -> dict[str, Any]:
        source = self.inputs[0]
        return {
            "NumChannels": source.shape[-1],
            "NumInputStreams": len(self.inputs),
            "numInputVectors": [1, *source.shape[:-1]],
            "inputDataType": source.numbers.coded.datatype,
        }
