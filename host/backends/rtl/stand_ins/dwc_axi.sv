// A model of FINN's dwc_axi (finn-rtllib/dwc/hdl/dwc_axi.sv around vpc.sv) for fast simulation: the same beats in the
// same cycles. FINN's describes a write mask and a rotation, this one appends to what it holds.
module dwc_axi #(
    int unsigned IBITS,
    int unsigned OBITS,
    localparam int unsigned AXI_IBITS = (IBITS + 7) / 8 * 8,
    localparam int unsigned AXI_OBITS = (OBITS + 7) / 8 * 8
) (
    input  logic                 ap_clk,
    input  logic                 ap_rst_n,
    output logic                 s_axis_tready,
    input  logic                 s_axis_tvalid,
    input  logic [AXI_IBITS-1:0] s_axis_tdata,
    input  logic                 m_axis_tready,
    output logic                 m_axis_tvalid,
    output logic [AXI_OBITS-1:0] m_axis_tdata
);

  if (IBITS == OBITS || IBITS == 1 || OBITS == 1) begin : gen_vpc  // has other timing then
    vpc #(
        .W(1), .N(IBITS * OBITS), .PI(IBITS), .PO(OBITS)
    ) core (
        .clk(ap_clk), .rst(!ap_rst_n),
        .idat(s_axis_tdata[IBITS-1:0]), .ivld(s_axis_tvalid), .irdy(s_axis_tready),
        .odat(m_axis_tdata[OBITS-1:0]), .ovld(m_axis_tvalid), .ordy(m_axis_tready)
    );
    if (OBITS < AXI_OBITS) assign m_axis_tdata[AXI_OBITS-1:OBITS] = '0;
  end else begin : gen_model
    logic [IBITS+OBITS-1:0] bits, next;
    int unsigned held;
    wire take = s_axis_tvalid && s_axis_tready;
    wire give = m_axis_tvalid && m_axis_tready;

    assign m_axis_tdata = AXI_OBITS'(bits[OBITS-1:0]);

    always @(posedge ap_clk)
      if (!ap_rst_n) begin
        held = 0;
        s_axis_tready <= 1'b1;
        m_axis_tvalid <= 1'b0;
      end else if (take || give) begin
        next = bits;
        if (give) begin
          next = next >> OBITS;
          held = held - OBITS;
        end
        if (take) begin
          next[held+:IBITS] = s_axis_tdata[IBITS-1:0];
          held = held + IBITS;
        end
        bits <= next;
        s_axis_tready <= held <= OBITS;
        m_axis_tvalid <= held >= OBITS;
      end
  end

endmodule
