// lut_dot for simulation: the same results in the same cycles, without the adders' structure.
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

  typedef logic [SIMD*W_BITS-1:0] bits_t;
  localparam bits_t LOWEST = {SIMD{W_BITS'(1)}};  // bit 0 of each weight

  localparam int unsigned SLOTS = 1 << $clog2(LATENCY + 1);
  localparam int unsigned SLOT_BITS = $clog2(SLOTS);

  bits_t [ACT_LANES-1:0][A_BITS-1:0] spread;  // bit i of each activation, at its weight's bit 0
  int sums[PE];
  logic [LATENCY:0] ends;
  logic [PE-1:0][M_BITS-1:0] results[SLOTS];
  logic [SLOT_BITS-1:0] slot;  // of the latest step's results

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

  assign sum = results[slot-SLOT_BITS'(LATENCY)];
  assign sum_valid = ends[LATENCY];

  always_ff @(posedge clk)
    if (!rst_n) begin
      ends <= '0;
      slot <= '0;
    end else if (en) begin
      ends <= {ends[LATENCY-1:0], valid && last};
      slot <= slot + 1'b1;
    end

  // verilator lint_off BLKSEQ
  always_ff @(posedge clk)
    if (en && valid)
      for (int p = 0; p < PE; p++) begin
        sums[p] = (first ? 0 : sums[p]) + dot(spread[p%ACT_LANES], w[p]);
        if (last) results[slot+1'b1][p] <= M_BITS'(sums[p]);
      end
  // verilator lint_on BLKSEQ

endmodule
