"""Units that requantize: thresholds, and numbers times a constant plus another."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.hw.units.base import Choices, Folding, Numbers, Unit
from bitswath.hw.units.lines import Lines, fit_lines

__all__ = ["Affine", "Threshold"]

_FEWEST_OF_A_LINE = 31
"""Thresholds that a search takes about as many LUTs for as a line."""

_MOST_LINES = 4096
"""Finding one takes about a millisecond."""

_WIDEST = 32
"""Bits of numbers that a product of a few DSP blocks takes."""


@dataclass(frozen=True, eq=False)
class Threshold(Unit):
    """Counts of thresholds reached, plus `base`. `thresholds`: integers (channels, steps), ascending; `ranges`: what
    each channel's inputs reach, (channels,) each. Folded `line`, many thresholds are a product and a shift instead of
    a search, where that is proved to count the same."""

    thresholds: NDArray[np.int64] = field(default_factory=lambda: np.zeros((1, 1), np.int64))
    base: int = 0
    ranges: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def choices(self) -> Choices:
        return super().choices() | ({} if self.lines is None else {"line": (0, 1)})

    def operator(self, folding: Folding) -> str:
        return "Requantize_rtl" if folding.get("line") else "Thresholding_rtl"

    @cached_property
    def lines(self) -> Lines | None:
        """By channel, one where all are alike; None for few thresholds, or where there are none."""
        if self.ranges is None or self.thresholds.shape[1] < _FEWEST_OF_A_LINE or self._compared.bits > _WIDEST:
            return None
        rows, (lo, hi) = self.thresholds, self.ranges
        if self.shared:
            rows, lo, hi = rows[:1], lo.min(keepdims=True), hi.max(keepdims=True)
        return fit_lines(rows, lo, hi) if len(rows) <= _MOST_LINES else None

    @cached_property
    def shared(self) -> bool:
        """Whether all channels have the same thresholds."""
        return bool((self.thresholds == self.thresholds[0]).all())

    def channels(self, folding: Folding) -> int:
        """That a memory is made for: a beat's where they are all alike."""
        return folding["PE"] if self.shared else int(self.inputs[0].shape[-1])

    @property
    def parameters(self) -> NDArray[np.float64]:
        return (self.thresholds[:1] if self.shared else self.thresholds).astype(np.float64)

    @property
    def parameter_type(self) -> Numbers:
        """FINN compares inputs that it does not hold as the nearest that it does: one below all thresholds is held."""
        lowest = max(int(self.thresholds.min()) - 1, self._compared.lo)
        return Numbers.holding(lowest, int(self.thresholds.max()), signed=self._compared.signed)

    @property
    def _compared(self) -> Numbers:
        """Inputs as they are compared: -1 and +1 as bits."""
        return self.inputs[0].numbers.coded

    def attributes(self, folding: Folding) -> dict[str, Any]:
        source, result = self.inputs[0], self.outputs[0]
        vectors = (source.size // folding["PE"],) if self.shared else source.shape[:-1]
        common = {
            "PE": folding["PE"],
            "NumChannels": self.channels(folding),
            "numSteps": self.thresholds.shape[1],
            "inputDataType": self._compared.datatype,
            "outputDataType": result.numbers.coded.datatype,
            "numInputVectors": [1, *vectors],
            "ActVal": self.base,
        }
        if folding.get("line") and self.lines is not None:
            lines = {"gains": self.lines.gains.tolist(), "offsets": self.lines.offsets.tolist()}
            return {**common, **lines, "shift": self.lines.shift}
        types = {"weightDataType": self.parameter_type.datatype, "outputDataType": result.numbers.datatype}
        return {**common, **types, "runtime_writeable_weights": 0}


@dataclass(frozen=True, eq=False)
class Affine(Unit):
    """``factor * x + offset``; where `falling` (channels,) is set, ``falling_offset - factor * x``."""

    factor: int = 1
    offset: int = 0
    falling_offset: int = 0
    falling: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(1, bool))

    op = "Affine_rtl"

    def attributes(self, folding: Folding) -> dict[str, Any]:
        source, result = self.inputs[0], self.outputs[0]
        return {
            "NumChannels": source.shape[-1],
            "PE": folding["PE"],
            "numInputVectors": [1, *source.shape[:-1]],
            "inputDataType": source.numbers.coded.datatype,
            "outputDataType": result.numbers.coded.datatype,
            "factor": self.factor,
            "offsets": [self.offset, self.falling_offset],
            "falling": np.flatnonzero(self.falling).tolist() or [-1],
        }
