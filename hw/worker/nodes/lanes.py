"""Operators for pixels that come several a beat: windows in lanes, pools of whole windows, lanes side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bitswath.hw.units import Raster
from bitswath.hw.worker.nodes.base import Beats, Parameters, StreamNode

__all__ = ["JoinStreams", "LineWindows", "WindowPool"]


class LineWindows(StreamNode):
    """Windows of an image, of which `Pixels` of a row come in a beat; output i has the windows i, i + lanes, ... of
    each row, each (kernel height, kernel width, channels).

    Attributes: ImgDim (height, width), NumChannels, Pixels, KernelSize, Stride, Padding (top, left, bottom, right),
    inputDataType.
    """

    kernel = "line_windows"

    def get_nodeattr_types(self) -> dict[str, Any]:
        sizes: dict[str, Any] = dict.fromkeys(("ImgDim", "KernelSize", "Stride", "Padding"), ("ints", True, []))
        counts: dict[str, Any] = dict.fromkeys(("NumChannels", "Pixels"), ("i", True, 0))
        return sizes | counts | {"inputDataType": ("s", True, "")} | super().get_nodeattr_types()

    @property
    def raster(self) -> Raster:
        image, kernel, strides = (tuple(self.numbers(name)) for name in ("ImgDim", "KernelSize", "Stride"))
        return Raster(image, self.number("Pixels"), kernel, strides, tuple(self.numbers("Padding")))  # type: ignore[arg-type]

    def sources(self) -> Sequence[Beats]:
        (height, width), pixels = self.raster.image, self.raster.pixels
        beat = pixels * self.number("NumChannels")
        return [Beats((1, height, width // pixels, beat), self.datatype("inputDataType"), beat)]

    def sinks(self) -> Sequence[Beats]:
        raster = self.raster
        rows, columns = raster.windows
        window = math.prod(raster.kernel) * self.number("NumChannels")
        return [
            Beats((1, rows, columns // raster.lanes, window), self.datatype("inputDataType"), window)
        ] * raster.lanes

    def check(self) -> None:
        super().check()
        self.require(self.raster.possible, "rows of pixels and of windows that are whole beats, more than one")
        self.require(len(self.onnx_node.output) == self.raster.lanes, f"{self.raster.lanes} outputs")

    def connections(self) -> dict[str, list[str]]:
        return {"s_axis": ["in0_V"], "m_axis": [f"out{lane}_V" for lane in range(self.raster.lanes)]}

    def parameters(self) -> Parameters:
        raster = self.raster
        sides = dict(zip(("TOP", "LEFT", "BOTTOM", "RIGHT"), raster.pads))
        pairs = {"KERNEL": raster.kernel, "STRIDE": raster.strides}
        return {
            "PIXELS": raster.pixels,
            "PIXEL_BITS": self.number("NumChannels") * self.get_input_datatype().bitwidth(),
            "HEIGHT": raster.image[0],
            "WIDTH": raster.image[1],
            **{f"{name}_{axis}": size for name, pair in pairs.items() for axis, size in zip("HW", pair)},
            **sides,
        }

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        raster = self.raster
        top, left, bottom, right = raster.pads
        image = context[self.onnx_node.input[0]].reshape(1, *raster.image, -1)
        padded = np.pad(image, ((0, 0), (top, bottom), (left, right), (0, 0)))
        found = sliding_window_view(padded, raster.kernel, axis=(1, 2))[:, :: raster.strides[0], :: raster.strides[1]]
        windows = found.transpose(0, 1, 2, 4, 5, 3)
        for lane, (name, beats) in enumerate(zip(self.onnx_node.output, self.sinks())):
            context[name] = windows[:, :, lane :: raster.lanes].reshape(beats.shape).astype(np.float32)

    def get_exp_cycles(self) -> int:
        return self.raster.steps

    def lut_estimation(self, fpgapart: str) -> int:
        return int(self.get_instream_width() * 2 * self.raster.kernel[0] + 40)


class WindowPool(StreamNode):
    """Maximum (MaxPool) or sum (AccPool) of each whole window (Taps, Channels).

    Attributes: Channels, Taps, numInputVectors, Function, inputDataType, outputDataType.
    """

    kernel = "window_pool"

    def get_nodeattr_types(self) -> dict[str, Any]:
        return {
            "Channels": ("i", True, 0),
            "Taps": ("i", True, 0),
            "numInputVectors": ("ints", True, [1]),
            "Function": ("s", True, "", {"MaxPool", "AccPool"}),
            "inputDataType": ("s", True, ""),
            "outputDataType": ("s", True, ""),
        } | super().get_nodeattr_types()

    @property
    def total(self) -> bool:
        return str(self.get_nodeattr("Function")) == "AccPool"

    def sources(self) -> Sequence[Beats]:
        window = self.number("Channels") * self.number("Taps")
        return [Beats((*self.numbers("numInputVectors"), window), self.datatype("inputDataType"), window)]

    def sinks(self) -> Sequence[Beats]:
        channels = self.number("Channels")
        return [Beats((*self.numbers("numInputVectors"), channels), self.datatype("outputDataType"), channels)]

    def check(self) -> None:
        super().check()
        source, result = self.get_input_datatype(), self.get_output_datatype()
        taps = self.number("Taps") if self.total else 1
        held = result.min() <= taps * source.min() and taps * source.max() <= result.max()
        self.require(held, f"outputDataType that holds what {source.name} gives, not {result.name}")

    def parameters(self) -> Parameters:
        kind = self.get_input_datatype()
        return {
            "CHANNELS": self.number("Channels"),
            "TAPS": self.number("Taps"),
            "BITS": kind.bitwidth(),
            "SIGNED": int(kind.signed()),
            "SUM": int(self.total),
            "M_BITS": self.get_output_datatype().bitwidth(),
        }

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        result = self.sinks()[0].shape
        taps = context[self.onnx_node.input[0]].reshape(*result[:-1], self.number("Taps"), result[-1])
        y = taps.sum(axis=-2) if self.total else taps.max(axis=-2)
        context[self.onnx_node.output[0]] = y.astype(np.float32)

    def lut_estimation(self, fpgapart: str) -> int:
        return int(self.get_instream_width() * 2 + 4)


class JoinStreams(StreamNode):
    """What several streams give of a row's neighbours, side by side.

    Attributes: NumChannels, NumInputStreams, numInputVectors, inputDataType.
    """

    kernel = "join_streams"

    def get_nodeattr_types(self) -> dict[str, Any]:
        return {
            "NumChannels": ("i", True, 0),
            "NumInputStreams": ("i", True, 0),
            "numInputVectors": ("ints", True, [1]),
            "inputDataType": ("s", True, ""),
        } | super().get_nodeattr_types()

    @property
    def lanes(self) -> int:
        return self.number("NumInputStreams")

    def _beats(self, elements: int) -> Beats:
        return Beats((*self.numbers("numInputVectors"), elements), self.datatype("inputDataType"), elements)

    def sources(self) -> Sequence[Beats]:
        return [self._beats(self.number("NumChannels"))] * self.lanes

    def sinks(self) -> Sequence[Beats]:
        return [self._beats(self.number("NumChannels") * self.lanes)]

    def check(self) -> None:
        super().check()
        self.require(len(self.onnx_node.input) == self.lanes, f"{self.lanes} inputs")

    def connections(self) -> dict[str, list[str]]:
        return {"s_axis": [f"in{lane}_V" for lane in range(self.lanes)], "m_axis": ["out0_V"]}

    def parameters(self) -> Parameters:
        return {"LANES": self.lanes, "WIDTH": self.get_instream_width()}

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        y = np.concatenate([context[name] for name in self.onnx_node.input], axis=-1)
        context[self.onnx_node.output[0]] = y.astype(np.float32)

    def lut_estimation(self, fpgapart: str) -> int:
        return int(2 * self.lanes + 2)
