"""The operator whose kernel holds tables: palettes and levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bitswath.hw.worker.nodes.base import Beats, Parameters, StreamNode, word

__all__ = ["Lookup"]


class Lookup(StreamNode):
    """``y[..., c * D + d] = table[c, x[..., c], d]``: a palette (one channel) or the levels of each band.

    Inputs: the codes, and the table as an initializer (channels, entries, depth). Attributes as of FINN's Lookup,
    InputShape (1, ..., channels) among them, and SIMD, the channels a beat.
    """

    kernel = "lookup"

    def get_nodeattr_types(self) -> dict[str, Any]:
        return {
            "NumChannels": ("i", True, 0),
            "NumEmbeddings": ("i", True, 0),
            "EmbeddingDim": ("i", True, 0),
            "InputShape": ("ints", True, []),
            "InputType": ("s", True, ""),
            "EmbeddingType": ("s", True, ""),
            "SIMD": ("i", False, 1),
        } | super().get_nodeattr_types()

    def sources(self) -> Sequence[Beats]:
        return [Beats(tuple(self.numbers("InputShape")), self.datatype("InputType"), self.number("SIMD"))]

    def sinks(self) -> Sequence[Beats]:
        *outer, channels = self.numbers("InputShape")
        depth = self.number("EmbeddingDim")
        return [Beats((*outer, channels * depth), self.datatype("EmbeddingType"), self.number("SIMD") * depth)]

    def check(self) -> None:
        super().check()
        channels, entries, kind = self.number("NumChannels"), self.number("NumEmbeddings"), self.get_input_datatype()
        self.require(self.numbers("InputShape")[-1] == channels, f"InputShape that ends with {channels} channels")
        self.require(kind.min() == 0 and kind.bitwidth() <= 16, f"InputType of UINT1..16, not {kind.name}")
        self.require(1 <= entries <= 1 << kind.bitwidth(), f"NumEmbeddings that fit {kind.name}, not {entries}")

    def parameters(self) -> Parameters:
        return {
            "INDEX_BITS": self.get_input_datatype().bitwidth(),
            "CHANNELS": self.number("NumChannels"),
            "SIMD": self.number("SIMD"),
            "DEPTH": self.number("EmbeddingDim"),
            "BITS": self.get_output_datatype().bitwidth(),
            "INIT_PREFIX": self._prefix,
        }

    def memories(self, model: Any) -> dict[str, str]:
        table, kind = model.get_initializer(self.onnx_node.input[1]), self.get_output_datatype()
        shape = tuple(self.number(name) for name in ("NumChannels", "NumEmbeddings", "EmbeddingDim"))
        given = None if table is None else table.shape
        self.require(given == shape, f"a table {shape} as its second input's initializer, not {given}")
        fits = kind.min() <= table.min() and table.max() <= kind.max()
        self.require(fits, f"EmbeddingType that holds {table.min():g}..{table.max():g}, not {kind.name}")
        simd, bits = self.number("SIMD"), kind.bitwidth()
        full = np.zeros((shape[0], 1 << self.get_input_datatype().bitwidth(), shape[2]), np.int64)
        full[:, : shape[1]] = table
        lanes = {f"{self._prefix}{lane}.hex": full[lane::simd].reshape(-1, shape[2]) for lane in range(simd)}
        return {name: "".join(f"{word(row, bits):x}\n" for row in rows) for name, rows in lanes.items()}

    @property
    def _prefix(self) -> str:
        return f"{self.get_verilog_top_module_name()}_table_"

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        codes, table = (context[name] for name in self.onnx_node.input)
        values = table[np.arange(self.number("NumChannels")), codes.astype(np.int64)]
        context[self.onnx_node.output[0]] = values.reshape(self.sinks()[0].shape).astype(np.float32)

    def lut_estimation(self, fpgapart: str) -> int:
        entries = self.number("NumChannels") // self.number("SIMD") << self.get_input_datatype().bitwidth()
        return int(self.get_outstream_width() * -(-entries // 64) + 8)
