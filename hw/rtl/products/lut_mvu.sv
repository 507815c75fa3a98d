// Matrix-vector product in LUTs for 1-bit weights and activations of few bits, which FINN's MVAU_rtl lacks:
// accumulators of a (MH, MW) matrix for each vector of MW activations, MW/SIMD * MH/PE cycles a vector.
//
// Orders are FINN's. Activations: SIMD a beat. Outputs: PE accumulators a beat, rows in order. Weights: a beat
// [PE][SIMD] for each cycle, weight (row n * PE + p, column k * SIMD + s) at [p][s] of beat n * MW/SIMD + k: what
// FINN's memstream gives from the memblock.dat of an MVAU. Types as in lut_dot.
module lut_mvu #(
    parameter int unsigned MW = 16,
    parameter int unsigned MH = 4,
    parameter int unsigned PE = 1,
    parameter int unsigned SIMD = 4,
    parameter int unsigned A_BITS = 1,
    parameter bit A_SIGNED = 0,
    parameter bit A_BIPOLAR = 0,
    parameter int unsigned W_BITS = 1,
    parameter bit W_SIGNED = 0,
    parameter bit W_BIPOLAR = 0,
    parameter int unsigned M_BITS = 16,
    localparam int unsigned S_WIDTH = (SIMD * A_BITS + 7) / 8 * 8,
    localparam int unsigned W_WIDTH = (PE * SIMD * W_BITS + 7) / 8 * 8,
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

  if (SIMD < 1 || PE < 1 || MW % SIMD != 0 || MH % PE != 0) begin : gen_bad
    $fatal(1, "lut_mvu: expected SIMD to divide MW and PE to divide MH");
  end

  localparam int unsigned SF = MW / SIMD;
  localparam int unsigned NF = MH / PE;
  localparam int unsigned SF_BITS = SF > 1 ? $clog2(SF) : 1;
  localparam int unsigned NF_BITS = NF > 1 ? $clog2(NF) : 1;

  logic [SIMD-1:0][A_BITS-1:0] vector[SF];  // kept for the rows after the first PE
  logic [SIMD-1:0][A_BITS-1:0] a;
  logic a_valid, first, last;
  logic [SF_BITS-1:0] column;
  logic [NF_BITS-1:0] row;

  wire load = row == 0;
  wire last_column = column == SF_BITS'(SF - 1);
  wire en = !m_axis_tvalid || m_axis_tready;
  wire step = en && a_valid && w_axis_tvalid;
  wire free = !a_valid || step;
  wire fetch = free && (!load || s_axis_tvalid);

  assign s_axis_tready = free && load;
  assign w_axis_tready = en && a_valid;

  always_ff @(posedge clk) begin
    if (fetch && load) vector[column] <= s_axis_tdata[SIMD*A_BITS-1:0];
    if (fetch) begin
      a <= load ? s_axis_tdata[SIMD*A_BITS-1:0] : vector[column];
      first <= column == 0;
      last <= last_column;
    end
  end

  always_ff @(posedge clk)
    if (!rst_n) begin
      column  <= '0;
      row     <= '0;
      a_valid <= 1'b0;
    end else begin
      if (fetch) column <= last_column ? '0 : column + 1'b1;
      if (fetch && last_column) row <= row == NF_BITS'(NF - 1) ? '0 : row + 1'b1;
      if (free) a_valid <= fetch;
    end

  logic [PE-1:0][M_BITS-1:0] sum;
  assign m_axis_tdata = M_WIDTH'(sum);

  lut_dot #(
      .PE(PE), .SIMD(SIMD), .STEPS(SF), .ACT_LANES(1), .M_BITS(M_BITS),
      .A_BITS(A_BITS), .A_SIGNED(A_SIGNED), .A_BIPOLAR(A_BIPOLAR),
      .W_BITS(W_BITS), .W_SIGNED(W_SIGNED), .W_BIPOLAR(W_BIPOLAR)
  ) dot (
      .clk, .rst_n, .en, .valid(step), .first, .last,
      .a(a), .w(w_axis_tdata[PE*SIMD*W_BITS-1:0]), .sum, .sum_valid(m_axis_tvalid)
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
