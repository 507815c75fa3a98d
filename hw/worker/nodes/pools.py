"""Pooling operators, behind a depthwise sliding window or over whole images."""

from __future__ import annotations

import math
from typing import Any

from finn.custom_op.fpgadataflow import globalaccpool, pool
from qonnx.core.datatype import BaseDataType

from bitswath.hw.worker.nodes.base import KernelNode, Parameters

__all__ = ["GlobalAccPool", "Pool"]


class Pool(KernelNode, pool.Pool):
    """FINN's Pool: maximum (MaxPool), sum (AccPool) or shifted sum (QuantAvgPool) of each window."""

    @property
    def kernel(self) -> str:
        return "max_pool" if self.get_nodeattr("Function") == "MaxPool" else "sum_pool"

    @property
    def window(self) -> int:
        return math.prod(self.numbers("KernelSize"))

    def check(self) -> None:
        function = self.get_nodeattr("Function")
        self.require(function != "AvgPool", "Function of MaxPool, AccPool or QuantAvgPool, not AvgPool")
        self.require(len(self.numbers("KernelSize")) == 2, "KernelSize of two numbers")
        channels, pe = self.number("Channels"), self.number("PE")
        self.require(pe > 0 and channels % pe == 0, f"PE that divides {channels} channels, not {pe}")
        if function != "MaxPool" or self.get_input_datatype().name != "BIPOLAR":  # as codes, +1 is the larger too
            self.require_integers(self.get_input_datatype(), self.get_output_datatype())

    def shift(self) -> int:
        """Bits by which sums are shifted, as FINN's functional model counts them."""
        if self.get_nodeattr("Function") != "QuantAvgPool":
            return 0
        largest: int = (2 ** self.get_input_datatype().bitwidth() - 1) * self.window
        return max(0, largest.bit_length() - int(self.get_output_datatype().bitwidth()))

    def parameters(self) -> Parameters:
        kind = self.get_input_datatype()
        common = {
            "PE": self.number("PE"),
            "WINDOW": self.window,
            "BITS": kind.bitwidth(),
            "SIGNED": int(kind.signed() and kind.name != "BIPOLAR"),
        }
        if self.kernel == "max_pool":
            return common
        return common | {"SHIFT": self.shift(), "M_BITS": self.get_output_datatype().bitwidth()}

    def lut_estimation(self, fpgapart: str) -> int:
        bits = (self.get_input_datatype() if self.kernel == "max_pool" else self.get_output_datatype()).bitwidth()
        return int(self.number("PE") * 2 * bits + 2 * self.window.bit_length() + 4)


class GlobalAccPool(KernelNode, globalaccpool.GlobalAccPool):
    """FINN's GlobalAccPool: the sum of each channel over all pixels.

    Further attribute: outputDataType, by default what holds every sum of the input type.
    """

    kernel = "sum_pool"

    def get_nodeattr_types(self) -> dict[str, Any]:
        return {"outputDataType": ("s", False, ""), **super().get_nodeattr_types()}

    def get_output_datatype(self, ind: int = 0) -> BaseDataType:
        return self.datatype("outputDataType") if self.get_nodeattr("outputDataType") else super().get_output_datatype()

    def check(self) -> None:
        channels, pe = self.number("NumChannels"), self.number("PE")
        self.require(pe > 0 and channels % pe == 0, f"PE that divides {channels} channels, not {pe}")
        self.require(len(self.numbers("numInputVectors")) == 3, "numInputVectors of (1, height, width)")
        self.require_integers(self.get_input_datatype(), self.get_output_datatype())

    def parameters(self) -> Parameters:
        kind, pe = self.get_input_datatype(), self.number("PE")
        return {
            "PE": pe,
            "WINDOW": math.prod(self.numbers("numInputVectors")[1:]),
            "FOLD": self.number("NumChannels") // pe,
            "BITS": kind.bitwidth(),
            "SIGNED": int(kind.signed()),
            "M_BITS": self.get_output_datatype().bitwidth(),
        }

    def get_exp_cycles(self) -> int:
        return math.prod(self.get_folded_input_shape()[:-1])

    def lut_estimation(self, fpgapart: str) -> int:
        fold = self.number("NumChannels") // self.number("PE")
        sum_bits = self.number("PE") * self.get_output_datatype().bitwidth()
        return int(2 * sum_bits + sum_bits * math.ceil(fold / 32) * (fold > 1) + 24)
