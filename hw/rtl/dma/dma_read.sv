// Memory to stream: `words` words from byte `address` on, at any alignment, read in AXI4 bursts of at most BURST.
//
// A burst is asked for only if the buffer has room for all of it, so memory never waits for the stream, and several
// bursts are under way: the stream gets a word a cycle as long as memory answers within DEPTH - BURST cycles. A
// response other than OKAY sets `status` (1 SLVERR, 2 DECERR, 3 another) until the next start. Then no more is read;
// zeros stand for the words that are missing, so that what is behind the stream stays in step and the transfer ends.
module dma_read #(
    parameter int unsigned WIDTH = 64,
    parameter int unsigned BURST = 16,
    parameter int unsigned DEPTH = 64
) (
    input  logic             clk,
    input  logic             rst_n,
    input  logic             start,          // taken while not busy
    input  logic [     63:0] address,
    input  logic [     63:0] words,
    output logic             busy,
    output logic [      1:0] status,
    output logic             move,           // a word is handed over
    output logic [     63:0] m_axi_araddr,
    output logic [      7:0] m_axi_arlen,
    output logic             m_axi_arvalid,
    input  logic             m_axi_arready,
    input  logic [WIDTH-1:0] m_axi_rdata,
    input  logic [      1:0] m_axi_rresp,
    input  logic             m_axi_rvalid,
    output logic             m_axi_rready,
    output logic [WIDTH-1:0] m_axis_tdata,
    output logic             m_axis_tvalid,
    input  logic             m_axis_tready
);

  localparam int unsigned BYTE_BITS = $clog2(WIDTH / 8);
  localparam int unsigned FILL_BITS = $clog2(DEPTH + 1);
  localparam int unsigned LENGTH_BITS = $clog2(BURST + 1);

  wire begins = start && !busy;
  wire [BYTE_BITS-1:0] offset = address[BYTE_BITS-1:0];

  // Bursts
  logic [FILL_BITS-1:0] asked;  // words under way or in the buffer
  logic [LENGTH_BITS-1:0] length;
  logic issue, pop;

  dma_bursts #(.WIDTH(WIDTH), .BURST(BURST)) bursts (
      .clk, .rst_n, .start(begins), .stop(status != 0),
      .word(address[63:BYTE_BITS]), .beats(words == 0 ? 64'd0 : words + 64'(offset != 0)),
      .go(32'(asked) + 32'(length) <= DEPTH), .issue, .length,
      .axaddr(m_axi_araddr), .axlen(m_axi_arlen), .axvalid(m_axi_arvalid), .axready(m_axi_arready)
  );

  always_ff @(posedge clk)
    if (!rst_n) asked <= '0;
    else asked <= asked + (issue ? FILL_BITS'(length) : '0) - FILL_BITS'(pop);

  // Answers
  logic [WIDTH-1:0] head;
  logic [FILL_BITS-1:0] fill;
  wire arrives = m_axi_rvalid && m_axi_rready;

  assign m_axi_rready = 1'b1;

  dma_buffer #(.WIDTH(WIDTH), .DEPTH(DEPTH)) buffer (
      .clk, .rst_n, .push(arrives), .tail(m_axi_rdata), .pop, .head, .fill
  );

  always_ff @(posedge clk)
    if (!rst_n || begins) status <= 2'd0;
    else if (arrives && m_axi_rresp != 0 && status == 0) status <= m_axi_rresp == 2'd1 ? 2'd3 : m_axi_rresp - 2'd1;

  // Words
  logic [63:0] left;  // not in the output register yet
  logic [BYTE_BITS-1:0] shift;
  logic [WIDTH-1:0] joined;
  logic lead;  // the next bus word only has the beginning of the first
  wire lost = status != 0 && asked == 0;  // no more will come
  wire step = busy && (fill != 0 || lost) && (lead || (left != 0 && (!m_axis_tvalid || m_axis_tready)));

  dma_align #(.WIDTH(WIDTH)) align (.clk, .step, .shift, .word(fill != 0 ? head : '0), .joined);

  assign pop  = step && fill != 0;
  assign move = m_axis_tvalid && m_axis_tready;

  always_ff @(posedge clk) begin
    if (step && !lead) m_axis_tdata <= joined;
    if (begins) shift <= -offset;
    if (!rst_n) begin
      busy <= 1'b0;
      lead <= 1'b0;
      left <= '0;
      m_axis_tvalid <= 1'b0;
    end else if (begins) begin
      busy <= 1'b1;
      lead <= offset != 0 && words != 0;
      left <= words;
    end else begin
      if (step) lead <= 1'b0;
      if (step && !lead) left <= left - 1'b1;
      if (step && !lead) m_axis_tvalid <= 1'b1;
      else if (m_axis_tready) m_axis_tvalid <= 1'b0;
      if (left == 0 && asked == 0 && (!m_axis_tvalid || m_axis_tready)) busy <= 1'b0;
    end
  end

`ifndef SYNTHESIS
  answers_what_was_asked :
  assert property (@(posedge clk) disable iff (!rst_n) 1 |=> !m_axi_rvalid || asked > fill)
  else $error("%m: memory gave a word that was not asked for");
`endif

  axis_check #(.WIDTH(WIDTH)) check (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
