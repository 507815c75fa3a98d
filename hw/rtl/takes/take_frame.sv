// A frame's beats in any order, again, or not at all, and constant beats between them: reorders, repeats. A memory
// holds two frames, one filling while the other is read; a beat may be read as soon as it is there. PE integers a
// beat; those of BITS are extended to M_BITS by their sign. A beat in and a beat out a cycle.
// INIT_FILE ($readmemh): OUT_BEATS lines, over and over, {fill, which beat}; that of a constant one is 0.
module take_frame #(
    parameter int unsigned PE = 1,
    parameter int unsigned BITS = 4,
    parameter bit SIGNED = 0,
    parameter int unsigned M_BITS = 4,
    parameter int FILL = 0,
    parameter int unsigned IN_BEATS = 16,
    parameter int unsigned OUT_BEATS = 16,
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

  if (PE < 1 || BITS < 1 || BITS > M_BITS || IN_BEATS < 1 || OUT_BEATS < 1) begin : gen_bad
    $fatal(1, "take_frame: expected PE and beats of at least 1 and BITS that fit M_BITS");
  end

  localparam int unsigned IN_BITS = IN_BEATS > 1 ? $clog2(IN_BEATS) : 1;
  localparam int unsigned OUT_BITS = OUT_BEATS > 1 ? $clog2(OUT_BEATS) : 1;
  localparam int unsigned ENTRY_WIDTH = (IN_BITS + 8) / 8 * 8;

  logic [PE*BITS-1:0] frames[IN_BEATS > 1 ? 2*IN_BEATS : 4];  // their beats take turns
  logic [PE*BITS-1:0] beat;
  logic [PE-1:0][M_BITS-1:0] extended;
  logic [ENTRY_WIDTH-1:0] entry;
  logic [1:0] full;
  logic [IN_BITS-1:0] written;
  logic [OUT_BITS-1:0] given;
  logic writing, reading, entry_valid, valid, fill;

  wire [IN_BITS-1:0] address = entry[IN_BITS-1:0];
  wire last_given = given == OUT_BITS'(OUT_BEATS - 1);
  wire there = full[reading] || (writing == reading && address < written && !last_given);  // it goes when it is whole
  wire free = !valid || m_axis_tready;
  wire write = s_axis_tvalid && s_axis_tready;
  wire read = entry_valid && there && free;
  wire last_written = written == IN_BITS'(IN_BEATS - 1);

  assign s_axis_tready = !full[writing];
  assign m_axis_tdata = M_WIDTH'(extended);
  assign m_axis_tvalid = valid;

  for (genvar p = 0; p < PE; p++) begin : gen_elements
    wire [BITS-1:0] x = beat[p*BITS+:BITS];
    assign extended[p] = fill ? M_BITS'(FILL) : M_BITS'($signed({SIGNED && x[BITS-1], x}));
  end

  rom_stream #(
      .WIDTH(IN_BITS + 1), .DEPTH(OUT_BEATS), .INIT_FILE(INIT_FILE)
  ) order (
      .clk, .rst_n, .m_axis_tdata(entry), .m_axis_tvalid(entry_valid), .m_axis_tready(read)
  );

  always_ff @(posedge clk) if (write) frames[{written, writing}] <= s_axis_tdata[PE*BITS-1:0];
  always_ff @(posedge clk) if (read) beat <= frames[{address, reading}];

  always_ff @(posedge clk) begin
    if (read) fill <= entry[IN_BITS];
    if (!rst_n) begin
      full <= '0;
      written <= '0;
      given <= '0;
      writing <= 1'b0;
      reading <= 1'b0;
      valid <= 1'b0;
    end else begin
      if (free) valid <= read;
      if (write) written <= last_written ? '0 : written + 1'b1;
      if (read) given <= last_given ? '0 : given + 1'b1;
      if (write && last_written) begin
        full[writing] <= 1'b1;
        writing <= !writing;
      end
      if (read && last_given) begin
        full[reading] <= 1'b0;
        reading <= !reading;
      end
    end
  end

  axis_check #(.WIDTH(S_WIDTH)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );
  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
