// PE integers a beat, signed or not, times FACTOR and plus OFFSET; in channels of FALLING, times -FACTOR and plus
// FALLING_OFFSET. A pixel is CHANNELS / PE beats, element p of beat f is channel f * PE + p. M_BITS holds every
// result. One beat a cycle. Where FACTOR takes additions, products have a step of their own.
module affine #(
    parameter int unsigned PE = 1,
    parameter int unsigned CHANNELS = 1,
    parameter int unsigned BITS = 4,
    parameter bit SIGNED = 0,
    parameter int unsigned M_BITS = 5,
    parameter int FACTOR = 1,
    parameter int OFFSET = 0,
    parameter int FALLING_OFFSET = 0,
    parameter logic [CHANNELS-1:0] FALLING = '0,
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

  if (PE < 1 || CHANNELS % PE != 0 || FACTOR == 0) begin : gen_bad
    $fatal(1, "affine: expected PE to divide CHANNELS and a FACTOR other than 0");
  end

  localparam int unsigned FOLD = CHANNELS / PE;
  localparam int unsigned FOLD_BITS = FOLD > 1 ? $clog2(FOLD) : 1;

  localparam int unsigned SIZE = FACTOR < 0 ? -FACTOR : FACTOR;
  localparam bit PRODUCTS = (SIZE & (SIZE - 1)) != 0;

  logic [PE-1:0][M_BITS-1:0] product, held, sum;
  logic [FOLD_BITS-1:0] fold;  // of what is added to next
  logic ready, waiting, valid;  // whether products are, and whether a sum is

  wire move = !valid || m_axis_tready;
  wire take = s_axis_tvalid && ready;
  wire [FOLD-1:0][PE-1:0] masks = FALLING;
  wire [PE-1:0] falling = masks[fold];

  assign s_axis_tready = ready;
  assign m_axis_tdata = M_WIDTH'(sum);
  assign m_axis_tvalid = valid;

  for (genvar p = 0; p < PE; p++) begin : gen_products
    times_constant #(
        .BITS(BITS), .SIGNED(SIGNED), .FACTOR(FACTOR), .M_BITS(M_BITS)
    ) times (
        .x(s_axis_tdata[p*BITS+:BITS]), .y(product[p])
    );
  end

  if (PRODUCTS) begin : gen_products_first
    assign ready = !waiting || move;
    always_ff @(posedge clk) begin
      if (take) held <= product;
      if (!rst_n) waiting <= 1'b0;
      else if (ready) waiting <= take;
    end
  end else begin : gen_sums_only
    assign ready = move;
    assign waiting = take;
    assign held = product;
  end

  always_ff @(posedge clk) begin
    if (move)
      for (int p = 0; p < PE; p++)
        sum[p] <= falling[p] ? M_BITS'(FALLING_OFFSET) - held[p] : M_BITS'(OFFSET) + held[p];
    if (!rst_n) begin
      fold  <= '0;
      valid <= 1'b0;
    end else if (move) begin
      valid <= waiting;
      if (waiting) fold <= fold == FOLD_BITS'(FOLD - 1) ? '0 : fold + 1'b1;
    end
  end

  axis_check #(.WIDTH(S_WIDTH)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );
  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
