// A queue of DEPTH beats in a stream: FINN's fifo behind AXI-Stream ports. A beat needs two cycles through it where
// it lies in LUTs, more in block RAM.
//
// Under BITSWATH_GAUGES it is a gauge for sizing instead: the simulator says how many beats it holds (0: no bound)
// and is told each new high-water mark. It behaves as FINN's queue in LUTs does, cycle by cycle. INDEX is the
// stream's number in the design. Under BITSWATH_FAST queues in LUTs are a model with the same handshakes.
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
`ifdef BITSWATH_FAST
  localparam bit IN_LUTS = RAM_STYLE != "block" && RAM_STYLE != "ultra" && DEPTH <= 257 || DEPTH <= 33;
`else
  localparam bit IN_LUTS = 0;
`endif

  if (IN_LUTS) begin : gen_model  // what FINN's queues in SRLs and LUT RAM do, without moving every beat
    localparam int unsigned HELD = DEPTH > 5 ? DEPTH : 5;
    localparam int unsigned SLOTS = 1 << $clog2(HELD);

    logic [WIDTH-1:0] beats[SLOTS];  // behind the output register
    logic [WIDTH-1:0] beat;
    logic [$clog2(SLOTS)-1:0] head, tail;
    int unsigned fill;
    logic valid, ready;

    wire take = s_axis_tvalid && ready;
    wire free = !valid || m_axis_tready;

    assign m_axis_tdata = beat;
    assign m_axis_tvalid = valid;
    assign s_axis_tready = ready;

    always @(posedge clk)
      if (!rst_n) begin
        head = '0;
        tail = '0;
        fill = 0;
        valid <= 1'b0;
        ready <= 1'b1;
      end else if (take || free && (valid || fill != 0)) begin
        if (free) begin
          valid <= fill != 0;
          if (fill != 0) begin
            beat <= beats[head];
            head = head + 1'b1;
            fill = fill - 1;
          end
        end
        if (take) begin
          beats[tail] = s_axis_tdata;
          tail = tail + 1'b1;
          fill = fill + 1;
        end
        ready <= fill < HELD - 1;
      end
  end else begin : gen_fifo
    fifo #(
        .DEPTH(DEPTH < 2 ? 2 : DEPTH), .DATA_WIDTH(WIDTH), .RAM_STYLE(RAM_STYLE)
    ) queue (
        .clk, .rst(!rst_n),
        .idat(s_axis_tdata), .ivld(s_axis_tvalid), .irdy(s_axis_tready),
        .odat(m_axis_tdata), .ovld(m_axis_tvalid), .ordy(m_axis_tready),
        .count(), .maxcount()
    );
  end

`endif

endmodule
