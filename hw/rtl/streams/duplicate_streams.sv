// Copies each beat to N streams, which may take it in different cycles: FINN's DuplicateStreams. The next
// beat is taken once all have this one. Lane i of the output is stream i.
module duplicate_streams #(
    parameter int unsigned N = 2,
    parameter int unsigned WIDTH = 8
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

  if (N < 1 || WIDTH < 1) begin : gen_bad
    $fatal(1, "duplicate_streams: expected N and WIDTH of at least 1");
  end

  logic [WIDTH-1:0] beat;
  logic [N-1:0] pending;  // streams that have not taken the beat yet

  wire take = s_axis_tvalid && s_axis_tready;

  assign s_axis_tready = (pending & ~m_axis_tready) == 0;
  assign m_axis_tdata = {N{beat}};
  assign m_axis_tvalid = pending;

  always_ff @(posedge clk) begin
    if (take) beat <= s_axis_tdata;
    if (!rst_n) pending <= '0;
    else if (take) pending <= '1;
    else pending <= pending & ~m_axis_tready;
  end

  axis_check #(.WIDTH(WIDTH)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );
  for (genvar i = 0; i < N; i++) begin : gen_checks
    axis_check #(.WIDTH(WIDTH)) check_m (
        .clk, .rst_n, .tdata(m_axis_tdata[i]), .tvalid(m_axis_tvalid[i]), .tready(m_axis_tready[i])
    );
  end

endmodule
