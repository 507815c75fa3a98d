"""Native models, with the queues at their ends, do what the modules do: every handshake of every cycle, every beat."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest

from bitswath.backends.rtl import fabric
from bitswath.backends.rtl import stand_in as fast
from bitswath.backends.rtl.natives import natives
from bitswath.backends.rtl.verilator import find_verilator
from bitswath.builds.design import Design, Link, Stage, Stream
from bitswath.hw.generating.rtllib import PATCHES
from bitswath.hw.generating.top import top_module
from bitswath.hw.rtl import KERNELS
from bitswath.hw.worker.nodes.base import _WRAPPER as KERNEL_WRAPPER
from tests.designs import finn_fifo

RTLLIB = Path(str(distribution("finn-plus").locate_file("finn/finn-rtllib")))
MODULES = (
    *("mvu/mvu_pkg.sv", "mvu/mvu.sv", "mvu/add_multi.sv", "mvu/mvu_vvu_axi.sv", "mvu/mvu_vvu_8sx9_dsp58.sv"),
    *("mvu/replay_buffer.sv", "dwc/hdl/dwc_axi.sv", "dwc/hdl/vpc.sv", "swg/swg_pkg.sv", "swg/swg_common.sv"),
    *("fmpadding/hdl/fmpadding_axi.sv", "fmpadding/hdl/fmpadding.sv", "fmpadding/hdl/axi2we.sv"),
    *("thresholding/hdl/thresholding.sv", "thresholding/hdl/thresholding_axi.sv", "axi/hdl/axilite.sv"),
)
OURS = ("axis_check", "stream_fifo", "rom_stream", "max_pool", "lut_mvu", "lut_dot", "lut_dot_model", "lut_dot_planes")
OURS += ("plane_sum", "count_ones")

Queue = tuple[int, str]
SHORT, SHIFT, LUTS, RAM, TWO_RAMS = (2, "auto"), (33, "auto"), (130, "auto"), (40, "block"), (1100, "block")


@dataclass
class Case:
    """A stage between two queues; `files` are its sources."""

    name: str
    in_bits: int
    out_bits: int
    files: dict[str, str]
    ties: dict[str, int] = field(default_factory=dict)
    weight_bits: int = 0
    queues: tuple[Queue, Queue] = (SHORT, SHORT)

    @property
    def design(self) -> Design:
        def stream(name: str, source: str | None, sink: str | None, bits: int, queue: Queue) -> Stream:
            width = -(-bits // 8) * 8
            depth, style = queue
            ends = {"source": source, "sink": sink, "bits": width, "elements": 1, "beats": 1}
            return Stream.model_validate({"name": name, "depth": depth, "ram_style": style, **ends})

        stage = {"kind": "any", "layer": "any", "sources": tuple(self.files)}
        inputs, stages = {"in0_V": "given"}, []
        streams = [
            stream("given", None, "stage", self.in_bits, self.queues[0]),
            stream("taken", "stage", None, self.out_bits, self.queues[1]),
        ]
        if self.weight_bits:
            inputs["in1_V"] = "weights"
            streams.append(stream("weights", "memory", "stage", self.weight_bits, (0, "auto")))
            stages.append(
                Stage(name="memory", module=f"{self.name}_memory", inputs={}, outputs={"out0_V": "weights"}, **stage)
            )
        stages.append(
            Stage(name="stage", module=self.name, inputs=inputs, outputs={"out0_V": "taken"}, ties=self.ties, **stage)
        )
        ends = {name: Link(stream=name, width=streams[i].width, words=1, values=1, bits=1) for i, name in ENDS}
        return Design(
            name=self.name, network="0" * 64, board="none", part="none", clock_hz=1e8, top=f"{self.name}_top",
            input=ends["given"], output=ends["taken"], stages=tuple(stages), streams=tuple(streams),
        )  # fmt: skip


ENDS = ((0, "given"), (1, "taken"))


def template(path: str, values: Mapping[str, object]) -> str:
    text = patched(path)
    for key, value in values.items():
        text = text.replace(f"${key}$", str(value))
    return text


def kernel(name: str, module: str, values: Mapping[str, object], ports: dict[str, tuple[str, int]]) -> str:
    """Our kernel as the worker wraps it; `ports`: the kernel's prefix and TDATA's bits by FINN's name."""
    way = {True: ("input", "output"), False: ("output", "input")}
    lines, wires = [], []
    for port, (inner, width) in ports.items():
        given, taken = way[port.startswith("in")]
        lines += [f"  {given} [{width - 1}:0] {port}_TDATA,", f"  {given} {port}_TVALID,", f"  {taken} {port}_TREADY,"]
        wires += [f"    .{inner}_{kind.lower()}({port}_{kind})" for kind in ("TDATA", "TVALID", "TREADY")]
    return KERNEL_WRAPPER.format(
        kernel=module,
        top=name,
        buses="in0_V",
        ports="\n".join(lines).rstrip(","),
        parameters=",\n".join(f"    .{key}({value})" for key, value in values.items()),
        wires=",\n".join(wires),
    )


LITE = {
    f"s_axilite_{one}": 0
    for one in ("AWVALID", "AWADDR", "WVALID", "WDATA", "WSTRB", "BREADY", "ARVALID", "ARADDR", "RREADY")
}


def paddings() -> Iterator[Case]:
    for n, (channels, simd, on, off, end) in enumerate(((1, 1, 1, 5, 6), (6, 2, 0, 3, 4), (4, 1, 2, 6, 7))):
        values = {
            "NUM_CHANNELS": channels,
            "SIMD": simd,
            "ELEM_BITS": 4,
            "STREAM_BITS": 8,
            "TOP_MODULE_NAME": f"pad{n}",
        }
        for axis in "XY":
            values |= {f"{axis}COUNTER_BITS": 4, f"INIT_{axis}ON": on, f"INIT_{axis}OFF": off, f"INIT_{axis}END": end}
        text = template("fmpadding/hdl/fmpadding_template.v", values)
        yield Case(f"pad{n}", 4 * simd, 4 * simd, {f"pad{n}.v": text}, LITE, queues=((SHORT, RAM, SHIFT)[n], SHORT))


def widths() -> Iterator[Case]:
    for n, (ibits, obits) in enumerate(((8, 24), (24, 8), (88, 11), (4, 32), (130, 26), (12, 180), (44, 4))):
        text = template("dwc/hdl/dwc_template.v", {"TOP_MODULE_NAME": f"dwc{n}", "IBITS": ibits, "OBITS": obits})
        yield Case(f"dwc{n}", ibits, obits, {f"dwc{n}.v": text}, queues=(SHORT, (SHORT, LUTS)[n % 2]))


WINDOW_KEYS = (
    *("LAST_READ_ELEM", "LAST_WRITE_ELEM", "BUF_ELEM_TOTAL", "ELEM_PER_WINDOW", "INCR_BITWIDTH"),
    *(f"LOOP_{loop}_ITERATIONS" for loop in ("H", "W", "KH", "KW", "SIMD")),
    *(f"HEAD_INCR_{loop}" for loop in ("SIMD", "KW", "KH", "W", "H")),
    *("TAIL_INCR_W", "TAIL_INCR_H", "TAIL_INCR_LAST", "IS_DEPTHWISE", "INNERMOST_STATE"),
)
WINDOWS = (  # a convolution of one beat a pixel, a pool, a convolution of several beats
    (143, 143, 60, 36, 7, 2, 2, 1, 1, 1, 1, 1, 13, -55, -47, 4, 12, 59, 0, "STATE_LOOP_SIMD"),
    (2047, 2047, 768, 4, 11, 0, 0, 126, 0, -1, 128, 384, -639, -511, 1, 129, 641, 767, 1, "STATE_LOOP_SIMD"),
    (1599, 1599, 368, 144, 10, 6, 6, 1, 1, 13, 1, 1, 113, -351, -319, 16, 48, 367, 0, "STATE_LOOP_SIMD"),
    (4355, 4355, 135, 9, 9, 62, 62, 1, 0, -1, 1, 1, 64, -133, -131, 1, 3, 134, 0, "STATE_LOOP_KW"),
)


def windows() -> Iterator[Case]:
    for n, given in enumerate(WINDOWS):
        name = f"window{n}"
        values = {"TOP_MODULE_NAME": name, "RAM_STYLE": '"auto"', "BIT_WIDTH": 4, "SIMD": 3, "MMV_IN": 1, "MMV_OUT": 1}
        values |= {"IN_WIDTH_PADDED": 16, "OUT_WIDTH_PADDED": 16, **dict(zip(WINDOW_KEYS, given))}
        files = {
            f"{name}_wrapper.v": template("swg/swg_template_wrapper.v", values),
            f"{name}_impl.sv": template("swg/swg_template_default.sv", values),
        }
        yield Case(name, 12, 12, files, queues=(SHORT, (SHORT, TWO_RAMS)[n == 3]))


THRESHOLDINGS = (  # WI, WT, N, C, PE, SIGNED, BIAS, DEEP_PIPELINE
    (9, 9, 15, 6, 2, 1, 0, 1),
    (5, 5, 7, 4, 4, 0, -4, 0),
    (12, 12, 10, 3, 1, 1, -3, 1),
    (11, 8, 15, 5, 1, 1, 0, 1),
    (8, 8, 16, 2, 1, 0, 0, 0),
    (7, 5, 3, 4, 2, 0, -9, 1),
    (6, 8, 9, 4, 2, 1, 0, 0),
)


def thresholdings(random: np.random.Generator, folder: Path) -> Iterator[Case]:
    for n, (wi, wt, count, channels, pe, signed, bias, deep) in enumerate(THRESHOLDINGS):
        name = f"threshold{n}"
        for p in range(pe):
            for s in range(count.bit_length()):
                values = random.integers(0, 2**wt, channels // pe * 2**s)
                (folder / f"{name}_threshs_{p}_{s}.dat").write_text("".join(f"{value:x}\n" for value in values))
        bits = (count + bias).bit_length() if bias >= 0 else 1 + max(-bias - 1, count + bias).bit_length()
        values = {"WI": wi, "WT": wt, "N": count, "C": channels, "PE": pe, "SIGNED": signed, "BIAS": bias, "FPARG": 0}
        values |= {"SETS": 1, "USE_AXILITE": 0, "DEPTH_TRIGGER_URAM": 0, "DEPTH_TRIGGER_BRAM": 0, "DEEP_PIPELINE": deep}
        values |= {"O_BITS": bits, "THRESHOLDS_PATH": f'"{name}_"', "MODULE_NAME_AXI_WRAPPER": name}
        text = template("thresholding/hdl/thresholding_template_wrapper.v", values)
        ties = LITE | {"in1_V_TVALID": 0, "in1_V_TDATA": 0}
        yield Case(name, pe * wi, pe * bits, {f"{name}.v": text}, ties)


def pools() -> Iterator[Case]:
    for n, (pe, window, bits, signed) in enumerate(((2, 4, 4, 0), (3, 9, 5, 1), (1, 1, 8, 1))):
        width = -(-pe * bits // 8) * 8
        ports = {"in0_V": ("s_axis", width), "out0_V": ("m_axis", width)}
        values = {"PE": pe, "WINDOW": window, "BITS": bits, "SIGNED": signed}
        yield Case(f"pool{n}", pe * bits, pe * bits, {f"pool{n}.v": kernel(f"pool{n}", "max_pool", values, ports)})


DSP_PRODUCTS = (  # MW, MH, PE, SIMD, bits of activations, signed, bits of weights, of sums
    (12, 8, 4, 3, 4, 0, 4, 14),
    (27, 6, 2, 9, 4, 0, 3, 16),
    (16, 4, 4, 8, 3, 1, 5, 17),
    (24, 5, 1, 24, 2, 0, 2, 13),
    (10, 6, 3, 1, 8, 1, 8, 22),
    (21, 4, 2, 7, 4, 0, 4, 14),
    (9, 2, 2, 9, 4, 0, 4, 14),
)
LUT_PRODUCTS = (  # MW, MH, PE, SIMD, A_BITS, A_SIGNED, A_BIPOLAR, W_BITS, W_SIGNED, W_BIPOLAR, M_BITS
    (24, 6, 2, 12, 4, 0, 0, 4, 1, 0, 16),
    (9, 4, 1, 3, 1, 0, 1, 1, 0, 1, 6),
    (32, 3, 3, 32, 2, 0, 0, 1, 0, 1, 9),
    (14, 4, 4, 7, 3, 1, 0, 2, 1, 0, 12),
    (15, 5, 1, 5, 1, 0, 1, 3, 1, 0, 9),
)


def products(random: np.random.Generator, folder: Path) -> Iterator[Case]:
    for n, (mw, mh, pe, simd, ab, signed, wb, acc) in enumerate(DSP_PRODUCTS):
        name = f"dsp{n}"
        values = {"MODULE_NAME_AXI_WRAPPER": name, "IS_MVU": 1, "VERSION": 1, "PUMPED_COMPUTE": 0, "MW": mw, "MH": mh}
        values |= {"PE": pe, "SIMD": simd, "ACTIVATION_WIDTH": ab, "WEIGHT_WIDTH": wb, "ACCU_WIDTH": acc}
        values |= {"NARROW_WEIGHTS": 0, "SIGNED_ACTIVATIONS": signed, "SEGMENTLEN": 0}
        files = {f"{name}_wrapper.v": template("mvu/mvu_vvu_axi_wrapper.v", values)}
        files |= memory(name, pe * simd * wb, mw // simd * (mh // pe), random, folder)
        yield Case(name, simd * ab, pe * acc, files, {"ap_clk2x": 0}, weight_bits=pe * simd * wb)
    sides = [f"{side}_{what}" for side in "AW" for what in ("BITS", "SIGNED", "BIPOLAR")]
    names = ("MW", "MH", "PE", "SIMD", *sides, "M_BITS")
    for n, case in enumerate(LUT_PRODUCTS):
        name, values = f"lut{n}", dict(zip(names, case))
        pe, simd = values["PE"], values["SIMD"]
        bits = {
            "in0_V": simd * values["A_BITS"],
            "in1_V": pe * simd * values["W_BITS"],
            "out0_V": pe * values["M_BITS"],
        }
        inner = {"in0_V": "s_axis", "in1_V": "w_axis", "out0_V": "m_axis"}
        ports = {port: (inner[port], -(-bits[port] // 8) * 8) for port in bits}
        files = {f"{name}.v": kernel(name, "lut_mvu", values, ports)}
        steps = values["MW"] // simd * (values["MH"] // pe)
        files |= memory(name, bits["in1_V"], steps, random, folder)
        yield Case(name, bits["in0_V"], bits["out0_V"], files, weight_bits=bits["in1_V"])


def memory(name: str, bits: int, depth: int, random: np.random.Generator, folder: Path) -> dict[str, str]:
    words = [int.from_bytes(random.bytes(bits // 8 + 1), "little") % 2**bits for _ in range(depth)]
    (folder / f"{name}.dat").write_text("".join(f"{word:0{-(-bits // 4)}x}\n" for word in words))
    values = {"WIDTH": bits, "DEPTH": depth, "INIT_FILE": f'"{name}.dat"'}
    ports = {"out0_V": ("m_axis", -(-bits // 8) * 8)}
    return {f"{name}_memory.v": kernel(f"{name}_memory", "rom_stream", values, ports)}


def all_cases(random: np.random.Generator, folder: Path) -> list[Case]:
    """Memory files go to the folder."""
    plain = [*paddings(), *widths(), *windows(), *pools()]
    return [*plain, *thresholdings(random, folder), *products(random, folder)]


BENCH = """
module bench (input logic clk);
  int cycle = 0;
  logic rst_n;
  assign rst_n = cycle >= 5 && cycle % 9001 != 0;
{blocks}
  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (cycle == 30000) $finish;
  end
endmodule
"""
BLOCK = """
  if (1) begin : {name}
    int bad = 0, moved = 0, mode;
    final $display("{name}: bad %0d moved %0d", bad, moved);
    logic [{width}-1:0] data; logic [{out_width}-1:0] out[2]; logic valid, take, ready[2], out_valid[2];
    logic [{streams}-1:0] probes[2][4];
{tops}
    always @(posedge clk) begin
      mode <= cycle % 256 == 0 ? $urandom : mode;
      if (!valid || ready[0]) begin
        valid <= ($urandom & 3) <= (mode & 3);
        for (int i = 0; i < {width}; i++) data[i] <= $urandom[0];
      end
      take <= ($urandom & 3) <= (mode >> 2 & 3);
      if (rst_n) begin
        if (ready[0] !== ready[1] || out_valid[0] !== out_valid[1] || probes[0] != probes[1]
            || out_valid[0] && out[0][{bits}-1:0] !== out[1][{bits}-1:0]) bad <= bad + 1;
        if (out_valid[0] && take) moved <= moved + 1;
      end
    end
  end
"""
TOP = """
    {module} top{n} (.clk, .rst_n, .s_axis_tdata(data), .s_axis_tvalid(valid), .s_axis_tready(ready[{n}]),
        .m_axis_tdata(out[{n}]), .m_axis_tvalid(out_valid[{n}]), .m_axis_tready(take),
        .probe_valid(probes[{n}][0]), .probe_ready(probes[{n}][1]),
        .probe_sink_valid(probes[{n}][2]), .probe_sink_ready(probes[{n}][3]));
"""


def block(case: Case) -> str:
    design = case.design
    tops = "".join(TOP.format(module=f"{design.top}{suffix}", n=n) for n, suffix in enumerate(("", "_fabric")))
    sizes = {"width": design.input.width, "out_width": design.output.width, "streams": len(design.streams)}
    return BLOCK.format(name=case.name, tops=tops, bits=case.out_bits, **sizes)


def patched(file: str) -> str:
    text = (RTLLIB / file).read_text()
    for patch in PATCHES:
        if patch.file == file:
            text = patch.apply(text)
    return text


def library() -> dict[str, str]:
    ours = {f"{name}.sv": KERNELS[f"{name}.sv"].read_text() for name in OURS}
    return {"fifo.sv": finn_fifo(), **{Path(file).name: patched(file) for file in MODULES}, **ours}


def test_native_stages_and_queues_equal_the_modules_in_every_cycle(tmp_path: Path) -> None:
    seed = secrets.randbelow(2**31 - 1) + 1
    print("seed", seed)
    random = np.random.default_rng(seed)
    cases = all_cases(random, tmp_path)
    texts = library()
    for case in cases:
        for name, text in case.files.items():
            (tmp_path / name).write_text(text)
        design = case.design
        exact = top_module(design)
        made = fabric.fabric_top(design, tmp_path, exact)
        assert made is not None, f"{case.name} has no native model"
        made = made.replace(f"module {design.top}", f"module {design.top}_fabric")
        made = re.sub(r"bit \[\d+:0\] (in,|out\)|gives)", r"bit [1023:0] \1", made)  # one function has one signature
        texts |= case.files | {f"{design.top}.sv": exact, f"{design.top}_fabric.sv": made}
    texts["bench.sv"] = BENCH.replace("{blocks}", "".join(map(block, cases)))
    ran = simulate(tmp_path, texts, seed)
    found = re.findall(r"(\w+): bad (\d+) moved (\d+)", ran)
    assert len(found) == len(cases), ran
    assert not [name for name, bad, _ in found if int(bad)], ran
    assert all(int(moved) > 100 for _, _, moved in found), ran


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("dwc0", "OBITS = 24", "OBITS = 20"),
        ("dwc3", "IBITS = 4", "IBITS = 1"),
        ("threshold0", "SETS = 1", "SETS = 2"),
        ("threshold1", "USE_AXILITE = 0", "USE_AXILITE = 1"),
        ("dsp0", "VERSION = 1", "VERSION = 3"),
        ("dsp1", "PUMPED_COMPUTE = 0", "PUMPED_COMPUTE = 1"),
        ("dsp2", ".DEPTH(2)", ".DEPTH(4)"),
        ("lut0", ".M_BITS(16)", ".M_BITS(33)"),
        ("window1", "swg_cyclic_buffer_addressable", "another_buffer"),
        ("pool0", "max_pool", "mean_pool"),
    ],
)
def test_a_stage_that_is_not_as_its_model_expects_stays(name: str, old: str, new: str, tmp_path: Path) -> None:
    case = next(case for case in all_cases(np.random.default_rng(0), tmp_path) if case.name == name)
    assert any(old in text for text in case.files.values())
    for file, text in case.files.items():
        (tmp_path / file).write_text(text)
    assert natives(case.design, tmp_path)
    for file, text in case.files.items():
        (tmp_path / file).write_text(text.replace(old, new))
    assert not natives(case.design, tmp_path)


@pytest.mark.parametrize("queue", [(0, "auto"), (64, "ultra"), (2029, "auto")])
def test_a_stage_beside_wires_or_ultraram_stays(queue: Queue, tmp_path: Path) -> None:
    case = next(pools())
    for file, text in case.files.items():
        (tmp_path / file).write_text(text)
    case.queues = (SHORT, queue)
    assert not natives(case.design, tmp_path)


def test_a_top_of_an_older_build_stays(tmp_path: Path) -> None:
    case = next(pools())
    for file, text in case.files.items():
        (tmp_path / file).write_text(text)
    text = top_module(case.design)
    assert fabric.fabric_top(case.design, tmp_path, text) is not None
    assert fabric.fabric_top(case.design, tmp_path, text.replace("always_ff @(negedge clk)", "always_comb")) is None


def simulate(folder: Path, texts: dict[str, str], seed: int) -> str:
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "main.cpp").write_text(
        '#include "Vbench.h"\nint main(int n, char** a) { VerilatedContext c; c.commandArgs(n, a); Vbench top(&c);'
        " for (top.clk = 0; !c.gotFinish(); top.clk = !top.clk) top.eval(); top.final(); }\n"
    )
    tool = find_verilator()
    command = [
        *(str(tool.program), "--cc", "--exe", "--build", "-j", "2", "--no-timing", "--Mdir", "build", "-o", "bench"),
        *("--top-module", "bench", "-Wno-fatal", "-Wno-lint", "-Wno-style", "-Wno-MULTIDRIVEN", "-DBITSWATH_PROBES"),
        *("--output-split", "10000", "--output-split-cfuncs", "300", "--x-initial", "fast", "--x-assign", "fast"),
        *("--noassert", "-CFLAGS", "-std=c++17 -march=native", "--compiler-include", str(fast.HEADER)),
        *("-MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include", "-MAKEFLAGS", "OPT_FAST=-O1"),
        *("main.cpp", str(fabric.SOURCE), *sorted(texts, key=lambda name: "_pkg" not in name)),
    ]
    environment = {**os.environ, **tool.environment}
    built = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-4000:]
    program = [str(folder / "build" / "bench"), f"+verilator+seed+{seed}"]
    ran = subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=200)
    return ran.stdout + ran.stderr
