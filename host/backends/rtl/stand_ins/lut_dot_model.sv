// A model of lut_dot for fast simulation: as hw/rtl/products/lut_dot_model.sv, with the products added up in native code
// (models.hpp), and nothing moved but results. tests/host/backends/rtl/test_fast_models.py holds one against the other.
module lut_dot_model #(
    parameter int unsigned PE = 1,
    parameter int unsigned SIMD = 1,
    parameter int unsigned STEPS = 1,
    parameter int unsigned ACT_LANES = 1,
    parameter int unsigned A_BITS = 1,
    parameter bit A_SIGNED = 0,
    parameter bit A_BIPOLAR = 0,
    parameter int unsigned W_BITS = 1,
    parameter bit W_SIGNED = 0,
    parameter bit W_BIPOLAR = 0,
    parameter int unsigned M_BITS = 16,
    parameter int unsigned LATENCY = 3
) (
    input  logic                                       clk,
    input  logic                                       rst_n,
    input  logic                                       en,
    input  logic                                       valid,
    input  logic                                       first,
    input  logic                                       last,
    input  logic [ACT_LANES-1:0][SIMD-1:0][A_BITS-1:0] a,
    input  logic [PE-1:0][SIMD-1:0][W_BITS-1:0]        w,
    output logic [PE-1:0][M_BITS-1:0]                  sum,
    output logic                                       sum_valid
);

  localparam int unsigned SLOTS = 1 << $clog2(LATENCY + 1);
  localparam int unsigned A_KIND = A_BIPOLAR ? 2 : A_SIGNED ? 1 : 0;  // models.hpp
  localparam int unsigned W_KIND = W_BIPOLAR ? 2 : W_SIGNED ? 1 : 0;

  logic [LATENCY-1:0] ends;
  bit [31:0] sums[PE];
  logic [PE-1:0][M_BITS-1:0] results[SLOTS];
  logic [$clog2(SLOTS)-1:0] head, tail;

  always @(posedge clk)
    if (!rst_n) begin
      ends <= '0;
      sum_valid <= 1'b0;
      head <= '0;
      tail <= '0;
    end else if (en) begin
      ends <= {ends[LATENCY-2:0], valid && last};
      sum_valid <= ends[LATENCY-1];
      if (ends[LATENCY-1]) begin
        sum <= results[head];
        head <= head + 1'b1;
      end
      if (valid) begin
        for (int p = 0; p < PE; p++)
          sums[p] = (first ? 0 : sums[p]) + $c32("bitswath::dot<", SIMD, ",", W_BITS, ",", W_KIND, ",", A_BITS, ",",
                                                 A_KIND, ">(", w, ",", a, ",", p, ",", p % ACT_LANES, ")");
        if (last) begin
          for (int p = 0; p < PE; p++) results[tail][p] <= M_BITS'(sums[p]);
          tail <= tail + 1'b1;
        end
      end
    end

endmodule
