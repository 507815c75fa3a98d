"""The boards an accelerator can be built for: all that FINN+ knows.

``boards.json`` holds for each its part and, for each region (super logic region) of the part, LUTs, those of them
that can be memory, flip-flops, RAMB36, UltraRAMs and DSP blocks. Zynq and Versal: the device tables of the vendor's
data sheets (DS190, DS891, DS889, DS950); Alveo: what its shell leaves, from FINN's platform tables, with the LUTs
that can be memory in the device's proportion.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Literal

from bitswath.errors import BuildError

__all__ = ["Board", "Region", "boards", "find_board"]

Family = Literal["7series", "ultrascale+", "versal"]


@dataclass(frozen=True)
class Region:
    """What one super logic region offers; most parts have one."""

    lut: int
    lutram: int
    ff: int
    bram36: int
    uram: int
    dsp: int


@dataclass(frozen=True)
class Board:
    """A board and what its part offers in all.

    `lutram`: those of `lut` that can be memory; `bram36`: RAMB36 blocks, each also usable as two RAMB18;
    `regions`: the same for each super logic region; `clock_hz`: what accelerators are built for by default;
    `link_width`: bits of a word on the link; `shell`: FINN's vendor flow for it, None where it has none.
    """

    name: str
    part: str
    family: Family
    regions: tuple[Region, ...]
    clock_hz: float
    link_width: int
    shell: Literal["zynq", "alveo"] | None

    @property
    def lut(self) -> int:
        return sum(region.lut for region in self.regions)

    @property
    def lutram(self) -> int:
        return sum(region.lutram for region in self.regions)

    @property
    def ff(self) -> int:
        return sum(region.ff for region in self.regions)

    @property
    def bram36(self) -> int:
        return sum(region.bram36 for region in self.regions)

    @property
    def uram(self) -> int:
        return sum(region.uram for region in self.regions)

    @property
    def dsp(self) -> int:
        return sum(region.dsp for region in self.regions)

    @property
    def fastest_hz(self) -> float:
        """The fastest clock that its shell gives the fabric: a Zynq-7000's processor system gives 250 MHz at most."""
        return 250e6 if self.family == "7series" else 500e6

    def shared(self, instances: int) -> Board:
        """What each of so many equal designs may take, none of which lies in two regions if there are enough of them.

        It is of one region, an equal share of the region that has least for each.
        """
        if instances == 1:
            return self
        crowd = -(-instances // len(self.regions))
        each = {f.name: min(getattr(region, f.name) for region in self.regions) // crowd for f in fields(Region)}
        return replace(self, regions=(Region(**each),))

    @property
    def dsp_block(self) -> Literal["DSP48E1", "DSP48E2", "DSP58"]:
        blocks: dict[Family, Literal["DSP48E1", "DSP48E2", "DSP58"]] = {
            "7series": "DSP48E1",
            "ultrascale+": "DSP48E2",
            "versal": "DSP58",
        }
        return blocks[self.family]

    @property
    def yosys_family(self) -> str:
        """For ``synth_xilinx -family``. Yosys does not know Versal, whose LUTs, flip-flops and block RAMs are close
        to UltraScale+'s; counts for it are estimates."""
        return "xc7" if self.family == "7series" else "xcup"


@cache
def boards() -> tuple[Board, ...]:
    """Every board, in the order in which they are listed: Zynq-7000, Zynq UltraScale+, Alveo, Versal."""
    table = json.loads(Path(__file__).with_suffix(".json").read_text())
    return tuple(
        _board(name, entry["part"], tuple(Region(*counts) for counts in entry["regions"]))
        for name, entry in table.items()
    )


def find_board(name: str) -> Board:
    """The board of that name, whatever the case. Raises `BuildError` that lists close matches."""
    by_name = {board.name.lower(): board for board in boards()}
    if found := by_name.get(name.lower()):
        return found
    close = difflib.get_close_matches(name.lower(), by_name, n=3, cutoff=0.5)
    hint = ", ".join(by_name[match].name for match in close) or "'bitswath boards' lists all"
    raise BuildError(f"unknown board {name!r}; did you mean: {hint}" if close else f"unknown board {name!r}; {hint}")


def _board(name: str, part: str, regions: tuple[Region, ...]) -> Board:
    if part.startswith("xc7"):
        return Board(name, part, "7series", regions, 100e6, 64, "zynq")
    if part.startswith(("xczu", "xck26")):
        return Board(name, part, "ultrascale+", regions, 200e6, 128, "zynq")
    if part.startswith("xcu"):
        return Board(name, part, "ultrascale+", regions, 200e6, 512, "alveo")
    return Board(name, part, "versal", regions, 250e6, 512, None)
