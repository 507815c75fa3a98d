"""Fabric resources, and those of memories and multipliers, which follow from their sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from bitswath.hw.planning.boards import Board

__all__ = ["Resources", "clog2", "distinct", "memory", "multiplier", "rom", "rom_style", "shift_queue"]


@dataclass(frozen=True)
class Resources:
    """Fabric resources. `lut`: all LUTs, those used as memory or shift registers included, which `lutram` counts
    again; `bram36`: RAMB36, a RAMB18 being half of one."""

    lut: float = 0
    lutram: float = 0
    ff: float = 0
    bram36: float = 0
    uram: float = 0
    dsp: float = 0

    def __add__(self, other: Resources) -> Resources:
        return Resources(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __mul__(self, copies: float) -> Resources:
        return Resources(*(getattr(self, f.name) * copies for f in fields(self)))

    def usage(self, board: Board) -> dict[str, float]:
        """Shares of what the board's part offers; infinite for what it does not have."""
        found = {f.name: (getattr(self, f.name), getattr(board, f.name)) for f in fields(self)}
        return {name: used / has if has else math.inf if used else 0.0 for name, (used, has) in found.items()}

    def fits(self, board: Board, margin: float = 0.0) -> bool:
        """Whether a share of `margin` (0..1) of every resource is left."""
        return all(share <= 1 - margin for share in self.usage(board).values())


def rom_style(depth: int, width: int) -> str:
    """ "block" or "distributed", for a ROM: LUTs hold 64 bits each, and a RAMB18 is worth about 130 of them."""
    return "block" if depth * width / 64 > 130 * _ramb18(depth, width) else "distributed"


def rom(depth: int, width: int, style: str = "auto") -> Resources:
    """A read-only memory of `depth` words of `width` bits with a registered output."""
    if style == "auto":
        style = rom_style(depth, width)
    if style == "block":
        return Resources(bram36=_ramb18(depth, width) / 2)
    leaves = math.ceil(depth / 64)
    per_column = leaves + math.ceil((leaves - 1) / 3)  # a LUT6 chooses among four
    return Resources(lut=distinct(depth, width) * per_column * min(1, depth / 16))


def distinct(depth: int, width: int) -> float:
    """Columns that are left of a ROM once equal ones are merged, which shallow ROMs have many of: those seen of
    2^depth in `width` random draws."""
    return width if depth > 16 else 2**depth * -math.expm1(-width / 2**depth)


def memory(
    depth: int, width: int, dsp_block: str = "DSP48E1", style: str = "auto", *, one_port: bool = False
) -> Resources:
    """A memory with one port to write and one to read, or `one_port` for both, as Yosys maps it: in LUTs below 65 of
    them a RAMB18."""
    if style == "ultra":
        return Resources(uram=math.ceil(depth / 4096) * math.ceil(width / 72))
    words = 32 if depth <= 32 else 64
    per_group, luts = (6 if words == 32 else 3, 4) if dsp_block == "DSP48E1" else (14 if words == 32 else 7, 8)
    lutram = math.ceil(width / per_group) * luts * math.ceil(depth / words)
    blocks = _ramb18(depth, width)
    if one_port and 32 < depth <= 256:
        lutram = width * 2 ** clog2(math.ceil(depth / 64))  # RAM64X1S, RAM128X1S, RAM256X1S
        if lutram <= 65 * blocks and style == "auto":
            return Resources(lut=lutram, lutram=lutram)
    if style == "block" or (style == "auto" and lutram > 65 * blocks):
        return Resources(bram36=blocks / 2)
    select = width * math.ceil((math.ceil(depth / words) - 1) / 3)  # multiplexers between the groups
    return Resources(lut=lutram + select, lutram=lutram)


def _ramb18(depth: int, width: int) -> int:
    """RAMB18 blocks, the fewest of its shapes for simple dual-port use (UG473, table 1-11)."""
    shapes = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
    return min(math.ceil(depth / words) * math.ceil(width / bits) for words, bits in shapes)


def shift_queue(depth: int, width: int) -> Resources:
    luts = width * math.ceil(depth / 32)
    return Resources(lut=luts, lutram=luts)


def clog2(number: int) -> int:
    """Bits that count `number` things."""
    return max(0, number - 1).bit_length()


def multiplier(a: int, b: int) -> int:
    """DSP blocks of a signed product, each of 25 x 18 bits."""
    return min(math.ceil((x - 1) / 24) * math.ceil((y - 1) / 17) for x, y in ((a, b), (b, a)))
