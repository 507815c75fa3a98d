// What a DC level is predicted from: those of its component in the block on the left and the one above, their mean
// rounded down if there are both, 0 if there is none. A `step` takes a block component's level; the prediction for the
// next one is there 4 cycles later.
module dc_prediction #(
    parameter int unsigned BANDS = 3,
    parameter int unsigned BLOCKS_X = 4
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic               restart,   // a frame begins
    input  logic               step,
    input  logic signed [14:0] level,
    output logic signed [15:0] predicted
);

  localparam int unsigned DEPTH = BANDS * BLOCKS_X;
  localparam int unsigned INDEX_BITS = DEPTH > 1 ? $clog2(DEPTH) : 1;

  (* ram_style = "distributed" *)
  logic signed [14:0] line[DEPTH];  // this row's blocks up to here, then those of the row above
  logic signed [14:0] found, left, above;
  logic [INDEX_BITS-1:0] here, beside;
  logic [1:0] phase;
  logic first_row, first_column;
  wire signed [15:0] sum = 16'(left) + 16'(above);
  wire last = here == INDEX_BITS'(DEPTH - 1);

  always_ff @(posedge clk) begin
    if (step) line[here] <= level;
    found <= line[phase[0]?beside : here];
    if (phase == 2'd1) above <= found;
    if (phase == 2'd2) left <= found;
    predicted <= first_row && first_column ? 16'sd0 : first_row ? 16'(left) : first_column ? 16'(above) : sum >>> 1;
    if (!rst_n || restart) begin
      here <= '0;
      beside <= INDEX_BITS'(DEPTH - BANDS);
      first_row <= 1'b1;
      first_column <= 1'b1;
      phase <= 2'd0;
    end else if (step) begin
      here <= last ? '0 : here + 1'b1;
      beside <= beside == INDEX_BITS'(DEPTH - 1) ? '0 : beside + 1'b1;
      first_row <= first_row && !last;
      first_column <= last || (first_column && here != INDEX_BITS'(BANDS - 1));
      phase <= 2'd0;
    end else if (phase != 2'd3) phase <= phase + 1'b1;
  end

endmodule
