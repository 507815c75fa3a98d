// A stream with some of its beats left out and constant beats put between them: slices, crops, constant padding.
// PE integers a beat; those of BITS are extended to M_BITS by their sign. A beat in or out a cycle: a frame takes as
// many as it has beats, and constant ones.
// INIT_FILE ($readmemh): RUNS lines, over and over, {kind, beats - 1} with LENGTH_BITS for the beats; kinds are
// 0: pass, 1: leave out, 2: FILL, once a frame begins, 3: FILL.
module take_runs #(
    parameter int unsigned PE = 1,
    parameter int unsigned BITS = 4,
    parameter bit SIGNED = 0,
    parameter int unsigned M_BITS = 4,
    parameter int FILL = 0,
    parameter int unsigned RUNS = 1,
    parameter int unsigned LENGTH_BITS = 1,
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

  if (PE < 1 || BITS < 1 || BITS > M_BITS) begin : gen_bad
    $fatal(1, "take_runs: expected PE of at least 1 and BITS that fit M_BITS");
  end

  localparam int unsigned RUN_BITS = LENGTH_BITS + 2;
  localparam int unsigned RUN_WIDTH = (RUN_BITS + 7) / 8 * 8;

  logic [RUN_WIDTH-1:0] run;
  logic run_valid;
  logic [LENGTH_BITS-1:0] count;
  logic [PE-1:0][M_BITS-1:0] beat;
  logic valid;

  wire left_out = run[LENGTH_BITS+:2] == 2'd1;
  wire fill = run[LENGTH_BITS+1];
  wire begun = !fill || run[LENGTH_BITS];
  wire free = !valid || m_axis_tready;
  wire ready = run_valid && (left_out || free);
  wire step = ready && (s_axis_tvalid || fill && begun);
  wire last = count == run[LENGTH_BITS-1:0];

  assign s_axis_tready = ready && !fill;
  assign m_axis_tdata = M_WIDTH'(beat);
  assign m_axis_tvalid = valid;

  rom_stream #(
      .WIDTH(RUN_BITS), .DEPTH(RUNS), .INIT_FILE(INIT_FILE)
  ) runs (
      .clk, .rst_n, .m_axis_tdata(run), .m_axis_tvalid(run_valid), .m_axis_tready(step && last)
  );

  always_ff @(posedge clk) begin
    if (step && free)
      for (int p = 0; p < PE; p++) begin
        automatic logic [BITS-1:0] x = s_axis_tdata[p*BITS+:BITS];
        beat[p] <= fill ? M_BITS'(FILL) : M_BITS'($signed({SIGNED && x[BITS-1], x}));
      end
    if (!rst_n) begin
      count <= '0;
      valid <= 1'b0;
    end else begin
      if (step) count <= last ? '0 : count + 1'b1;
      if (free) valid <= step && !left_out;
    end
  end

  axis_check #(.WIDTH(S_WIDTH)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );
  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
