"""Units with weights: products."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.hw.units.base import MEMORIES, Choices, Folding, Numbers, Pair, Unit, divisors

__all__ = ["Depthwise", "MatVec"]

_MOST_CONSTANT_BITS = 32768
"""Of a Verilog literal: less than any tool's limit."""

ROMS = (0, 1, 2)
"""Of `MEMORIES`, what holds contents from the beginning."""


@dataclass(frozen=True, eq=False)
class _Weighted(Unit):
    """A unit with a weight memory. `weights`: integers (MW, MH)."""

    weights: NDArray[np.integer] = field(default_factory=lambda: np.zeros((1, 1), np.int64))

    @property
    def parameters(self) -> NDArray[np.float32]:
        return self.weights.astype(np.float32)

    @property
    def parameter_type(self) -> Numbers:
        return self.weight_numbers

    @property
    def narrow(self) -> bool:
        """Whether no weight is the lowest of its type."""
        return int(self.weights.min()) > self.weight_numbers.lo

    @cached_property
    def weight_numbers(self) -> Numbers:
        if set(np.unique(self.weights).tolist()) <= {-1, 1}:
            return Numbers(1, bipolar=True)
        numbers = Numbers.holding(int(self.weights.min()), int(self.weights.max()), signed=True)
        return Numbers(max(numbers.bits, 2), True)

    @property
    def pixels(self) -> int:
        return self.outputs[0].size // self.outputs[0].shape[-1]

    @property
    def fits_dsp(self) -> bool:
        """FINN's DSP kernels take weights and activations of two bits or more."""
        return self.weight_numbers.bits >= 2 and self.inputs[0].numbers.bits >= 2

    def _shared(self, folding: Folding) -> dict[str, Any]:
        sums = self.outputs[0].numbers
        return {
            "PE": folding["PE"],
            "SIMD": folding["SIMD"],
            "inputDataType": self.inputs[0].numbers.datatype,
            "weightDataType": self.weight_numbers.datatype,
            "outputDataType": sums.datatype,
            "accDataType": sums.datatype,
            "noActivation": 1,
            "mem_mode": "internal_decoupled",
            "ram_style": MEMORIES[folding.get("ram", 0)],
        }


@dataclass(frozen=True, eq=False)
class MatVec(_Weighted):
    """Matrix-vector products: convolutions behind a window, and dense layers. Folded `lut`, products are made of
    LUTs instead of DSPs; all of them in a cycle, by constants."""

    @property
    def rows(self) -> int:
        """FINN's MW: inputs of a product."""
        return int(self.weights.shape[0])

    @cached_property
    def set_bits(self) -> float:
        """Of all weights' bits the share that counts: those set, of two's complement or of signs; all where signs meet
        signs."""
        if self.weight_numbers.bipolar:
            return 1.0 if self.inputs[0].numbers.bipolar else float((self.weights > 0).mean())
        planes = self.weights.astype(np.int64)[..., np.newaxis] >> np.arange(self.weight_numbers.bits)
        return float((planes & 1).mean())

    @property
    def columns(self) -> int:
        """FINN's MH: outputs."""
        return int(self.weights.shape[1])

    def choices(self) -> Choices:
        return {
            "PE": divisors(self.columns),
            "SIMD": divisors(self.rows),
            "lut": (0, 1) if self.fits_dsp else (1,),
            "ram": ROMS,
        }

    def operator(self, folding: Folding) -> str:
        if self.constant(folding):
            return "ConstMVAU_rtl"
        return "LutMVAU_rtl" if folding["lut"] else "MVAU_rtl"

    def constant(self, folding: Folding) -> bool:
        """Whether weights need no memory, and few enough bits for a literal."""
        whole = folding["PE"] * folding["SIMD"] == self.weights.size
        return bool(folding["lut"]) and whole and self.weights.size * self.weight_numbers.bits <= _MOST_CONSTANT_BITS

    def cycles(self, folding: Folding) -> int:
        return self.pixels * (self.rows // folding["SIMD"]) * (self.columns // folding["PE"])

    def taken(self, folding: Folding) -> int:
        return folding["SIMD"]

    def attributes(self, folding: Folding) -> dict[str, Any]:
        return {
            **self._shared(folding),
            **({"mem_mode": "internal_embedded"} if self.constant(folding) else {}),
            "MW": self.rows,
            "MH": self.columns,
            "numInputVectors": [1, *self.outputs[0].shape[:-1]],
        }


@dataclass(frozen=True, eq=False)
class Depthwise(_Weighted):
    """A dot product for each channel, behind a depthwise window. `weights`: (taps, channels). Folded `lut`, as
    for MatVec; DSPs only on Versal."""

    kernel: Pair = (1, 1)

    def choices(self) -> Choices:
        return {
            "PE": divisors(self.weights.shape[1]),
            "SIMD": divisors(self.weights.shape[0]),
            "lut": (1,),
            "ram": ROMS,
        }

    def operator(self, folding: Folding) -> str:
        return "LutVVAU_rtl" if folding["lut"] else "VVAU_rtl"

    def cycles(self, folding: Folding) -> int:
        return self.pixels * self.weights.size // (folding["SIMD"] * folding["PE"])

    def taken(self, folding: Folding) -> int:
        return folding["SIMD"] * folding["PE"]

    @property
    def parameters(self) -> NDArray[np.float32]:
        """FINN's (channels, 1, kernel height, kernel width)."""
        return self.weights.T.reshape(-1, 1, *self.kernel).astype(np.float32)

    def attributes(self, folding: Folding) -> dict[str, Any]:
        return {
            **self._shared(folding),
            "Channels": self.weights.shape[1],
            "Kernel": list(self.kernel),
            "Dim": list(self.outputs[0].shape[:2]),
        }
