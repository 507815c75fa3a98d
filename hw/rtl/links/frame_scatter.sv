// Frames of WORDS words to N streams in turn, each whole to one of them. No queue: it waits for the stream whose turn
// it is, so each needs a queue of a frame behind it.
module frame_scatter #(
    parameter int unsigned N = 2,
    parameter int unsigned WIDTH = 64,
    parameter int unsigned WORDS = 1
) (
    input  logic                    clk,
    input  logic                    rst_n,
    input  logic [WIDTH-1:0]        s_axis_tdata,
    input  logic                    s_axis_tvalid,
    output logic                    s_axis_tready,
    output logic [N-1:0][WIDTH-1:0] m_axis_tdata,
    output logic [N-1:0]            m_axis_tvalid,
    input  logic [N-1:0]            m_axis_tready
);

  if (N < 2 || WORDS < 1) begin : gen_bad
    $fatal(1, "frame_scatter: expected N of at least 2 and WORDS of at least 1");
  end

  localparam int unsigned COUNT_BITS = WORDS > 1 ? $clog2(WORDS) : 1;

  logic [N-1:0] turn;  // one is set
  logic [COUNT_BITS-1:0] word;

  assign m_axis_tdata = {N{s_axis_tdata}};
  assign m_axis_tvalid = s_axis_tvalid ? turn : '0;
  assign s_axis_tready = |(m_axis_tready & turn);

  wire last = word == COUNT_BITS'(WORDS - 1);

  always_ff @(posedge clk)
    if (!rst_n) begin
      turn <= N'(1);
      word <= '0;
    end else if (s_axis_tvalid && s_axis_tready) begin
      word <= last ? '0 : word + 1'b1;
      if (last) turn <= {turn[N-2:0], turn[N-1]};
    end

  axis_check #(.WIDTH(WIDTH)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );

endmodule
