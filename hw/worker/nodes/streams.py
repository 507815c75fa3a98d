"""Operators that copy, join, add or scale streams, and the one that picks labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from finn.custom_op.fpgadataflow import concat, duplicatestreams, labelselect
from qonnx.core.datatype import BaseDataType, DataType

from bitswath.hw.worker.nodes.base import Beats, KernelNode, Literal, Parameters, StreamNode

__all__ = ["AddStreams", "Affine", "DuplicateStreams", "LabelSelect", "StreamingConcat"]


class DuplicateStreams(KernelNode, duplicatestreams.DuplicateStreams):
    """FINN's DuplicateStreams."""

    kernel = "duplicate_streams"

    def check(self) -> None:
        channels, pe = self.number("NumChannels"), self.number("PE")
        self.require(pe > 0 and channels % pe == 0, f"PE that divides {channels} channels, not {pe}")
        outputs = len(self.onnx_node.output)
        self.require(self.number("NumOutputStreams") == outputs, f"NumOutputStreams of {outputs}")

    def connections(self) -> dict[str, list[str]]:
        return {"s_axis": ["in0_V"], "m_axis": [f"out{i}_V" for i in range(self.get_num_output_streams())]}

    def parameters(self) -> Parameters:
        return {"N": self.get_num_output_streams(), "WIDTH": self.get_instream_width_padded()}

    def get_exp_cycles(self) -> int:
        return math.prod(self.get_folded_output_shape()[:-1])

    def lut_estimation(self, fpgapart: str) -> int:
        return int(2 * self.get_num_output_streams() + 2)


class StreamingConcat(KernelNode, concat.StreamingConcat):
    """FINN's StreamingConcat: channels of several streams behind each other, pixel by pixel.

    Further attribute: outputDataType, by default what holds every input's.
    """

    kernel = "concat_streams"

    def get_nodeattr_types(self) -> dict[str, Any]:
        return {"outputDataType": ("s", False, ""), **super().get_nodeattr_types()}

    def get_output_datatype(self, ind: int = 0) -> BaseDataType:
        return self.datatype("outputDataType") if self.get_nodeattr("outputDataType") else super().get_output_datatype()

    def check(self) -> None:
        simd, channels = self.number("SIMD"), self.numbers("ChannelsPerStream")
        divides = simd > 0 and not any(n % simd for n in channels)
        self.require(divides, f"SIMD that divides {channels} channels, not {simd}")
        inputs, types = len(self.onnx_node.input), self.get_nodeattr("inputDataTypes")
        self.require(inputs == len(channels) == len(types), f"ChannelsPerStream and inputDataTypes of {inputs} inputs")
        output = self.get_output_datatype()
        self.require_integers(*(self.get_input_datatype(i) for i in range(inputs)), output)
        bits = max(self.get_input_datatype(i).bitwidth() for i in range(inputs))
        self.require(output.bitwidth() >= bits, f"outputDataType of at least {bits} bits, not {output.name}")

    def connections(self) -> dict[str, list[str]]:
        return {"s_axis": [f"in{i}_V" for i in range(self.get_n_inputs())], "m_axis": ["out0_V"]}

    def parameters(self) -> Parameters:
        streams = range(self.get_n_inputs())
        types = [self.get_input_datatype(i) for i in streams]
        return {
            "N": len(types),
            "SIMD": self.number("SIMD"),
            "FOLDS": _fields([self.get_folded_input_shape(i)[-2] for i in streams], 32),
            "BITS": _fields([kind.bitwidth() for kind in types], 32),
            "SIGNED": _fields([int(kind.signed()) for kind in types], 1),
            "S_WIDTH": max(self.get_instream_width_padded(i) for i in streams),
            "M_BITS": self.get_output_datatype().bitwidth(),
        }

    def get_exp_cycles(self) -> int:
        return math.prod(self.get_folded_output_shape()[:-1])

    def lut_estimation(self, fpgapart: str) -> int:
        return int(self.get_outstream_width() * math.ceil(self.get_n_inputs() / 4) + 24)


class AddStreams(StreamNode):
    """``multipliers[0] * x + multipliers[1] * y`` of two integer tensors of one shape.

    Attributes: NumChannels, PE, numInputVectors, inputDataTypes (two), outputDataType, multipliers (1, 1).
    """

    kernel = "add_streams"

    def get_nodeattr_types(self) -> dict[str, Any]:
        return {
            "NumChannels": ("i", True, 0),
            "PE": ("i", True, 0),
            "numInputVectors": ("ints", False, [1]),
            "inputDataTypes": ("strings", True, []),
            "outputDataType": ("s", True, ""),
            "multipliers": ("ints", False, [1, 1]),
            "inFIFODepths": ("ints", False, [2, 2]),
        } | _without(super().get_nodeattr_types(), "inFIFODepths")

    def _beats(self, name: str) -> Beats:
        shape = (*self.numbers("numInputVectors"), self.number("NumChannels"))
        return Beats(shape, DataType[name], self.number("PE"))

    def sources(self) -> Sequence[Beats]:
        return [self._beats(name) for name in self.get_nodeattr("inputDataTypes")]

    def sinks(self) -> Sequence[Beats]:
        return [self._beats(self.get_nodeattr("outputDataType"))]

    def check(self) -> None:
        super().check()
        multipliers = self.numbers("multipliers")
        self.require(len(self.sources()) == len(multipliers) == 2, "two inputDataTypes and two multipliers")
        self.require(0 not in multipliers, "multipliers other than 0")
        ends = [(m * s.datatype.min(), m * s.datatype.max()) for m, s in zip(multipliers, self.sources())]
        low, high = sum(map(min, ends)), sum(map(max, ends))
        kind = self.get_output_datatype()
        self.require(kind.min() <= low and high <= kind.max(), f"outputDataType of {low:g}..{high:g}, not {kind.name}")

    def connections(self) -> dict[str, list[str]]:
        return {"a_axis": ["in0_V"], "b_axis": ["in1_V"], "m_axis": ["out0_V"]}

    def parameters(self) -> Parameters:
        parameters = {"PE": self.number("PE"), "M_BITS": self.get_output_datatype().bitwidth()}
        for name, beats, multiplier in zip("AB", self.sources(), self.numbers("multipliers")):
            parameters |= {
                f"{name}_BITS": beats.datatype.bitwidth(),
                f"{name}_SIGNED": int(beats.datatype.signed()),
                f"{name}_FACTOR": multiplier,
            }
        return parameters

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        terms = [m * context[name] for m, name in zip(self.numbers("multipliers"), self.onnx_node.input)]
        context[self.onnx_node.output[0]] = np.asarray(terms[0] + terms[1], np.float32)

    def lut_estimation(self, fpgapart: str) -> int:
        ones = sum(abs(m).bit_count() for m in self.numbers("multipliers"))
        return int((ones - 1) * self.get_outstream_width() + 4)


class Affine(StreamNode):
    """``factor * x + offsets[0]``; in the channels of `falling`, ``offsets[1] - factor * x``.

    Attributes: NumChannels, PE, numInputVectors, inputDataType, outputDataType, factor (1), offsets (0, 0),
    falling (numbers of channels; -1 is none).
    """

    kernel = "affine"

    def get_nodeattr_types(self) -> dict[str, Any]:
        return {
            "NumChannels": ("i", True, 0),
            "PE": ("i", True, 0),
            "numInputVectors": ("ints", False, [1]),
            "inputDataType": ("s", True, ""),
            "outputDataType": ("s", True, ""),
            "factor": ("i", False, 1),
            "offsets": ("ints", False, [0, 0]),
            "falling": ("ints", False, [-1]),
        } | super().get_nodeattr_types()

    def _beats(self, attribute: str) -> Beats:
        shape = (*self.numbers("numInputVectors"), self.number("NumChannels"))
        return Beats(shape, self.datatype(attribute), self.number("PE"))

    def sources(self) -> Sequence[Beats]:
        return [self._beats("inputDataType")]

    def sinks(self) -> Sequence[Beats]:
        return [self._beats("outputDataType")]

    @property
    def falls(self) -> list[int]:
        """1 for each channel that falls."""
        falling = set(self.numbers("falling"))
        return [int(channel in falling) for channel in range(self.number("NumChannels"))]

    def check(self) -> None:
        super().check()
        self.require(self.number("factor") != 0, "a factor other than 0")
        self.require(len(self.numbers("offsets")) == 2, "two offsets")

    def parameters(self) -> Parameters:
        kind, falls, pe = self.get_input_datatype(), self.falls, self.number("PE")
        alike = len(set(falls)) == 1  # one beat's channels say it all
        return {
            "PE": pe,
            "CHANNELS": pe if alike else len(falls),
            "BITS": kind.bitwidth(),
            "SIGNED": int(kind.signed()),
            "M_BITS": self.get_output_datatype().bitwidth(),
            "FACTOR": self.number("factor"),
            "OFFSET": self.numbers("offsets")[0],
            "FALLING_OFFSET": self.numbers("offsets")[1],
            "FALLING": _fields(falls[:pe] if alike else falls, 1),
        }

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        scaled, (offset, falling_offset) = (
            self.number("factor") * context[self.onnx_node.input[0]],
            self.numbers("offsets"),
        )
        y = np.where(np.array(self.falls) > 0, falling_offset - scaled, offset + scaled)
        context[self.onnx_node.output[0]] = np.asarray(y, np.float32)

    def lut_estimation(self, fpgapart: str) -> int:
        return int(abs(self.number("factor")).bit_count() * self.get_outstream_width() + 4)


class LabelSelect(KernelNode, labelselect.LabelSelect):
    """FINN's LabelSelect: the indices of the K largest values; of equal ones the lowest index first."""

    kernel = "label_select"

    def check(self) -> None:
        labels, pe, k = (self.number(name) for name in ("Labels", "PE", "K"))
        self.require(pe > 0 and labels % pe == 0, f"PE that divides {labels} labels, not {pe}")
        self.require(1 <= k <= labels, f"K of 1 to {labels}, not {k}")
        kind = self.get_output_datatype()
        self.require(kind.max() >= labels - 1, f"outputDataType that holds {labels - 1}, not {kind.name}")
        self.require_integers(self.get_input_datatype(), kind)

    def parameters(self) -> Parameters:
        kind = self.get_input_datatype()
        return {
            "LABELS": self.number("Labels"),
            "PE": self.number("PE"),
            "K": self.number("K"),
            "BITS": kind.bitwidth(),
            "SIGNED": int(kind.signed()),
            "INDEX_BITS": self.get_output_datatype().bitwidth(),
        }

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        values = context[self.onnx_node.input[0]]
        order = np.argsort(-values, axis=-1, kind="stable")
        context[self.onnx_node.output[0]] = order[..., : self.number("K")].astype(np.float32)

    def get_exp_cycles(self) -> int:
        beats = self.number("Labels") // self.number("PE")
        return math.prod(self.numbers("numInputVectors")) * max(beats, self.number("K"))

    def lut_estimation(self, fpgapart: str) -> int:
        entry = self.get_input_datatype().bitwidth() + self.get_output_datatype().bitwidth()
        return int(self.number("PE") * self.number("K") * 2 * entry + 16)


def _fields(values: Sequence[int], width: int) -> Literal:
    """A packed array as a sized number, value 0 in the low bits."""
    return Literal(f"{len(values) * width}'h{sum(v << (i * width) for i, v in enumerate(values)):x}")


def _without(attributes: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: kind for name, kind in attributes.items() if name not in names}
