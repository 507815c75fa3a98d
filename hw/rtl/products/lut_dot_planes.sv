// lut_dot as it is synthesized; the formulas are there.
module lut_dot_planes #(
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

  // A negative plane's value is that of its inverse less the plane's size.
  function automatic logic [A_BITS*W_BITS-1:0] negative(bit a_signed, bit w_signed);
    for (int i = 0; i < A_BITS; i++)
      for (int j = 0; j < W_BITS; j++)
        negative[i*W_BITS+j] = (a_signed && i == A_BITS - 1) != (w_signed && j == W_BITS - 1);
  endfunction

  function automatic longint excess();
    automatic logic [A_BITS*W_BITS-1:0] planes = negative(A_SIGNED, W_SIGNED);
    excess = 0;
    for (int i = 0; i < A_BITS; i++)
      for (int j = 0; j < W_BITS; j++) if (planes[i*W_BITS+j]) excess += SIMD * (longint'(1) << (i + j));
  endfunction

  localparam bit BOTH = A_BIPOLAR && W_BIPOLAR;
  localparam bit SHARED = A_BIPOLAR != W_BIPOLAR;  // a sum of activations belongs to each row
  localparam longint FULL = W_SIGNED ? -1 : (longint'(1) << W_BITS) - 1;  // K
  localparam longint SHARED_EXCESS = A_SIGNED ? SIMD * (longint'(1) << (A_BITS - 1)) : 0;
  localparam longint CONSTANT = BOTH ? -longint'(SIMD)
                              : W_BIPOLAR ? SHARED_EXCESS - 2 * excess()
                              : A_BIPOLAR ? -excess() - SIMD * FULL : -excess();

  localparam logic [M_BITS-1:0] START = M_BITS'(STEPS * CONSTANT);

  logic [LATENCY-1:0] valids, firsts, lasts;

  always_ff @(posedge clk)
    if (!rst_n) begin
      valids <= '0;
      sum_valid <= 1'b0;
    end else if (en) begin
      valids <= LATENCY'({valids, valid});
      sum_valid <= valids[LATENCY-1] && lasts[LATENCY-1];
    end

  always_ff @(posedge clk)
    if (en) begin
      firsts <= LATENCY'({firsts, first});
      lasts  <= LATENCY'({lasts, last});
    end

  logic [ACT_LANES-1:0][M_BITS-1:0] shared;
  if (SHARED) begin : gen_shared
    for (genvar i = 0; i < ACT_LANES; i++) begin : gen_lane
      localparam logic [A_BITS-1:0] SIGN = A_BITS'(A_SIGNED) << (A_BITS - 1);
      logic [M_BITS-1:0] total;

      plane_sum #(.N(SIMD), .A_BITS(A_BITS), .W_BITS(1), .INVERT(SIGN), .LATENCY(LATENCY), .M_BITS(M_BITS)) totals (
          .clk, .en, .a(a[i]), .w('1), .sum(total)
      );
      assign shared[i] = W_BIPOLAR || W_SIGNED ? -total : (total << W_BITS) - total;
    end
  end else begin : gen_none
    assign shared = '0;
  end

  for (genvar p = 0; p < PE; p++) begin : gen_row
    logic [M_BITS-1:0] total, step;

    plane_sum #(
        .N(SIMD), .A_BITS(A_BITS), .W_BITS(W_BITS), .XNOR(A_BIPOLAR), .INVERT(negative(A_SIGNED, W_SIGNED)),
        .LATENCY(LATENCY), .M_BITS(M_BITS)
    ) planes (
        .clk, .en, .a(a[p%ACT_LANES]), .w(w[p]), .sum(total)
    );
    assign step = (W_BIPOLAR ? total << 1 : total) + shared[p%ACT_LANES];
    always_ff @(posedge clk)
      if (en && valids[LATENCY-1]) sum[p] <= (firsts[LATENCY-1] ? START : sum[p]) + step;
  end

endmodule
