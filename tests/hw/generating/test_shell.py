"""The shell around an accelerator: what it says, what it refuses, what it costs in fabric."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bitswath.builds.design import Design
from bitswath.errors import BuildError
from bitswath.hw.counting.yosys import map_modules
from bitswath.hw.generating.shell import KERNELS, shell_sources
from bitswath.hw.rtl import KERNELS as SOURCES
from tests.designs import residual

PORTS = {
    "s_axi": "awaddr awvalid awready wdata wstrb wvalid wready bresp bvalid bready "
    "araddr arvalid arready rdata rresp rvalid rready",
    "m_axi_idma0": "araddr arlen arsize arburst arcache arprot arvalid arready rdata rresp rlast rvalid rready",
    "m_axi_odma0": "awaddr awlen awsize awburst awcache awprot awvalid awready "
    "wdata wstrb wlast wvalid wready bresp bvalid bready",
}


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Design:
    return residual(tmp_path_factory.mktemp("shell") / "board", network="1f" * 32)


WIRES = """module accelerator (input clk, input rst_n,
    input [63:0] s_axis_tdata, input s_axis_tvalid, output s_axis_tready,
    output [63:0] m_axis_tdata, output m_axis_tvalid, input m_axis_tready);
  assign {m_axis_tdata, m_axis_tvalid, s_axis_tready} = {s_axis_tdata, s_axis_tvalid, m_axis_tready};
endmodule"""


def with_link(design: Design, width: int) -> Design:
    return design.model_copy(update={"input": design.input.model_copy(update={"width": width})})


def test_its_ports_are_two_masters_two_slaves_and_two_interrupts(design: Design) -> None:
    header = shell_sources(design)["shell.sv"].partition(");")[0]
    found = set(re.findall(r"^    (?:input|output) +logic (?:\[.*\] )?(\w+)", header, re.MULTILINE))
    expected = {"clk", "rst_n", "interrupt_idma0", "interrupt_odma0"}
    for engine in ("idma0", "odma0"):
        expected |= {f"s_axi_{engine}_{name}" for name in PORTS["s_axi"].split()}
        expected |= {f"m_axi_{engine}_{name}" for name in PORTS[f"m_axi_{engine}"].split()}
    assert found == expected


def test_its_registers_hold_the_network_and_the_frames_words(design: Design) -> None:
    sources = shell_sources(design)
    for name, words, direction in (("idma.v", design.input.words, 0), ("odma.v", design.output.words, 1)):
        text = sources[name]
        assert f".WIDTH(64), .WORDS({words}), .DIRECTION({direction}),\n      .NETWORK(256'h{design.network})" in text


def test_a_bus_words_bytes_are_told_in_powers_of_two(design: Design) -> None:
    for width, size in ((64, 3), (512, 6)):
        assert f"m_axi_gmem_arsize = 3'd{size};" in shell_sources(with_link(design, width))["idma.v"]


def test_a_link_that_is_no_axi_width_is_refused(design: Design) -> None:
    with pytest.raises(BuildError, match=r"'words_in': expected one of (.+) bits, as AXI has, it has 72"):
        shell_sources(with_link(design, 72))


def test_yosys_counts_the_engines(design: Design, tmp_path: Path) -> None:
    sources = {name: SOURCES[name].read_text() for name in KERNELS}
    sources |= {**shell_sources(design), "accelerator.sv": WIRES}
    for name, text in sources.items():
        (tmp_path / name).write_text(text)
    found = map_modules(tmp_path, list(sources), ["shell"], "xc7", top="shell", log=tmp_path / "log", timeout_s=300)
    cost = found["shell"].resources
    print(f"both engines at 64 bit: {cost.lut} LUT, {cost.lutram} of them memory, {cost.ff} FF")
    assert 500 < cost.lut < 2500
    assert (cost.dsp, cost.bram36, cost.uram) == (0, 0, 0)
