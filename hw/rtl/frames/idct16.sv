// Inverse 16-point DCT with the integers of HEVC (H.265, 8.6.4.2): 16 values in 16 cycles, first those of even index,
// then those of odd; 16 samples out in their order, round(sum >> SHIFT) saturated to OUT_BITS. Even and odd sums of
// samples y and 15 - y are the same but for the sign, so 8 multipliers do. Groups of 16 come without a gap in them, and
// may follow each other without one. The first sample comes 21 cycles after the first value.
module idct16 #(
    parameter int unsigned SHIFT = 6,
    parameter int unsigned OUT_BITS = 16
) (
    input  logic                       clk,
    input  logic                       rst_n,
    input  logic                       s_valid,
    input  logic        [         3:0] s_count,  // cycles of the group before this one
    input  logic signed [        15:0] s_value,
    output logic                       m_valid,
    output logic signed [OUT_BITS-1:0] m_value
);

  localparam int unsigned SUM_BITS = 27;  // 16 * 90 * 2**15

  // Row u, the last one first; the first 8 of its 16 columns
  localparam logic [15:0][7:0][7:0] COSINES = {
    {8'sd9, -8'sd25, 8'sd43, -8'sd57, 8'sd70, -8'sd80, 8'sd87, -8'sd90},
    {8'sd18, -8'sd50, 8'sd75, -8'sd89, 8'sd89, -8'sd75, 8'sd50, -8'sd18},
    {8'sd25, -8'sd70, 8'sd90, -8'sd80, 8'sd43, 8'sd9, -8'sd57, 8'sd87},
    {8'sd36, -8'sd83, 8'sd83, -8'sd36, -8'sd36, 8'sd83, -8'sd83, 8'sd36},
    {8'sd43, -8'sd90, 8'sd57, 8'sd25, -8'sd87, 8'sd70, 8'sd9, -8'sd80},
    {8'sd50, -8'sd89, 8'sd18, 8'sd75, -8'sd75, -8'sd18, 8'sd89, -8'sd50},
    {8'sd57, -8'sd80, -8'sd25, 8'sd90, -8'sd9, -8'sd87, 8'sd43, 8'sd70},
    {8'sd64, -8'sd64, -8'sd64, 8'sd64, 8'sd64, -8'sd64, -8'sd64, 8'sd64},
    {8'sd70, -8'sd43, -8'sd87, 8'sd9, 8'sd90, 8'sd25, -8'sd80, -8'sd57},
    {8'sd75, -8'sd18, -8'sd89, -8'sd50, 8'sd50, 8'sd89, 8'sd18, -8'sd75},
    {8'sd80, 8'sd9, -8'sd70, -8'sd87, -8'sd25, 8'sd57, 8'sd90, 8'sd43},
    {8'sd83, 8'sd36, -8'sd36, -8'sd83, -8'sd83, -8'sd36, 8'sd36, 8'sd83},
    {8'sd87, 8'sd57, 8'sd9, -8'sd43, -8'sd80, -8'sd90, -8'sd70, -8'sd25},
    {8'sd89, 8'sd75, 8'sd50, 8'sd18, -8'sd18, -8'sd50, -8'sd75, -8'sd89},
    {8'sd90, 8'sd87, 8'sd80, 8'sd70, 8'sd57, 8'sd43, 8'sd25, 8'sd9},
    {8'sd64, 8'sd64, 8'sd64, 8'sd64, 8'sd64, 8'sd64, 8'sd64, 8'sd64}
  };

  logic [3:0] count_1, count_2, count_3;
  logic valid_1, valid_2, valid_3;
  logic signed [15:0] value;

  always_ff @(posedge clk) begin
    value <= s_value;
    count_1 <= s_count;
    count_2 <= count_1;
    count_3 <= count_2;
    {valid_3, valid_2, valid_1} <= rst_n ? {valid_2, valid_1, s_valid} : '0;
  end

  // Sums; the even one begins with what rounds both
  logic [7:0][SUM_BITS-1:0] even_done, even, odd;
  wire evens_end = valid_3 && count_3 == 4'd7;
  wire restart = count_2[2:0] == 0;
  wire signed [SUM_BITS-1:0] start = count_2[3] ? '0 : SUM_BITS'(1 << (SHIFT - 1));
  wire odds_end = valid_3 && count_3 == 4'd15;

  for (genvar y = 0; y < 8; y++) begin : gen_sums
    logic signed [7:0] cosine;
    logic signed [23:0] product;
    logic signed [SUM_BITS-1:0] sum;

    always_ff @(posedge clk) begin
      cosine <= COSINES[{s_count[2:0], s_count[3]}][7-y];
      product <= value * cosine;
      sum <= (restart ? start : sum) + SUM_BITS'(product);
      if (evens_end) even_done[y] <= sum;
      if (odds_end) begin
        even[y] <= even_done[y];
        odd[y]  <= sum;
      end
    end
  end

  // Samples
  logic [3:0] count;
  logic busy, valid_5, valid_6, minus;
  logic [SUM_BITS-1:0] even_term, odd_term;
  logic signed [SUM_BITS-1:0] total;
  wire signed [SUM_BITS-1:0] shifted = total >>> SHIFT;
  wire [2:0] chosen = count[3] ? ~count[2:0] : count[2:0];

  always_ff @(posedge clk) begin
    even_term <= even[chosen];
    odd_term <= odd[chosen];
    minus <= count[3];
    total <= minus ? even_term - odd_term : even_term + odd_term;
    if (shifted > SUM_BITS'((1 << (OUT_BITS - 1)) - 1)) m_value <= {1'b0, {OUT_BITS - 1{1'b1}}};
    else if (shifted < -SUM_BITS'(1 << (OUT_BITS - 1))) m_value <= {1'b1, {OUT_BITS - 1{1'b0}}};
    else m_value <= shifted[OUT_BITS-1:0];
    {m_valid, valid_6, valid_5} <= rst_n ? {valid_6, valid_5, busy} : '0;
    if (!rst_n) begin
      busy <= 1'b0;
      count <= '0;
    end else begin
      if (odds_end) busy <= 1'b1;
      else if (count == 4'd15) busy <= 1'b0;
      if (busy) count <= count + 1'b1;
    end
  end

`ifndef SYNTHESIS
  group_without_gap :
  assert property (@(posedge clk) disable iff (!rst_n)
      s_valid && s_count != 15 |=> s_valid && s_count == $past(s_count) + 4'd1)
  else $error("%m: a group of 16 has a gap");
  not_too_soon :
  assert property (@(posedge clk) disable iff (!rst_n) odds_end |-> !busy || count == 15)
  else $error("%m: a group came before the samples of the last one were out");
`endif

endmodule
