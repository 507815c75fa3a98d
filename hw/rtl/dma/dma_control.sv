// Registers of a DMA engine behind AXI-Lite: those of FINN's IODMA, which are Vitis HLS' ap_ctrl_hs (UG1399), and ours
// behind them, which say what the bitstream holds and how a transfer went.
//
//   0x00 control     0 start, 1 done (cleared by reading), 2 idle, 3 ready (as done), 7 auto-restart (always 0)
//   0x04 GIE         0 the interrupt line is enabled
//   0x08 IER, 0x0C ISR   0 done, 1 ready; bits of ISR turn over where 1 is written
//   0x10, 0x14       buffer address
//   0x1C             repetitions: frames of WORDS words
//   0x40 magic       0x44 version     0x48 WIDTH     0x4C WORDS     0x50 DIRECTION
//   0x60 .. 0x7C     NETWORK, most significant word first
//   0x80 status      of the last transfer: 0 ok, 1 SLVERR, 2 DECERR, 3 another response
//   0x84             words moved since the start
//
// A start while a transfer runs is ignored, one that is taken clears done and ready. Repetitions are multiplied by
// WORDS digit by digit, in 32 cycles, before the engine's `start`.
module dma_control #(
    parameter int unsigned WIDTH = 64,
    parameter int unsigned WORDS = 1,
    parameter bit DIRECTION = 0,  // 0: memory to stream
    parameter logic [255:0] NETWORK = '0
) (
    input  logic        clk,
    input  logic        rst_n,
    input  logic [ 7:0] s_axi_awaddr,
    input  logic        s_axi_awvalid,
    output logic        s_axi_awready,
    input  logic [31:0] s_axi_wdata,
    input  logic [ 3:0] s_axi_wstrb,
    input  logic        s_axi_wvalid,
    output logic        s_axi_wready,
    output logic [ 1:0] s_axi_bresp,
    output logic        s_axi_bvalid,
    input  logic        s_axi_bready,
    input  logic [ 7:0] s_axi_araddr,
    input  logic        s_axi_arvalid,
    output logic        s_axi_arready,
    output logic [31:0] s_axi_rdata,
    output logic [ 1:0] s_axi_rresp,
    output logic        s_axi_rvalid,
    input  logic        s_axi_rready,
    output logic        irq,
    output logic        running,        // from the start to done
    output logic        start,
    output logic [63:0] address,
    output logic [63:0] words,
    input  logic        busy,
    input  logic [ 1:0] status,
    input  logic        move
);

  localparam logic [31:0] MAGIC = 32'h54575342;  // "BSWT"
  localparam logic [31:0] VERSION = 32'd1;

  wire writes = s_axi_awvalid && s_axi_wvalid && (!s_axi_bvalid || s_axi_bready);
  wire reads = s_axi_arvalid && (!s_axi_rvalid || s_axi_rready);
  wire [5:0] place = s_axi_awaddr[7:2];

  assign s_axi_awready = writes;
  assign s_axi_wready = writes;
  assign s_axi_arready = reads;
  assign s_axi_bresp = 2'd0;
  assign s_axi_rresp = 2'd0;

  always_ff @(posedge clk)
    if (!rst_n) begin
      s_axi_bvalid <= 1'b0;
      s_axi_rvalid <= 1'b0;
    end else begin
      if (writes) s_axi_bvalid <= 1'b1;
      else if (s_axi_bready) s_axi_bvalid <= 1'b0;
      if (reads) s_axi_rvalid <= 1'b1;
      else if (s_axi_rready) s_axi_rvalid <= 1'b0;
    end

  // A transfer: multiplied, started, busy, done
  logic [31:0] repetitions, digits, moved;
  logic [5:0] step;  // digits left, and one for the start
  logic began;
  logic done, ready;
  wire asked = writes && place == 6'h00 && s_axi_wstrb[0] && s_axi_wdata[0];
  wire begins = asked && !running;
  wire ends = running && began && !busy && !start;
  wire clears = reads && s_axi_araddr[7:2] == 6'h00;

  assign start = running && !began && step == 0;

  always_ff @(posedge clk) begin
    if (begins) begin
      digits <= repetitions;
      words  <= '0;
    end else if (step != 0) begin
      digits <= digits << 1;
      words  <= (words << 1) + (digits[31] ? 64'(WORDS) : 64'd0);
    end
    if (!rst_n) begin
      running <= 1'b0;
      began <= 1'b0;
      done <= 1'b0;
      ready <= 1'b0;
      step <= '0;
      moved <= '0;
    end else begin
      if (begins) running <= 1'b1;
      else if (ends) running <= 1'b0;
      if (begins) step <= 6'd32;
      else if (step != 0) step <= step - 1'b1;
      if (start) began <= 1'b1;
      else if (ends) began <= 1'b0;
      if (ends) {done, ready} <= 2'b11;
      else if (begins || clears) {done, ready} <= 2'b00;
      if (begins) moved <= '0;
      else if (move) moved <= moved + 1'b1;
    end
  end

  // Registers
  logic enable;
  logic [1:0] events, enabled;

  assign irq = enable && events != 0;

  function automatic logic [31:0] written(logic [31:0] old);
    for (int i = 0; i < 4; i++) written[8*i+:8] = s_axi_wstrb[i] ? s_axi_wdata[8*i+:8] : old[8*i+:8];
  endfunction

  always_ff @(posedge clk)
    if (!rst_n) begin
      enable <= 1'b0;
      enabled <= '0;
      events <= '0;
      address <= '0;
      repetitions <= '0;
    end else begin
      if (ends) events <= events | enabled;
      else if (writes && place == 6'h03 && s_axi_wstrb[0]) events <= events ^ s_axi_wdata[1:0];
      if (writes)
        unique case (place)
          6'h01: if (s_axi_wstrb[0]) enable <= s_axi_wdata[0];
          6'h02: if (s_axi_wstrb[0]) enabled <= s_axi_wdata[1:0];
          6'h04: address[31:0] <= written(address[31:0]);
          6'h05: address[63:32] <= written(address[63:32]);
          6'h07: repetitions <= written(repetitions);
          default: ;
        endcase
    end

  always_ff @(posedge clk)
    if (reads)
      unique case (s_axi_araddr[7:2])
        6'h00: s_axi_rdata <= {28'd0, ready, !running, done, running};
        6'h01: s_axi_rdata <= 32'(enable);
        6'h02: s_axi_rdata <= 32'(enabled);
        6'h03: s_axi_rdata <= 32'(events);
        6'h04: s_axi_rdata <= address[31:0];
        6'h05: s_axi_rdata <= address[63:32];
        6'h07: s_axi_rdata <= repetitions;
        6'h10: s_axi_rdata <= MAGIC;
        6'h11: s_axi_rdata <= VERSION;
        6'h12: s_axi_rdata <= WIDTH;
        6'h13: s_axi_rdata <= WORDS;
        6'h14: s_axi_rdata <= 32'(DIRECTION);
        6'h18, 6'h19, 6'h1A, 6'h1B, 6'h1C, 6'h1D, 6'h1E, 6'h1F:
        s_axi_rdata <= NETWORK[32*(7-32'(s_axi_araddr[4:2]))+:32];
        6'h20: s_axi_rdata <= 32'(status);
        6'h21: s_axi_rdata <= moved;
        default: s_axi_rdata <= '0;
      endcase

`ifndef SYNTHESIS
  keeps_answer :
  assert property (@(posedge clk) disable iff (!rst_n)
      s_axi_rvalid && !s_axi_rready |=> s_axi_rvalid && $stable(s_axi_rdata))
  else $error("%m: an answer was changed or withdrawn before it was taken");
  engine_is_free :
  assert property (@(posedge clk) disable iff (!rst_n) 1 |=> !start || !busy)
  else $error("%m: the engine was started while it was busy");
`endif

  wire unused = &{1'b0, s_axi_awaddr[1:0], s_axi_araddr[1:0]};

endmodule
