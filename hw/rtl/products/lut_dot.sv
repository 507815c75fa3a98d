// Dot products of PE rows in LUTs, SIMD elements a step, accumulated over STEPS steps, from one with `first` to one
// with `last`. Activations and weights are integers or, at one bit, BIPOLAR (0 is -1, 1 is +1). Rows share the
// activations if ACT_LANES is 1. All moves on while `en` is set; a result is valid until the next move.
//
// A product of integers is the sum of its bit planes' (plane_sum). Planes of negative weight are counted inverted.
// With one BIPOLAR side, of bits b,
//   sum of a * (2b - 1) = 2 * sum of a * b - sum of a, the latter shared by the rows, and
//   sum of (2b - 1) * w = sum over w's planes of 2**j * (b xnor w[j]) + K * (count of b - SIMD),
// where K is the number with all bits of w set (-1 if signed). What is constant in all this is where accumulation
// starts.
module lut_dot #(
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
    parameter int unsigned M_BITS = 16
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

  if ((A_BIPOLAR && (A_BITS != 1 || A_SIGNED)) || (W_BIPOLAR && (W_BITS != 1 || W_SIGNED))) begin : gen_bad
    $fatal(1, "lut_dot: expected one bit for BIPOLAR, not SIGNED");
  end

  // Groups of bits that plane_sum counts.
  function automatic int unsigned groups();
    groups = 0;
    for (int k = 0; k < A_BITS + W_BITS - 1; k++) begin
      automatic int unsigned planes = 0;
      for (int i = 0; i < A_BITS; i++) if (k >= i && k - i < W_BITS) planes++;
      groups += (planes * SIMD + 17) / 18;
    end
  endfunction

  localparam int unsigned LATENCY = 3 + $clog2(groups());  // of a step, before it is accumulated

`ifdef SYNTHESIS
  lut_dot_planes #(
      .PE(PE), .SIMD(SIMD), .STEPS(STEPS), .ACT_LANES(ACT_LANES), .M_BITS(M_BITS), .LATENCY(LATENCY),
      .A_BITS(A_BITS), .A_SIGNED(A_SIGNED), .A_BIPOLAR(A_BIPOLAR),
      .W_BITS(W_BITS), .W_SIGNED(W_SIGNED), .W_BIPOLAR(W_BIPOLAR)
  ) core (
      .clk, .rst_n, .en, .valid, .first, .last, .a, .w, .sum, .sum_valid
  );
`else
  lut_dot_model #(
      .PE(PE), .SIMD(SIMD), .STEPS(STEPS), .ACT_LANES(ACT_LANES), .M_BITS(M_BITS), .LATENCY(LATENCY),
      .A_BITS(A_BITS), .A_SIGNED(A_SIGNED), .A_BIPOLAR(A_BIPOLAR),
      .W_BITS(W_BITS), .W_SIGNED(W_SIGNED), .W_BIPOLAR(W_BIPOLAR)
  ) core (
      .clk, .rst_n, .en, .valid, .first, .last, .a, .w, .sum, .sum_valid
  );
`endif

endmodule
