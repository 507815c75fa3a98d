// A model of FINN's fmpadding_axi (finn-rtllib/fmpadding/hdl/fmpadding_axi.sv) for fast simulation: the same beats in
// the same cycles, evaluated only when one moves. Its sizes are fixed: what is written by AXI-Lite is not taken.
module fmpadding_axi #(
    int unsigned XCOUNTER_BITS,
    int unsigned YCOUNTER_BITS,
    int unsigned NUM_CHANNELS,
    int unsigned SIMD,
    int unsigned ELEM_BITS,
    int unsigned INIT_XON,
    int unsigned INIT_XOFF,
    int unsigned INIT_XEND,
    int unsigned INIT_YON,
    int unsigned INIT_YOFF,
    int unsigned INIT_YEND,
    localparam int unsigned STREAM_BITS = 8 * (1 + (SIMD * ELEM_BITS - 1) / 8)
) (
    input  logic                   ap_clk,
    input  logic                   ap_rst_n,
    input  logic                   s_axilite_AWVALID,
    output logic                   s_axilite_AWREADY,
    input  logic [4:0]             s_axilite_AWADDR,
    input  logic                   s_axilite_WVALID,
    output logic                   s_axilite_WREADY,
    input  logic [31:0]            s_axilite_WDATA,
    input  logic [3:0]             s_axilite_WSTRB,
    output logic                   s_axilite_BVALID,
    input  logic                   s_axilite_BREADY,
    output logic [1:0]             s_axilite_BRESP,
    input  logic                   s_axilite_ARVALID,
    output logic                   s_axilite_ARREADY,
    input  logic [4:0]             s_axilite_ARADDR,
    output logic                   s_axilite_RVALID,
    input  logic                   s_axilite_RREADY,
    output logic [31:0]            s_axilite_RDATA,
    output logic [1:0]             s_axilite_RRESP,
    output logic                   s_axis_tready,
    input  logic                   s_axis_tvalid,
    input  logic [STREAM_BITS-1:0] s_axis_tdata,
    input  logic                   m_axis_tready,
    output logic                   m_axis_tvalid,
    output logic [STREAM_BITS-1:0] m_axis_tdata
);

  int unsigned fold, x, y;
  logic forward, held, valid;
  logic [STREAM_BITS-1:0] aside, beat;

  wire free = !valid || m_axis_tready;
  wire given = s_axis_tvalid || held || !forward;

  assign s_axilite_AWREADY = 1'b0;
  assign s_axilite_WREADY = 1'b0;
  assign s_axilite_BVALID = 1'b0;
  assign s_axilite_BRESP = '0;
  assign s_axilite_ARREADY = 1'b0;
  assign s_axilite_RVALID = 1'b0;
  assign s_axilite_RDATA = '0;
  assign s_axilite_RRESP = '0;
  assign s_axis_tready = !held;
  assign m_axis_tvalid = valid;
  assign m_axis_tdata = beat;

  task automatic step();
    fold = fold + 1;
    if (fold == NUM_CHANNELS / SIMD) begin
      fold = 0;
      x = x + 1;
      if (x > INIT_XEND) begin
        x = 0;
        y = y == INIT_YEND ? 0 : y + 1;
      end
    end
  endtask

  function automatic bit is_forward();
    return INIT_XON <= x && x < INIT_XOFF && INIT_YON <= y && y < INIT_YOFF;
  endfunction

  always @(posedge ap_clk)
    if (!ap_rst_n) begin
      fold = 0;
      x = 0;
      y = 0;
      forward <= is_forward();
      held <= 1'b0;
      valid <= 1'b0;
    end else begin
      if (s_axis_tvalid && !held) aside <= s_axis_tdata;
      if (held || s_axis_tvalid) held <= !free || !forward;
      if (free && (given || valid)) begin
        valid <= given;
        beat <= !forward ? '0 : held ? aside : s_axis_tdata;
        if (given) begin
          step();
          forward <= is_forward();
        end
      end
    end

endmodule
