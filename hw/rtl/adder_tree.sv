// Sum of N integers in a pipeline that moves while `en` is set, of 1 + clog2(ceil(N / (BITS == 1 ? 3 : 2))) steps:
// its first joins two integers, or three bits (with what makes the bits, one LUT6 for each bit of their sum).
module adder_tree #(
    parameter int unsigned N = 8,
    parameter int unsigned BITS = 4,
    parameter bit SIGNED = 0,
    parameter int unsigned SUM_BITS = 8
) (
    input  logic                   clk,
    input  logic                   en,
    input  logic [N-1:0][BITS-1:0] x,
    output logic [SUM_BITS-1:0]    sum
);

  localparam int unsigned GROUP = BITS == 1 ? 3 : 2;
  localparam int unsigned HEADS = (N + GROUP - 1) / GROUP;
  localparam int unsigned LEVELS = $clog2(HEADS);

  for (genvar l = 0; l <= LEVELS; l++) begin : gen_level
    localparam int unsigned NODES = (HEADS + (1 << l) - 1) >> l;
    localparam int unsigned WIDTH = BITS + 1 + l;
    logic [NODES-1:0][WIDTH-1:0] node;

    if (l == 0) begin : gen_heads
      wire [HEADS*GROUP-1:0][BITS-1:0] padded = (HEADS * GROUP * BITS)'(x);
      always_ff @(posedge clk)
        if (en)
          for (int i = 0; i < HEADS; i++) begin
            automatic logic [WIDTH-1:0] total = '0;
            for (int g = 0; g < GROUP; g++) begin
              automatic logic [BITS-1:0] value = padded[i*GROUP+g];
              total += WIDTH'($signed({SIGNED && value[BITS-1], value}));
            end
            node[i] <= total;
          end
    end else begin : gen_pairs
      wire [2*NODES-1:0][WIDTH-2:0] padded = (2 * NODES * (WIDTH - 1))'(gen_level[l-1].node);
      always_ff @(posedge clk)
        if (en)
          for (int i = 0; i < NODES; i++)
            node[i] <= {SIGNED && padded[2*i][WIDTH-2], padded[2*i]}
                     + {SIGNED && padded[2*i+1][WIDTH-2], padded[2*i+1]};
    end
  end

  localparam int unsigned ROOT_BITS = BITS + 1 + LEVELS;
  wire [ROOT_BITS-1:0] root = gen_level[LEVELS].node;

  assign sum = SUM_BITS'($signed({SIGNED && root[ROOT_BITS-1], root}));

endmodule
