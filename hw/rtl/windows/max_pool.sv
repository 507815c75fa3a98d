// Maximum over each WINDOW consecutive beats of PE elements: FINN's Pool with Function=MaxPool, behind a
// depthwise sliding window, whose beats come as (pixel, channel fold, window position). One beat a cycle.
module max_pool #(
    parameter int unsigned PE = 1,
    parameter int unsigned WINDOW = 4,
    parameter int unsigned BITS = 4,
    parameter bit SIGNED = 0,
    localparam int unsigned WIDTH = (PE * BITS + 7) / 8 * 8
) (
    input  logic             clk,
    input  logic             rst_n,
    input  logic [WIDTH-1:0] s_axis_tdata,
    input  logic             s_axis_tvalid,
    output logic             s_axis_tready,
    output logic [WIDTH-1:0] m_axis_tdata,
    output logic             m_axis_tvalid,
    input  logic             m_axis_tready
);

  if (PE < 1 || WINDOW < 1 || BITS < 1) begin : gen_bad
    $fatal(1, "max_pool: expected PE, WINDOW and BITS of at least 1");
  end

  localparam int unsigned COUNT_BITS = WINDOW > 1 ? $clog2(WINDOW) : 1;
  localparam logic [BITS-1:0] FLIP = BITS'(SIGNED) << (BITS - 1);  // makes two's complement compare as unsigned

  logic [COUNT_BITS-1:0] count;
  logic [PE-1:0][BITS-1:0] x, best, larger;
  logic valid;

  wire first = count == 0;
  wire last = count == COUNT_BITS'(WINDOW - 1);
  wire take = s_axis_tvalid && s_axis_tready;

  assign x = s_axis_tdata[PE*BITS-1:0];
  assign s_axis_tready = !valid || m_axis_tready;
  assign m_axis_tdata = WIDTH'(best);
  assign m_axis_tvalid = valid;

  always_comb
    for (int p = 0; p < PE; p++) larger[p] = first || (x[p] ^ FLIP) > (best[p] ^ FLIP) ? x[p] : best[p];

  always_ff @(posedge clk) begin
    if (take) best <= larger;
    if (!rst_n) begin
      count <= '0;
      valid <= 1'b0;
    end else begin
      if (take) count <= last ? '0 : count + 1'b1;
      if (s_axis_tready) valid <= take && last;
    end
  end

  axis_check #(.WIDTH(WIDTH)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );
  axis_check #(.WIDTH(WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
