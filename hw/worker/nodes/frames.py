"""Operators at the ends of an accelerator that takes compressed frames."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from qonnx.core.datatype import DataType

from bitswath.codecs.kinds import codec_from_dict
from bitswath.codecs.transform.codec import BLOCK, TransformCodec
from bitswath.hw.units.frames import frame_memories
from bitswath.hw.worker.nodes.base import Beats, Literal, Parameters, StreamNode, word
from bitswath.hw.worker.nodes.links import DensePack

__all__ = ["PackStatus", "TransformDecode"]

_STATUS = Beats((1, 1), DataType["BINARY"], 1)
_STATUS_BITS = 8
_GREY = 128


class TransformDecode(StreamNode):
    """Words of compressed frames to codes, `SIMD` a beat, and a second output of a beat a frame: 1 if it is damaged.

    Attributes: codec (the JSON of a transform codec), PatchShape (H, W, C), Shape (its codes as the next node takes
    them), dataType (UINT8), wordBits, maxBytes (of a frame), SIMD (divides C).
    """

    kernel = "decode_link"

    def get_nodeattr_types(self) -> dict[str, Any]:
        return {
            "codec": ("s", True, ""),
            "PatchShape": ("ints", True, []),
            "Shape": ("ints", True, []),
            "dataType": ("s", False, "UINT8"),
            "wordBits": ("i", True, 64),
            "maxBytes": ("i", True, 0),
            "SIMD": ("i", False, 1),
        } | super().get_nodeattr_types()

    @property
    def codec(self) -> TransformCodec:
        codec = codec_from_dict(json.loads(self.get_nodeattr("codec")))
        self.require(isinstance(codec, TransformCodec), f"a transform codec, not {codec.kind}")
        assert isinstance(codec, TransformCodec)
        return codec

    def sources(self) -> Sequence[Beats]:
        """A word: frames have any number of them."""
        return [Beats((1, 1), DataType[f"UINT{self.number('wordBits')}"], 1)]

    def sinks(self) -> Sequence[Beats]:
        return [Beats((1, *self.numbers("Shape")), self.datatype("dataType"), self.number("SIMD")), _STATUS]

    def check(self) -> None:
        super().check()
        shape, width = self.numbers("PatchShape"), self.number("wordBits")
        self.require(self.get_nodeattr("dataType") == "UINT8", f"dataType UINT8, not {self.get_nodeattr('dataType')}")
        self.require(len(shape) == 3 and shape[-1] == self.codec.bands, f"PatchShape of {self.codec.bands} bands")
        self.require(shape[-1] % self.number("SIMD") == 0, f"SIMD that divides {shape[-1]} bands")
        self.require(np.prod(shape) == np.prod(self.numbers("Shape")), f"Shape of as many codes as {shape}")
        self.require(width >= 32 and width & (width - 1) == 0, f"wordBits of a power of two from 32 on, not {width}")

    def connections(self) -> dict[str, list[str]]:
        return {"s_axis": ["in0_V"], "m_axis": ["out0_V"], "status_axis": ["out1_V"]}

    def parameters(self) -> Parameters:
        codec, (height, width, bands) = self.codec, self.numbers("PatchShape")
        matrix = [value for row in codec.matrix for value in row]
        return {
            "WORD_BITS": self.number("wordBits"),
            "MAX_BYTES": self.number("maxBytes"),
            "BANDS": bands,
            "HEIGHT": height,
            "WIDTH": width,
            "SIMD": self.number("SIMD"),
            "SEED": codec.seed,
            "DELTAS": _fields(codec.deltas, 6),
            "MATRIX": _fields(matrix, 16),
            "INIT_PREFIX": self._prefix,
        }

    def memories(self, model: Any) -> dict[str, str]:
        codec = self.codec
        tables = (codec.ac_counts, codec.ac_symbols, codec.contexts, codec.dc_counts, codec.dc_symbols)
        return {f"{self._prefix}{name}": text for name, text in frame_memories(*tables).items()}

    @property
    def _prefix(self) -> str:
        return f"{self.get_verilog_top_module_name()}_"

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        """Of all words of a frame, as `DenseUnpack` takes them. A damaged one is grey: its levels are 0."""
        width = self.number("wordBits")
        words = context[self.onnx_node.input[0]]
        self.require(words.dtype.kind in "Oui", f"words as integers, not {words.dtype}")
        frame = word(words.flat, width).to_bytes(words.size * width // 8, "little")
        row = np.frombuffer(frame, np.uint8)[np.newaxis]
        codes, faults = self.codec.unpack_sound(row, self.numbers("PatchShape"))
        codes[faults > 0] = _GREY
        pixels, status = self.sinks()
        context[self.onnx_node.output[0]] = codes.reshape(pixels.shape).astype(np.float32)
        context[self.onnx_node.output[1]] = (faults != 0).reshape(status.shape).astype(np.float32)

    def get_exp_cycles(self) -> int:
        height, width, bands = self.numbers("PatchShape")
        return -(-height // BLOCK) * -(-width // BLOCK) * BLOCK * BLOCK * bands

    def lut_estimation(self, fpgapart: str) -> int:
        return 3000 + 60 * self.number("SIMD")


class PackStatus(DensePack):
    """`DensePack` with a status a frame as second input, which goes into the last byte of the frame's last word."""

    kernel = "pack_status"

    def sources(self) -> Sequence[Beats]:
        return [*super().sources(), _STATUS]

    def words(self) -> Beats:
        width = self.number("wordBits")
        return Beats((1, -(-(self.frame_bits + _STATUS_BITS) // width)), DataType[f"UINT{width}"], 1)

    def connections(self) -> dict[str, list[str]]:
        return {"s_axis": ["in0_V"], "status_axis": ["in1_V"], "m_axis": ["out0_V"]}

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        super().execute_node(context, graph)
        (output,) = self.onnx_node.output
        words, width = context[output], self.number("wordBits")
        status = int(context[self.onnx_node.input[1]].flat[0])
        words[..., -1] = int(words[..., -1].flat[0]) | status << (width - _STATUS_BITS)


def _fields(values: Sequence[int], width: int) -> Literal:
    """A packed array as a sized number, value 0 in the low bits, two's complement."""
    return Literal(f"{len(values) * width}'h{word(values, width):x}")
