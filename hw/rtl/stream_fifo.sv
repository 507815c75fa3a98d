// A queue of DEPTH beats in a stream: FINN's fifo behind AXI-Stream ports. A beat needs two cycles through it where
// it lies in LUTs, more in block RAM.
//
// Under BITSWATH_GAUGES it is a gauge for sizing instead: the simulator says how many beats it holds (0: no bound)
// and is told each new high-water mark. It behaves as FINN's queue in LUTs does, cycle by cycle. INDEX is the
// stream's number in the design.
module stream_fifo #(
    parameter int unsigned WIDTH = 8,
    parameter int unsigned DEPTH = 2,
    parameter RAM_STYLE = "auto",
    parameter int INDEX = 0
) (
    input  logic             clk,
    input  logic             rst_n,
    input  logic [WIDTH-1:0] s_axis_tdata,
    input  logic             s_axis_tvalid,
    output logic             s_axis_tready,
    output logic [WIDTH-1:0] m_axis_tdata,
    output logic             m_axis_tvalid,
    input  logic             m_axis_tready
);

`ifdef BITSWATH_GAUGES

  import "DPI-C" function int unsigned bitswath_capacity(input int index);
  import "DPI-C" function void bitswath_high_water(input int index, input int unsigned beats);

  logic [WIDTH-1:0] beats[$];  // behind the output register
  int unsigned capacity, high, held;
  logic valid, ready;
  logic [WIDTH-1:0] beat;

  assign m_axis_tdata = beat;
  assign m_axis_tvalid = valid;
  assign s_axis_tready = ready;

  always @(posedge clk) begin
    if (!rst_n) begin
      beats.delete();
      valid <= 1'b0;
      ready <= 1'b1;
      held = 0;
      high = 0;
      capacity = bitswath_capacity(INDEX);
    end else begin
      automatic bit take = s_axis_tvalid && ready;
      if (valid && m_axis_tready) held = held - 1;
      if (!valid || m_axis_tready) begin
        valid <= beats.size() != 0;
        if (beats.size() != 0) beat <= beats.pop_front();
      end
      if (take) begin
        beats.push_back(s_axis_tdata);
        held = held + 1;
        if (held > high) begin
          high = held;
          bitswath_high_water(INDEX, high);
        end
      end
      ready <= capacity == 0 || beats.size() + 1 < capacity;
    end
  end

`else

  fifo #(
      .DEPTH(DEPTH < 2 ? 2 : DEPTH), .DATA_WIDTH(WIDTH), .RAM_STYLE(RAM_STYLE)
  ) queue (
      .clk, .rst(!rst_n),
      .idat(s_axis_tdata), .ivld(s_axis_tvalid), .irdy(s_axis_tready),
      .odat(m_axis_tdata), .ovld(m_axis_tvalid), .ordy(m_axis_tready),
      .count(), .maxcount()
  );

`endif

endmodule
