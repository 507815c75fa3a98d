"""Two modules that should do the same in every cycle, with the same random inputs, pauses and resets."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bitswath.backends.rtl.verilator import find_verilator

BENCH = """
// Random inputs for both twins; `bad` counts cycles in which they differ where it matters, `moved` results or beats.
module bench (input logic clk);
  int cycle = 0;
  logic rst;
  assign rst = cycle < 5 || cycle % {reset_every} == 0;
{blocks}
  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (cycle == 20000) $finish;
  end
endmodule
"""

STREAM_BLOCK = """
  if (1) begin : {name}
    int bad = 0, moved = 0;
    final $display("{name}: bad %0d moved %0d", bad, moved);
    logic [{width}-1:0] data; logic [{out_width}-1:0] out, out_twin;
    logic valid, ready, ready_twin, out_valid, out_valid_twin, take;
    int mode;
{twin}
{exact}
    always @(posedge clk) begin
      mode <= cycle % 128 == 0 ? $urandom : mode;
      if (!valid || ready) begin
        valid <= ($urandom & 3) <= (mode & 3);
        for (int i = 0; i < {width}; i++) data[i] <= $urandom[0];
      end
      take <= ($urandom & 3) <= (mode >> 2 & 3);
      if (!rst) begin
        if (ready !== ready_twin || out_valid !== out_valid_twin || out_valid && out !== out_twin) bad <= bad + 1;
        if (out_valid && take) moved <= moved + 1;
      end
    end
  end
"""

WINDOW_PORTS = ".ap_clk(clk), .ap_rst_n(!rst), .in0_V_V_TDATA(data), .in0_V_V_TVALID(valid), .in0_V_V_TREADY(ready{0}),"
WINDOW_PORTS += " .out_V_V_TDATA(out{0}), .out_V_V_TVALID(out_valid{0}), .out_V_V_TREADY(take)"

MAIN = """
#include "Vbench.h"
int main(int n, char** a) {
  VerilatedContext c;
  c.commandArgs(n, a);
  Vbench top(&c);
  for (top.clk = 0; !c.gotFinish(); top.clk = !top.clk) top.eval();
  top.final();
}
"""


def stream(name: str, module: str, twin: str, parameters: dict[str, object], ports: str, **widths: int) -> str:
    """A block for two modules with a stream in and one out, whose names `ports` has with {0} for the twin's suffix."""
    given = ", ".join(f".{key}({value})" for key, value in parameters.items())
    lines = {
        kind: f"    {which} #({given}) {kind} ({ports.format(suffix)});"
        for kind, which, suffix in (("twin", twin, "_twin"), ("exact", module, ""))
    }
    return STREAM_BLOCK.format(name=name, **lines, **widths)


def renamed(text: str, module: str, suffix: str) -> str:
    return re.sub(rf"\b(module\s+|endmodule\s*:\s*){module}\b", rf"\g<1>{module}{suffix}", text)


def assert_twins(
    blocks: Sequence[str],
    sources: Mapping[str, str],
    folder: Path,
    seed: int,
    *,
    reset_every: int = 9001,
    options: Sequence[str] = (),
    models: Sequence[Path] = (),
) -> None:
    """Simulate `blocks` in `folder`: each must find no cycle in which its modules differ, and results enough."""
    bench = BENCH.replace("{reset_every}", str(reset_every)).replace("{blocks}", "".join(blocks))
    for name, text in {**sources, "bench.sv": bench, "main.cpp": MAIN}.items():
        (folder / name).write_text(text)
    tool = find_verilator()
    files = [*sorted([*sources, "bench.sv"], key=lambda name: "_pkg" not in name), *map(str, models)]
    command = [
        *(str(tool.program), "--cc", "--exe", "--build", "--no-timing", "--Mdir", "build", "-o", "bench"),
        *("--top-module", "bench", "-Wno-fatal", "-Wno-lint", "-Wno-style", "-Wno-MULTIDRIVEN"),
        *("-MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include", "-MAKEFLAGS", "OPT_FAST=-O1", *options, "main.cpp", *files),
    ]
    environment = {**os.environ, **tool.environment}
    built = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    run = [str(folder / "build" / "bench"), f"+verilator+seed+{seed}"]
    ran = subprocess.run(run, cwd=folder, capture_output=True, text=True, timeout=120)
    found = re.findall(r"(\w+): bad (\d+) moved (\d+)", ran.stdout)
    assert len(found) == len(blocks), ran.stdout + ran.stderr
    for name, bad, moved in found:
        assert int(bad) == 0, name
        assert int(moved) > 500, name
