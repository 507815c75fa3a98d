// Simulation only: an AXI-Stream source keeps an offered beat until it is taken (AMBA AXI-Stream, 2.2.1).
module axis_check #(
    parameter int unsigned WIDTH = 8
) (
    input logic             clk,
    input logic             rst_n,
    input logic [WIDTH-1:0] tdata,
    input logic             tvalid,
    input logic             tready
);

`ifndef SYNTHESIS
  keeps_beat :
  assert property (@(posedge clk) disable iff (!rst_n) tvalid && !tready |=> tvalid && $stable(tdata))
  else $error("%m: a beat was changed or withdrawn before it was taken");
`endif

endmodule
