"""Thresholds whose memories FINN's RTL finds where it looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from finn.custom_op.fpgadataflow.rtl import thresholding_rtl
from numpy.typing import NDArray
from qonnx.core.datatype import DataType

__all__ = ["Thresholding"]


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
