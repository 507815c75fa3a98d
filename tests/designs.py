"""Small accelerators made by hand from the kernels of hw/rtl, as a build folder holds them.

The residual design: dense words to beats, each beat to two branches, one of them through a stage that gives
nothing before it holds `batch` beats, the sum of both, dense words. It computes 2x of each code x.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitswath.builds.design import Design, Link, Stage, Stream
from bitswath.hw.generating.compile import save_design
from bitswath.hw.rtl import KERNELS
from tests.paths import ROOT

CACHE = ROOT / ".cache" / "bitswath"
"""Where tests keep simulators; compiling them takes most of the time."""

CODES, SIMD, BITS, WORD = 60, 2, 4, 64
BEATS = CODES // SIMD
NETWORK = "0" * 64

_PORTS = {
    "in": "input logic [{w}-1:0] {p}_V_TDATA, input logic {p}_V_TVALID, output logic {p}_V_TREADY",
    "out": "output logic [{w}-1:0] {p}_V_TDATA, output logic {p}_V_TVALID, input logic {p}_V_TREADY",
}


def wrapper(name: str, kernel: str, parameters: str, ports: dict[str, tuple[str, int]]) -> str:
    """A kernel with FINN's ports; `ports`: kernel's prefix and width by FINN's name."""
    listed = ", ".join(_PORTS[port.rstrip("0123456789")].format(w=width, p=port) for port, (_, width) in ports.items())
    joined = ", ".join(
        f".{inner}_{kind}({port}_V_{kind.upper()})"
        for port, (inner, _) in ports.items()
        for kind in ("tdata", "tvalid", "tready")
    )
    return (
        f"module {name} (input logic ap_clk, input logic ap_rst_n, {listed});\n"
        f"  {kernel} #({parameters}) kernel (.clk(ap_clk), .rst_n(ap_rst_n), {joined});\nendmodule\n"
    )


DUPLICATE = """
module duplicate_wrapped (input logic ap_clk, input logic ap_rst_n,
    input logic [7:0] in0_V_TDATA, input logic in0_V_TVALID, output logic in0_V_TREADY,
    output logic [7:0] out0_V_TDATA, output logic out0_V_TVALID, input logic out0_V_TREADY,
    output logic [7:0] out1_V_TDATA, output logic out1_V_TVALID, input logic out1_V_TREADY);
  duplicate_streams #(.N(2), .WIDTH(8)) kernel (.clk(ap_clk), .rst_n(ap_rst_n),
      .s_axis_tdata(in0_V_TDATA), .s_axis_tvalid(in0_V_TVALID), .s_axis_tready(in0_V_TREADY),
      .m_axis_tdata({out1_V_TDATA, out0_V_TDATA}), .m_axis_tvalid({out1_V_TVALID, out0_V_TVALID}),
      .m_axis_tready({out1_V_TREADY, out0_V_TREADY}));
endmodule
"""

HOLD = """
// Takes BATCH beats and only then gives them, with FLIP turned over in beat FAULT of all; takes no beat after STOP.
module hold #(parameter int BATCH = 6, parameter int FAULT = -1, parameter int STOP = -1, parameter int PORT = 1)
   (input logic ap_clk, input logic ap_rst_n,
    input logic [7:0] in0_V_TDATA, input logic in0_V_TVALID, output logic in0_V_TREADY,
    output logic [7:0] out0_V_TDATA, output logic out0_V_TVALID, input logic out0_V_TREADY, input logic enable);
  logic [7:0] store[BATCH];
  int fill, given, total;
  logic giving;
  assign in0_V_TREADY = enable && !giving && total != STOP;
  assign out0_V_TVALID = giving;
  assign out0_V_TDATA = store[given] ^ (total - BATCH + given == FAULT ? 8'h10 : 8'h00);
  always_ff @(posedge ap_clk)
    if (!ap_rst_n) begin fill <= 0; given <= 0; total <= 0; giving <= 0; end
    else begin
      if (in0_V_TVALID && in0_V_TREADY) begin
        store[fill] <= in0_V_TDATA;
        total <= total + 1;
        fill <= fill + 1;
        if (fill == BATCH - 1) giving <= 1;
      end
      if (out0_V_TVALID && out0_V_TREADY) begin
        given <= given + 1;
        if (given == BATCH - 1) begin given <= 0; fill <= 0; giving <= 0; end
      end
    end
endmodule
"""


def wrappers(word: int) -> str:
    width = 8
    summed = SIMD * (BITS + 1)
    summed = -(-summed // 8) * 8
    unpack = f".IN_WIDTH({word}), .SIMD({SIMD}), .BITS({BITS}), .FRAME_CODES({CODES})"
    add = f".PE({SIMD}), .A_BITS({BITS}), .B_BITS({BITS}), .M_BITS({BITS + 1})"
    pack = f".SIMD({SIMD}), .BITS({BITS + 1}), .FRAME_CODES({CODES}), .OUT_WIDTH({word})"
    return "".join(
        [
            wrapper("unpack_wrapped", "dense_unpack", unpack, {"in0": ("s_axis", word), "out0": ("m_axis", width)}),
            DUPLICATE,
            HOLD,
            wrapper(
                "add_wrapped",
                "add_streams",
                add,
                {"in0": ("a_axis", width), "in1": ("b_axis", width), "out0": ("m_axis", summed)},
            ),
            wrapper("pack_wrapped", "dense_pack", pack, {"in0": ("s_axis", summed), "out0": ("m_axis", word)}),
        ]
    )


def residual(
    folder: Path,
    *,
    batch: int = 6,
    fault: int = -1,
    stop: int = -1,
    network: str = NETWORK,
    direct: int = 16,
    depths: int = 2,
    ram_style: str = "auto",
    word: int = WORD,
) -> Design:
    """The residual design, written as a build folder. `direct`: depth of the queue in the branch without a stage,
    `depths`: of the others; `fault`: beat, counted over all frames, that the held branch gives wrongly; `stop`:
    beat at which it stops; `word`: bits of the links' words."""
    hold: dict[str, int | str] = {"BATCH": batch, "FAULT": fault, "STOP": stop}

    def stream(name: str, source: str | None, sink: str | None, tensor: str | None, depth: int, bits: int) -> Stream:
        return Stream(
            name=name, source=source, sink=sink, bits=bits, elements=SIMD, beats=BEATS, tensor=tensor, depth=depth
        )

    def stage(name: str, module: str, inputs: list[str], outputs: list[str]) -> Stage:
        return Stage(
            name=name,
            kind=module,
            layer=name,
            module=module,
            inputs={f"in{i}_V": one for i, one in enumerate(inputs)},
            outputs={f"out{i}_V": one for i, one in enumerate(outputs)},
            parameters=hold if module == "hold" else {},
            ties={"enable": 1} if module == "hold" else {},
            cycles=2 * BEATS if module == "hold" else BEATS,
        )

    words_in, words_out = -(-CODES * BITS // word), -(-CODES * (BITS + 1) // word)
    ends = {"bits": word, "elements": 1, "tensor": None}
    design = Design(
        name="residual",
        network=network,
        board="none",
        part="xc7z020clg400-1",
        clock_hz=100e6,
        input=Link(stream="words_in", width=word, words=words_in, values=CODES, bits=BITS),
        output=Link(stream="words_out", width=word, words=words_out, values=CODES, bits=BITS + 1),
        stages=(
            stage("unpack", "unpack_wrapped", ["words_in"], ["codes"]),
            stage("fork", "duplicate_wrapped", ["codes"], ["direct", "held_in"]),
            stage("held", "hold", ["held_in"], ["held_out"]),
            stage("sum", "add_wrapped", ["direct", "held_out"], ["sums"]),
            stage("pack", "pack_wrapped", ["sums"], ["words_out"]),
        ),
        streams=(
            Stream(name="words_in", source=None, sink="unpack", beats=words_in, **ends),
            stream("codes", "unpack", "fork", "input", 0, BITS),
            stream("direct", "fork", "sum", "input", direct, BITS).model_copy(update={"ram_style": ram_style}),
            stream("held_in", "fork", "held", "input", depths, BITS),
            stream("held_out", "held", "sum", "input", depths, BITS),
            stream("sums", "sum", "pack", "sum", depths, BITS + 1),
            Stream(name="words_out", source="pack", sink=None, beats=words_out, **ends),
        ),
    )
    return write_build(folder, design, {"wrappers.sv": wrappers(word)})


def write_build(folder: Path, design: Design, sources: dict[str, str]) -> Design:
    """A build folder as the compiler leaves it: sources, top, shell, design.json with every file's digest."""
    rtl = folder / "rtl"
    rtl.mkdir(parents=True)
    for name, text in {**kernels(), **sources}.items():
        (rtl / name).write_text(text)
    return save_design(design, folder)


@lru_cache(maxsize=1)
def kernels() -> dict[str, str]:
    names = [
        "dense_unpack",
        "dense_pack",
        "duplicate_streams",
        "add_streams",
        "times_constant",
        "axis_check",
        "stream_fifo",
        "stream_tap",
    ]
    return {"fifo.sv": finn_fifo(), **{f"{name}.sv": KERNELS[f"{name}.sv"].read_text() for name in names}}


def finn_fifo() -> str:
    """FINN's queue, with its geometry in two scalars: Verilator evaluates no constant function that gives a struct."""
    path = Path(str(distribution("finn-plus").locate_file("finn/finn-rtllib/fifo/hdl/fifo.sv")))
    text = path.read_text()
    start = text.index("\ttypedef struct {\n\t\tint unsigned  lo;")
    end = re.search(r"localparam abits_t\s+ABITS\s+= INIT_ABITS\(\);", text).end()
    scalars = """
	localparam int unsigned  ABITS_LO0 = $clog2(DEPTH_REQ);
	localparam int unsigned  ABITS_HI0 = ABITS_LO0 > MIN_ABITS? $clog2(DEPTH_REQ - 2**(ABITS_LO0-1)) : 0;
	localparam bit           ABITS_DEC = ABITS_LO0 > MIN_ABITS && ABITS_HI0 < ABITS_LO0 - 1;
	localparam int unsigned  ABITS_LO  = ABITS_DEC? ABITS_LO0 - 1 : ABITS_LO0;
	localparam int unsigned  ABITS_HI  = ABITS_DEC? (ABITS_HI0 < 1? 1 : ABITS_HI0) : 0;
"""
    return text[:start] + scalars + text[end:].replace("ABITS.lo", "ABITS_LO").replace("ABITS.hi", "ABITS_HI")


def random_codes(frames: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 1 << BITS, (frames, CODES), np.uint8)
