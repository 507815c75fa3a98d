"""What a planned unit costs under a folding: its parameters, as the cost model wants them."""

from __future__ import annotations

from functools import cache, singledispatch
from typing import Any

from bitswath.hw.planning.boards import Board
from bitswath.hw.planning.costs import cost
from bitswath.hw.planning.resources import Resources
from bitswath.hw.units import (
    MEMORIES,
    AddStreams,
    Affine,
    Decode,
    Depthwise,
    Folding,
    LineWindows,
    MatVec,
    Pack,
    Pad,
    Pool,
    SumPool,
    Take,
    Threshold,
    Unit,
    Unpack,
    Window,
    WindowPool,
)
from bitswath.hw.units.takes import ring_of, runs_of

__all__ = ["converter_cost", "queue_cost", "unit_cost", "unit_logic_cost", "weights_cost"]


def unit_cost(unit: Unit, folding: Folding, board: Board) -> Resources:
    """Estimated resources of a unit, its weight memory included."""
    return unit_logic_cost(unit, folding, board) + weights_cost(unit, folding)


def weights_cost(unit: Unit, folding: Folding) -> Resources:
    """Of a unit's weight memory; nothing where it has none."""
    if not isinstance(unit, MatVec | Depthwise) or (isinstance(unit, MatVec) and unit.constant(folding)):
        return Resources()
    products = folding["PE"] * folding["SIMD"]
    width = products * unit.weight_numbers.bits
    return cost("memstream", depth=unit.weights.size // products, width=width, style=MEMORIES[folding.get("ram", 0)])


@singledispatch
def unit_logic_cost(unit: Unit, folding: Folding, board: Board) -> Resources:
    """Of a unit without its weight memory."""
    return cost(unit.operator(folding), width=_width(unit, folding))


@unit_logic_cost.register
def _(unit: Pool, folding: Folding, board: Board) -> Resources:
    return cost(unit.operator(folding), width=_width(unit, folding), summed=isinstance(unit, SumPool))


@unit_logic_cost.register(MatVec)
@unit_logic_cost.register(Depthwise)
def _(unit: MatVec | Depthwise, folding: Folding, board: Board) -> Resources:
    widths: dict[str, Any] = {
        "pe": folding["PE"],
        "simd": folding["SIMD"],
        "weight_bits": unit.weight_numbers.bits,
        "act_bits": unit.inputs[0].numbers.bits,
        "acc_bits": unit.outputs[0].numbers.bits,
    }
    if isinstance(unit, MatVec) and unit.constant(folding):
        return cost(unit.operator(folding), **widths, ones=unit.set_bits)
    if isinstance(unit, MatVec):
        widths |= {"rows": unit.rows, "columns": unit.columns, "dsp_block": board.dsp_block}
    if not folding["lut"]:
        widths["narrow"] = unit.narrow
    return cost(unit.operator(folding), **widths)


@unit_logic_cost.register
def _(unit: Threshold, folding: Folding, board: Board) -> Resources:
    count, in_bits = unit.thresholds.shape[1], unit.inputs[0].numbers.bits
    sizes: dict[str, Any] = {"channels": unit.channels(folding), "pe": folding["PE"], "in_bits": in_bits}
    if folding.get("line") and (lines := unit.lines) is not None:
        sizes |= {"line_bits": (lines.gain_bits, lines.offset_bits, lines.shift), "count": count}
        return cost(unit.operator(folding), **sizes, off_line=bool(lines.exceptions.any()))
    held = min(unit.parameter_type.bits, in_bits)
    return cost(unit.operator(folding), **sizes, held_bits=held, out_bits=count.bit_length())


@unit_logic_cost.register
def _(unit: Window, folding: Folding, board: Board) -> Resources:
    source = unit.inputs[0]
    return cost(
        unit.operator(folding),
        kernel=unit.kernel,
        image=source.shape[:2],
        channels=source.shape[2],
        simd=folding["SIMD"],
        bits=source.numbers.bits,
        strides=unit.strides,
        dilations=unit.dilations,
        parallel=bool(folding["parallel"]) or unit.taps == 1,
        dsp_block=board.dsp_block,
        style=MEMORIES[folding.get("ram", 0)],
    )


@unit_logic_cost.register
def _(unit: LineWindows, folding: Folding, board: Board) -> Resources:
    source, raster = unit.inputs[0], unit.raster
    return cost(
        unit.operator(folding),
        rows=raster.kernel[0],
        columns=raster.held,
        beats=source.shape[1],
        image=raster.image,
        pixel_bits=source.apart.shape[2] * source.numbers.bits,
        width=source.shape[2] * source.numbers.bits,
        dsp_block=board.dsp_block,
    )


@unit_logic_cost.register
def _(unit: WindowPool, folding: Folding, board: Board) -> Resources:
    result = unit.outputs[0]
    sizes = {"channels": result.shape[-1], "taps": unit.taps, "bits": result.numbers.bits}
    return cost(unit.operator(folding), **sizes, summed=unit.total)


@unit_logic_cost.register
def _(unit: Pad, folding: Folding, board: Board) -> Resources:
    source = unit.inputs[0]
    sizes = {"simd": folding["SIMD"], "bits": source.numbers.bits, "channels": source.shape[2]}
    return cost(unit.operator(folding), **sizes, image=source.shape[:2])


@unit_logic_cost.register(AddStreams)
@unit_logic_cost.register(Affine)
def _(unit: AddStreams | Affine, folding: Folding, board: Board) -> Resources:
    factors = unit.multipliers if isinstance(unit, AddStreams) else (unit.factor,)
    return cost(unit.operator(folding), width=folding["PE"] * unit.outputs[0].numbers.bits, factors=factors)


@unit_logic_cost.register
def _(unit: Decode, folding: Folding, board: Board) -> Resources:
    _, width, bands = unit.decoding.shape
    bits = unit.inputs[0].numbers.bits
    sizes = {"bands": bands, "columns": width, "simd": folding["SIMD"], "word_bits": bits}
    most_bytes = unit.decoding.most_bytes(bits)
    return cost(unit.operator(folding), **sizes, most_bytes=most_bytes, dsp_block=board.dsp_block)


@unit_logic_cost.register
def _(unit: Take, folding: Folding, board: Board) -> Resources:
    (source,), (result,), pe = unit.inputs, unit.outputs, folding["PE"]
    widths = (pe * source.numbers.bits, pe * result.numbers.bits)
    if unit.in_order:
        lengths = [length for _, length in runs_of(unit.beats(pe), source.size // pe)]
        return cost(unit.operator(folding), runs=len(lengths), longest=max(lengths), widths=widths)
    ring = ring_of(unit.beats(pe), source.size // pe)
    sizes = {"depth": ring.depth, "entries": len(ring.entries), "entry_bits": 1 + sum(ring.bits)}
    return cost(unit.operator(folding), **sizes, widths=widths, dsp_block=board.dsp_block)


@unit_logic_cost.register
def _(unit: Unpack, folding: Folding, board: Board) -> Resources:
    beat = unit.given(folding) * unit.outputs[0].numbers.bits
    return cost(unit.operator(folding), beat=beat, word=unit.inputs[0].numbers.bits)


@unit_logic_cost.register
def _(unit: Pack, folding: Folding, board: Board) -> Resources:
    beat = unit.taken(folding) * unit.inputs[0].numbers.bits
    return cost(unit.operator(folding), beat=beat, word=unit.outputs[0].numbers.bits)


def _width(unit: Unit, folding: Folding) -> int:
    """Bits of a beat of every stream in and out."""
    taken = sum(unit.taken(folding) * wire.numbers.bits for wire in unit.inputs)
    return taken + sum(unit.given(folding) * wire.numbers.bits for wire in unit.outputs)


@cache
def converter_cost(given: int, taken: int, bits: int) -> Resources:
    """A width converter between beats of `given` and `taken` elements; nothing where they agree."""
    if given == taken:
        return Resources()
    return cost("StreamingDataWidthConverter_rtl", in_width=given * bits, out_width=taken * bits)


@cache
def queue_cost(elements: int, bits: int, dsp_block: str, held: int = 0) -> Resources:
    """A queue in a stream of beats of `elements` that has to hold `held` of them; up to 33 beats cost the same."""
    depth = max(33, -(-held // elements) + 1)
    style = "auto" if depth <= 257 else "block"
    width = -(-elements * bits // 8) * 8
    return cost("StreamingFIFO_rtl", depth=depth, width=width, dsp_block=dsp_block, style=style)
