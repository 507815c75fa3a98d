// Stream to memory: `words` words to byte `address` on, at any alignment, written in AXI4 bursts of at most BURST.
// Bytes beside the transfer stay as they are.
//
// A burst is asked for once the buffer holds all of it, so memory never waits for the stream. A response other than
// OKAY sets `status` (1 SLVERR, 2 DECERR, 3 another) until the next start. Then nothing more is written; the rest of
// the words is taken and dropped, so that what is before the stream stays in step and the transfer ends. Between
// transfers no word is taken.
module dma_write #(
    parameter int unsigned WIDTH = 64,
    parameter int unsigned BURST = 16,
    parameter int unsigned DEPTH = 64
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic               start,          // taken while not busy
    input  logic [       63:0] address,
    input  logic [       63:0] words,
    output logic               busy,
    output logic [        1:0] status,
    output logic               move,           // a word is taken
    input  logic [  WIDTH-1:0] s_axis_tdata,
    input  logic               s_axis_tvalid,
    output logic               s_axis_tready,
    output logic [       63:0] m_axi_awaddr,
    output logic [        7:0] m_axi_awlen,
    output logic               m_axi_awvalid,
    input  logic               m_axi_awready,
    output logic [  WIDTH-1:0] m_axi_wdata,
    output logic [WIDTH/8-1:0] m_axi_wstrb,
    output logic               m_axi_wlast,
    output logic               m_axi_wvalid,
    input  logic               m_axi_wready,
    input  logic [        1:0] m_axi_bresp,
    input  logic               m_axi_bvalid,
    output logic               m_axi_bready
);

  localparam int unsigned BYTE_BITS = $clog2(WIDTH / 8);
  localparam int unsigned FILL_BITS = $clog2(DEPTH + 1);
  localparam int unsigned LENGTH_BITS = $clog2(BURST + 1);
  localparam int unsigned OUTSTANDING = 15;  // bursts without a response

  wire begins = start && !busy;
  wire [63:0] beats = words == 0 ? 64'd0 : words + 64'(address[BYTE_BITS-1:0] != 0);

  // Words to bus words
  logic [63:0] left;  // words to come
  logic [WIDTH-1:0] joined;
  logic [BYTE_BITS-1:0] offset;
  logic trail;  // the last word's end is still to come
  logic [FILL_BITS-1:0] fill;
  wire room = fill != FILL_BITS'(DEPTH);
  wire push = room && (move || (trail && left == 0));

  dma_align #(.WIDTH(WIDTH)) align (.clk, .step(move), .shift(offset), .word(s_axis_tdata), .joined);

  assign s_axis_tready = left != 0 && room;
  assign move = s_axis_tvalid && s_axis_tready;

  always_ff @(posedge clk) begin
    if (begins) offset <= address[BYTE_BITS-1:0];
    if (!rst_n) begin
      left  <= '0;
      trail <= 1'b0;
    end else if (begins) begin
      left  <= words;
      trail <= beats != words;
    end else begin
      if (move) left <= left - 1'b1;
      if (push && !move) trail <= 1'b0;
    end
  end

  // Bursts
  logic [63:0] behind;  // bus words not taken out of the buffer
  logic [LENGTH_BITS-1:0] length, burst;  // of the next, left of this one
  logic [3:0] unanswered;
  logic first, issue;
  wire sends = m_axi_wvalid && m_axi_wready;
  wire drops = status != 0 && burst == 0 && fill != 0;
  wire over = burst == 0 || (burst == 1 && sends);
  wire answered = m_axi_bvalid && m_axi_bready;

  dma_bursts #(.WIDTH(WIDTH), .BURST(BURST)) bursts (
      .clk, .rst_n, .start(begins), .stop(status != 0), .word(address[63:BYTE_BITS]), .beats,
      .go(over && 32'(fill) >= 32'(length) + 32'(sends) && 32'(unanswered) != OUTSTANDING), .issue, .length,
      .axaddr(m_axi_awaddr), .axlen(m_axi_awlen), .axvalid(m_axi_awvalid), .axready(m_axi_awready)
  );

  dma_buffer #(.WIDTH(WIDTH), .DEPTH(DEPTH)) buffer (
      .clk, .rst_n, .push, .tail(joined), .pop(sends || drops), .head(m_axi_wdata), .fill
  );

  assign m_axi_wvalid = burst != 0;
  assign m_axi_wlast = burst == 1;
  assign m_axi_bready = 1'b1;

  always_comb begin
    m_axi_wstrb = '1;
    if (first) m_axi_wstrb = m_axi_wstrb << offset;
    if (behind == 1 && offset != 0) m_axi_wstrb = ~({(WIDTH / 8) {1'b1}} << offset);
  end

  always_ff @(posedge clk)
    if (!rst_n) begin
      busy <= 1'b0;
      status <= 2'd0;
      behind <= '0;
      burst <= '0;
      first <= 1'b0;
      unanswered <= '0;
    end else if (begins) begin
      busy   <= 1'b1;
      status <= 2'd0;
      behind <= beats;
      first  <= 1'b1;
    end else begin
      if (behind == 0 && unanswered == 0) busy <= 1'b0;
      if (answered && m_axi_bresp != 0 && status == 0) status <= m_axi_bresp == 2'd1 ? 2'd3 : m_axi_bresp - 2'd1;
      if (sends || drops) behind <= behind - 1'b1;
      if (sends || drops) first <= 1'b0;
      if (issue) burst <= length;
      else if (sends) burst <= burst - 1'b1;
      unanswered <= unanswered + 4'(issue) - 4'(answered);
    end

`ifndef SYNTHESIS
  keeps_word :
  assert property (@(posedge clk) disable iff (!rst_n)
      m_axi_wvalid && !m_axi_wready |=> m_axi_wvalid && $stable({m_axi_wdata, m_axi_wstrb, m_axi_wlast}))
  else $error("%m: a word was changed or withdrawn previous it was taken");
  has_word :
  assert property (@(posedge clk) disable iff (!rst_n) 1 |=> !m_axi_wvalid || fill != 0)
  else $error("%m: a burst was begun without its words");
  was_asked :
  assert property (@(posedge clk) disable iff (!rst_n) 1 |=> !m_axi_bvalid || unanswered != 0)
  else $error("%m: a response to no burst");
`endif

endmodule
