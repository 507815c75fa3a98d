"""Thresholds: FINN's search, whose memories its RTL finds where it looks, and lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from finn.custom_op.fpgadataflow.rtl import thresholding_rtl
from numpy.typing import NDArray
from qonnx.core.datatype import DataType

from bitswath.hw.units.lines import Lines
from bitswath.hw.worker.nodes.base import Beats, Parameters, StreamNode, word

__all__ = ["Requantize", "Thresholding"]


class Thresholding(thresholding_rtl.Thresholding_rtl):
    """FINN's Thresholding_rtl with memories for the stages of its binary search.

    FINN's own are laid out for as many stages as the output has bits, which are more where the outputs do not begin
    at the low end of their type: docs/finn-thresholding-bug.md.
    """

    @property
    def stages(self) -> int:
        """Of the search in numSteps thresholds."""
        return int(self.get_nodeattr("numSteps")).bit_length()

    @property
    def memories(self) -> dict[tuple[int, int], str]:
        """Names of the memory files by PE and stage."""
        pes, name = self.get_nodeattr("PE"), self.onnx_node.name
        return {(pe, s): f"{name}_threshs_{pe}_{s}.dat" for s in range(self.stages) for pe in range(pes)}

    def get_all_meminit_filenames(self, abspath: bool = False) -> list[str]:
        folder = self.get_nodeattr("code_gen_dir_ipgen") if abspath else "."
        return [f"{folder}/{name}" for name in self.memories.values()]

    def get_pe_mem_geometries(self) -> list[tuple[int, int]]:
        """(width, depth) of a PE's memory of each stage."""
        bits = self.get_input_datatype(1).bitwidth()
        channels = self.get_nodeattr("NumChannels") // self.get_nodeattr("PE")
        return [(bits, channels << stage) for stage in range(self.stages)]

    def make_weight_file(self, weights: NDArray[Any], weight_file_mode: str, weight_file_name: str) -> None:
        if weight_file_mode != "internal_embedded":
            super().make_weight_file(weights, weight_file_mode, weight_file_name)
            return
        folder, pes = Path(weight_file_name).parent, self.get_nodeattr("PE")
        rows = np.broadcast_to(weights, (max(len(weights), pes), weights.shape[1]))
        padded = np.pad(rows, ((0, 0), (0, (1 << self.stages) - 1 - rows.shape[1])))
        for (pe, stage), name in self.memories.items():
            half = 1 << (self.stages - 1 - stage)
            probed = padded[pe::pes, half - 1 :: 2 * half]
            (folder / name).write_text("".join(f"{self._word(value)}\n" for value in probed.flat))

    def _word(self, threshold: float) -> str:
        """Hexadecimal, two's complement."""
        bits = DataType[self.get_nodeattr("weightDataType")].bitwidth()
        return f"{int(threshold) & ((1 << bits) - 1):0{-(-bits // 4)}x}"


class Requantize(StreamNode):
    """Counts of thresholds by lines, see `bitswath.hw.units.lines`, plus `ActVal`.

    Inputs: the values, and the thresholds as an initializer (channels or 1, numSteps). Attributes as of FINN's
    Thresholding, gains, offsets (one for each channel, or one), shift.
    """

    kernel = "requantize"

    def get_nodeattr_types(self) -> dict[str, Any]:
        return {
            "PE": ("i", True, 0),
            "NumChannels": ("i", True, 0),
            "numSteps": ("i", True, 0),
            "numInputVectors": ("ints", False, [1]),
            "inputDataType": ("s", True, ""),
            "outputDataType": ("s", True, ""),
            "ActVal": ("i", False, 0),
            "gains": ("ints", True, []),
            "offsets": ("ints", True, []),
            "shift": ("i", True, 0),
            "offLine": ("i", False, 0),  # whether thresholds are, set as the code is generated
        } | super().get_nodeattr_types()

    def _beats(self, attribute: str) -> Beats:
        shape = (*self.numbers("numInputVectors"), self.number("NumChannels"))
        return Beats(shape, self.datatype(attribute), self.number("PE"))

    def sources(self) -> Sequence[Beats]:
        return [self._beats("inputDataType")]

    def sinks(self) -> Sequence[Beats]:
        return [self._beats("outputDataType")]

    def check(self) -> None:
        super().check()
        self.require(self.number("shift") >= 1, "a shift of 1 or more")

    def lines(self, thresholds: NDArray[Any]) -> Lines:
        """Of all channels."""
        channels = self.number("NumChannels")
        gains, offsets = (np.broadcast_to(np.array(self.numbers(name)), (channels,)) for name in ("gains", "offsets"))
        rows = np.broadcast_to(thresholds.astype(np.int64), (channels, self.number("numSteps")))
        return Lines(rows, gains, offsets, self.number("shift"))

    def _given(self, model: Any) -> Lines:
        thresholds = model.get_initializer(self.onnx_node.input[1])
        self.require(thresholds is not None, "thresholds as its second input's initializer")
        return self.lines(thresholds)

    def generate_hdl(self, model: Any, fpgapart: str, clk: float) -> None:
        self.set_nodeattr("offLine", int(self._given(model).exceptions.any()))
        super().generate_hdl(model, fpgapart, clk)

    def _widths(self) -> tuple[int, int]:
        """Bits of a gain and of an offset."""
        lines = Lines(np.zeros((1, 1), np.int64), np.array(self.numbers("gains")), np.array(self.numbers("offsets")), 0)
        return lines.gain_bits, lines.offset_bits

    def parameters(self) -> Parameters:
        kind, (gain_bits, offset_bits) = self.get_input_datatype(), self._widths()
        return {
            "PE": self.number("PE"),
            "FOLD": self.number("NumChannels") // self.number("PE"),
            "BITS": kind.bitwidth(),
            "SIGNED": int(kind.signed()),
            "GAIN_BITS": gain_bits,
            "OFFSET_BITS": offset_bits,
            "SHIFT": self.number("shift"),
            "COUNT": self.number("numSteps"),
            "M_BITS": self.get_output_datatype().bitwidth(),
            "BASE": self.number("ActVal"),
            "INIT_FILE": f"{self._stem}_lines.hex",
            "EXCEPTIONS": self.number("offLine"),
            "TABLE_PREFIX": f"{self._stem}_off_",
        }

    @property
    def _stem(self) -> str:
        return str(self.get_verilog_top_module_name())

    def memories(self, model: Any) -> dict[str, str]:
        lines, pe, (gain_bits, offset_bits) = self._given(model), self.number("PE"), self._widths()
        words = [word([gain], gain_bits) | word([offset], offset_bits) << gain_bits
                 for gain, offset in zip(lines.gains, lines.offsets)]  # fmt: skip
        beats = [word(words[i : i + pe], gain_bits + offset_bits) for i in range(0, len(words), pe)]
        files = {f"{self._stem}_lines.hex": "".join(f"{beat:x}\n" for beat in beats)}
        if not lines.exceptions.any():
            return files
        entries = 1 << self.number("numSteps").bit_length()
        padded = np.pad(lines.exceptions, ((0, 0), (0, entries - lines.exceptions.shape[1])))
        tables = {
            f"{self._stem}_off_{p}.hex": "".join(f"{entry:x}\n" for entry in padded[p::pe].flat) for p in range(pe)
        }
        return files | tables

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        x, thresholds = (context[name] for name in self.onnx_node.input)
        counts = self.lines(thresholds)(x.astype(np.int64).reshape(self.sources()[0].shape))
        context[self.onnx_node.output[0]] = (self.number("ActVal") + counts).astype(np.float32)

    def lut_estimation(self, fpgapart: str) -> int:
        return int(self.number("PE") * 4 * self.number("shift"))

    def dsp_estimation(self, fpgapart: str) -> int:
        return self.number("PE")
