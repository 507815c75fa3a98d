// Table lookup: SIMD indices a beat in, the DEPTH values that each stands for out. With CHANNELS=1 a palette,
// FINN's Lookup; otherwise each channel has a table of its own (levels of each band). One beat a cycle.
// Files INIT_PREFIX <lane> .hex ($readmemh): a line for each index of channel <lane>, then of channel SIMD + <lane>,
// ..., CHANNELS / SIMD * 2**INDEX_BITS in all, value 0 in a line's low bits.
module lookup #(
    parameter int unsigned INDEX_BITS = 4,
    parameter int unsigned CHANNELS = 1,
    parameter int unsigned SIMD = 1,
    parameter int unsigned DEPTH = 3,
    parameter int unsigned BITS = 8,
    parameter INIT_PREFIX = "table_",
    localparam int unsigned S_WIDTH = (SIMD * INDEX_BITS + 7) / 8 * 8,
    localparam int unsigned M_WIDTH = (SIMD * DEPTH * BITS + 7) / 8 * 8
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

  if (SIMD < 1 || CHANNELS % SIMD != 0) begin : gen_bad
    $fatal(1, "lookup: expected SIMD to divide CHANNELS");
  end

  localparam int unsigned FOLD = CHANNELS / SIMD;
  localparam int unsigned FOLD_BITS = FOLD > 1 ? $clog2(FOLD) : 1;
  localparam int unsigned ADDRESS_BITS = $clog2(FOLD << INDEX_BITS);

  logic [SIMD-1:0][DEPTH*BITS-1:0] values;
  logic [FOLD_BITS-1:0] fold;
  logic valid;

  wire take = s_axis_tvalid && s_axis_tready;

  assign s_axis_tready = !valid || m_axis_tready;
  assign m_axis_tdata = M_WIDTH'(values);
  assign m_axis_tvalid = valid;

  for (genvar l = 0; l < SIMD; l++) begin : gen_lane
    logic [DEPTH*BITS-1:0] rom[FOLD << INDEX_BITS];
    initial $readmemh($sformatf("%s%0d.hex", INIT_PREFIX, l), rom);

    wire [ADDRESS_BITS-1:0] address = ADDRESS_BITS'({fold, s_axis_tdata[l*INDEX_BITS+:INDEX_BITS]});
    always_ff @(posedge clk) if (take) values[l] <= rom[address];
  end

  always_ff @(posedge clk)
    if (!rst_n) begin
      fold  <= '0;
      valid <= 1'b0;
    end else begin
      if (take) fold <= fold == FOLD_BITS'(FOLD - 1) ? '0 : fold + 1'b1;
      if (s_axis_tready) valid <= take;
    end

  axis_check #(.WIDTH(S_WIDTH)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );
  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
