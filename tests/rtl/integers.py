"""Integer types as FINN names them, for the kernels that multiply."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.rtl.simulate import random_integers


@dataclass(frozen=True)
class Integer:
    """INT, UINT, or, at one bit, BIPOLAR: -1 and +1, coded as 0 and 1."""

    bits: int
    signed: bool = False
    bipolar: bool = False

    def random(self, random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int64]:
        values = random_integers(random, self.bits, self.signed and not self.bipolar, shape)
        return 2 * values - 1 if self.bipolar else values

    def coded(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        return (values + 1) // 2 if self.bipolar else values

    def parameters(self, prefix: str) -> dict[str, int]:
        return {f"{prefix}_BITS": self.bits, f"{prefix}_SIGNED": self.signed, f"{prefix}_BIPOLAR": self.bipolar}
