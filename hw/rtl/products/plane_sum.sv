// Sum of the products of N pairs of integers by bit planes, in a pipeline of LATENCY steps that moves while `en` is
// set: bits i of `a` meet bits j of `w`, the ones among planes of one weight i + j are counted, and the counts go
// through a tree of adders. With XNOR bits are compared instead of multiplied. INVERT has a bit for each plane,
// i * W_BITS + j, that says to count its zeros.
module plane_sum #(
    parameter int unsigned N = 16,
    parameter int unsigned A_BITS = 2,
    parameter int unsigned W_BITS = 2,
    parameter bit XNOR = 0,
    parameter logic [A_BITS*W_BITS-1:0] INVERT = '0,
    parameter int unsigned LATENCY = 5,
    parameter int unsigned M_BITS = 8
) (
    input  logic                     clk,
    input  logic                     en,
    input  logic [N-1:0][A_BITS-1:0] a,
    input  logic [N-1:0][W_BITS-1:0] w,
    output logic [M_BITS-1:0]        sum
);

  localparam int unsigned GROUP = 18;  // bits that are counted together

  function automatic int unsigned planes(int unsigned weight);
    planes = 0;
    for (int i = 0; i < A_BITS; i++) if (weight >= i && weight - i < W_BITS) planes++;
  endfunction

  function automatic int unsigned groups_below(int unsigned weight);
    groups_below = 0;
    for (int k = 0; k < weight; k++) groups_below += (planes(k) * N + GROUP - 1) / GROUP;
  endfunction

  function automatic int unsigned weight_of(int unsigned group);
    weight_of = 0;
    while (groups_below(weight_of + 1) <= group) weight_of++;
  endfunction

  // Bits that hold a sum of groups in units of the first one's weight.
  function automatic int unsigned bits_of(int unsigned from, int unsigned upto);
    automatic longint unsigned most = 0;
    for (int g = from; g < upto; g++) begin
      automatic int unsigned rest = planes(weight_of(g)) * N - (g - groups_below(weight_of(g))) * GROUP;
      if (rest > GROUP) rest = GROUP;
      most += longint'(rest) << (weight_of(g) - weight_of(from));
    end
    return $clog2(most + 1);
  endfunction

  localparam int unsigned GROUPS = groups_below(A_BITS + W_BITS - 1);
  localparam int unsigned LEVELS = $clog2(GROUPS);
  localparam int unsigned REST = LATENCY - 3 - LEVELS;
  localparam int unsigned SUM_BITS = bits_of(0, GROUPS);

  if (LATENCY < 3 + LEVELS) begin : gen_bad
    $fatal(1, "plane_sum: expected a LATENCY of at least %0d", 3 + LEVELS);
  end

  for (genvar k = 0; k < A_BITS + W_BITS - 1; k++) begin : gen_weight
    localparam int unsigned FROM = k < W_BITS ? 0 : k - W_BITS + 1;
    localparam int unsigned GROUPS_HERE = (planes(k) * N + GROUP - 1) / GROUP;
    logic [GROUPS_HERE-1:0][GROUP-1:0] bits;
    always_comb begin
      bits = '0;
      for (int p = 0; p < planes(k); p++)
        for (int s = 0; s < N; s++) begin
          automatic int unsigned i = FROM + p;
          automatic int unsigned at = p * N + s;
          bits[at/GROUP][at%GROUP] = (XNOR ? a[s][i] ~^ w[s][k-i] : a[s][i] & w[s][k-i]) ^ INVERT[i*W_BITS+k-i];
        end
    end
    for (genvar g = 0; g < GROUPS_HERE; g++) begin : gen_group
      logic [4:0] count;
      count_ones ones (
          .clk, .en, .x(bits[g]), .count
      );
    end
  end

  for (genvar l = 0; l <= LEVELS; l++) begin : gen_level
    for (genvar n = 0; n << l < GROUPS; n++) begin : gen_node
      localparam int unsigned FROM = n << l;
      localparam int unsigned HALF = ((2 * n + 1) << l) / 2;
      localparam int unsigned UPTO = (n + 1) << l < GROUPS ? (n + 1) << l : GROUPS;
      localparam int unsigned WIDTH = bits_of(FROM, UPTO);
      logic [WIDTH-1:0] total;

      if (l == 0) begin : gen_count
        localparam int unsigned WEIGHT = weight_of(n);
        assign total = WIDTH'(gen_weight[WEIGHT].gen_group[n-groups_below(WEIGHT)].count);
      end else if (HALF >= GROUPS) begin : gen_pass
        always_ff @(posedge clk) if (en) total <= gen_level[l-1].gen_node[2*n].total;
      end else begin : gen_add
        localparam int unsigned SHIFT = weight_of(HALF) - weight_of(FROM);
        wire [WIDTH-1:0] low = WIDTH'(gen_level[l-1].gen_node[2*n].total);
        wire [WIDTH-1:0] high = WIDTH'(gen_level[l-1].gen_node[2*n+1].total);
        always_ff @(posedge clk) if (en) total <= low + (high << SHIFT);
      end
    end
  end

  logic [REST:0][SUM_BITS-1:0] delayed;
  assign delayed[0] = gen_level[LEVELS].gen_node[0].total;
  for (genvar d = 1; d <= REST; d++) begin : gen_delay
    always_ff @(posedge clk) if (en) delayed[d] <= delayed[d-1];
  end
  assign sum = M_BITS'(delayed[REST]);

endmodule
