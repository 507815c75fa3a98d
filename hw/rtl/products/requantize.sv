// Many thresholds as a line: how many of COUNT thresholds of its channel each of PE integers a beat reaches, plus
// BASE. Two's complement of BITS (unsigned if not SIGNED) times the channel's gain plus its offset, without the lowest
// SHIFT bits and clipped to 0..COUNT, is that number or one beside it; a table says where (hw/units/lines.py).
// A pixel is FOLD beats. One beat a cycle.
// INIT_FILE ($readmemh): FOLD lines, {offset, gain} for each of PE, the first in the low bits. With EXCEPTIONS, files
// TABLE_PREFIX <lane> .hex: for each channel of the lane 2**COUNT_BITS lines, by number: bit 0 where it is one too many
// at the first x of its line, bit 1 where it is one too few at the last.
module requantize #(
    parameter int unsigned PE = 1,
    parameter int unsigned FOLD = 1,
    parameter int unsigned BITS = 20,
    parameter bit SIGNED = 1,
    parameter int unsigned GAIN_BITS = 17,
    parameter int unsigned OFFSET_BITS = 32,
    parameter int unsigned SHIFT = 20,
    parameter int unsigned COUNT = 255,
    parameter int unsigned M_BITS = 8,
    parameter int BASE = 0,
    parameter INIT_FILE = "",
    parameter bit EXCEPTIONS = 0,
    parameter TABLE_PREFIX = "",
    localparam int unsigned COUNT_BITS = $clog2(COUNT + 1),
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

  if (PE < 1 || FOLD < 1 || COUNT < 1 || SHIFT < 1 || INIT_FILE == "") begin : gen_bad
    $fatal(1, "requantize: expected PE, FOLD, COUNT and SHIFT of at least 1 and an INIT_FILE");
  end

  function automatic int unsigned larger(int unsigned a, int unsigned b);
    return a > b ? a : b;
  endfunction

  localparam int unsigned LANE_BITS = GAIN_BITS + OFFSET_BITS;
  localparam int unsigned FOLD_BITS = FOLD > 1 ? $clog2(FOLD) : 1;
  localparam int unsigned X_BITS = SIGNED ? BITS : BITS + 1;
  // No wider than what they hold: Yosys loses bits of a DSP block's register that only repeat the sign.
  localparam int unsigned PRODUCT_BITS = X_BITS + GAIN_BITS;
  localparam int unsigned SUM_BITS = larger(PRODUCT_BITS, OFFSET_BITS) + 1;
  localparam int unsigned WIDE_BITS = larger(SUM_BITS, SHIFT + COUNT_BITS + 2);
  localparam int unsigned STEPS = 5;

  logic [PE*LANE_BITS-1:0] rom[FOLD];
  logic [PE*LANE_BITS-1:0] line;
  logic [PE-1:0][M_BITS-1:0] result;
  logic [STEPS-1:0] valid;
  logic [FOLD_BITS-1:0] folds[STEPS-1];  // of the beat at each step

  initial $readmemh(INIT_FILE, rom);

  wire go = !valid[STEPS-1] || m_axis_tready;
  wire [FOLD_BITS-1:0] fold = folds[0];

  assign s_axis_tready = go;
  assign m_axis_tdata = M_WIDTH'(result);
  assign m_axis_tvalid = valid[STEPS-1];

  always_ff @(posedge clk) begin
    if (go) begin
      line <= rom[fold];
      for (int i = 1; i < STEPS - 1; i++) folds[i] <= folds[i-1];
    end
    if (!rst_n) begin
      valid <= '0;
      folds[0] <= '0;
    end else if (go) begin
      valid <= {valid[STEPS-2:0], s_axis_tvalid};
      if (s_axis_tvalid) folds[0] <= fold == FOLD_BITS'(FOLD - 1) ? '0 : fold + 1'b1;
    end
  end

  for (genvar p = 0; p < PE; p++) begin : gen_lane
    logic signed [X_BITS-1:0] x;
    logic [2:1][GAIN_BITS-1:0] gains;
    logic signed [OFFSET_BITS-1:0] offset;
    logic signed [PRODUCT_BITS-1:0] product;
    logic signed [SUM_BITS-1:0] sum;
    logic [COUNT_BITS-1:0] count;
    logic many, few;  // where the table says so

    wire [GAIN_BITS-1:0] gain = line[p*LANE_BITS+:GAIN_BITS];
    wire signed [WIDE_BITS-1:0] wide = WIDE_BITS'(sum);
    wire signed [WIDE_BITS-SHIFT-1:0] steps = wide[WIDE_BITS-1:SHIFT];
    wire [SHIFT-1:0] rest = wide[SHIFT-1:0];
    wire below = steps < 0;
    wire above = steps > $signed((WIDE_BITS - SHIFT)'(COUNT));
    wire [COUNT_BITS-1:0] clipped = below ? '0 : above ? COUNT_BITS'(COUNT) : steps[COUNT_BITS-1:0];

    always_ff @(posedge clk)
      if (go) begin
        x <= X_BITS'(s_axis_tdata[p*BITS+:BITS]);
        product <= PRODUCT_BITS'(x * $signed({1'b0, gain}));
        offset <= line[p*LANE_BITS+GAIN_BITS+:OFFSET_BITS];
        gains <= {gains[1], gain};
        sum <= SUM_BITS'(product) + SUM_BITS'(offset);
        count <= clipped;
        many <= !below && !above && {1'b0, rest} < (SHIFT + 1)'(gains[2]);
        few <= !below && !above && (SHIFT + 1)'(rest) + (SHIFT + 1)'(gains[2]) >= (SHIFT + 1)'(1) << SHIFT;
      end

    if (EXCEPTIONS) begin : gen_exceptions
      logic [1:0] table_rom[FOLD << COUNT_BITS];
      logic [1:0] exception;

      initial $readmemh($sformatf("%s%0d.hex", TABLE_PREFIX, p), table_rom);

      always_ff @(posedge clk)
        if (go) exception <= table_rom[$clog2(FOLD << COUNT_BITS)'({folds[STEPS-2], clipped})];

      always_ff @(posedge clk)
        if (go) result[p] <= M_BITS'(BASE) + M_BITS'(count) + M_BITS'(few && exception[1]) - M_BITS'(many && exception[0]);
    end else begin : gen_exact
      always_ff @(posedge clk) if (go) result[p] <= M_BITS'(BASE) + M_BITS'(count);
    end
  end

  axis_check #(.WIDTH(S_WIDTH)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );
  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
