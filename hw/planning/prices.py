"""What a planned unit costs under a folding: its parameters, as the cost model wants them."""

from __future__ import annotations

from functools import cache
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


def unit_logic_cost(unit: Unit, folding: Folding, board: Board) -> Resources:
    """Of a unit without its weight memory."""
    source, kind = unit.inputs[0], unit.operator(folding)
    match unit:
        case MatVec() | Depthwise():
            return _products(unit, folding, board)
        case Threshold() if folding.get("line") and unit.lines is not None:
            return cost(
                kind,
                channels=unit.channels(folding),
                pe=folding["PE"],
                in_bits=source.numbers.bits,
                line_bits=(unit.lines.gain_bits, unit.lines.offset_bits, unit.lines.shift),
                count=unit.thresholds.shape[1],
                off_line=bool(unit.lines.exceptions.any()),
            )
        case Threshold():
            return cost(
                kind,
                channels=unit.channels(folding),
                pe=folding["PE"],
                in_bits=source.numbers.bits,
                held_bits=min(unit.parameter_type.bits, source.numbers.bits),
                out_bits=unit.thresholds.shape[1].bit_length(),
            )
        case Window():
            return cost(
                kind,
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
        case LineWindows():
            raster, bits = unit.raster, source.numbers.bits
            return cost(
                kind,
                rows=raster.kernel[0],
                columns=raster.held,
                beats=source.shape[1],
                image=raster.image,
                pixel_bits=source.apart.shape[2] * bits,
                width=source.shape[2] * bits,
                dsp_block=board.dsp_block,
            )
        case WindowPool():
            result = unit.outputs[0]
            sizes = {"channels": result.shape[-1], "taps": unit.taps, "bits": result.numbers.bits}
            return cost(kind, **sizes, summed=unit.total)
        case Pad():
            shape, bits = source.shape, source.numbers.bits
            return cost(kind, simd=folding["SIMD"], bits=bits, image=shape[:2], channels=shape[2])
        case AddStreams() | Affine():
            factors = unit.multipliers if isinstance(unit, AddStreams) else (unit.factor,)
            return cost(kind, width=folding["PE"] * unit.outputs[0].numbers.bits, factors=factors)
        case Decode():
            _, width, bands = unit.decoding.shape
            bits = source.numbers.bits
            sizes = {"bands": bands, "columns": width, "simd": folding["SIMD"], "word_bits": bits}
            return cost(kind, **sizes, most_bytes=unit.decoding.most_bytes(bits), dsp_block=board.dsp_block)
        case Take():
            pe = folding["PE"]
            widths = (pe * source.numbers.bits, pe * unit.outputs[0].numbers.bits)
            if not unit.in_order:
                ring = ring_of(unit.beats(pe), source.size // pe)
                sizes = {"depth": ring.depth, "entries": len(ring.entries), "entry_bits": 1 + sum(ring.bits)}
                return cost(kind, **sizes, widths=widths, dsp_block=board.dsp_block)
            lengths = [length for _, length in runs_of(unit.beats(pe), source.size // pe)]
            return cost(kind, runs=len(lengths), longest=max(lengths), widths=widths)
        case Unpack():
            return cost(kind, beat=unit.given(folding) * unit.outputs[0].numbers.bits, word=source.numbers.bits)
        case Pack():
            return cost(kind, beat=unit.taken(folding) * source.numbers.bits, word=unit.outputs[0].numbers.bits)
    width = sum(unit.taken(folding) * wire.numbers.bits for wire in unit.inputs)
    width += sum(unit.given(folding) * wire.numbers.bits for wire in unit.outputs)
    more = {"summed": isinstance(unit, SumPool)} if isinstance(unit, Pool) else {}
    return cost(kind, width=width, **more)


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


def _products(unit: MatVec | Depthwise, folding: Folding, board: Board) -> Resources:
    numbers = unit.weight_numbers
    widths: dict[str, Any] = {
        "pe": folding["PE"],
        "simd": folding["SIMD"],
        "weight_bits": numbers.bits,
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
