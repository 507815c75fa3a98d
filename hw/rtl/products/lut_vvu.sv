// Depthwise product in LUTs, for parts without FINN's VVAU_rtl (Versal only): for each pixel and channel the dot
// product of a WINDOW of activations and the channel's weights, CHANNELS/PE * WINDOW/SIMD cycles a pixel.
//
// Orders are FINN's, behind a depthwise sliding window. Activations: a beat [SIMD][PE], window position
// k * SIMD + s of channel n * PE + p at [s][p] of beat n * WINDOW/SIMD + k. Weights: a beat [PE][SIMD], the same
// ones at [p][s], CHANNELS/PE * WINDOW/SIMD beats for each pixel. Outputs: PE accumulators a beat. Types as in
// lut_dot.
module lut_vvu #(
    parameter int unsigned WINDOW = 9,
    parameter int unsigned PE = 1,
    parameter int unsigned SIMD = 1,
    parameter int unsigned A_BITS = 4,
    parameter bit A_SIGNED = 0,
    parameter bit A_BIPOLAR = 0,
    parameter int unsigned W_BITS = 4,
    parameter bit W_SIGNED = 1,
    parameter bit W_BIPOLAR = 0,
    parameter int unsigned M_BITS = 16,
    localparam int unsigned S_WIDTH = (SIMD * PE * A_BITS + 7) / 8 * 8,
    localparam int unsigned W_WIDTH = (SIMD * PE * W_BITS + 7) / 8 * 8,
    localparam int unsigned M_WIDTH = (PE * M_BITS + 7) / 8 * 8
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic [S_WIDTH-1:0] s_axis_tdata,
    input  logic               s_axis_tvalid,
    output logic               s_axis_tready,
    input  logic [W_WIDTH-1:0] w_axis_tdata,
    input  logic               w_axis_tvalid,
    output logic               w_axis_tready,
    output logic [M_WIDTH-1:0] m_axis_tdata,
    output logic               m_axis_tvalid,
    input  logic               m_axis_tready
);

  if (SIMD < 1 || PE < 1 || WINDOW % SIMD != 0) begin : gen_bad
    $fatal(1, "lut_vvu: expected SIMD to divide WINDOW");
  end

  localparam int unsigned SF = WINDOW / SIMD;
  localparam int unsigned SF_BITS = SF > 1 ? $clog2(SF) : 1;

  logic [SIMD-1:0][PE-1:0][A_BITS-1:0] beat;
  logic [PE-1:0][SIMD-1:0][A_BITS-1:0] a;
  logic [SF_BITS-1:0] position;

  wire last = position == SF_BITS'(SF - 1);
  wire en = !m_axis_tvalid || m_axis_tready;
  wire step = en && w_axis_tvalid && s_axis_tvalid;

  assign s_axis_tready = en && w_axis_tvalid;
  assign w_axis_tready = en && s_axis_tvalid;
  assign beat = s_axis_tdata[SIMD*PE*A_BITS-1:0];

  always_comb for (int p = 0; p < PE; p++) for (int s = 0; s < SIMD; s++) a[p][s] = beat[s][p];

  always_ff @(posedge clk)
    if (!rst_n) position <= '0;
    else if (step) position <= last ? '0 : position + 1'b1;

  logic [PE-1:0][M_BITS-1:0] sum;
  assign m_axis_tdata = M_WIDTH'(sum);

  lut_dot #(
      .PE(PE), .SIMD(SIMD), .STEPS(SF), .ACT_LANES(PE), .M_BITS(M_BITS),
      .A_BITS(A_BITS), .A_SIGNED(A_SIGNED), .A_BIPOLAR(A_BIPOLAR),
      .W_BITS(W_BITS), .W_SIGNED(W_SIGNED), .W_BIPOLAR(W_BIPOLAR)
  ) dot (
      .clk, .rst_n, .en, .valid(step), .first(position == 0), .last,
      .a, .w(w_axis_tdata[SIMD*PE*W_BITS-1:0]), .sum, .sum_valid(m_axis_tvalid)
  );

  axis_check #(.WIDTH(S_WIDTH)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );
  axis_check #(.WIDTH(W_WIDTH)) check_w (
      .clk, .rst_n, .tdata(w_axis_tdata), .tvalid(w_axis_tvalid), .tready(w_axis_tready)
  );
  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
