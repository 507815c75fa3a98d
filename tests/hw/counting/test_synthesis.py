"""Counting with Yosys: what it finds, what it keeps, what it says when it cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bitswath.backends.netlist import mapping
from bitswath.backends.netlist.yosys import TECHMAP
from bitswath.builds.design import Design
from bitswath.errors import BuildError
from bitswath.hw.counting.synthesis import synthesize
from bitswath.hw.counting.yosys import Cells, map_modules
from bitswath.hw.generating.rtllib import patched_rtllib
from bitswath.hw.planning.boards import find_board
from bitswath.hw.planning.costs import cost
from bitswath.hw.planning.resources import Resources
from bitswath.hw.rtl import KERNELS
from tests.designs import residual
from tests.hw.generating.test_rtllib import FINN_RTLLIB, MVU, YOSYS

BOARD = find_board("Pynq-Z2")


@pytest.fixture(scope="module")
def rtllib(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("rtllib") / "finn-rtllib"
    patched_rtllib(FINN_RTLLIB, target)
    return target


PARTS = """
module mvau(input ap_clk, input ap_rst_n, input [287:0] w, input wv, output wr, input [39:0] a, input av, output ar,
    output [111:0] m, output mv, input mr);
  mvu_vvu_axi #(.IS_MVU(1), .VERSION(1), .MW(36), .MH(16), .PE(8), .SIMD(9), .ACTIVATION_WIDTH(4), .WEIGHT_WIDTH(4),
      .ACCU_WIDTH(14), .NARROW_WEIGHTS(1)) core (.ap_clk, .ap_clk2x(ap_clk), .ap_rst_n,
      .s_axis_weights_tdata(w), .s_axis_weights_tvalid(wv), .s_axis_weights_tready(wr),
      .s_axis_input_tdata(a), .s_axis_input_tvalid(av), .s_axis_input_tready(ar),
      .m_axis_output_tdata(m), .m_axis_output_tvalid(mv), .m_axis_output_tready(mr));
endmodule
module queue(input clk, input rst, input [23:0] i, input iv, output ir, output [23:0] o, output ov, input ordy);
  fifo #(.DEPTH(32), .DATA_WIDTH(24)) core (.clk, .rst, .idat(i), .ivld(iv), .irdy(ir), .odat(o), .ovld(ov), .ordy,
      .count(), .maxcount());
endmodule
module weights(input clk, input rst_n, output [23:0] m, output mv, input mr);
  rom_stream #(.WIDTH(24), .DEPTH(100), .INIT_FILE("rom.dat")) core (.clk, .rst_n, .m_axis_tdata(m),
      .m_axis_tvalid(mv), .m_axis_tready(mr));
endmodule
module blocks(input clk, input rst_n, output [71:0] m, output mv, input mr);
  rom_stream #(.WIDTH(72), .DEPTH(1000), .RAM_STYLE("block"), .INIT_FILE("blocks.dat")) core (.clk, .rst_n,
      .m_axis_tdata(m), .m_axis_tvalid(mv), .m_axis_tready(mr));
endmodule
module top(input clk, input rst, input [287:0] w, input wv, output wr, input [39:0] a, input av, output ar,
    output [111:0] m, output mv, input mr, input [23:0] qi, input qiv, output qir, output [23:0] qo, output qov,
    input qor, output [23:0] rm, output rmv, input rmr, output [71:0] bm, output bmv, input bmr);
  mvau p0(.ap_clk(clk), .ap_rst_n(!rst), .*);
  queue p1(.clk, .rst, .i(qi), .iv(qiv), .ir(qir), .o(qo), .ov(qov), .ordy(qor));
  weights p2(.clk, .rst_n(!rst), .m(rm), .mv(rmv), .mr(rmr));
  blocks p3(.clk, .rst_n(!rst), .m(bm), .mv(bmv), .mr(bmr));
endmodule
"""


@pytest.fixture(scope="module")
def counted(rtllib: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cells]:
    folder = tmp_path_factory.mktemp("count")
    sources = [rtllib / "mvu" / name for name in MVU] + [rtllib / "fifo/hdl/fifo.sv"]
    sources += [KERNELS["rom_stream.sv"], KERNELS["axis_check.sv"]]
    for path in sources:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "parts.sv").write_text(PARTS)
    (folder / "rom.dat").write_text("\n".join(f"{(i * 0x9E3779B1) & 0xFFFFFF:06x}" for i in range(100)))
    (folder / "blocks.dat").write_text("\n".join(f"{pow(3, i + 99, 1 << 72):018x}" for i in range(1000)))
    modules = ["mvau", "queue", "weights", "blocks"]
    names = [*(path.name for path in sources), "parts.sv"]
    return map_modules(folder, names, modules, "xc7", top="top", log=folder / "kept" / "log", timeout_s=300)


def test_dsps_queues_and_roms_are_mapped_as_the_vendor_would(counted: dict[str, Cells]) -> None:
    assert counted["mvau"].resources.dsp == 18
    assert counted["mvau"].by_type["SRL16E"] == 8 * 14  # the output queue
    assert counted["queue"].by_type["SRLC32E"] == 24
    assert counted["queue"].resources.ff < 40
    assert counted["weights"].by_type["LUT6"] >= 24 * 2
    assert counted["weights"].resources.lut < 24 * 3 + 20
    assert counted["blocks"].resources.bram36 == 2


def test_the_cost_model_is_near_the_count(counted: dict[str, Cells]) -> None:
    sizes = {"pe": 8, "simd": 9, "rows": 36, "columns": 16, "weight_bits": 4, "act_bits": 4, "acc_bits": 14}
    estimates = {
        "mvau": cost("MVAU_rtl", **sizes),
        "queue": cost("StreamingFIFO_rtl", depth=32, width=24),
        "weights": cost("memstream", depth=100, width=24),
        "blocks": cost("memstream", depth=1000, width=72, style="block"),
    }
    for name, estimate in estimates.items():
        found = counted[name].resources
        assert estimate.lut == pytest.approx(found.lut, rel=0.2, abs=12), name
        assert estimate.ff == pytest.approx(found.ff, rel=0.3, abs=12), name
        assert (estimate.dsp, estimate.bram36) == (found.dsp, found.bram36), name


def test_choices_among_words_stay_the_same_when_taken_apart(tmp_path: Path) -> None:
    (tmp_path / "t.v").write_bytes(TECHMAP.read_bytes())
    (tmp_path / "m.sv").write_text(
        "module m(input [6:0][4:0] x, input [2:0] i, output [4:0] y); assign y = x[i]; endmodule"
    )
    steps = [
        *("read_slang -j 1 --top m m.sv", "proc", "opt", "copy m gate", "techmap -map t.v gate"),
        *("select -assert-min 1 m/t:$bmux", "select -assert-none gate/t:$bmux", "select -clear"),
        *("miter -equiv -flatten m gate both", "sat -verify -prove trigger 0 both"),
    ]
    command = [sys.executable, "-c", YOSYS, "-q", "-p", "; ".join(steps)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def build(tmp_path: Path, rtllib: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Design, Path]:
    monkeypatch.setenv("BITSWATH_CACHE", str(tmp_path / "cache"))
    design = residual(tmp_path / "build", direct=40)
    (tmp_path / "build" / "rtl" / "fifo.sv").write_bytes((rtllib / "fifo/hdl/fifo.sv").read_bytes())
    return design, tmp_path / "build"


def test_stages_queues_and_the_whole_are_counted_once(
    build: tuple[Design, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    design, folder = build
    found = synthesize(design, folder, BOARD, jobs=1)
    found.check()
    assert set(found.stages) == {stage.name for stage in design.stages}
    assert set(found.queues) == {stream.name for stream in design.streams if stream.depth}
    assert found.queues["held_in"] == found.queues["held_out"]
    assert found.queues["direct"].resources.lutram > 0
    assert found.whole is not None
    assert 0.6 * found.parts.lut < found.whole.resources.lut < 1.2 * found.parts.lut

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("Yosys ran again")

    monkeypatch.setattr(mapping, "map_design", fail)
    assert synthesize(design, folder, BOARD) == found


def test_a_part_that_yosys_cannot_take_is_named_with_its_log(build: tuple[Design, Path]) -> None:
    design, folder = build
    alone = folder / "rtl" / "broken.sv"
    alone.write_text("module broken(input ap_clk, output [7:0] nothing);\n  assign nothing = missing;\nendmodule\n")
    held = design.stages[2].model_copy(update={"module": "broken", "sources": ("broken.sv",), "parameters": {}})
    pack = design.stages[4].model_copy(update={"sources": ("wrappers.sv", "dense_pack.sv", "axis_check.sv")})
    wires = tuple(stream.model_copy(update={"depth": 0}) for stream in design.streams)
    small = design.model_copy(update={"stages": (held, pack), "streams": wires})
    found = synthesize(small, folder, BOARD, jobs=1, whole=False)
    assert list(found.problems) == ["held"]
    assert "pack" in found.stages
    assert "log: " in found.problems["held"]
    assert Path(found.problems["held"].rpartition("log: ")[2]).exists()
    with pytest.raises(BuildError, match="held: Yosys cannot take"):
        found.check()


def test_too_long_a_run_is_a_problem_and_not_an_endless_wait(build: tuple[Design, Path]) -> None:
    design, folder = build
    one = design.model_copy(update={"stages": design.stages[:1], "streams": design.streams[:2]})
    found = synthesize(one, folder, BOARD, jobs=1, whole=False, timeout_s=0.1)
    assert "needed more than 0 s" in found.problems["unpack"]
    assert found.parts == Resources()


def test_cells_that_nobody_knows_are_not_left_out_in_silence() -> None:
    with pytest.raises(BuildError, match=r"left a cell '\$alu'"):
        _ = Cells({"LUT6": 3, "$alu": 1}).resources
    assert Cells({"RAMB18E1": 3, "RAM64M": 2, "LUT2": 1, "MUXF7": 9}).resources == Resources(9, 8, 0, 1.5)
