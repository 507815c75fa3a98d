// Beats of LANES streams side by side, lane 0 in the low bits: what several streams give of a row's neighbours becomes one
// stream again. WIDTH bits of each beat are data. One beat a cycle.
module join_streams #(
    parameter int unsigned LANES = 2,
    parameter int unsigned WIDTH = 12,
    localparam int unsigned S_WIDTH = (WIDTH + 7) / 8 * 8,
    localparam int unsigned M_WIDTH = (LANES * WIDTH + 7) / 8 * 8
) (
    input  logic                          clk,
    input  logic                          rst_n,
    input  logic [LANES-1:0][S_WIDTH-1:0] s_axis_tdata,
    input  logic [LANES-1:0]              s_axis_tvalid,
    output logic [LANES-1:0]              s_axis_tready,
    output logic [M_WIDTH-1:0]            m_axis_tdata,
    output logic                          m_axis_tvalid,
    input  logic                          m_axis_tready
);

  if (LANES < 1 || WIDTH < 1) begin : gen_bad
    $fatal(1, "join_streams: expected LANES and WIDTH of at least 1");
  end

  logic [LANES-1:0][WIDTH-1:0] beats;
  logic [LANES-1:0] held;

  wire send = m_axis_tvalid && m_axis_tready;

  assign m_axis_tvalid = &held;
  assign m_axis_tdata = M_WIDTH'(beats);
  assign s_axis_tready = ~held | {LANES{send}};

  always_ff @(posedge clk) begin
    for (int i = 0; i < LANES; i++) if (s_axis_tready[i]) beats[i] <= s_axis_tdata[i][WIDTH-1:0];
    if (!rst_n) held <= '0;
    else held <= (held & ~{LANES{send}}) | (s_axis_tvalid & s_axis_tready);
  end

  for (genvar i = 0; i < LANES; i++) begin : gen_checks
    axis_check #(.WIDTH(S_WIDTH)) check_s (
        .clk, .rst_n, .tdata(s_axis_tdata[i]), .tvalid(s_axis_tvalid[i]), .tready(s_axis_tready[i])
    );
  end
  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
