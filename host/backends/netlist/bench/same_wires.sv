// Compares the wires of two modules in every cycle in which `on` is set, and says where they first differ: NAME is
// "PART PORT". At the end it says in how many cycles it compared.
module same_wires #(
    parameter int unsigned WIDTH = 1,
    parameter NAME = ""
) (
    input logic             clk,
    input logic             on,
    input logic [63:0]      cycle,
    input logic [WIDTH-1:0] rtl,
    input logic [WIDTH-1:0] netlist
);
  longint unsigned compared;
  bit different;

  always @(posedge clk)
    if (on) begin
      compared <= compared + 1;
      if (rtl != netlist && !different) begin
        different <= 1'b1;
        $display("DIFFERENT %s %0d %h %h", NAME, cycle, rtl, netlist);
      end
    end

  final $display("COMPARED %s %0d", NAME, compared);
endmodule
