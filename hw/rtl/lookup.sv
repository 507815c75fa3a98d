// Table lookup: one index a beat in, the DEPTH values it stands for out. With CHANNELS=1 a palette, FINN's
// Lookup; otherwise beats take turns at the channels' tables (levels of each band). One beat a cycle.
// INIT_FILE ($readmemh): a line for each index of channel 0, then of channel 1, ..., CHANNELS * 2**INDEX_BITS
// in all, value 0 in a line's low bits.
module lookup #(
    parameter int unsigned INDEX_BITS = 4,
    parameter int unsigned CHANNELS = 1,
    parameter int unsigned DEPTH = 3,
    parameter int unsigned BITS = 8,
    parameter INIT_FILE = "",
    localparam int unsigned S_WIDTH = (INDEX_BITS + 7) / 8 * 8,
    localparam int unsigned M_WIDTH = (DEPTH * BITS + 7) / 8 * 8
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

  if (CHANNELS < 1 || INIT_FILE == "") begin : gen_bad
    $fatal(1, "lookup: expected CHANNELS of at least 1 and an INIT_FILE");
  end

  localparam int unsigned CHANNEL_BITS = CHANNELS > 1 ? $clog2(CHANNELS) : 1;
  localparam int unsigned ADDRESS_BITS = $clog2(CHANNELS << INDEX_BITS);

  logic [DEPTH*BITS-1:0] rom[CHANNELS << INDEX_BITS];
  logic [DEPTH*BITS-1:0] values;
  logic [CHANNEL_BITS-1:0] channel;
  logic valid;

  initial $readmemh(INIT_FILE, rom);

  wire take = s_axis_tvalid && s_axis_tready;
  wire [ADDRESS_BITS-1:0] address = ADDRESS_BITS'({channel, s_axis_tdata[INDEX_BITS-1:0]});

  assign s_axis_tready = !valid || m_axis_tready;
  assign m_axis_tdata = M_WIDTH'(values);
  assign m_axis_tvalid = valid;

  always_ff @(posedge clk) if (take) values <= rom[address];

  always_ff @(posedge clk)
    if (!rst_n) begin
      channel <= '0;
      valid   <= 1'b0;
    end else begin
      if (take) channel <= channel == CHANNEL_BITS'(CHANNELS - 1) ? '0 : channel + 1'b1;
      if (s_axis_tready) valid <= take;
    end

  axis_check #(.WIDTH(S_WIDTH)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );
  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
