// dense_pack whose frames end with a status: a beat of another stream a frame, whose bit 0 goes into the last byte of
// the frame's last word. Where codes leave no byte of that word, the frame has a word more.
module pack_status #(
    parameter int unsigned SIMD = 1,
    parameter int unsigned BITS = 20,
    parameter int unsigned FRAME_CODES = 10,
    parameter int unsigned OUT_WIDTH = 64,
    localparam int unsigned S_WIDTH = (SIMD * BITS + 7) / 8 * 8
) (
    input  logic                 clk,
    input  logic                 rst_n,
    input  logic [  S_WIDTH-1:0] s_axis_tdata,
    input  logic                 s_axis_tvalid,
    output logic                 s_axis_tready,
    input  logic [          7:0] status_axis_tdata,
    input  logic                 status_axis_tvalid,
    output logic                 status_axis_tready,
    output logic [OUT_WIDTH-1:0] m_axis_tdata,
    output logic                 m_axis_tvalid,
    input  logic                 m_axis_tready
);

  localparam int unsigned CODE_WORDS = (FRAME_CODES * BITS + OUT_WIDTH - 1) / OUT_WIDTH;
  localparam int unsigned WORDS = (FRAME_CODES * BITS + 8 + OUT_WIDTH - 1) / OUT_WIDTH;
  localparam bit ALONE = WORDS != CODE_WORDS;  // the status has a word of its own
  localparam int unsigned COUNT_BITS = WORDS > 1 ? $clog2(WORDS) : 1;

  logic [OUT_WIDTH-1:0] codes_tdata;  // filled up with zeros
  logic codes_tvalid, codes_tready;
  logic [COUNT_BITS-1:0] count;
  wire last = count == COUNT_BITS'(WORDS - 1);

  dense_pack #(.SIMD(SIMD), .BITS(BITS), .FRAME_CODES(FRAME_CODES), .OUT_WIDTH(OUT_WIDTH)) codes (
      .clk, .rst_n, .s_axis_tdata, .s_axis_tvalid, .s_axis_tready,
      .m_axis_tdata(codes_tdata), .m_axis_tvalid(codes_tvalid), .m_axis_tready(codes_tready)
  );

  wire needs_code = !(last && ALONE);
  assign m_axis_tvalid = (!needs_code || codes_tvalid) && (!last || status_axis_tvalid);
  assign codes_tready = m_axis_tready && needs_code && (!last || status_axis_tvalid);
  assign status_axis_tready = m_axis_tready && last && (!needs_code || codes_tvalid);

  always_comb begin
    m_axis_tdata = needs_code ? codes_tdata : '0;
    if (last) m_axis_tdata = m_axis_tdata | (OUT_WIDTH'(status_axis_tdata[0]) << (OUT_WIDTH - 8));
  end

  always_ff @(posedge clk)
    if (!rst_n) count <= '0;
    else if (m_axis_tvalid && m_axis_tready) count <= last ? '0 : count + 1'b1;

  axis_check #(.WIDTH(8)) check_status (
      .clk, .rst_n, .tdata(status_axis_tdata), .tvalid(status_axis_tvalid), .tready(status_axis_tready)
  );
  axis_check #(.WIDTH(OUT_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

  wire unused = &{1'b0, status_axis_tdata[7:1]};

endmodule
