// Encoder of uniform and companded codecs (host/codecs.py): a code is the count of thresholds <= the sample. With
// DITHER, a sample's thresholds depend on its position in 8 x 8 pixels, so that the tables contain the ordered
// dither mask (host/dither.py). Samples come as (row, column, band), SIMD a beat, and codes leave likewise, one beat
// a cycle after 2 * BITS cycles.
//
// Stage s of a binary search compares with one of 2**s thresholds of each lane, band and position. They are in
// files INIT_PREFIX <lane> _ <s> .hex ($readmemh), in the order (band fold, row % 8, column % 8, i); entry i is
// threshold (2 * i + 1) * 2**(BITS - 1 - s), where threshold k is the smallest sample whose code is at least k.
// Band n * SIMD + l is fold n of lane l.
module codec_encode #(
    parameter int unsigned DEPTH = 8,
    parameter int unsigned BITS = 4,
    parameter int unsigned BANDS = 3,
    parameter int unsigned SIMD = 1,
    parameter int unsigned HEIGHT = 64,
    parameter int unsigned WIDTH = 64,
    parameter bit DITHER = 0,
    parameter INIT_PREFIX = "thresholds_",
    localparam int unsigned S_WIDTH = (SIMD * DEPTH + 7) / 8 * 8,
    localparam int unsigned M_WIDTH = (SIMD * BITS + 7) / 8 * 8
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

  if (SIMD < 1 || BANDS % SIMD != 0 || BITS < 1 || BITS > 8) begin : gen_bad
    $fatal(1, "codec_encode: expected SIMD to divide BANDS and BITS of 1 to 8");
  end

  localparam int unsigned FOLD = BANDS / SIMD;
  localparam int unsigned SETS = FOLD * (DITHER ? 64 : 1);  // of thresholds in a lane
  localparam int unsigned SET_BITS = SETS > 1 ? $clog2(SETS) : 1;
  localparam int unsigned FOLD_BITS = FOLD > 1 ? $clog2(FOLD) : 1;
  localparam int unsigned COLUMN_BITS = $clog2(WIDTH > 8 ? WIDTH : 8);
  localparam int unsigned ROW_BITS = $clog2(HEIGHT > 8 ? HEIGHT : 8);

  logic [FOLD_BITS-1:0] fold;
  logic [COLUMN_BITS-1:0] column;
  logic [ROW_BITS-1:0] row;

  wire en = !m_axis_tvalid || m_axis_tready;
  wire take = s_axis_tvalid && en;
  wire last_fold = fold == FOLD_BITS'(FOLD - 1);
  wire last_column = column == COLUMN_BITS'(WIDTH - 1);
  wire last_row = row == ROW_BITS'(HEIGHT - 1);

  assign s_axis_tready = en;

  always_ff @(posedge clk)
    if (!rst_n) begin
      fold <= '0;
      column <= '0;
      row <= '0;
    end else if (take) begin
      fold <= last_fold ? '0 : fold + 1'b1;
      if (last_fold) column <= last_column ? '0 : column + 1'b1;
      if (last_fold && last_column) row <= last_row ? '0 : row + 1'b1;
    end

  typedef struct packed {
    logic [SIMD-1:0][DEPTH-1:0] x;
    logic [SET_BITS-1:0]        set;
    logic [SIMD-1:0][BITS-1:0]  code;  // the bits found so far
  } sample_t;

  wire sample_t [BITS:0] samples;
  wire [BITS:0] valids;

  assign samples[0].x = s_axis_tdata[SIMD*DEPTH-1:0];
  assign samples[0].set = DITHER ? SET_BITS'({fold, row[2:0], column[2:0]}) : SET_BITS'(fold);
  assign samples[0].code = '0;
  assign valids[0] = s_axis_tvalid;

  for (genvar s = 0; s < BITS; s++) begin : gen_stage
    sample_t reading, compared;
    logic [SIMD-1:0][DEPTH-1:0] threshold;
    logic reading_valid, compared_valid;

    for (genvar l = 0; l < SIMD; l++) begin : gen_lane
      localparam int unsigned ADDRESS_BITS = SETS << s > 1 ? $clog2(SETS << s) : 1;
      logic [DEPTH-1:0] rom[SETS << s];
      initial $readmemh($sformatf("%s%0d_%0d.hex", INIT_PREFIX, l, s), rom);

      wire [ADDRESS_BITS-1:0] address = ADDRESS_BITS'((32'(samples[s].set) << s) | 32'(samples[s].code[l]));
      always_ff @(posedge clk) if (en) threshold[l] <= rom[address];
    end

    always_ff @(posedge clk)
      if (en) begin
        reading  <= samples[s];
        compared <= reading;
        for (int l = 0; l < SIMD; l++) compared.code[l] <= (reading.code[l] << 1) | BITS'(reading.x[l] >= threshold[l]);
      end

    always_ff @(posedge clk)
      if (!rst_n) {reading_valid, compared_valid} <= '0;
      else if (en) {reading_valid, compared_valid} <= {valids[s], reading_valid};

    assign samples[s+1] = compared;
    assign valids[s+1] = compared_valid;
  end

  assign m_axis_tdata = M_WIDTH'(samples[BITS].code);
  assign m_axis_tvalid = valids[BITS];

  axis_check #(.WIDTH(S_WIDTH)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );
  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
