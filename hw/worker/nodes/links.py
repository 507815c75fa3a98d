"""Operators at the accelerator's ends: packed words to codes, integers to packed words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qonnx.core.datatype import DataType

from bitswath.hw.worker.nodes.base import Beats, Parameters, StreamNode, word

__all__ = ["DensePack", "DenseUnpack"]


class _Link(StreamNode):
    """One end holds words of `wordBits`, the other a tensor of `Shape` and `dataType`."""

    def get_nodeattr_types(self) -> dict[str, Any]:
        return {
            "Shape": ("ints", True, []),
            "dataType": ("s", True, ""),
            "wordBits": ("i", True, 64),
        } | super().get_nodeattr_types()

    @property
    def bits(self) -> int:
        return int(self.datatype("dataType").bitwidth())

    @property
    def elements(self) -> int:
        raise NotImplementedError

    @property
    def frame_bits(self) -> int:
        return math.prod(self.numbers("Shape")) * self.bits

    def tensor(self) -> Beats:
        return Beats((1, *self.numbers("Shape")), self.datatype("dataType"), self.elements)

    def words(self) -> Beats:
        width = self.number("wordBits")
        return Beats((1, -(-self.frame_bits // width)), DataType[f"UINT{width}"], 1)

    def check(self) -> None:
        super().check()
        width = self.number("wordBits")
        self.require(8 <= width <= 4096 and width % 8 == 0, f"wordBits in whole bytes up to 4096, not {width}")

    def lut_estimation(self, fpgapart: str) -> int:
        beat, width = self.elements * self.bits, self.number("wordBits")
        unit = math.gcd(beat, width)
        return int((beat + width) * max(1, math.ceil((beat + width) // unit - 1).bit_length()) / 2 + 24)


class DenseUnpack(_Link):
    """Words of densely packed codes to codes, `SIMD` a beat; each frame starts on a word.

    Attributes: Shape (H, W, C), dataType (UINT1..8), wordBits, SIMD (divides C).
    """

    kernel = "dense_unpack"

    def get_nodeattr_types(self) -> dict[str, Any]:
        return {"SIMD": ("i", False, 1)} | super().get_nodeattr_types()

    @property
    def elements(self) -> int:
        return self.number("SIMD")

    def sources(self) -> Sequence[Beats]:
        return [self.words()]

    def sinks(self) -> Sequence[Beats]:
        return [self.tensor()]

    def parameters(self) -> Parameters:
        return {
            "IN_WIDTH": self.number("wordBits"),
            "SIMD": self.elements,
            "BITS": self.bits,
            "FRAME_CODES": math.prod(self.numbers("Shape")),
        }

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        """The words must be Python integers (object) or integers of the width: floats do not hold them."""
        words = context[self.onnx_node.input[0]]
        self.require(words.dtype.kind in "Oui", f"words as integers, not {words.dtype}")
        frame = word(words.flat, self.number("wordBits"))
        values = _unpacked(frame, math.prod(self.numbers("Shape")), self.bits, self.get_output_datatype().signed())
        context[self.onnx_node.output[0]] = values.reshape(self.tensor().shape).astype(np.float32)


class DensePack(_Link):
    """Integers, `PE` a beat, to words of densely packed ones, two's complement; a frame's last word is filled up.

    Attributes: Shape (values,), dataType (INT or UINT), wordBits, PE (divides the last axis).
    """

    kernel = "dense_pack"

    def get_nodeattr_types(self) -> dict[str, Any]:
        return {"PE": ("i", False, 1)} | super().get_nodeattr_types()

    @property
    def elements(self) -> int:
        return self.number("PE")

    def sources(self) -> Sequence[Beats]:
        return [self.tensor()]

    def sinks(self) -> Sequence[Beats]:
        return [self.words()]

    def parameters(self) -> Parameters:
        return {
            "OUT_WIDTH": self.number("wordBits"),
            "SIMD": self.elements,
            "BITS": self.bits,
            "FRAME_CODES": math.prod(self.numbers("Shape")),
        }

    def get_exp_cycles(self) -> int:
        beat, width = self.elements * self.bits, self.number("wordBits")
        before_last = (self.frame_bits - beat) // width  # words complete before the last beat
        tail = self.words().count - before_last - 1  # words that leave after the one the last beat completes
        return max(self.tensor().count + (tail > 0), self.words().count)

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        """Gives the words as Python integers (object): floats do not hold them."""
        frame = word(context[self.onnx_node.input[0]].flat, self.bits)
        words = _unpacked(frame, self.words().count, self.number("wordBits"), signed=False)
        context[self.onnx_node.output[0]] = words.reshape(self.words().shape)


def _unpacked(frame: int, count: int, bits: int, signed: bool) -> NDArray[np.object_]:
    values = [frame >> (i * bits) & ((1 << bits) - 1) for i in range(count)]
    return np.array([v - (1 << bits) if signed and v >> (bits - 1) else v for v in values], object)
