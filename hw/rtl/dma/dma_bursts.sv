// Cuts a transfer into AXI bursts and offers their addresses. `start` loads `beats` words from bus word `word`
// on; while `go` holds, the next burst is offered, and `issue` says that in this cycle. `stop` forgets the bursts not
// offered yet.
//
// A burst never leaves its block of BURST words, which divides 4 KB: so none crosses 4 KB (AMBA AXI, A3.4.1).
module dma_bursts #(
    parameter int unsigned WIDTH = 64,
    parameter int unsigned BURST = 16,  // longest, in words: a power of two
    localparam int unsigned BYTE_BITS = $clog2(WIDTH / 8),
    localparam int unsigned LENGTH_BITS = $clog2(BURST + 1)
) (
    input  logic                   clk,
    input  logic                   rst_n,
    input  logic                   start,
    input  logic                   stop,
    input  logic [ 63-BYTE_BITS:0] word,
    input  logic [           63:0] beats,
    input  logic                   go,
    output logic                   issue,
    output logic [LENGTH_BITS-1:0] length,   // of the next burst; 0: there is none
    output logic [           63:0] axaddr,
    output logic [            7:0] axlen,
    output logic                   axvalid,
    input  logic                   axready
);

  localparam int unsigned INDEX_BITS = $clog2(BURST);

  if (BURST < 2 || BURST > 256 || (BURST & (BURST - 1)) != 0 || BURST * WIDTH > 8 * 4096) begin : gen_bad
    $fatal(1, "dma_bursts: expected BURST to be a power of two, at most 256 words and 4 KB");
  end

  logic [63-BYTE_BITS:0] place;  // of the next burst's first word
  logic [63:0] left;
  logic [LENGTH_BITS-1:0] room;

  assign room = LENGTH_BITS'(BURST) - LENGTH_BITS'(place[INDEX_BITS-1:0]);
  assign length = left < 64'(room) ? LENGTH_BITS'(left) : room;
  assign issue = go && length != 0 && !(axvalid && !axready) && !stop;

  always_ff @(posedge clk) begin
    if (issue) begin
      axaddr <= {place, BYTE_BITS'(0)};
      axlen  <= 8'(length - 1'b1);
    end
    if (start) place <= word;
    else if (issue) place <= place + (64 - BYTE_BITS)'(length);
    if (!rst_n) begin
      left <= '0;
      axvalid <= 1'b0;
    end else begin
      if (start) left <= beats;
      else if (stop) left <= '0;
      else if (issue) left <= left - 64'(length);
      if (issue) axvalid <= 1'b1;
      else if (axready) axvalid <= 1'b0;
    end
  end

`ifndef SYNTHESIS
  keeps_burst :
  assert property (@(posedge clk) disable iff (!rst_n)
      axvalid && !axready |=> axvalid && $stable({axaddr, axlen}))
  else $error("%m: a burst was changed or withdrawn before it was taken");
  stays_in_page :
  assert property (@(posedge clk) disable iff (!rst_n)
      1 |=> !axvalid || 32'(axaddr[11:0]) + (32'(axlen) + 1) * (WIDTH / 8) <= 4096)
  else $error("%m: a burst of %0d words at %h crosses 4 KB", axlen + 1, axaddr);
`endif

endmodule
