"""Counts the cells that Yosys maps modules to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bitswath.backends.netlist.yosys import Module, map_design, tool
from bitswath.errors import BuildError
from bitswath.hw.planning.resources import Resources

__all__ = ["Cells", "cells_of", "map_modules", "tool"]

_LUTRAM = {
    **dict.fromkeys(("SRL16E", "SRLC16E", "SRLC32E", "RAM16X1S", "RAM32X1S", "RAM64X1S"), 1),
    **dict.fromkeys(("RAM128X1S", "RAM32X2S", "RAM64X2S", "RAM16X1D", "RAM32X1D", "RAM64X1D"), 2),
    **dict.fromkeys(("RAM32M", "RAM64M", "RAM128X1D", "RAM256X1S", "RAM32X4S"), 4),
    **dict.fromkeys(("RAM32M16", "RAM64M8", "RAM256X1D", "RAM512X1S", "RAM32X8S", "RAM64X8SW", "RAM32X16DR8"), 8),
}
"""LUTs of each memory primitive (UG953, UG974)."""

_FREE = ("MUXF7", "MUXF8", "MUXF9", "CARRY4", "CARRY8", "INV", "VCC", "GND", "BUFG", "$scopeinfo")
"""What lies beside the LUTs or is absorbed by them."""


@dataclass(frozen=True)
class Cells:
    """The primitives that a module became."""

    by_type: Mapping[str, int]

    @property
    def resources(self) -> Resources:
        """Raises `BuildError` for a cell that is no primitive of a Xilinx part."""
        found = Resources()
        for name, count in self.by_type.items():
            found = found + _resources(name) * count
        return found

    @property
    def carry4(self) -> int:
        """Carry chains in steps of four bits."""
        return self.by_type.get("CARRY4", 0) + 2 * self.by_type.get("CARRY8", 0)


def _resources(cell: str) -> Resources:
    if cell in _LUTRAM:
        return Resources(lut=_LUTRAM[cell], lutram=_LUTRAM[cell])
    if cell.startswith("LUT"):
        return Resources(lut=1)
    if cell.startswith("FD"):
        return Resources(ff=1)
    if cell.startswith("RAMB18"):
        return Resources(bram36=0.5)
    if cell.startswith("RAMB36"):
        return Resources(bram36=1)
    if cell.startswith("URAM"):
        return Resources(uram=1)
    if cell.startswith("DSP"):
        return Resources(dsp=1)
    if cell in _FREE:
        return Resources()
    raise BuildError(f"Yosys left a cell {cell!r}, which is no primitive that can be counted")


def map_modules(
    folder: Path, sources: Sequence[str], modules: Sequence[str], family: str, *, top: str, log: Path, timeout_s: float
) -> dict[str, Cells]:
    """The cells of each of `modules`. See `map_design`."""
    mapped = map_design(folder, sources, modules, family, top=top, log=log, timeout_s=timeout_s)
    return {name: cells_of(module) for name, module in mapped.items()}


def cells_of(module: Module) -> Cells:
    return Cells(Counter(str(cell["type"]) for cell in module["cells"].values()))
