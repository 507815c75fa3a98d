"""Operators that slice, repeat or reorder a tensor, or put a constant into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.hw.units.takes import Ring, ring_of, runs_of
from bitswath.hw.worker.nodes.base import Beats, Parameters, StreamNode

__all__ = ["TakeRing", "TakeRuns"]


class _Take(StreamNode):
    """``y[i] = x[index[i]]``, or `fill` where the index is -1, of flat tensors.

    Inputs: the values, and the index as an initializer, which moves whole groups of PE. Attributes: Sizes (in, out),
    PE, inputDataType, outputDataType, fill, filled (how often the index is -1).
    """

    def get_nodeattr_types(self) -> dict[str, Any]:
        return {
            "Sizes": ("ints", True, []),
            "PE": ("i", True, 0),
            "inputDataType": ("s", True, ""),
            "outputDataType": ("s", True, ""),
            "fill": ("i", False, 0),
            "filled": ("i", False, 0),
        } | super().get_nodeattr_types()

    def sources(self) -> Sequence[Beats]:
        return [Beats((1, self.numbers("Sizes")[0]), self.datatype("inputDataType"), self.number("PE"))]

    def sinks(self) -> Sequence[Beats]:
        return [Beats((1, self.numbers("Sizes")[1]), self.datatype("outputDataType"), self.number("PE"))]

    def check(self) -> None:
        super().check()
        kind = self.get_output_datatype()
        self.require(kind.bitwidth() >= self.get_input_datatype().bitwidth(), "outputDataType that holds the input's")

    def parameters(self) -> Parameters:
        kind = self.get_input_datatype()
        return {
            "PE": self.number("PE"),
            "BITS": kind.bitwidth(),
            "SIGNED": int(kind.signed()),
            "M_BITS": self.get_output_datatype().bitwidth(),
            "FILL": self.number("fill"),
            "INIT_FILE": self._file,
        }

    @property
    def _file(self) -> str:
        return f"{self.get_verilog_top_module_name()}_order.hex"

    def beats_taken(self, model: Any) -> NDArray[np.int64]:
        """Which beat each beat of a frame is, or -1."""
        index, pe = model.get_initializer(self.onnx_node.input[1]), self.number("PE")
        given = None if index is None else index.size
        self.require(given == self.numbers("Sizes")[1], f"an index of {self.numbers('Sizes')[1]}, not {given}")
        first: NDArray[np.int64] = index.astype(np.int64).reshape(-1, pe)[:, 0]
        return np.where(first < 0, -1, first // pe)

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        values, index = (context[name].reshape(-1) for name in self.onnx_node.input)
        y = np.append(values, self.number("fill"))[index.astype(np.int64)]
        context[self.onnx_node.output[0]] = y.reshape(self.sinks()[0].shape).astype(np.float32)

    def lut_estimation(self, fpgapart: str) -> int:
        return int(self.get_outstream_width() + 40)


class TakeRuns(_Take):
    """Where what is taken comes in its order: runs of beats that pass, are left out, or are the constant."""

    kernel = "take_runs"

    def get_nodeattr_types(self) -> dict[str, Any]:
        return {"Runs": ("i", False, 0), "lengthBits": ("i", False, 0)} | super().get_nodeattr_types()

    def generate_hdl(self, model: Any, fpgapart: str, clk: float) -> None:
        runs = self.runs(model)
        self.set_nodeattr("Runs", len(runs))
        self.set_nodeattr("lengthBits", max(1, max(length - 1 for _, length in runs).bit_length()))
        super().generate_hdl(model, fpgapart, clk)

    def runs(self, model: Any) -> list[tuple[int, int]]:
        """(kind, beats) of a frame's runs."""
        beats = self.beats_taken(model)
        self.require(bool((np.diff(beats[beats >= 0]) > 0).all()), "an index that ascends")
        return runs_of(beats, self.sources()[0].count)

    def parameters(self) -> Parameters:
        return {**super().parameters(), "RUNS": self.number("Runs"), "LENGTH_BITS": self.number("lengthBits")}

    def memories(self, model: Any) -> dict[str, str]:
        bits = self.number("lengthBits")
        return {self._file: "".join(f"{kind << bits | length - 1:x}\n" for kind, length in self.runs(model))}

    def get_exp_cycles(self) -> int:
        return (self.numbers("Sizes")[0] + self.number("filled")) // self.number("PE")


class TakeRing(_Take):
    """In any order: a ring of the beats that may still be asked for, and which of them comes next."""

    kernel = "take_ring"

    def get_nodeattr_types(self) -> dict[str, Any]:
        sizes: dict[str, Any] = dict.fromkeys(("Depth", "Entries", "offsetBits", "dropBits"), ("i", False, 0))
        return sizes | super().get_nodeattr_types()

    def ring(self, model: Any) -> Ring:
        return ring_of(self.beats_taken(model), self.sources()[0].count)

    def generate_hdl(self, model: Any, fpgapart: str, clk: float) -> None:
        ring = self.ring(model)
        sizes = zip(("Depth", "Entries", "offsetBits", "dropBits"), (ring.depth, len(ring.entries), *ring.bits))
        for name, size in sizes:
            self.set_nodeattr(name, size)
        super().generate_hdl(model, fpgapart, clk)

    def parameters(self) -> Parameters:
        return {
            **super().parameters(),
            "DEPTH": self.number("Depth"),
            "ENTRIES": self.number("Entries"),
            "OFFSET_BITS": self.number("offsetBits"),
            "DROP_BITS": self.number("dropBits"),
        }

    def memories(self, model: Any) -> dict[str, str]:
        ring = self.ring(model)
        offset_bits, drop_bits = ring.bits
        words = ((fill << offset_bits | offset) << drop_bits | drop for fill, offset, drop in ring.entries.tolist())
        return {self._file: "".join(f"{entry:x}\n" for entry in words)}

    def bram_estimation(self, fpgapart: str) -> int:
        return -(-self.number("Depth") * self.number("PE") * int(self.get_input_datatype().bitwidth()) // 18432)
