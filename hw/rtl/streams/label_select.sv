// Indices of the K largest of LABELS values, largest first; of equal values the lowest index first: FINN's
// LabelSelect. Values come PE a beat, indices go one a beat. The next vector is taken while indices leave.
// A beat passes through PE comparisons in one cycle; PE above 4 costs clock speed.
module label_select #(
    parameter int unsigned LABELS = 10,
    parameter int unsigned PE = 1,
    parameter int unsigned K = 1,
    parameter int unsigned BITS = 16,
    parameter bit SIGNED = 1,
    parameter int unsigned INDEX_BITS = 8,
    localparam int unsigned S_WIDTH = (PE * BITS + 7) / 8 * 8,
    localparam int unsigned M_WIDTH = (INDEX_BITS + 7) / 8 * 8
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

  if (PE < 1 || LABELS % PE != 0 || K < 1 || K > LABELS || LABELS > 2 ** INDEX_BITS) begin : gen_bad
    $fatal(1, "label_select: expected PE to divide LABELS, K of 1 to LABELS, and indices that fit INDEX_BITS");
  end

  localparam int unsigned FOLD = LABELS / PE;
  localparam int unsigned FOLD_BITS = FOLD > 1 ? $clog2(FOLD) : 1;
  localparam int unsigned LEFT_BITS = $clog2(K + 1);
  localparam logic [BITS-1:0] FLIP = BITS'(SIGNED) << (BITS - 1);  // makes two's complement compare as unsigned

  typedef struct packed {
    logic                  used;
    logic [BITS-1:0]       value;
    logic [INDEX_BITS-1:0] index;
  } entry_t;

  logic   [ FOLD_BITS-1:0] count;
  logic   [INDEX_BITS-1:0] base;
  logic   [ LEFT_BITS-1:0] left;  // indices of the previous vector still to send
  entry_t [         K-1:0] top, next;  // [0] is the largest
  logic   [K-1:0][INDEX_BITS-1:0] leaving;

  wire first = count == 0;
  wire last = count == FOLD_BITS'(FOLD - 1);
  wire take = s_axis_tvalid && s_axis_tready;
  wire send = m_axis_tvalid && m_axis_tready;

  assign s_axis_tready = !last || left == 0 || (left == 1 && m_axis_tready);
  assign m_axis_tvalid = left != 0;
  assign m_axis_tdata = M_WIDTH'(leaving[0]);

  always_comb begin
    next = top;
    if (first) for (int k = 0; k < K; k++) next[k].used = 1'b0;
    for (int p = 0; p < PE; p++) begin
      automatic entry_t x = '{1'b1, s_axis_tdata[p*BITS+:BITS] ^ FLIP, base + INDEX_BITS'(p)};
      automatic logic inserted = 1'b0;  // from there on, entries move down one place
      for (int k = 0; k < K; k++) begin
        automatic entry_t entry = next[k];
        inserted = inserted || !entry.used || x.value > entry.value;
        if (inserted) begin
          next[k] = x;
          x = entry;
        end
      end
    end
  end

  always_ff @(posedge clk) begin
    if (take) top <= next;
    if (send) for (int k = 1; k < K; k++) leaving[k-1] <= leaving[k];
    if (take && last) for (int k = 0; k < K; k++) leaving[k] <= next[k].index;
    if (!rst_n) begin
      count <= '0;
      base  <= '0;
      left  <= '0;
    end else begin
      if (take) begin
        count <= last ? '0 : count + 1'b1;
        base  <= last ? '0 : base + INDEX_BITS'(PE);
      end
      if (take && last) left <= LEFT_BITS'(K);
      else if (send) left <= left - 1'b1;
    end
  end

  axis_check #(.WIDTH(S_WIDTH)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );
  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
