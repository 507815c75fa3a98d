// A frame's bytes as bits, the first in bit 7 of its byte: the next 14 are seen once `ready`, of which `take` go in a
// cycle. Behind the last byte come zeros; `over` says that more were taken than the frame has.
module frame_bits #(
    parameter int unsigned LENGTH_BITS = 12
) (
    input  logic                   clk,
    input  logic                   rst_n,
    input  logic                   start,
    input  logic [LENGTH_BITS-1:0] bytes,       // of the frame that starts
    input  logic                   active,
    output logic                   byte_ask,
    input  logic                   byte_valid,
    input  logic [            7:0] byte_data,
    output logic                   ready,
    output logic [           13:0] next,
    input  logic [            3:0] take,
    output logic                   over,
    output logic                   all_used     // but for fewer than 8 bits, which are 0
);

  logic [31:0] window;  // first bit on top, 0 below those held
  logic [5:0] held;
  logic [LENGTH_BITS+3:0] left;  // two's complement

  logic [7:0] arrived;
  logic arrived_valid;

  wire join_it = arrived_valid && take == 0;

  assign byte_ask = active && !byte_valid && !arrived_valid && held <= 6'd24;
  assign ready = held >= 6'd16;
  assign next = window[31:18];
  assign over = left[LENGTH_BITS+3];
  assign all_used = left[LENGTH_BITS+3:3] == 0 && window[31:24] == 0;

  always_ff @(posedge clk) begin
    if (byte_valid) arrived <= byte_data;
    arrived_valid <= rst_n && !start && (byte_valid || (arrived_valid && !join_it));
  end

  always_ff @(posedge clk)
    if (!rst_n || start) begin
      window <= '0;
      held <= '0;
      left <= {1'b0, bytes, 3'd0};
    end else begin
      window <= take == 0 ? window | (arrived_valid ? {arrived, 24'd0} >> held : 32'd0) : window << take;
      held <= take == 0 ? held + (arrived_valid ? 6'd8 : 6'd0) : held - 6'(take);
      left <= left - (LENGTH_BITS + 4)'(take);
    end

`ifndef SYNTHESIS
  takes_what_is_there :
  assert property (@(posedge clk) disable iff (!rst_n || start) 1 |=> 6'(take) <= held && held <= 6'd32)
  else $error("%m: %0d bits are taken of %0d", take, held);
`endif

endmodule
