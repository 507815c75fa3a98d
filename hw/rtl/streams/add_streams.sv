// Sum of two streams of PE integers a beat, each signed or not and times a constant: the end of a residual
// branch. M_BITS holds every sum, so nothing saturates or wraps. One beat a cycle. Where a constant takes additions,
// products have a step of their own.
module add_streams #(
    parameter int unsigned PE = 1,
    parameter int unsigned A_BITS = 4,
    parameter bit A_SIGNED = 0,
    parameter int A_FACTOR = 1,
    parameter int unsigned B_BITS = 4,
    parameter bit B_SIGNED = 0,
    parameter int B_FACTOR = 1,
    parameter int unsigned M_BITS = 5,
    localparam int unsigned A_WIDTH = (PE * A_BITS + 7) / 8 * 8,
    localparam int unsigned B_WIDTH = (PE * B_BITS + 7) / 8 * 8,
    localparam int unsigned M_WIDTH = (PE * M_BITS + 7) / 8 * 8
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic [A_WIDTH-1:0] a_axis_tdata,
    input  logic               a_axis_tvalid,
    output logic               a_axis_tready,
    input  logic [B_WIDTH-1:0] b_axis_tdata,
    input  logic               b_axis_tvalid,
    output logic               b_axis_tready,
    output logic [M_WIDTH-1:0] m_axis_tdata,
    output logic               m_axis_tvalid,
    input  logic               m_axis_tready
);

  if (PE < 1 || A_FACTOR == 0 || B_FACTOR == 0) begin : gen_bad
    $fatal(1, "add_streams: expected PE of at least 1 and factors other than 0");
  end

  function automatic bit is_power(int factor);
    automatic int unsigned size = factor < 0 ? -factor : factor;
    return (size & (size - 1)) == 0;
  endfunction

  localparam bit PRODUCTS = !is_power(A_FACTOR) || !is_power(B_FACTOR);

  logic [PE-1:0][M_BITS-1:0] a, b, left, right, sum;
  logic ready, waiting, valid;  // whether operands are, and whether a sum is

  wire move = !valid || m_axis_tready;
  wire go = a_axis_tvalid && b_axis_tvalid && ready;

  assign a_axis_tready = go;
  assign b_axis_tready = go;
  assign m_axis_tdata = M_WIDTH'(sum);
  assign m_axis_tvalid = valid;

  for (genvar p = 0; p < PE; p++) begin : gen_products
    times_constant #(
        .BITS(A_BITS), .SIGNED(A_SIGNED), .FACTOR(A_FACTOR), .M_BITS(M_BITS)
    ) times_a (
        .x(a_axis_tdata[p*A_BITS+:A_BITS]), .y(a[p])
    );
    times_constant #(
        .BITS(B_BITS), .SIGNED(B_SIGNED), .FACTOR(B_FACTOR), .M_BITS(M_BITS)
    ) times_b (
        .x(b_axis_tdata[p*B_BITS+:B_BITS]), .y(b[p])
    );
  end

  if (PRODUCTS) begin : gen_products_first
    assign ready = !waiting || move;
    always_ff @(posedge clk) begin
      if (go) {left, right} <= {a, b};
      if (!rst_n) waiting <= 1'b0;
      else if (ready) waiting <= go;
    end
  end else begin : gen_sums_only
    assign ready = move;
    assign waiting = go;
    assign {left, right} = {a, b};
  end

  always_ff @(posedge clk) begin
    if (move) for (int p = 0; p < PE; p++) sum[p] <= left[p] + right[p];
    if (!rst_n) valid <= 1'b0;
    else if (move) valid <= waiting;
  end

  axis_check #(.WIDTH(A_WIDTH)) check_a (
      .clk, .rst_n, .tdata(a_axis_tdata), .tvalid(a_axis_tvalid), .tready(a_axis_tready)
  );
  axis_check #(.WIDTH(B_WIDTH)) check_b (
      .clk, .rst_n, .tdata(b_axis_tdata), .tvalid(b_axis_tvalid), .tready(b_axis_tready)
  );
  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
