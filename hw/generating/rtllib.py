"""finn-rtllib with the fixes it needs, as a copy in the build folder; the installed package is never changed.

One copy serves Verilator, Yosys and Vivado alike. Every fix is a `Patch` that names its file and its reason and
fails if the text it replaces is not there, so that another finn-rtllib is noticed instead of silently unpatched.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bitswath.errors import BuildError
from bitswath.hw.generating.patch import Patch
from bitswath.hw.generating.window_patches import WINDOW_PATCHES

__all__ = ["PATCHES", "patched_rtllib"]

_NETTYPE = ((r"`default_nettype \w+\n", ""),)
_NETTYPE_REASON = "Yosys takes `default_nettype only between modules; every signal here is declared anyway."
_WATCHDOG = (r"\t//-+\n\t// Startup Recovery Watchdog\n.*?end : blkRecoveryWatch\n", "")
_WATCHDOG_REASON = "A simulation-only watchdog with a delay, which Yosys refuses; nothing depends on it."

_WIDTH_REASON = (
    "Where all outputs are below -1, N+BIAS+1 is negative but is compared as unsigned: outputs have 33 bits, and with "
    "PE > 1 all but the first are read at the wrong place: docs/finn-thresholding-bug.md."
)
_WIDTH = ((r"-BIAS >= N\+BIAS\+1\?", "-2*BIAS > int'(N)?"),)

_SHIFT_REASON = "Yosys maps a shift register to SRLs if its newest element is in the low bits; Vivado maps both."

PATCHES = (
    Patch(
        "adder-tree-table",
        "mvu/add_multi.sv",
        "Verilator cannot evaluate a constant function that is declared inside a generate block.",
        (
            (
                r"(\tuwire \[SUM_WIDTH-1:0\]  sum0;\n.*?)"
                r"(\t\ttypedef int unsigned  leaf_load_t.*?init_leaf_loads\(\);\n)(?=\n\t\t// Adder Tree)",
                r"\2\1",
            ),
        ),
    ),
    Patch(
        "output-queue-depth",
        "mvu/mvu_vvu_axi.sv",
        "The output queue is shorter than the pipeline it catches: under back-pressure results are lost when every "
        "cycle gives one (SIMD == MW). The pipeline of mvu.sv is 4 + clog2(SIMD) + (SIMD == 1) deep, also on DSP58 "
        "outside its INT8 mode, and one more result arrives while the stop is registered: docs/finn-queue-bug.md.",
        (
            (
                r"localparam int unsigned  CORE_PIPELINE_DEPTH =\n\t\t\tVERSION == 3\? (.*?) :\n"
                r"\t\t\t/\* else \*/    3 \+ \$clog2\(SIMD\+1\) \+ \(SIMD == 1\);",
                r"localparam int unsigned  SOFT_PIPELINE_DEPTH = 3 + $clog2(SIMD) + (SIMD == 1) + 1;\n"
                r"\t\tlocalparam int unsigned  INT8_PIPELINE_DEPTH = \1;\n"
                r"\t\tlocalparam int unsigned  CORE_PIPELINE_DEPTH =\n"
                r"\t\t\tVERSION == 3 && INT8_PIPELINE_DEPTH > SOFT_PIPELINE_DEPTH?\n"
                r"\t\t\t\tINT8_PIPELINE_DEPTH : SOFT_PIPELINE_DEPTH;",
            ),
            (r"MAX_IN_FLIGHT = CORE_PIPELINE_DEPTH;", "MAX_IN_FLIGHT = CORE_PIPELINE_DEPTH + 1;"),
        ),
    ),
    Patch(
        "fifo-geometry",
        "fifo/hdl/fifo.sv",
        "Verilator cannot evaluate a constant function that returns a struct; the same numbers as scalar parameters.",
        (
            (
                r"\ttypedef struct \{\n\t\tint unsigned  lo;.*?ABITS      = INIT_ABITS\(\);",
                r"\tlocalparam int unsigned  ABITS_ALL  = $clog2(DEPTH_REQ);\n"
                r"\tlocalparam int unsigned  ABITS_REST ="
                r" ABITS_ALL > MIN_ABITS? $clog2(DEPTH_REQ - 2**(ABITS_ALL-1)) : 0;\n"
                r"\tlocalparam bit           ABITS_TWO  = ABITS_ALL > MIN_ABITS && ABITS_REST < ABITS_ALL - 1;\n"
                r"\tlocalparam int unsigned  ABITS_LO   = ABITS_TWO? ABITS_ALL - 1 : ABITS_ALL;\n"
                r"\tlocalparam int unsigned  ABITS_HI   = ABITS_TWO? (ABITS_REST < 1? 1 : ABITS_REST) : 0;",
            ),
            (r"ABITS\.lo", "ABITS_LO"),
            (r"ABITS\.hi", "ABITS_HI"),
        ),
    ),
    Patch("fifo-nettype", "fifo/hdl/fifo.sv", _NETTYPE_REASON, _NETTYPE),
    Patch(
        "fifo-shift",
        "fifo/hdl/fifo.sv",
        _SHIFT_REASON,
        (
            (r"dat_t  A\[DEPTH_IMPL\];", "dat_t [DEPTH_IMPL-1:0]  A;"),
            (r"\{ idat, A\[0:DEPTH_IMPL-2\] \}", "{ A[DEPTH_IMPL-2:0], idat }"),
        ),
    ),
    Patch(
        "mvu-shift",
        "mvu/mvu_vvu_axi.sv",
        _SHIFT_REASON,
        (
            (r"output_t  OBuf\[0:MAX_IN_FLIGHT\];", "output_t [MAX_IN_FLIGHT:0]  OBuf;"),
            (r"\{ odat, OBuf\[0:MAX_IN_FLIGHT-1\] \}", "{ OBuf[MAX_IN_FLIGHT-1:0], odat }"),
        ),
    ),
    Patch(
        "memstream-shift",
        "memstream/hdl/memstream.sv",
        _SHIFT_REASON,
        (
            (r"data_t  OSrl\[FULL_CREDIT-1\];", "data_t [FULL_CREDIT-2:0]  OSrl;"),
            (r"\{ Dat3, OSrl\[0:FULL_CREDIT-3\] \}", "{ OSrl[FULL_CREDIT-3:0], Dat3 }"),
        ),
    ),
    Patch(
        "thresholding-shift",
        "thresholding/hdl/thresholding.sv",
        _SHIFT_REASON,
        ((r"logic        \[PE-1 : 0\]\[M-1 : 0\]  ADat\[A_DEPTH\];", "logic [A_DEPTH-1:0][PE-1:0][M-1:0]  ADat;"),),
    ),
    Patch(
        "dwc-whole-beats",
        "dwc/hdl/dwc_axi.sv",
        "Where one beat is a whole number of the other's, vpc.sv has shift registers that do the same in every cycle "
        "as its rotators, which vectors of several beats get: a fifth of the LUTs from 576 bits to 64.",
        (
            (
                r"\.N\(IBITS \* OBITS\)",
                ".N(IBITS % OBITS == 0? IBITS : OBITS % IBITS == 0? OBITS : IBITS * OBITS)",
            ),
        ),
    ),
    Patch("dwc-nettype", "dwc/hdl/vpc.sv", _NETTYPE_REASON, _NETTYPE),
    Patch("mvu-watchdog", "mvu/mvu.sv", _WATCHDOG_REASON, (_WATCHDOG,)),
    Patch("int8-watchdog", "mvu/mvu_vvu_8sx9_dsp58.sv", _WATCHDOG_REASON, (_WATCHDOG,)),
    Patch(
        "thresholding-range",
        "thresholding/hdl/thresholding.sv",
        "At stage 0 the range of the part select is reversed. The branch is dead there, but Yosys elaborates it; the "
        "shift gives the same bits at every other stage.",
        ((r"p\.ptr\[M-1:SN\+1\] <", "(p.ptr[M-1:0] >> (SN+1)) <"),),
    ),
    Patch("thresholding-width", "thresholding/hdl/thresholding.sv", _WIDTH_REASON, _WIDTH),
    Patch("thresholding-axi-width", "thresholding/hdl/thresholding_axi.sv", _WIDTH_REASON, _WIDTH),
    *WINDOW_PATCHES,
)


def patched_rtllib(source: Path, target: Path) -> None:
    """Copy the finn-rtllib folder `source` to the new folder `target` with every one of `PATCHES` applied.

    Raises `BuildError` if `source` is no finn-rtllib, `target` exists, or a patch does not fit.
    """
    if target.exists():
        raise BuildError(f"{target}: expected a folder that does not exist yet, for the patched finn-rtllib")
    files = {patch.file: source / patch.file for patch in PATCHES}
    if missing := [file for file, path in files.items() if not path.is_file()]:
        raise BuildError(f"{source}: expected finn-rtllib, but it has no {missing[0]}")
    texts = {file: path.read_text(encoding="utf-8") for file, path in files.items()}
    for patch in PATCHES:
        texts[patch.file] = patch.apply(texts[patch.file])
    shutil.copytree(source, target)
    for file, text in texts.items():
        (target / file).write_text(text, encoding="utf-8")
