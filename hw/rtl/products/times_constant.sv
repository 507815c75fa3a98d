// An integer of BITS, signed or not, times a constant, to M_BITS. It is made of shifts and additions, so constants
// with few ones are small. Combinational.
module times_constant #(
    parameter int unsigned BITS = 4,
    parameter bit SIGNED = 0,
    parameter int FACTOR = 1,
    parameter int unsigned M_BITS = 5
) (
    input  logic [  BITS-1:0] x,
    output logic [M_BITS-1:0] y
);

  localparam int unsigned SIZE = FACTOR < 0 ? -FACTOR : FACTOR;

  wire [M_BITS-1:0] wide = M_BITS'($signed({SIGNED && x[BITS-1], x}));
  logic [M_BITS-1:0] sum;

  always_comb begin
    sum = '0;
    for (int i = 0; i < 32; i++) if (SIZE[i]) sum += wide << i;
  end

  assign y = FACTOR < 0 ? -sum : sum;

endmodule
