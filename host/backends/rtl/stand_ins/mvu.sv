// A model of FINN's mvu (finn-rtllib/mvu/mvu.sv) for fast simulation: the same ports and parameters, the same results
// in the same cycles. FINN's describes the DSP lanes of every product, this one adds up the products in native code
// (models.hpp). tests/host/backends/rtl/test_fast_models.py holds one against the other.
module mvu #(
    int unsigned VERSION = 1,
    int unsigned PE,
    int unsigned SIMD,
    int unsigned WEIGHT_WIDTH,
    int unsigned ACTIVATION_WIDTH,
    int unsigned ACCU_WIDTH,
    bit SIGNED_ACTIVATIONS = 0,
    bit NARROW_WEIGHTS = 0,
    bit FORCE_BEHAVIORAL = 0
) (
    input  logic clk,
    input  logic rst,
    input  logic en,
    input  logic last,
    input  logic zero,
    input  logic signed [PE-1:0][SIMD-1:0][WEIGHT_WIDTH-1:0] w,
    input  logic [SIMD-1:0][ACTIVATION_WIDTH-1:0] a,
    output logic vld,
    output logic signed [PE-1:0][ACCU_WIDTH-1:0] p
);

  localparam int unsigned DEPTH = 3 + $clog2(SIMD) + (SIMD == 1) + 1;  // FINN's PIPELINE_DEPTH
  localparam int unsigned SLOTS = 1 << $clog2(DEPTH);

  logic [DEPTH:1] ends;  // of `last`, bit i after i cycles
  bit [PE-1:0][31:0] sums;  // exact modulo 2**32, as wide as any accumulator
  logic [PE-1:0][ACCU_WIDTH-1:0] results[SLOTS];
  logic [$clog2(SLOTS)-1:0] slot;

  assign vld = ends[DEPTH];
  assign p = results[slot - ($clog2(SLOTS))'(DEPTH - 1)];

  always @(posedge clk) begin
    if (rst) begin
      ends <= '0;
      slot <= '0;
      sums = '0;
    end else if (en) begin
      ends <= {ends[DEPTH-1:1], last};
      slot <= slot + 1'b1;
      if (ends[1]) sums = '0;
      if (!zero)
        for (int i = 0; i < PE; i++)
          sums[i] = sums[i] + $c32("bitswath::dot<", SIMD, ",", WEIGHT_WIDTH, ",1,", ACTIVATION_WIDTH, ",",
                                   SIGNED_ACTIVATIONS, ">(", w, ",", a, ",", i, ",0)");
      if (last) for (int i = 0; i < PE; i++) results[slot + 1'b1][i] <= ACCU_WIDTH'(sums[i]);
    end
  end

endmodule
