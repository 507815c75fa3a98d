"""Streams random numbers with random stalls through mvu_vvu_axi in Verilator, and says what should come out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from importlib.metadata import distribution
from pathlib import Path

VERILATOR = Path(str(distribution("verilator").locate_file("verilator")))
DEFAULTS = {"IS_MVU": 1, "VERSION": 1, "SEGMENTLEN": 0, "ACTIVATION_WIDTH": 4, "WEIGHT_WIDTH": 4, "ACCU_WIDTH": 14}
DEFAULTS |= {"SIGNED_ACTIVATIONS": 0, "NARROW_WEIGHTS": 0}

MAIN = """#include "Vbench.h"
#include "verilated.h"
int main() {
    VerilatedContext context;
    Vbench bench{&context};
    while (!context.gotFinish()) {
        bench.clk = !bench.clk;
        bench.eval();
    }
    bench.final();
}
"""


class Core:
    """One instance of `module`: its parameters, and `frames` vectors drawn from `seed`."""

    def __init__(self, module: str, seed: int, *, frames: int, **parameters: int) -> None:
        self.module, self.seed, self.frames = module, seed, frames
        self.parameters = {**DEFAULTS, **parameters}
        p = self.parameters
        self.fold = p["MW"] // p["SIMD"]
        self.repeats = p["MH"] // p["PE"] if p["IS_MVU"] else 1
        self.lanes = 1 if p["IS_MVU"] else p["PE"]
        self.act_bits = self.lanes * p["SIMD"] * p["ACTIVATION_WIDTH"]
        self.weight_bits = p["PE"] * p["SIMD"] * p["WEIGHT_WIDTH"]

    def __repr__(self) -> str:
        return f"{self.module} {self.parameters} seed {self.seed}"

    def expected(self) -> list[int]:
        """The output beats' bits, from the definition of a matrix-vector product."""
        p, acts, weights = self.parameters, _beats(self.seed, self.act_bits), _beats(self.seed + 1, self.weight_bits)
        beats = []
        for _ in range(self.frames):
            vector = [next(acts) for _ in range(self.fold)]
            for _ in range(self.repeats):
                sums = [0] * p["PE"]
                for beat in vector:
                    a = _split(beat, p["ACTIVATION_WIDTH"], bool(p["SIGNED_ACTIVATIONS"]))
                    w = _split(next(weights), p["WEIGHT_WIDTH"], True)
                    for i in range(p["PE"]):
                        lane = i % self.lanes
                        sums[i] += sum(w[i * p["SIMD"] + s] * a[s * self.lanes + lane] for s in range(p["SIMD"]))
                mask = (1 << p["ACCU_WIDTH"]) - 1
                beats.append(sum((total & mask) << (i * p["ACCU_WIDTH"]) for i, total in enumerate(sums)))
        return beats

    def text(self, number: int) -> str:
        """The module `run_<number>` around it."""
        p = self.parameters
        given = ", ".join(f".{key}({value})" for key, value in p.items())
        words = {"a": -(-self.act_bits // 32), "w": -(-self.weight_bits // 32)}
        sizes = {"a": -(-self.act_bits // 8) * 8, "w": -(-self.weight_bits // 8) * 8}
        return f"""
module run_{number}(input logic clk, input logic rst_n, input int unsigned cycle, output logic done);
  logic [{words["a"] * 32 - 1}:0] a;
  logic [{words["w"] * 32 - 1}:0] w;
  wire [{-(-p["PE"] * p["ACCU_WIDTH"] // 8) * 8 - 1}:0] m;
  logic av = 0, wv = 0, mr = 0;
  wire ar, wr, mv;
  int unsigned noise = {self.seed % 1000 + 5}, sent = 0, got = 0, pause_a = 0, pause_m = 0;
  logic [31:0] acts = {self.seed}, weights = {self.seed + 1};
  function automatic int unsigned draw();
    noise = noise * 1664525 + 1013904223;
    return noise >> 8;
  endfunction
  function automatic int unsigned pause();
    return draw() % 4 == 0 ? draw() % 40 : 0;
  endfunction
  assign done = got == {self.frames * self.repeats};
  {self.module} #({given}) dut (
    .ap_clk(clk), .ap_clk2x(clk), .ap_rst_n(rst_n),
    .s_axis_weights_tdata(w[{sizes["w"] - 1}:0]), .s_axis_weights_tvalid(wv), .s_axis_weights_tready(wr),
    .s_axis_input_tdata(a[{sizes["a"] - 1}:0]), .s_axis_input_tvalid(av), .s_axis_input_tready(ar),
    .m_axis_output_tdata(m), .m_axis_output_tvalid(mv), .m_axis_output_tready(mr));
  always @(posedge clk) if (rst_n) begin
    if (mv && mr) begin
      got = got + 1;
      $display("beat {number} %0d %h", cycle, m[{p["PE"] * p["ACCU_WIDTH"] - 1}:0]);
    end
    if (av && ar) av <= 0;
    if ((!av || ar) && sent < {self.frames * self.fold}) begin
      if (pause_a != 0) pause_a = pause_a - 1;
      else begin
        for (int i = 0; i < {words["a"]}; i++) begin
          acts = acts * 22695477 + 1;
          a[i*32 +: 32] <= acts ^ (acts >> 15);
        end
        av <= 1;
        sent = sent + 1;
        pause_a = pause();
      end
    end
    if (!wv || wr) begin
      for (int i = 0; i < {words["w"]}; i++) begin
        weights = weights * 22695477 + 1;
        w[i*32 +: 32] <= weights ^ (weights >> 15);
      end
      wv <= 1;
    end
    if (pause_m != 0) pause_m = pause_m - 1;
    else pause_m = pause();
    mr <= pause_m == 0;
  end
endmodule
"""


def simulate(
    cores: Sequence[Core], files: Sequence[Path], folder: Path, *defines: str, limit: int = 60_000
) -> dict[Core, list[tuple[int, int]]]:
    """For each core the cycle and the bits of every output beat, within `limit` cycles."""
    folder.mkdir()
    instances = "".join(f"  run_{i} r{i}(.clk, .rst_n, .cycle, .done(done[{i}]));\n" for i in range(len(cores)))
    (folder / "bench.sv").write_text(
        "".join(core.text(i) for i, core in enumerate(cores))
        + f"""
module bench(input logic clk);
  logic rst_n = 0;
  int unsigned cycle = 0;
  wire [{len(cores) - 1}:0] done;
  always @(posedge clk) begin
    cycle <= cycle + 1;
    rst_n <= cycle > 20;
    if (&done || cycle == {limit}) $finish;
  end
{instances}endmodule
"""
    )
    (folder / "main.cpp").write_text(MAIN)
    options = [
        "--cc",
        "--exe",
        "--build",
        "--no-timing",
        "--no-assert",
        "-Wno-fatal",
        "-Wno-lint",
        "-Wno-style",
        "-Wno-WIDTH",
        "-Wno-TIMESCALEMOD",
    ]
    options += ["-MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0", "-j", "2"]
    built = verilator(
        *options,
        *(f"-D{d}" for d in defines),
        "--top-module",
        "bench",
        *map(str, files),
        "bench.sv",
        "main.cpp",
        cwd=folder,
    )
    assert built.returncode == 0, built.stderr[-2000:]
    said = subprocess.run([folder / "obj_dir" / "Vbench"], capture_output=True, text=True, timeout=120, check=True)
    found: dict[Core, list[tuple[int, int]]] = {core: [] for core in cores}
    for line in said.stdout.splitlines():
        if line.startswith("beat "):
            number, cycle, bits = line.split()[1:]
            found[cores[int(number)]].append((int(cycle), int(bits, 16)))
    return found


def verilator(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(VERILATOR / "bin" / "verilator"), *arguments]
    environment = {**os.environ, "VERILATOR_ROOT": str(VERILATOR)}
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def _beats(seed: int, bits: int) -> Iterator[int]:
    state = seed & 0xFFFFFFFF
    while True:
        beat = 0
        for i in range(-(-bits // 32)):
            state = (state * 22695477 + 1) & 0xFFFFFFFF
            beat |= (state ^ (state >> 15)) << (32 * i)
        yield beat & ((1 << bits) - 1)


def _split(beat: int, bits: int, signed: bool) -> list[int]:
    """Enough elements for any beat, element 0 in the low bits."""
    values = [(beat >> (i * bits)) & ((1 << bits) - 1) for i in range(max(1, -(-beat.bit_length() // bits)) + 512)]
    return [value - (1 << bits) if signed and value >> (bits - 1) else value for value in values]
