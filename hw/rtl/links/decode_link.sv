// transform_decode with its side band as a second stream, a beat a frame: 1 if the frame is damaged, 0 if not. The next
// frame's pixels wait until it is taken.
module decode_link #(
    parameter int unsigned WORD_BITS = 64,
    parameter int unsigned MAX_BYTES = 2048,
    parameter int unsigned BANDS = 3,
    parameter int unsigned HEIGHT = 64,
    parameter int unsigned WIDTH = 64,
    parameter int unsigned SIMD = 1,
    parameter logic [15:0] SEED = 16'h0,
    parameter logic [2:0][5:0] DELTAS = '0,
    parameter logic [BANDS*BANDS-1:0][15:0] MATRIX = '0,
    parameter INIT_PREFIX = "frames_",
    localparam int unsigned M_WIDTH = SIMD * 8
) (
    input  logic                 clk,
    input  logic                 rst_n,
    input  logic [WORD_BITS-1:0] s_axis_tdata,
    input  logic                 s_axis_tvalid,
    output logic                 s_axis_tready,
    output logic [  M_WIDTH-1:0] m_axis_tdata,
    output logic                 m_axis_tvalid,
    input  logic                 m_axis_tready,
    output logic [          7:0] status_axis_tdata,
    output logic                 status_axis_tvalid,
    input  logic                 status_axis_tready
);

  logic pixels_valid, frame_valid, frame_damaged, damaged;

  transform_decode #(
      .WORD_BITS(WORD_BITS), .MAX_BYTES(MAX_BYTES), .BANDS(BANDS), .HEIGHT(HEIGHT), .WIDTH(WIDTH), .SIMD(SIMD),
      .SEED(SEED), .DELTAS(DELTAS), .MATRIX(MATRIX), .INIT_PREFIX(INIT_PREFIX)
  ) decoder (
      .clk, .rst_n, .s_axis_tdata, .s_axis_tvalid, .s_axis_tready,
      .m_axis_tdata, .m_axis_tvalid(pixels_valid), .m_axis_tready(m_axis_tready && !status_axis_tvalid),
      .frame_valid, .frame_damaged
  );

  assign m_axis_tvalid = pixels_valid && !status_axis_tvalid;
  assign status_axis_tdata = 8'(damaged);

  always_ff @(posedge clk) begin
    if (frame_valid) damaged <= frame_damaged;
    if (!rst_n) status_axis_tvalid <= 1'b0;
    else if (frame_valid) status_axis_tvalid <= 1'b1;
    else if (status_axis_tready) status_axis_tvalid <= 1'b0;
  end

  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );
  axis_check #(.WIDTH(8)) check_status (
      .clk, .rst_n, .tdata(status_axis_tdata), .tvalid(status_axis_tvalid), .tready(status_axis_tready)
  );

endmodule
