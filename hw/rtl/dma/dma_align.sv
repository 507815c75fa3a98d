// Lines words up anew: `joined` is `word` moved up by `shift` bytes, and below it what was moved out of the word before
// at the last `step`. Words are turned once and cut where they meet, which is half of what shifting both would take.
module dma_align #(
    parameter int unsigned WIDTH = 64,
    localparam int unsigned BYTE_BITS = $clog2(WIDTH / 8)
) (
    input  logic                 clk,
    input  logic                 step,
    input  logic [BYTE_BITS-1:0] shift,
    input  logic [    WIDTH-1:0] word,
    output logic [    WIDTH-1:0] joined
);

  if (WIDTH < 32 || WIDTH != 8 << BYTE_BITS) begin : gen_bad
    $fatal(1, "dma_align: expected WIDTH to be a power of two, at least 32");
  end

  logic [WIDTH-1:0] turned, before_turned;

  always_comb begin
    turned = word;
    for (int i = 0; i < BYTE_BITS; i++)
      if (shift[i]) turned = (turned << (8 << i)) | (turned >> (WIDTH - (8 << i)));
    for (int i = 0; i < WIDTH / 8; i++)
      joined[8*i+:8] = i < 32'(shift) ? before_turned[8*i+:8] : turned[8*i+:8];
  end

  always_ff @(posedge clk) if (step) before_turned <= turned;

endmodule
