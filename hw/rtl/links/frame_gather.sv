// Frames of WORDS words from N streams in turn, each whole from one of them: what frame_scatter gave out, in its order.
module frame_gather #(
    parameter int unsigned N = 2,
    parameter int unsigned WIDTH = 64,
    parameter int unsigned WORDS = 1
) (
    input  logic                    clk,
    input  logic                    rst_n,
    input  logic [N-1:0][WIDTH-1:0] s_axis_tdata,
    input  logic [N-1:0]            s_axis_tvalid,
    output logic [N-1:0]            s_axis_tready,
    output logic [WIDTH-1:0]        m_axis_tdata,
    output logic                    m_axis_tvalid,
    input  logic                    m_axis_tready
);

  if (N < 2 || WORDS < 1) begin : gen_bad
    $fatal(1, "frame_gather: expected N of at least 2 and WORDS of at least 1");
  end

  localparam int unsigned COUNT_BITS = WORDS > 1 ? $clog2(WORDS) : 1;

  logic [N-1:0] turn;  // one is set
  logic [COUNT_BITS-1:0] word;

  always_comb begin
    m_axis_tdata = '0;
    for (int i = 0; i < N; i++) if (turn[i]) m_axis_tdata = m_axis_tdata | s_axis_tdata[i];
  end

  assign m_axis_tvalid = |(s_axis_tvalid & turn);
  assign s_axis_tready = m_axis_tready ? turn : '0;

  wire last = word == COUNT_BITS'(WORDS - 1);

  always_ff @(posedge clk)
    if (!rst_n) begin
      turn <= N'(1);
      word <= '0;
    end else if (m_axis_tvalid && m_axis_tready) begin
      word <= last ? '0 : word + 1'b1;
      if (last) turn <= {turn[N-2:0], turn[N-1]};
    end

  axis_check #(.WIDTH(WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
