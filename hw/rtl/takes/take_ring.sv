// A frame's beats in any order, again, or not at all, and constant beats between them: reorders, repeats. A ring of
// DEPTH beats holds what has come and may still be asked for. PE integers a beat; those of BITS are extended to M_BITS
// by their sign. A beat in and a beat out a cycle.
// INIT_FILE ($readmemh): ENTRIES lines, over and over, each a beat that is given, {FILL, which beat of the ring, how
// many of the ring's first are not asked for again}, of 1, OFFSET_BITS and DROP_BITS. No line may ask for more of a
// frame than DEPTH beats, nor for more than the ring holds once the frame is in.
module take_ring #(
    parameter int unsigned PE = 1,
    parameter int unsigned BITS = 4,
    parameter bit SIGNED = 0,
    parameter int unsigned M_BITS = 4,
    parameter int FILL = 0,
    parameter int unsigned DEPTH = 16,
    parameter int unsigned ENTRIES = 16,
    parameter int unsigned OFFSET_BITS = 4,
    parameter int unsigned DROP_BITS = 1,
    parameter INIT_FILE = "",
    localparam int unsigned S_WIDTH = (PE * BITS + 7) / 8 * 8,
    localparam int unsigned M_WIDTH = (PE * M_BITS + 7) / 8 * 8
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

  localparam int unsigned ADDRESS_BITS = $clog2(DEPTH);
  localparam int unsigned HELD_BITS = $clog2(DEPTH + 1);
  localparam int unsigned ENTRY_BITS = 1 + OFFSET_BITS + DROP_BITS;
  localparam int unsigned ENTRY_WIDTH = (ENTRY_BITS + 7) / 8 * 8;

  if (PE < 1 || BITS < 1 || BITS > M_BITS || DEPTH < 2 || OFFSET_BITS > HELD_BITS || DROP_BITS > HELD_BITS) begin : gen_bad
    $fatal(1, "take_ring: expected PE of at least 1, a DEPTH of 2 or more, and BITS that fit M_BITS");
  end

  function automatic logic [ADDRESS_BITS-1:0] on(logic [ADDRESS_BITS-1:0] from, logic [HELD_BITS-1:0] steps);
    automatic logic [HELD_BITS:0] sum = (HELD_BITS + 1)'(from) + (HELD_BITS + 1)'(steps);
    return ADDRESS_BITS'(sum < (HELD_BITS + 1)'(DEPTH) ? sum : sum - (HELD_BITS + 1)'(DEPTH));
  endfunction

  logic [PE*BITS-1:0] ring[DEPTH];
  logic [PE*BITS-1:0] beat;
  logic [PE-1:0][M_BITS-1:0] extended;
  logic [ENTRY_WIDTH-1:0] entry;
  logic [ADDRESS_BITS-1:0] first, next;  // of what is held, and where the next comes
  logic [HELD_BITS-1:0] held;
  logic entry_valid, valid, fill;

  wire [HELD_BITS-1:0] offset = HELD_BITS'(entry[DROP_BITS+:OFFSET_BITS]);
  wire [HELD_BITS-1:0] drop = HELD_BITS'(entry[DROP_BITS-1:0]);
  wire there = offset < held && drop <= held;
  wire free = !valid || m_axis_tready;
  wire write = s_axis_tvalid && s_axis_tready;
  wire read = entry_valid && there && free;

  assign s_axis_tready = held != HELD_BITS'(DEPTH);
  assign m_axis_tdata = M_WIDTH'(extended);
  assign m_axis_tvalid = valid;

  for (genvar p = 0; p < PE; p++) begin : gen_elements
    wire [BITS-1:0] x = beat[p*BITS+:BITS];
    assign extended[p] = fill ? M_BITS'(FILL) : M_BITS'($signed({SIGNED && x[BITS-1], x}));
  end

  rom_stream #(
      .WIDTH(ENTRY_BITS), .DEPTH(ENTRIES), .INIT_FILE(INIT_FILE)
  ) order (
      .clk, .rst_n, .m_axis_tdata(entry), .m_axis_tvalid(entry_valid), .m_axis_tready(read)
  );

  always_ff @(posedge clk) if (write) ring[next] <= s_axis_tdata[PE*BITS-1:0];
  always_ff @(posedge clk) if (read) beat <= ring[on(first, offset)];

  always_ff @(posedge clk) begin
    if (read) fill <= entry[DROP_BITS+OFFSET_BITS];
    if (!rst_n) begin
      first <= '0;
      next  <= '0;
      held  <= '0;
      valid <= 1'b0;
    end else begin
      if (free) valid <= read;
      if (write) next <= on(next, HELD_BITS'(1));
      if (read) first <= on(first, drop);
      held <= held + HELD_BITS'(write) - (read ? drop : '0);
    end
  end

  axis_check #(.WIDTH(S_WIDTH)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );
  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
