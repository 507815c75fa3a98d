// Channels of N streams behind each other, pixel by pixel: FINN's StreamingConcat. Stream i gives FOLDS[i]
// beats of SIMD elements a pixel; elements of BITS[i] bits are extended to M_BITS by their sign. Lane i of the
// input is stream i, each lane as wide as the widest stream. One beat a cycle.
module concat_streams #(
    parameter int unsigned N = 2,
    parameter int unsigned SIMD = 1,
    parameter logic [N-1:0][31:0] FOLDS = {N{32'd1}},
    parameter logic [N-1:0][31:0] BITS = {N{32'd4}},
    parameter logic [N-1:0] SIGNED = '0,
    parameter int unsigned S_WIDTH = 8,
    parameter int unsigned M_BITS = 4,
    localparam int unsigned M_WIDTH = (SIMD * M_BITS + 7) / 8 * 8
) (
    input  logic                      clk,
    input  logic                      rst_n,
    input  logic [N-1:0][S_WIDTH-1:0] s_axis_tdata,
    input  logic [N-1:0]              s_axis_tvalid,
    output logic [N-1:0]              s_axis_tready,
    output logic [M_WIDTH-1:0]        m_axis_tdata,
    output logic                      m_axis_tvalid,
    input  logic                      m_axis_tready
);

  function automatic int unsigned most_folds();
    most_folds = 2;
    for (int i = 0; i < N; i++) if (FOLDS[i] > most_folds) most_folds = FOLDS[i];
  endfunction

  localparam int unsigned LANE_BITS = N > 1 ? $clog2(N) : 1;
  localparam int unsigned COUNT_BITS = $clog2(most_folds());

  logic [N-1:0][SIMD-1:0][M_BITS-1:0] extended;
  logic [SIMD-1:0][M_BITS-1:0] beat;
  logic [LANE_BITS-1:0] lane;
  logic [COUNT_BITS-1:0] count;
  logic valid;

  for (genvar i = 0; i < N; i++) begin : gen_lanes
    localparam int unsigned WIDTH = BITS[i];
    if (WIDTH < 1 || WIDTH > M_BITS || SIMD * WIDTH > S_WIDTH || FOLDS[i] < 1) begin : gen_bad
      $fatal(1, "concat_streams: expected FOLDS of at least 1 and BITS that fit M_BITS and S_WIDTH");
    end
    for (genvar e = 0; e < SIMD; e++) begin : gen_elements
      wire [WIDTH-1:0] x = s_axis_tdata[i][e*WIDTH+:WIDTH];
      assign extended[i][e] = M_BITS'($signed({SIGNED[i] && x[WIDTH-1], x}));
    end
    axis_check #(.WIDTH(S_WIDTH)) check_s (
        .clk, .rst_n, .tdata(s_axis_tdata[i]), .tvalid(s_axis_tvalid[i]), .tready(s_axis_tready[i])
    );
  end

  wire free = !valid || m_axis_tready;
  wire take = s_axis_tvalid[lane] && free;
  wire last = count == COUNT_BITS'(FOLDS[lane] - 1);

  assign s_axis_tready = N'(free) << lane;
  assign m_axis_tdata = M_WIDTH'(beat);
  assign m_axis_tvalid = valid;

  always_ff @(posedge clk) begin
    if (take) beat <= extended[lane];
    if (!rst_n) begin
      lane  <= '0;
      count <= '0;
      valid <= 1'b0;
    end else begin
      if (take) count <= last ? '0 : count + 1'b1;
      if (take && last) lane <= lane == LANE_BITS'(N - 1) ? '0 : lane + 1'b1;
      if (free) valid <= take;
    end
  end

  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
