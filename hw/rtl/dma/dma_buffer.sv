// A queue in LUT RAM that says how full it is. Its head can be seen while `fill` is not 0.
module dma_buffer #(
    parameter int unsigned WIDTH = 64,
    parameter int unsigned DEPTH = 64,  // a power of two
    localparam int unsigned FILL_BITS = $clog2(DEPTH + 1)
) (
    input  logic                 clk,
    input  logic                 rst_n,
    input  logic                 push,
    input  logic [    WIDTH-1:0] tail,
    input  logic                 pop,
    output logic [    WIDTH-1:0] head,
    output logic [FILL_BITS-1:0] fill
);

  if (DEPTH < 2 || (DEPTH & (DEPTH - 1)) != 0) begin : gen_bad
    $fatal(1, "dma_buffer: expected DEPTH to be a power of two");
  end

  logic [WIDTH-1:0] words[DEPTH];
  logic [$clog2(DEPTH)-1:0] first, free;

  assign head = words[first];

  always_ff @(posedge clk) begin
    if (push) words[free] <= tail;
    if (!rst_n) begin
      first <= '0;
      free  <= '0;
      fill  <= '0;
    end else begin
      if (push) free <= free + 1'b1;
      if (pop) first <= first + 1'b1;
      fill <= fill + FILL_BITS'(push) - FILL_BITS'(pop);
    end
  end

`ifndef SYNTHESIS
  has_room :
  assert property (@(posedge clk) disable iff (!rst_n) 1 |=> !push || fill != FILL_BITS'(DEPTH))
  else $error("%m: a word came and there was no room");
  has_words :
  assert property (@(posedge clk) disable iff (!rst_n) 1 |=> !pop || fill != 0)
  else $error("%m: a word was taken and there was none");
`endif

endmodule
