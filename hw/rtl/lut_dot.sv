// Dot products of PE rows in LUTs, SIMD elements a step, accumulated from a step with `first` to one with `last`.
// Activations and weights are integers or, at one bit, BIPOLAR (0 is -1, 1 is +1). If both are BIPOLAR the result
// is, as in FINN, the count of equal pairs (XNOR and popcount), otherwise the dot product. Rows share the
// activations if ACT_LANES is 1. All moves on while `en` is set; a result is valid until the next move.
module lut_dot #(
    parameter int unsigned PE = 1,
    parameter int unsigned SIMD = 1,
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

  if ((A_BIPOLAR && A_BITS != 1) || (W_BIPOLAR && W_BITS != 1)) begin : gen_bad
    $fatal(1, "lut_dot: expected one bit for BIPOLAR");
  end

  localparam bit XNOR = A_BIPOLAR && W_BIPOLAR;
  localparam bit MASK = W_BIPOLAR && !A_BIPOLAR;  // sum of w * a = 2 * (sum of a where w is +1) - sum of a
  localparam int unsigned PRODUCT_BITS = A_BITS + W_BITS;
  localparam int unsigned TERM_BITS = XNOR ? 1 : MASK ? A_BITS : A_BIPOLAR ? W_BITS + 1 : PRODUCT_BITS;
  localparam bit TERM_SIGNED = MASK ? A_SIGNED : !XNOR && (A_BIPOLAR || A_SIGNED || W_SIGNED);
  localparam int unsigned LATENCY = 1 + $clog2(TERM_BITS == 1 ? (SIMD + 2) / 3 : (SIMD + 1) / 2);  // adder_tree

  function automatic logic [TERM_BITS-1:0] term(logic [A_BITS-1:0] act, logic [W_BITS-1:0] weight);
    automatic logic signed [PRODUCT_BITS:0] x = (PRODUCT_BITS + 1)'($signed({A_SIGNED && act[A_BITS-1], act}));
    automatic logic signed [PRODUCT_BITS:0] y = (PRODUCT_BITS + 1)'($signed({W_SIGNED && weight[W_BITS-1], weight}));
    if (XNOR) return TERM_BITS'(act[0] == weight[0]);
    if (MASK) return weight[0] ? TERM_BITS'(act) : '0;
    if (A_BIPOLAR) return TERM_BITS'(act[0] ? y : -y);
    return TERM_BITS'(x * y);
  endfunction

  logic [ACT_LANES-1:0][M_BITS-1:0] totals;
  if (MASK) begin : gen_totals
    for (genvar i = 0; i < ACT_LANES; i++) begin : gen_lane
      adder_tree #(.N(SIMD), .BITS(A_BITS), .SIGNED(A_SIGNED), .SUM_BITS(M_BITS)) tree (
          .clk, .en, .x(a[i]), .sum(totals[i])
      );
    end
  end else begin : gen_no_totals
    assign totals = '0;
  end

  logic [LATENCY-1:0] valids, firsts, lasts;
  wire step_valid = valids[LATENCY-1];
  wire step_first = firsts[LATENCY-1];
  wire step_last = lasts[LATENCY-1];

  for (genvar p = 0; p < PE; p++) begin : gen_row
    logic [SIMD-1:0][TERM_BITS-1:0] terms;
    logic [M_BITS-1:0] terms_sum, step;

    always_comb for (int s = 0; s < SIMD; s++) terms[s] = term(a[p%ACT_LANES][s], w[p][s]);

    adder_tree #(.N(SIMD), .BITS(TERM_BITS), .SIGNED(TERM_SIGNED), .SUM_BITS(M_BITS)) tree (
        .clk, .en, .x(terms), .sum(terms_sum)
    );

    assign step = MASK ? (terms_sum << 1) - totals[p%ACT_LANES] : terms_sum;
    always_ff @(posedge clk) if (en && step_valid) sum[p] <= (step_first ? '0 : sum[p]) + step;
  end

  always_ff @(posedge clk)
    if (!rst_n) begin
      valids <= '0;
      sum_valid <= 1'b0;
    end else if (en) begin
      valids <= LATENCY'({valids, valid});
      sum_valid <= step_valid && step_last;
    end

  always_ff @(posedge clk)
    if (en) begin
      firsts <= LATENCY'({firsts, first});
      lasts  <= LATENCY'({lasts, last});
    end

endmodule
