// Blocks of coefficients to samples, row by row: the inverse DCT over columns, a memory of 4 blocks in which rows and
// columns change places, the inverse DCT over rows. A sample a cycle, without a gap between blocks that are there in
// time. A block begins to leave only while `open`; `begins` says so, more than 20 cycles before its first sample.
module block_inverse #(
    parameter int unsigned GUARD = 0,
    localparam int unsigned SAMPLE_BITS = 12
) (
    input  logic                          clk,
    input  logic                          rst_n,
    input  logic        [            1:0] full,
    input  logic        [            1:0] damaged,
    output logic                          read,
    output logic                          read_block,
    output logic        [            7:0] read_address,
    input  logic signed [           15:0] read_value,
    output logic                          read_done,
    input  logic                          open,
    output logic                          begins,
    output logic                          begins_damaged,
    output logic                          m_valid,
    output logic signed [SAMPLE_BITS-1:0] m_sample
);

  // Columns in, even rows first
  logic [7:0] count_in;
  logic [2:0] between;  // blocks in the memory, or on their way into or out of it
  logic in_valid;
  logic [3:0] in_count;
  logic column_valid;
  logic signed [15:0] column_value;
  logic in_leaves, out_done;
  wire in_starts = count_in != 0 || (full[read_block] && between != 3'd4);

  assign read = in_starts;
  assign read_address = {count_in[2:0], count_in[3], count_in[7:4]};
  assign read_done = count_in == 8'd255;

  always_ff @(posedge clk) begin
    in_count <= count_in[3:0];
    in_valid <= rst_n && in_starts;
    if (!rst_n) begin
      count_in   <= '0;
      read_block <= 1'b0;
      between    <= '0;
    end else begin
      if (in_starts) count_in <= count_in + 1'b1;
      if (read_done) read_block <= !read_block;
      between <= between + 3'(in_starts && count_in == 0) - 3'(out_done);
    end
  end

  idct16 #(.SHIFT(6), .OUT_BITS(16)) columns (
      .clk, .rst_n, .s_valid(in_valid), .s_count(in_count), .s_value(read_value),
      .m_valid(column_valid), .m_value(column_value)
  );

  // The memory; blocks go round
  (* ram_style = "block" *)
  logic [15:0] memory[1024];
  logic [9:0] count_column;  // block, column, row
  logic [9:0] count_out;  // block, row, place in the row
  logic [2:0] ready;  // blocks that may leave
  logic [3:0] bad;
  logic [1:0] bad_in;
  logic out_valid;
  logic [3:0] out_count;
  logic signed [15:0] out_value;
  wire out_starts = count_out[7:0] != 0 || (ready != 0 && open);

  assign in_leaves = column_valid && count_column[7:0] == 8'd255;
  assign out_done = out_starts && count_out[7:0] == 8'd255;
  assign begins = out_starts && count_out[7:0] == 0;
  assign begins_damaged = bad[count_out[9:8]];

  always_ff @(posedge clk) begin
    if (column_valid) memory[{count_column[9:8], count_column[3:0], count_column[7:4]}] <= column_value;
    out_value <= memory[{count_out[9:4], count_out[2:0], count_out[3]}];
    out_count <= count_out[3:0];
    out_valid <= rst_n && out_starts;
    if (read_done) bad[bad_in] <= damaged[read_block];
    if (!rst_n) begin
      count_column <= '0;
      count_out <= '0;
      ready <= '0;
      bad_in <= '0;
    end else begin
      if (column_valid) count_column <= count_column + 1'b1;
      if (out_starts) count_out <= count_out + 1'b1;
      ready  <= ready + 3'(in_leaves) - 3'(begins);
      bad_in <= bad_in + 2'(read_done);
    end
  end

  idct16 #(.SHIFT(12 - GUARD), .OUT_BITS(SAMPLE_BITS)) rows (
      .clk, .rst_n, .s_valid(out_valid), .s_count(out_count), .s_value(out_value),
      .m_valid(m_valid), .m_value(m_sample)
  );

`ifndef SYNTHESIS
  in_order :
  assert property (@(posedge clk) disable iff (!rst_n) 1 |=> between <= 4 && ready <= between)
  else $error("%m: %0d blocks in a memory of 4, %0d of them ready", between, ready);
`endif

endmodule
