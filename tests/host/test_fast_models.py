"""The models of fast simulators do what FINN's own modules do, beat by beat and cycle by cycle."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from importlib.metadata import distribution
from pathlib import Path

from bitswath.backends.verilator import FAST_HEADER, FAST_MODELS, find_verilator
from bitswath.hw.rtllib import PATCHES
from tests.designs import RTL, finn_fifo

MVU = ((4, 1, 4, 4, 14, 0), (3, 6, 4, 4, 16, 1), (2, 9, 3, 5, 20, 0), (1, 16, 8, 8, 24, 1), (5, 8, 2, 8, 17, 0))
QUEUES = ((2, 8, "auto"), (6, 65, "shift"), (33, 3, "auto"), (40, 16, "distributed"), (257, 7, "auto"))

BENCH = """
// Random inputs for both; `bad` counts cycles in which they differ where it matters, `moved` results or beats.
module bench (input logic clk);
  int cycle = 0;
  logic rst;
  assign rst = cycle < 5 || cycle % 4001 == 0;
{blocks}
  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (cycle == 6000) $finish;
  end
endmodule
"""

MVU_BLOCK = """
  if (1) begin : mvu{n}
    int bad = 0, moved = 0;
    final $display("mvu{n}: bad %0d moved %0d", bad, moved);
    logic [{pe}*{simd}*{wb}-1:0] w; logic [{simd}*{ab}-1:0] a; logic last, zero;
    logic vld, vld_fast; logic [{pe}*{acc}-1:0] p, p_fast;
    mvu #(.PE({pe}), .SIMD({simd}), .WEIGHT_WIDTH({wb}), .ACTIVATION_WIDTH({ab}), .ACCU_WIDTH({acc}),
          .SIGNED_ACTIVATIONS({signed})) fast (.clk, .rst, .en(1'b1), .last, .zero, .w, .a, .vld(vld_fast), .p(p_fast));
    mvu_finn #(.PE({pe}), .SIMD({simd}), .WEIGHT_WIDTH({wb}), .ACTIVATION_WIDTH({ab}), .ACCU_WIDTH({acc}),
          .SIGNED_ACTIVATIONS({signed})) finn (.clk, .rst, .en(1'b1), .last, .zero, .w, .a, .vld(vld), .p(p));
    int left;
    always @(posedge clk) begin
      for (int i = 0; i < $bits(w); i++) w[i] <= $urandom[0];
      for (int i = 0; i < $bits(a); i++) a[i] <= $urandom[0];
      // runs of at most 8 products, some ignored, as the flow control around the kernel gives them
      last <= left == 1;
      zero <= $urandom % 4 == 0 && left != 1;
      left <= left <= 1 ? 1 + $urandom % 8 : left - 1;
      if (!rst) begin
        if (vld !== vld_fast || vld && p !== p_fast) bad <= bad + 1;
        if (vld) moved <= moved + 1;
      end
    end
  end
"""

QUEUE_BLOCK = """
  if (1) begin : queue{n}
    int bad = 0, moved = 0;
    final $display("queue{n}: bad %0d moved %0d", bad, moved);
    logic [{width}-1:0] data, out, out_fast; logic valid, ready, ready_fast, out_valid, out_valid_fast, take;
    int mode;
    stream_fifo #(.WIDTH({width}), .DEPTH({depth}), .RAM_STYLE("{style}")) fast (.clk, .rst_n(!rst),
        .s_axis_tdata(data), .s_axis_tvalid(valid), .s_axis_tready(ready_fast),
        .m_axis_tdata(out_fast), .m_axis_tvalid(out_valid_fast), .m_axis_tready(take));
    fifo #(.DEPTH({depth}), .DATA_WIDTH({width}), .RAM_STYLE("{style}")) finn (.clk, .rst,
        .idat(data), .ivld(valid), .irdy(ready), .odat(out), .ovld(out_valid), .ordy(take), .count(), .maxcount());
    always @(posedge clk) begin
      mode <= cycle % 512 == 0 ? $urandom : mode;  // rates that fill it up, empty it, keep it
      if (!valid || ready) begin
        valid <= ($urandom & 3) <= (mode & 3);
        for (int i = 0; i < {width}; i++) data[i] <= $urandom[0];
      end
      take <= ($urandom & 3) <= (mode >> 2 & 3);
      if (!rst) begin
        if (ready !== ready_fast || out_valid !== out_valid_fast || out_valid && out !== out_fast) bad <= bad + 1;
        if (out_valid && take) moved <= moved + 1;
      end
    end
  end
"""


def finn_mvu() -> dict[str, str]:
    """FINN's kernel under another name, and what it is made of."""
    root = Path(str(distribution("finn-plus").locate_file("finn/finn-rtllib/mvu")))
    texts = {name: (root / name).read_text() for name in ("mvu_pkg.sv", "mvu.sv", "add_multi.sv")}
    for patch in PATCHES:
        name = Path(patch.file).name
        if patch.file == f"mvu/{name}" and name in texts:
            texts[name] = patch.apply(texts[name])
    texts["mvu_finn.sv"] = re.sub(r"\bmodule mvu\b", "module mvu_finn", texts.pop("mvu.sv")).replace(
        "endmodule : mvu\n", "endmodule\n"
    )
    return texts


def test_the_models_equal_finns_modules(tmp_path: Path) -> None:
    seed = secrets.randbelow(2**31 - 1) + 1
    print("seed", seed)
    fields = ("pe", "simd", "wb", "ab", "acc", "signed")
    blocks = [MVU_BLOCK.format(n=n, **dict(zip(fields, case))) for n, case in enumerate(MVU)]
    blocks += [
        QUEUE_BLOCK.format(n=n, depth=depth, width=width, style=style) for n, (depth, width, style) in enumerate(QUEUES)
    ]
    texts = {**finn_mvu(), "fifo.sv": finn_fifo(), "stream_fifo.sv": (RTL / "stream_fifo.sv").read_text()}
    texts["bench.sv"] = BENCH.replace("{blocks}", "".join(blocks))
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "main.cpp").write_text(
        '#include "Vbench.h"\nint main(int n, char** a) { VerilatedContext c; c.commandArgs(n, a); Vbench top(&c);'
        " for (top.clk = 0; !c.gotFinish(); top.clk = !top.clk) top.eval(); top.final(); }\n"
    )
    tool = find_verilator()
    command = [
        *(str(tool.program), "--cc", "--exe", "--build", "--no-timing", "--Mdir", "build", "-o", "bench"),
        *("--top-module", "bench", "-Wno-fatal", "-Wno-lint", "-Wno-style", "-Wno-MULTIDRIVEN", "-DBITSWATH_FAST"),
        *("--compiler-include", str(FAST_HEADER), "-CFLAGS", "-std=c++17 -march=native"),
        *("-MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include", "-MAKEFLAGS", "OPT_FAST=-O1"),
        *(
            "main.cpp",
            *(name for name in sorted(texts, key=lambda name: "_pkg" not in name)),
            str(FAST_MODELS["mvu.sv"]),
        ),
    ]
    environment = {**os.environ, **tool.environment}
    built = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    ran = subprocess.run(
        [str(tmp_path / "build" / "bench"), f"+verilator+seed+{seed}"], capture_output=True, text=True, timeout=120
    )
    found = re.findall(r"(\w+): bad (\d+) moved (\d+)", ran.stdout)
    assert len(found) == len(MVU) + len(QUEUES), ran.stdout + ran.stderr
    for name, bad, moved in found:
        assert int(bad) == 0, name
        assert int(moved) > 500, name
