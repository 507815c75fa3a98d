"""Several accelerators between one pair of DMA engines: frames go to them in turn, and results come in that order.

One link carries many times what an accelerator takes, so that engines, registers and drivers are those of one. Each
instance has a queue of a frame, which is filled at the link's rate and emptied at its own.
"""

from __future__ import annotations

from bitswath.builds.design import Design, Link

__all__ = ["KERNELS", "core_of", "instances_module"]

KERNELS = ("frame_gather.sv", "frame_scatter.sv")
"""What it is made of besides accelerators and queues, in hw/rtl."""

_BLOCK = 512
_SHALLOW = 257
"""Words that a queue in LUTs holds at most."""


def core_of(design: Design) -> str:
    """The module between the engines: the accelerator, or what holds its instances."""
    return design.top if design.instances == 1 else f"{design.top}_instances"


def instances_module(design: Design) -> str:
    """SystemVerilog of the module around more than one instance, with the ports of the accelerator."""
    count, given, taken = design.instances, design.input, design.output
    return f"""\
// {count} instances of {design.name} for {design.board}. Generated: change design.json, not this.
module {core_of(design)} (
    input  logic clk,
    input  logic rst_n,
    input  logic [{given.width - 1}:0] s_axis_tdata,
    input  logic s_axis_tvalid,
    output logic s_axis_tready,
    output logic [{taken.width - 1}:0] m_axis_tdata,
    output logic m_axis_tvalid,
    input  logic m_axis_tready
);

  logic [{count - 1}:0][{given.width - 1}:0] given_tdata, first_tdata;
  logic [{count - 1}:0][{taken.width - 1}:0] last_tdata, taken_tdata;
  logic [{count - 1}:0] given_tvalid, given_tready, first_tvalid, first_tready;
  logic [{count - 1}:0] last_tvalid, last_tready, taken_tvalid, taken_tready;

  frame_scatter #(.N({count}), .WIDTH({given.width}), .WORDS({given.words})) scatter (
      .clk, .rst_n, .s_axis_tdata, .s_axis_tvalid, .s_axis_tready,
      .m_axis_tdata(given_tdata), .m_axis_tvalid(given_tvalid), .m_axis_tready(given_tready)
  );

  for (genvar i = 0; i < {count}; i++) begin : gen_instance
{_queue("queue_in", given, "given", "first")}
    {design.top} core (
        .clk, .rst_n,
        .s_axis_tdata(first_tdata[i]), .s_axis_tvalid(first_tvalid[i]), .s_axis_tready(first_tready[i]),
        .m_axis_tdata(last_tdata[i]), .m_axis_tvalid(last_tvalid[i]), .m_axis_tready(last_tready[i])
    );

{_queue("queue_out", taken, "last", "taken")}  end

  frame_gather #(.N({count}), .WIDTH({taken.width}), .WORDS({taken.words})) gather (
      .clk, .rst_n, .m_axis_tdata, .m_axis_tvalid, .m_axis_tready,
      .s_axis_tdata(taken_tdata), .s_axis_tvalid(taken_tvalid), .s_axis_tready(taken_tready)
  );

endmodule
"""


def _queue(name: str, link: Link, source: str, sink: str) -> str:
    deep = link.words > _SHALLOW
    depth = -(-link.words // _BLOCK) * _BLOCK + 1 if deep else max(link.words, 2)
    ends = (("s_axis", source), ("m_axis", sink))
    wires = [f".{port}_{wire}({end}_{wire}[i])" for port, end in ends for wire in ("tdata", "tvalid", "tready")]
    return f"""\
    stream_fifo #(.WIDTH({link.width}), .DEPTH({depth}), .RAM_STYLE("{"block" if deep else "auto"}")) {name} (
        .clk, .rst_n,
        {", ".join(wires[:3])},
        {", ".join(wires[3:])}
    );
"""
