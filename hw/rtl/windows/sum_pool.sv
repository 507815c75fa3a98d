// Sum over WINDOW beats of PE elements for each of FOLD interleaved channel groups, shifted right (rounding
// down). FOLD=1: windows of consecutive beats, FINN's Pool with Function AccPool (SHIFT=0) or QuantAvgPool
// behind a depthwise sliding window. FOLD=channels/PE and WINDOW=pixels: FINN's GlobalAccPool, beats as
// (pixel, channel fold). One beat a cycle; sums leave while the window's last beats come.
module sum_pool #(
    parameter int unsigned PE = 1,
    parameter int unsigned WINDOW = 4,
    parameter int unsigned FOLD = 1,
    parameter int unsigned BITS = 4,
    parameter bit SIGNED = 0,
    parameter int unsigned SHIFT = 0,
    parameter int unsigned M_BITS = 6,
    localparam int unsigned S_WIDTH = (PE * BITS + 7) / 8 * 8,
    localparam int unsigned M_WIDTH = (PE * M_BITS + 7) / 8 * 8
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

  localparam int unsigned SUM_BITS = BITS + $clog2(WINDOW);
  localparam int unsigned WINDOW_BITS = WINDOW > 1 ? $clog2(WINDOW) : 1;
  localparam int unsigned FOLD_BITS = FOLD > 1 ? $clog2(FOLD) : 1;

  if (PE < 1 || WINDOW < 1 || FOLD < 1 || SHIFT >= SUM_BITS) begin : gen_bad
    $fatal(1, "sum_pool: expected PE, WINDOW and FOLD of at least 1, and SHIFT below %0d", SUM_BITS);
  end

  logic [WINDOW_BITS-1:0] position;
  logic [  FOLD_BITS-1:0] fold;
  logic [PE-1:0][SUM_BITS-1:0] sums[FOLD];
  logic [PE-1:0][SUM_BITS-1:0] so_far, sum;
  logic [PE-1:0][M_BITS-1:0] result;
  logic valid;

  wire last_fold = fold == FOLD_BITS'(FOLD - 1);
  wire last = position == WINDOW_BITS'(WINDOW - 1);
  wire take = s_axis_tvalid && s_axis_tready;

  assign so_far = position == 0 ? '0 : sums[fold];
  assign s_axis_tready = !valid || m_axis_tready;
  assign m_axis_tdata = M_WIDTH'(result);
  assign m_axis_tvalid = valid;

  always_comb
    for (int p = 0; p < PE; p++) begin
      automatic logic [BITS-1:0] x = s_axis_tdata[p*BITS+:BITS];
      sum[p] = so_far[p] + SUM_BITS'($signed({SIGNED && x[BITS-1], x}));
    end

  always_ff @(posedge clk) begin
    if (take) sums[fold] <= sum;
    if (take) for (int p = 0; p < PE; p++) result[p] <= shifted(sum[p]);
    if (!rst_n) begin
      position <= '0;
      fold <= '0;
      valid <= 1'b0;
    end else begin
      if (take) fold <= last_fold ? '0 : fold + 1'b1;
      if (take && last_fold) position <= last ? '0 : position + 1'b1;
      if (s_axis_tready) valid <= take && last;
    end
  end

  function automatic logic [M_BITS-1:0] shifted(logic [SUM_BITS-1:0] value);
    return M_BITS'($signed({SIGNED && value[SUM_BITS-1], value}) >>> SHIFT);
  endfunction

`ifndef SYNTHESIS
  for (genvar p = 0; p < PE; p++) begin : gen_fits
    localparam int unsigned WIDE = SUM_BITS + M_BITS;
    wire [WIDE-1:0] exact = WIDE'($signed({SIGNED && sum[p][SUM_BITS-1], sum[p]}) >>> SHIFT);
    wire [WIDE-1:0] given = WIDE'($signed({SIGNED && exact[M_BITS-1], exact[M_BITS-1:0]}));
    fits :
    assert property (@(posedge clk) disable iff (!rst_n) take && last |=> $past(exact == given))
    else $error("%m: a sum does not fit %0d bits", M_BITS);
  end
`endif

  axis_check #(.WIDTH(S_WIDTH)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );
  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
