// UltraRAM (UG573) as far as Yosys uses it: 4096 words of 72 bits, two ports of one clock, port A first, no registers
// beside the one that the memory itself is.
module uram288_model #(
    parameter BWE_MODE_A = "PARITY_INTERLEAVED", BWE_MODE_B = "PARITY_INTERLEAVED",
    parameter EN_AUTO_SLEEP_MODE = "FALSE",
    parameter IREG_PRE_A = "FALSE", IREG_PRE_B = "FALSE", OREG_A = "FALSE", OREG_B = "FALSE",
    parameter IS_CLK_INVERTED = 0,
    parameter RST_MODE_A = "SYNC", RST_MODE_B = "SYNC"
) (
    input  logic        CLK, SLEEP, EN_A, EN_B, RDB_WR_A, RDB_WR_B, RST_A, RST_B,
    input  logic        INJECT_DBITERR_A, INJECT_DBITERR_B, INJECT_SBITERR_A, INJECT_SBITERR_B,
    input  logic [22:0] ADDR_A, ADDR_B,
    input  logic [8:0]  BWE_A, BWE_B,
    input  logic [71:0] DIN_A, DIN_B,
    output logic [71:0] DOUT_A, DOUT_B
);

  if (IS_CLK_INVERTED != 0 || OREG_A != "FALSE" || OREG_B != "FALSE" || IREG_PRE_A != "FALSE" || IREG_PRE_B != "FALSE"
      || RST_MODE_A != "SYNC" || RST_MODE_B != "SYNC") begin : gen_bad
    $fatal(1, "uram288_model: registers, asynchronous resets and inverted clocks are not modelled");
  end

  logic [71:0] words[4096];

  initial begin
    for (int i = 0; i < 4096; i++) words[i] = '0;
    {DOUT_A, DOUT_B} = '0;
  end

  // Which bits are written: a byte and its parity bit each, or bytes and all parity bits.
  function automatic logic [71:0] mask(bit interleaved, logic [8:0] enable);
    for (int i = 0; i < 8; i++) begin
      mask[8*i+:8] = {8{enable[i]}};
      mask[64+i] = interleaved ? enable[i] : enable[8];
    end
  endfunction

  wire [71:0] mask_a = mask(BWE_MODE_A == "PARITY_INTERLEAVED", BWE_A);
  wire [71:0] mask_b = mask(BWE_MODE_B == "PARITY_INTERLEAVED", BWE_B);

  always @(posedge CLK) begin
    if (RST_A) DOUT_A <= '0;
    else if (EN_A && !RDB_WR_A) DOUT_A <= words[ADDR_A[11:0]];
    if (EN_A && RDB_WR_A) words[ADDR_A[11:0]] = words[ADDR_A[11:0]] & ~mask_a | DIN_A & mask_a;
    if (RST_B) DOUT_B <= '0;
    else if (EN_B && !RDB_WR_B) DOUT_B <= words[ADDR_B[11:0]];
    if (EN_B && RDB_WR_B) words[ADDR_B[11:0]] = words[ADDR_B[11:0]] & ~mask_b | DIN_B & mask_b;
  end

endmodule
