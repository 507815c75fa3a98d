// The products of lut_dot for simulation: the same steps in the same cycles, without the adders' structure.
module lut_dot_model #(
    parameter int unsigned PE = 1,
    parameter int unsigned SIMD = 1,
    // verilator lint_off UNUSEDPARAM
    parameter int unsigned STEPS = 1,  // as lut_dot_planes has
    // verilator lint_on UNUSEDPARAM
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
    input  logic                                       en,
    input  logic [ACT_LANES-1:0][SIMD-1:0][A_BITS-1:0] a,
    input  logic [PE-1:0][SIMD-1:0][W_BITS-1:0]        w,
    output logic [PE-1:0][M_BITS-1:0]                  steps,
    output logic [M_BITS-1:0]                          start
);

  typedef logic [SIMD*W_BITS-1:0] bits_t;
  localparam bits_t LOWEST = {SIMD{W_BITS'(1)}};  // bit 0 of each weight

  bits_t [ACT_LANES-1:0][A_BITS-1:0] spread;  // bit i of each activation, at its weight's bit 0
  logic [LATENCY-1:0][PE-1:0][M_BITS-1:0] delayed;

  function automatic int place(int bit_index, int width, bit is_signed);
    return is_signed && bit_index == width - 1 ? -(1 << bit_index) : 1 << bit_index;
  endfunction

  function automatic int dot(bits_t [A_BITS-1:0] act, bits_t weight);
    automatic int products = 0, acts = 0, weights = 0;  // with the bits of what is bipolar as 0 and 1
    for (int i = 0; i < A_BITS; i++)
      for (int j = 0; j < W_BITS; j++)
        products += place(i, A_BITS, A_SIGNED) * place(j, W_BITS, W_SIGNED) * $countones((act[i] << j) & weight);
    if (W_BIPOLAR) for (int i = 0; i < A_BITS; i++) acts += place(i, A_BITS, A_SIGNED) * $countones(act[i]);
    if (A_BIPOLAR)
      for (int j = 0; j < W_BITS; j++) weights += place(j, W_BITS, W_SIGNED) * $countones(weight & (LOWEST << j));
    if (A_BIPOLAR && W_BIPOLAR) return 4 * products - 2 * acts - 2 * weights + SIMD;
    return A_BIPOLAR || W_BIPOLAR ? 2 * products - acts - weights : products;
  endfunction

  always_comb begin
    spread = '0;
    for (int l = 0; l < ACT_LANES; l++)
      for (int i = 0; i < A_BITS; i++) for (int s = 0; s < SIMD; s++) spread[l][i][s*W_BITS] = a[l][s][i];
  end

  always_ff @(posedge clk)
    if (en) begin
      for (int p = 0; p < PE; p++) delayed[0][p] <= M_BITS'(dot(spread[p%ACT_LANES], w[p]));
      for (int d = 1; d < LATENCY; d++) delayed[d] <= delayed[d-1];
    end

  assign steps = delayed[LATENCY-1];
  assign start = '0;

endmodule
