// Matrix-vector product in LUTs by weights that never change: a vector of MW activations in and its MH products out in
// every cycle, without a memory. What a weight's zero bits would count is left out by synthesis, as is a zero weight.
// Orders and types are lut_mvu's; WEIGHTS has weight (row r, column c) at [r][c].
module const_mvu #(
    parameter int unsigned MW = 16,
    parameter int unsigned MH = 4,
    parameter int unsigned A_BITS = 1,
    parameter bit A_SIGNED = 0,
    parameter bit A_BIPOLAR = 0,
    parameter int unsigned W_BITS = 1,
    parameter bit W_SIGNED = 0,
    parameter bit W_BIPOLAR = 0,
    parameter int unsigned M_BITS = 16,
    parameter logic [MH*MW*W_BITS-1:0] WEIGHTS = '0,
    localparam int unsigned S_WIDTH = (MW * A_BITS + 7) / 8 * 8,
    localparam int unsigned M_WIDTH = (MH * M_BITS + 7) / 8 * 8
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic [S_WIDTH-1:0] s_axis_tdata,
    input  logic               s_axis_tvalid,
    output logic               s_axis_tready,
    output logic [M_WIDTH-1:0] m_axis_tdata,
    output logic               m_axis_tvalid,
    input  logic               m_axis_tready
);

  if (MW < 1 || MH < 1) begin : gen_bad
    $fatal(1, "const_mvu: expected MW and MH of at least 1");
  end

  logic [MW-1:0][A_BITS-1:0] a;
  logic [MH-1:0][M_BITS-1:0] sum;
  logic a_valid;

  wire en = !m_axis_tvalid || m_axis_tready;

  assign s_axis_tready = en;
  assign m_axis_tdata = M_WIDTH'(sum);

  always_ff @(posedge clk) begin
    if (en) a <= s_axis_tdata[MW*A_BITS-1:0];
    if (!rst_n) a_valid <= 1'b0;
    else if (en) a_valid <= s_axis_tvalid;
  end

  lut_dot #(
      .PE(MH), .SIMD(MW), .STEPS(1), .ACT_LANES(1), .M_BITS(M_BITS),
      .A_BITS(A_BITS), .A_SIGNED(A_SIGNED), .A_BIPOLAR(A_BIPOLAR),
      .W_BITS(W_BITS), .W_SIGNED(W_SIGNED), .W_BIPOLAR(W_BIPOLAR)
  ) dot (
      .clk, .rst_n, .en, .valid(a_valid), .first(1'b1), .last(1'b1),
      .a, .w(WEIGHTS), .sum, .sum_valid(m_axis_tvalid)
  );

  axis_check #(.WIDTH(S_WIDTH)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );
  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
