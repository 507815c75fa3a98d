// Maximum, or sum, over the TAPS pixels of a whole window, which comes in one beat (tap, channel). Pairs first: each halving
// of what is left is a stage of registers. One beat a cycle.
module window_pool #(
    parameter int unsigned CHANNELS = 4,
    parameter int unsigned TAPS = 4,
    parameter int unsigned BITS = 4,
    parameter bit SIGNED = 0,
    parameter bit SUM = 0,
    parameter int unsigned M_BITS = 4,
    localparam int unsigned S_WIDTH = (TAPS * CHANNELS * BITS + 7) / 8 * 8,
    localparam int unsigned M_WIDTH = (CHANNELS * M_BITS + 7) / 8 * 8
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

  if (CHANNELS < 1 || TAPS < 1 || BITS < 1 || M_BITS < BITS || (!SUM && M_BITS != BITS)) begin : gen_bad
    $fatal(1, "window_pool: expected CHANNELS, TAPS and BITS of at least 1, and M_BITS that hold the result");
  end

  localparam int unsigned LEVELS = TAPS > 1 ? $clog2(TAPS) : 1;

  function automatic int unsigned left_at(int unsigned level);  // taps that a level gives
    left_at = TAPS;
    for (int i = 0; i <= level; i++) left_at = (left_at + 1) / 2;
  endfunction

  function automatic logic [M_BITS-1:0] joined(logic [M_BITS-1:0] a, logic [M_BITS-1:0] b);
    automatic logic [M_BITS-1:0] flip = M_BITS'(SIGNED) << (M_BITS - 1);  // makes two's complement compare as unsigned
    return SUM ? a + b : (a ^ flip) > (b ^ flip) ? a : b;
  endfunction

  logic [LEVELS-1:0] valid;
  wire move = !valid[LEVELS-1] || m_axis_tready;  // all levels at once

  assign s_axis_tready = move;
  assign m_axis_tvalid = valid[LEVELS-1];

  always_ff @(posedge clk)
    if (!rst_n) valid <= '0;
    else if (move) valid <= LEVELS'({valid, s_axis_tvalid});

  for (genvar level = 0; level < LEVELS; level++) begin : gen_levels
    localparam int unsigned MANY = level == 0 ? TAPS : left_at(level - 1);
    localparam int unsigned FEW = left_at(level);
    logic [MANY-1:0][CHANNELS-1:0][M_BITS-1:0] taps;
    logic [FEW-1:0][CHANNELS-1:0][M_BITS-1:0] kept;

    if (level == 0) begin : gen_first
      for (genvar e = 0; e < TAPS * CHANNELS; e++) begin : gen_elements
        wire [BITS-1:0] x = s_axis_tdata[e*BITS+:BITS];
        assign taps[e/CHANNELS][e%CHANNELS] = M_BITS'($signed({SIGNED && x[BITS-1], x}));
      end
    end else begin : gen_next
      assign taps = gen_levels[level-1].kept;
    end

    always_ff @(posedge clk)
      if (move)
        for (int t = 0; t < FEW; t++)
          for (int c = 0; c < CHANNELS; c++)
            kept[t][c] <= 2 * t + 1 < MANY ? joined(taps[2*t][c], taps[(2*t+1)%MANY][c]) : taps[2*t][c];
  end

  assign m_axis_tdata = M_WIDTH'(gen_levels[LEVELS-1].kept);

  axis_check #(.WIDTH(S_WIDTH)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );
  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
