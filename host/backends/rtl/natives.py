"""Which stages and queues of a build have native models (fabric/*.hpp), and with what parameters.

Read from the wrappers around FINN's and our kernels; a stage that is not as its model expects has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bitswath.backends.rtl.stand_in import window_model
from bitswath.builds.design import Design, Stage, Stream

__all__ = ["Native", "Queue", "natives", "queue"]

_Values = dict[str, str]


@dataclass(frozen=True)
class Queue:
    """`capacity`: beats behind its output register; `in_ram`: with one register more, as FINN's in block RAM."""

    capacity: int
    in_ram: bool


@dataclass(frozen=True)
class Native:
    """A stage with a model, from stream `source` to stream `sink`; `values`: what its model reads.

    `weights`: the stream of the memory that belongs to it; `stages`: what all of it stands for.
    """

    kind: str
    source: str
    sink: str
    values: tuple[str, ...]
    stages: tuple[str, ...]
    weights: str | None = None


def natives(design: Design, rtl: Path) -> list[Native]:
    """The stages of the build in `rtl` that have models and streams with queues on both sides."""
    streams = {stream.name: stream for stream in design.streams}
    stages = {stage.name: stage for stage in design.stages}
    found = []
    for stage in design.stages:
        kernel = _kernel(stage, rtl)
        ends = [stage.inputs.get("in0_V"), stage.outputs.get("out0_V")]
        if kernel is None or any(name is None or queue(streams[name]) is None for name in ends):
            continue
        kind, values = kernel
        weights, memory = stage.inputs.get("in1_V"), None
        if weights is not None:
            memory = stages[streams[weights].source or ""]
            rom = _kernel(memory, rtl)
            if streams[weights].depth or rom is None or rom[0] != "rom_stream":
                continue
            values |= {"INIT_FILE": rom[1]["INIT_FILE"], "ROM_DEPTH": rom[1]["DEPTH"]}
        given = _MODELS[kind](values) if kind in _MODELS and len(stage.inputs) == 1 + (kind in _PRODUCTS) else None
        if given is not None:
            names = (stage.name,) if memory is None else (stage.name, memory.name)
            source, sink = (str(name) for name in ends)
            found.append(Native(kind, source, sink, tuple(map(str, given)), names, weights))
    return found


def queue(stream: Stream) -> Queue | None:
    """What FINN's fifo.sv makes of a stream's queue; None for wires and UltraRAM."""
    depth, style = stream.depth, stream.ram_style
    if depth == 0:
        return None
    if depth <= 33 or style in ("shift", "distributed") or (style == "auto" and depth <= 257):
        return Queue(max(depth, 5) - 1, in_ram=False)
    if style == "ultra" or (style == "auto" and depth > 2028):
        return None
    bits = (depth - 2).bit_length()  # of the address of depth - 1 beats
    rest = (depth - 2 - (1 << (bits - 1))).bit_length()
    two = bits > 9 and rest < bits - 1
    return Queue((1 << (bits - 1)) + (1 << max(rest, 1)) if two else 1 << bits, in_ram=True)


def _kernel(stage: Stage, rtl: Path) -> tuple[str, _Values] | None:
    """The kernel in a stage's wrapper and its parameters; for windows those of their controller."""
    texts = [(rtl / name).read_text() for name in stage.sources if name.startswith(stage.module)]
    texts = [text for text in texts if re.search(rf"\bmodule\s+{stage.module}(_impl)?\b", text)]
    for text in texts:
        if window_model(text):
            sizes = dict(re.findall(r"\bint\s+(\w+) = (\d+)", text))
            return "swg_window", sizes | _given(re.search(r"\bswg_controller #\((.*?)\)\s*controller_inst", text, re.S))
    for text in texts:
        if instance := re.search(rf"\b({'|'.join((*_MODELS, 'rom_stream'))})\s*#\((.*?)\)\s*\w+\s*\(", text, re.S):
            defaults = dict(re.findall(r"\bparameter\s+(\w+)\s*=\s*(\"[^\"]*\"|[-\w.]+)", text))
            defaults |= {name: str(value) for name, value in stage.parameters.items()}
            values = _given(instance, 2)
            return instance[1], defaults | {name: defaults.get(value, value) for name, value in values.items()}
    return None


def _given(instance: re.Match[str] | None, group: int = 1) -> _Values:
    return dict(re.findall(r"\.(\w+)\(([^()]*)\)", instance[group])) if instance else {}


def _named(values: _Values, names: str) -> list[str]:
    return [values[name].strip('"') for name in names.split()]


def _padding(values: _Values) -> list[object] | None:
    folds = int(values["NUM_CHANNELS"]) // int(values["SIMD"])
    return [folds, *_named(values, "INIT_XON INIT_XOFF INIT_XEND INIT_YON INIT_YOFF INIT_YEND")]


def _widths(values: _Values) -> list[object] | None:
    narrow, wide = sorted(map(int, _named(values, "IBITS OBITS")))
    if narrow == 1 or narrow == wide or wide % narrow:  # FINN has other logic for those, or beats lie across others
        return None
    return [*_named(values, "IBITS OBITS")]


def _window(values: _Values) -> list[object] | None:
    innermost = ("SIMD", "KW", "KH", "W", "H").index(values["INNERMOST_STATE"].removeprefix("swg::STATE_LOOP_"))
    names = """
        LAST_READ_ELEM LAST_WRITE_ELEM BUF_ELEM_TOTAL ELEM_PER_WINDOW LOOP_H_ITERATIONS LOOP_W_ITERATIONS
        LOOP_KH_ITERATIONS LOOP_KW_ITERATIONS LOOP_SIMD_ITERATIONS HEAD_INCR_SIMD HEAD_INCR_KW HEAD_INCR_KH HEAD_INCR_W
        HEAD_INCR_H TAIL_INCR_W TAIL_INCR_H TAIL_INCR_LAST IS_DEPTHWISE"""
    return [*_named(values, names), innermost]


def _thresholds(values: _Values) -> list[object] | None:
    wide = max(int(values["WI"]), int(values["WT"])) > 32 or int(values["N"]) >= 1 << 16
    if wide or _named(values, "USE_AXILITE FPARG SETS") != ["0", "0", "1"]:
        return None
    folds = int(values["C"]) // int(values["PE"])
    tail = _named(values, "PE SIGNED BIAS DEEP_PIPELINE O_BITS THRESHOLDS_PATH")
    return [*_named(values, "WI WT N"), folds, *tail]


def _max_pool(values: _Values) -> list[object] | None:
    return [*_named(values, "PE WINDOW BITS SIGNED")] if int(values["BITS"]) <= 32 else None


def _dsp_product(values: _Values) -> list[object] | None:
    if _named(values, "IS_MVU PUMPED_COMPUTE") != ["1", "0"] or values["VERSION"] == "3":
        return None
    activations = (int(values["ACTIVATION_WIDTH"]), int(values["SIGNED_ACTIVATIONS"]))
    return _product(values, activations, (int(values["WEIGHT_WIDTH"]), 1), values["ACCU_WIDTH"])


def _lut_product(values: _Values) -> list[object] | None:
    kinds = [int(values[f"{side}_SIGNED"]) + 2 * int(values[f"{side}_BIPOLAR"]) for side in "AW"]
    bits = [int(values[f"{side}_BITS"]) for side in "AW"]
    given = _product(values, (bits[0], kinds[0]), (bits[1], kinds[1]), values["M_BITS"])
    groups = 0  # as lut_dot.sv counts them
    for plane in range(sum(bits) - 1):
        planes = sum(0 <= plane - i < bits[1] for i in range(bits[0]))
        groups += (planes * int(values["SIMD"]) + 17) // 18
    return given and [*given, 3 + (groups - 1).bit_length()]


def _product(
    values: _Values, activations: tuple[int, int], weights: tuple[int, int], sum_bits: str
) -> list[object] | None:
    width, height, rows, simd = map(int, _named(values, "MW MH PE SIMD"))
    wide = max(activations[0], weights[0]) > 15 or int(sum_bits) > 32
    if wide or int(values.get("ROM_DEPTH", 0)) != width // simd * (height // rows):
        return None
    return [width, height, rows, simd, *activations, *weights, sum_bits, values["INIT_FILE"].strip('"')]


_MODELS: dict[str, Callable[[_Values], list[object] | None]] = {
    "fmpadding_axi": _padding,
    "dwc_axi": _widths,
    "swg_window": _window,
    "thresholding_axi": _thresholds,
    "max_pool": _max_pool,
    "mvu_vvu_axi": _dsp_product,
    "lut_mvu": _lut_product,
}
_PRODUCTS = ("mvu_vvu_axi", "lut_mvu")
