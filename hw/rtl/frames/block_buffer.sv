// Coefficients at their places to whole blocks of 16 x 16: a queue, so that blocks with many and with few even out, and
// two blocks, of which one is filled while the other is read. Each word is read once, in any order, and is 0 again
// after. A reset takes 256 cycles, in which the blocks become 0.
module block_buffer #(
    parameter int unsigned QUEUE = 512,  // a power of two
    parameter int unsigned SPARE = 8  // how many may still come once `s_ready` is low
) (
    input  logic               clk,
    input  logic               rst_n,
    output logic               s_ready,
    input  logic               s_valid,
    input  logic               s_end,
    input  logic               s_damaged,
    input  logic        [ 7:0] s_address,
    input  logic signed [15:0] s_value,
    output logic        [ 1:0] full,
    output logic        [ 1:0] damaged,
    input  logic               read,
    input  logic               read_block,
    input  logic        [ 7:0] read_address,
    output logic signed [15:0] read_value,    // a cycle later
    input  logic               read_done      // with the last
);

  localparam int unsigned INDEX_BITS = $clog2(QUEUE);

  typedef struct packed {
    logic ends;
    logic damaged;
    logic [7:0] address;
    logic signed [15:0] value;
  } entry_t;

  (* ram_style = "block" *)
  logic [25:0] queue[QUEUE];
  entry_t entry;
  logic [INDEX_BITS-1:0] first, free;
  logic [INDEX_BITS:0] held;
  logic entry_valid;
  logic clearing;
  logic [7:0] cleared;
  logic filling;  // which block

  wire pop = entry_valid && !full[filling] && !clearing;
  wire fetch = held != 0 && (!entry_valid || pop);

  always_ff @(posedge clk) begin
    if (s_valid) queue[free] <= {s_end, s_damaged, s_address, s_value};
    if (fetch) entry <= queue[first];
    s_ready <= held < (INDEX_BITS + 1)'(QUEUE - 2 * SPARE);
    if (!rst_n) begin
      first <= '0;
      free <= '0;
      held <= '0;
      entry_valid <= 1'b0;
    end else begin
      if (s_valid) free <= free + 1'b1;
      if (fetch) first <= first + 1'b1;
      held <= held + (INDEX_BITS + 1)'(s_valid) - (INDEX_BITS + 1)'(fetch);
      if (fetch) entry_valid <= 1'b1;
      else if (pop) entry_valid <= 1'b0;
    end
  end

  always_ff @(posedge clk) begin
    if (pop && entry.ends) damaged[filling] <= entry.damaged;
    if (!rst_n) begin
      clearing <= 1'b1;
      cleared <= '0;
      filling <= 1'b0;
      full <= '0;
    end else begin
      cleared <= cleared + 1'b1;
      if (cleared == 8'd255) clearing <= 1'b0;
      if (pop && entry.ends) begin
        full[filling] <= 1'b1;
        filling <= !filling;
      end
      if (read && read_done) full[read_block] <= 1'b0;
    end
  end

  logic [1:0][15:0] values;
  logic shown;
  assign read_value = values[shown];
  always_ff @(posedge clk) shown <= read_block;

  for (genvar b = 0; b < 2; b++) begin : gen_blocks
    (* ram_style = "distributed" *)
    logic [15:0] block[256];
    wire here = read && read_block == 1'(b);
    wire fill = pop && !entry.ends && filling == 1'(b);
    wire [7:0] address = clearing ? cleared : here ? read_address : entry.address;

    always_ff @(posedge clk) begin
      if (clearing || here || fill) block[address] <= clearing || here ? 16'd0 : entry.value;
      values[b] <= block[read_address];
    end
  end

`ifndef SYNTHESIS
  fits :
  assert property (@(posedge clk) disable iff (!rst_n) 1 |=> held <= (INDEX_BITS + 1)'(QUEUE - 1))
  else $error("%m: %0d in a queue of %0d", held, QUEUE);
  reads_what_is_full :
  assert property (@(posedge clk) disable iff (!rst_n) 1 |=> !read || full[read_block])
  else $error("%m: a block is read before it is full");
`endif

endmodule
