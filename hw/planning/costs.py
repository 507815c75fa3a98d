"""What a unit costs in fabric, estimated fast enough for a search over thousands of foldings.

Block RAM, LUTRAM and DSPs follow from the structure of FINN's SystemVerilog and ours. LUTs of logic and flip-flops
are linear in a few structural features of each unit; ``costs.json`` holds the coefficients, fitted to Yosys counts
by ``scripts/fit_costs.py``, and what they were fitted to. They are estimates: ``synthesis.py`` counts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bitswath.errors import BuildError
from bitswath.hw.planning.resources import Resources, clog2, distinct, memory, multiplier, rom, rom_style, shift_queue

__all__ = ["KINDS", "cost", "structure"]


@dataclass(frozen=True)
class Structure:
    """What is known of a unit before any fit: `fixed` resources that follow from its source, and the sizes that
    its LUTs of logic and its flip-flops are linear in."""

    fixed: Resources
    features: tuple[float, ...]


def cost(kind: str, **parameters: Any) -> Resources:
    """Estimated resources of a unit: `kind` is FINN's operator name or one of ours, its parameters are those of
    the function in `KINDS`. Raises `BuildError` for a kind without an estimate."""
    found = structure(kind, **parameters)
    lut, ff = _coefficients()[kind]
    return found.fixed + Resources(lut=_dot(lut, found.features), ff=_dot(ff, found.features))


def structure(kind: str, **parameters: Any) -> Structure:
    """As `cost`, before the fit."""
    if kind not in KINDS:
        raise BuildError(f"no cost estimate for {kind!r}; known: {', '.join(sorted(KINDS))}")
    return KINDS[kind](**parameters)


@cache
def _coefficients() -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    table = json.loads(Path(__file__).with_suffix(".json").read_text())["kinds"]
    return {kind: (tuple(entry["lut"]), tuple(entry["ff"])) for kind, entry in table.items()}


def _dot(weights: Sequence[float], features: Sequence[float]) -> float:
    return sum(weight * feature for weight, feature in zip(weights, features))


def _lanes(weight_bits: int, act_bits: int, acc_bits: int, dsp_block: str, narrow: bool) -> list[int]:
    """Widths of the lanes that mvu.sv packs into a DSP, the lowest first (its function sliceLanes)."""
    a_width, p_width = {"DSP48E1": (25, 48), "DSP48E2": (27, 48), "DSP58": (27, 58)}[dsp_block]
    least = weight_bits + act_bits - 1
    room = a_width - (not narrow) - weight_bits
    lanes = 1 if a_width == weight_bits else 1 + room // least
    slack = room - (lanes - 1) * least
    widths = []
    for i in range(1, lanes):
        extra = math.ceil(slack / (lanes - i))
        widths.append(least + extra)
        slack -= extra
    return [*widths, min(acc_bits, p_width - sum(widths))]


def _mvau(
    *,
    pe: int,
    simd: int,
    rows: int,
    columns: int,
    weight_bits: int,
    act_bits: int,
    acc_bits: int,
    dsp_block: str = "DSP48E1",
    narrow: bool = True,
) -> Structure:
    """FINN's MVAU_rtl without its weight memory (see `rom`). `rows`, `columns`: FINN's MW and MH; `narrow`: no
    weight is the lowest of its type."""
    lanes = _lanes(weight_bits, act_bits, acc_bits, dsp_block, narrow)
    buffered = _replay(rows // simd, columns // pe, simd * act_bits, dsp_block)
    queue = shift_queue(7 + clog2(simd), pe * acc_bits)
    if dsp_block == "DSP58" and len(lanes) <= 3 and weight_bits <= 8 and act_bits <= 9:
        return Structure(
            buffered + queue + Resources(dsp=pe * math.ceil(simd / 3)), (0, 0, 0, 0, pe * acc_bits, simd * act_bits, 1)
        )
    used = [lanes[-1 - i % len(lanes)] for i in range(pe)]  # the highest lanes come first
    summed = sum(width + 1 for width in used) * (simd - 1)
    early = sum(used) * (2 ** clog2(simd) - simd)  # products that join the tree of sums a step later than others
    inner = (pe - math.ceil(pe / len(lanes))) * simd  # products that overflow into a neighbour
    return Structure(
        buffered + queue + Resources(dsp=math.ceil(pe / len(lanes)) * simd),
        (summed, early, inner, pe * simd, pe * acc_bits, simd * act_bits, 1),
    )


def _replay(length: int, repeats: int, width: int, dsp_block: str) -> Resources:
    """FINN's replay_buffer, which gives a vector again for each group of rows."""
    return memory(2 ** max(1, clog2(length)), width, dsp_block, one_port=True) if repeats > 1 else Resources()


def _lut_mvau(
    *,
    pe: int,
    simd: int,
    rows: int,
    columns: int,
    weight_bits: int,
    act_bits: int,
    acc_bits: int,
    dsp_block: str = "DSP48E1",
) -> Structure:
    """lut_mvu.sv without its weight memory."""
    buffered = _replay(rows // simd, columns // pe, simd * act_bits, dsp_block)
    counted = _counted(pe, simd, weight_bits, act_bits, acc_bits, lanes=1)
    return Structure(buffered, (*counted, simd * act_bits, clog2(rows // simd) + clog2(columns // pe), 1))


def _const_mvau(*, pe: int, simd: int, weight_bits: int, act_bits: int, acc_bits: int, ones: float) -> Structure:
    """const_mvu.sv; `ones`: the share of the weights' bits that is set."""
    threes, groups, _, sums, _ = _counted(pe, simd, weight_bits, act_bits, acc_bits, lanes=1)
    return Structure(Resources(), (ones * threes, ones * sums, groups, simd * act_bits))


def _lut_vvau(*, pe: int, simd: int, weight_bits: int, act_bits: int, acc_bits: int) -> Structure:
    """lut_vvu.sv without its weight memory."""
    counted = _counted(pe, simd, weight_bits, act_bits, acc_bits, lanes=pe)
    return Structure(Resources(), (*counted, pe * simd * act_bits, 0, 1))


def _counted(pe: int, simd: int, weight_bits: int, act_bits: int, acc_bits: int, lanes: int) -> tuple[float, ...]:
    """Of lut_dot.sv: what `_plane_sum` says of all rows, and bits of their accumulators. Signs as weights need the sum
    of each of `lanes` vectors besides."""
    each = np.array(_plane_sum(simd, weight_bits, act_bits)) * pe
    signs = weight_bits == 1 and act_bits > 1
    if signs:
        each = each + np.array(_plane_sum(simd, 1, act_bits)) * lanes
    return (*each.tolist(), pe * acc_bits * (1 + signs))


@cache
def _plane_sum(simd: int, weight_bits: int, act_bits: int) -> tuple[int, int, int, int]:
    """Of plane_sum.sv: threes of bits that are counted together, groups of up to six threes, bits of groups of one
    three, which are shift registers, and bits of the sums of groups."""
    threes, groups, alone, sums = 0, 0, 0, 0
    parts = list[tuple[int, int]]()
    for place in range(weight_bits + act_bits - 1):
        bits = simd * min(place + 1, weight_bits, act_bits, weight_bits + act_bits - 1 - place)
        for first in range(0, bits, 18):
            here = min(18, bits - first)
            if here <= 3:
                alone += min(here, 2)
            else:
                threes, groups = threes + math.ceil(here / 3), groups + 1
            parts.append((place, here))
    while len(parts) > 1:
        pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
        parts = [(pair[0][0], sum(most << (place - pair[0][0]) for place, most in pair)) for pair in pairs]
        sums += sum(most.bit_length() for _, most in parts)
    return threes, groups, alone, sums


def _thresholding(*, channels: int, pe: int, in_bits: int, held_bits: int, out_bits: int) -> Structure:
    """FINN's Thresholding_rtl: a binary search of `out_bits` steps, each with its own memory of thresholds of
    `held_bits`, within which it compares."""
    fold, shallow = channels // pe, 0.0
    fixed = shift_queue(2 * out_bits + 2, pe * out_bits)
    for depth in (fold << step for step in range(out_bits)):
        if depth > 16:
            fixed = fixed + (rom(depth, held_bits) + Resources(ff=held_bits)) * pe
        elif depth > 2:  # of two words, a bit is a constant or the address
            shallow += pe * distinct(depth, held_bits)
    passed = held_bits * (2 * out_bits - 1) + out_bits * (out_bits + 1)  # in two registers a step
    fixed = fixed + Resources(ff=pe * passed)
    clipped = pe * held_bits if in_bits > held_bits else 0
    return Structure(fixed, (pe * out_bits * held_bits, shallow, clipped, pe * out_bits, out_bits * clog2(fold), 1))


def _requantize(
    *, channels: int, pe: int, in_bits: int, line_bits: tuple[int, int, int], count: int, off_line: bool
) -> Structure:
    """requantize.sv; `line_bits`: of a gain, of an offset, and the shift; `off_line`: whether it has tables."""
    gain_bits, offset_bits, shift = line_bits
    fold = channels // pe
    fixed = rom(fold, pe * (gain_bits + offset_bits)) + Resources(dsp=pe * multiplier(in_bits + 1, gain_bits + 1))
    if off_line:
        fixed = fixed + rom(fold << count.bit_length(), 2) * pe
    sums = max(in_bits + gain_bits, offset_bits) + 3
    return Structure(fixed, (pe * sums, pe * shift, pe * count.bit_length(), 1))


def _window(
    *,
    kernel: tuple[int, int],
    image: tuple[int, int],
    channels: int,
    simd: int,
    bits: int,
    strides: tuple[int, int] = (1, 1),
    dilations: tuple[int, int] = (1, 1),
    parallel: bool = False,
    dsp_block: str = "DSP48E1",
    style: str = "auto",
) -> Structure:
    """FINN's ConvolutionInputGenerator_rtl. Its buffer is as deep as FINN's get_buffer_depth says."""
    (kernel_h, kernel_w), (stride_h, stride_w), (step_h, step_w) = kernel, strides, dilations
    fold, width, taps = channels // simd, simd * bits, kernel_h * kernel_w
    loops = sum(map(clog2, (*image, *kernel, fold))) + clog2(image[0] * image[1] * fold)
    if parallel:
        line = (image[1] - (kernel_w - 1) * step_w - 1) * fold
        lines = memory(max(line, 2), width, dsp_block, style) * ((kernel_h - 1) * step_h)
        apart = step_w * fold
        if apart < 3:
            window = Resources(ff=kernel_h * ((kernel_w - 1) * apart + 1) * width)
        else:  # what lies between two pixels of a window is in shift registers
            window = shift_queue(apart, width) * (taps - 1) + Resources(ff=width)
        return Structure(lines + window, (0, 0, 0, 0, loops, clog2(line), width, 1))
    depth = ((kernel_h - 1) * step_h * image[1] + (kernel_w - 1) * step_w + 1) * fold
    depth += max(0, stride_w - 1 - taps) * fold + max(0, (stride_h - 1) * image[1] - taps) * fold
    buffer = memory(depth, width, dsp_block, style)
    register = Resources(ff=width if buffer.lutram else 0)  # block RAM has it inside
    return Structure(buffer + register, (loops, clog2(depth), width, 1, 0, 0, 0, 0))


def _line_windows(
    *,
    rows: int,
    columns: int,
    beats: int,
    image: tuple[int, int],
    pixel_bits: int,
    width: int,
    dsp_block: str = "DSP48E1",
) -> Structure:
    """line_windows.sv. `rows`: of its kernel, `columns`: of pixels that its registers hold, `beats`: of a row, `width`:
    bits of a beat."""
    held = memory(beats, (rows - 1) * width, dsp_block) if rows > 1 else Resources()
    read = 0 if held.bram36 else (rows - 1) * width
    registers = Resources(ff=rows * columns * pixel_bits + width + read)
    return Structure(held + registers, (clog2(image[0]) + clog2(beats), 1))


def _window_pool(*, channels: int, taps: int, bits: int, summed: bool) -> Structure:
    """window_pool.sv; `bits`: of a result."""
    joined = channels * (taps - 1) * bits
    return Structure(Resources(), (0 if summed else joined, joined if summed else 0, 1))


def _padding(*, simd: int, bits: int, image: tuple[int, int], channels: int) -> Structure:
    """FINN's FMPadding_rtl."""
    return Structure(Resources(), (simd * bits, clog2(image[0]) + clog2(image[1]) + clog2(channels // simd), 1))


def _converter(*, in_width: int, out_width: int) -> Structure:
    """FINN's StreamingDataWidthConverter_rtl (vpc.sv, as rtllib.py patches dwc_axi.sv): a shift register and a beat
    aside where one beat is a whole number of the other's; else what comes is turned by any number of places at once,
    by a row of multiplexers for each bit of that number."""
    if in_width == out_width:
        return Structure(Resources(), (0, 0, 0, 0, 0, 0))
    unit = math.gcd(in_width, out_width)
    if unit in (in_width, out_width):
        luts = in_width + (out_width if in_width > out_width else 0)
        return Structure(Resources(lut=luts, ff=in_width + out_width), (0, 0, 0, 0, 0, 1))
    places = in_width // unit
    rows = in_width * (math.log2(places) - 1)
    uneven = in_width if places > 3 and places.bit_count() > 1 else 0
    both = in_width + out_width
    return Structure(Resources(), (rows, uneven, both, both / unit, both, 1))


def _fifo(*, depth: int, width: int, dsp_block: str = "DSP48E1", style: str = "auto") -> Structure:
    """FINN's fifo.sv; `style` as its RAM_STYLE, which has no say up to a depth of 33; "auto" is Yosys' choice."""
    register = Resources(ff=width)
    if depth <= 33 or style == "shift":
        slots = max(depth - 1, 4)
        return Structure(shift_queue(slots, width) + register, (clog2(slots), 1, 0, 0))
    held = memory(depth - 1, width, dsp_block, style)
    if held.bram36 and style != "block" and depth <= 257:  # the register is the one inside
        register = Resources()
    return Structure(held + register, (0, 0, clog2(depth - 1), 1))


def _rom_stream(*, depth: int, width: int, style: str = "auto") -> Structure:
    """A stream of weights from a ROM (rom_stream.sv): two registers, one of them in the block RAM if it has one."""
    if style == "auto":
        style = rom_style(depth, width)
    registered = (0, width) if style == "block" else (distinct(depth, width), 0)
    return Structure(rom(depth, width, style), (*registered, clog2(depth), 1))


def _unpack(*, beat: int, word: int) -> Structure:
    """dense_unpack.sv; `beat` and `word` in bits."""
    chunk = word
    while chunk % 2 == 0 and chunk // 2 >= beat:
        chunk //= 2
    return Structure(Resources(), (*_gathered(chunk, beat), word, 1))


def _pack(*, beat: int, word: int) -> Structure:
    """dense_pack.sv and pack_status.sv; `beat` and `word` in bits."""
    return Structure(Resources(), (*_gathered(beat, word), 1))


def _gathered(part: int, whole: int) -> tuple[int, int]:
    """Bits that a part has as it is moved behind what is held, in a row of multiplexers for each bit of that distance;
    bits that are held."""
    unit = math.gcd(part, whole)
    held = part + whole - unit
    rows = range(1, clog2(whole // unit) + 1)
    return sum(min(held, part + ((1 << row) - 1) * unit) for row in rows), held


def _elementwise(*, width: int) -> Structure:
    """Units that do little more than register what passes; `width`: bits of all their streams together."""
    return Structure(Resources(), (width, 1))


def _scaled(*, width: int, factors: tuple[int, ...]) -> Structure:
    """Constants times numbers, made of additions; `width`: bits of the results of a beat. Products that are not shifts
    are registered before they are added."""
    more = width * sum(abs(factor).bit_count() - 1 for factor in factors)
    return Structure(Resources(), (width, more, width if more else 0, 1))


def _pool(*, width: int, summed: bool) -> Structure:
    """max_pool.sv, or sum_pool.sv if `summed`; `width`: bits of a beat in and one out."""
    return Structure(Resources(), (width, width if summed else 0, 1))


def _take_runs(*, runs: int, longest: int, widths: tuple[int, int]) -> Structure:
    """take_runs.sv; `longest`: beats of a run at most, `widths`: bits of a beat in and out."""
    length = clog2(longest)
    order = _rom_stream(depth=runs, width=length + 2)
    return Structure(order.fixed, (widths[1], length, clog2(runs), 1))


def _take_ring(
    *, depth: int, entries: int, entry_bits: int, widths: tuple[int, int], dsp_block: str = "DSP48E1"
) -> Structure:
    """take_ring.sv; `widths`: bits of a beat in and out."""
    order = _rom_stream(depth=entries, width=entry_bits)
    ring = memory(depth, widths[0], dsp_block)
    register = Resources(ff=0 if ring.bram36 else widths[0])
    return Structure(order.fixed + ring + register, (widths[1], clog2(depth), clog2(entries), 1))


def _transform_decode(
    *, bands: int, columns: int, simd: int, word_bits: int, most_bytes: int, dsp_block: str = "DSP48E1"
) -> Structure:
    """decode_link.sv: two frames' bytes, and two stripes of 16 lines of pixels, or four of one band; besides them its
    tables and two blocks of coefficients. A DSP block for each product of the band transform, 17 before it."""
    ring = memory(1 << clog2(2 * most_bytes), 8, dsp_block, "block")
    stripes = memory((2 if bands > 1 else 4) * 256 * math.ceil(columns / 16), 8, dsp_block, "block") * bands
    components = memory(256, 12, dsp_block, "distributed") * (bands - 1)
    core = Resources(lut=220, lutram=220, bram36=1.5, dsp=17 + (bands * bands if bands > 1 else 0))
    return Structure(ring + stripes + components + core, (bands * bands, bands, word_bits, 1))


KINDS: dict[str, Callable[..., Structure]] = {
    "MVAU_rtl": _mvau,
    "LutMVAU_rtl": _lut_mvau,
    "ConstMVAU_rtl": _const_mvau,
    "LutVVAU_rtl": _lut_vvau,
    "Thresholding_rtl": _thresholding,
    "Requantize_rtl": _requantize,
    "ConvolutionInputGenerator_rtl": _window,
    "FMPadding_rtl": _padding,
    "LineWindows_rtl": _line_windows,
    "WindowPool_rtl": _window_pool,
    "JoinStreams_rtl": _elementwise,
    "StreamingDataWidthConverter_rtl": _converter,
    "StreamingFIFO_rtl": _fifo,
    "memstream": _rom_stream,
    "DenseUnpack_rtl": _unpack,
    "DensePack_rtl": _pack,
    "PackStatus_rtl": _pack,
    "DuplicateStreams_rtl": _elementwise,
    "AddStreams_rtl": _scaled,
    "Affine_rtl": _scaled,
    "StreamingConcat_rtl": _elementwise,
    "LabelSelect_rtl": _elementwise,
    "Lookup_rtl": _elementwise,
    "GlobalAccPool_rtl": _elementwise,
    "TakeRuns_rtl": _take_runs,
    "TakeRing_rtl": _take_ring,
    "TransformDecode_rtl": _transform_decode,
    "Pool_rtl": _pool,
}
"""Units by FINN's operator name, with the parameters that their cost depends on."""
