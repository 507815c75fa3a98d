// What FINN's cores mvu and mvu_vvu_8sx9_dsp58 compute, cycle by cycle, as one call a cycle: for simulation only
// (BITSWATH_SIMULATION). The cores' own behavioural code models every DSP slice, which makes a simulator of a whole
// network hours to compile and slow. Sums leave DEPTH cycles after the last of their beats, as in the cores.
module mvu_model #(
    parameter int unsigned PE = 1,
    parameter int unsigned SIMD = 1,
    parameter int unsigned ACT_PE = 1,  // 1: all PE share their activations; PE: each has its own
    parameter int unsigned WEIGHT_WIDTH = 4,
    parameter int unsigned ACTIVATION_WIDTH = 4,
    parameter int unsigned ACCU_WIDTH = 16,
    parameter bit SIGNED_ACTIVATIONS = 0,
    parameter int unsigned DEPTH = 4
) (
    input  logic clk,
    input  logic rst,
    input  logic last,
    input  logic zero,
    input  logic [PE-1:0][SIMD-1:0][WEIGHT_WIDTH-1:0] w,
    input  logic [ACT_PE-1:0][SIMD-1:0][ACTIVATION_WIDTH-1:0] a,
    output logic vld,
    output logic [PE-1:0][ACCU_WIDTH-1:0] p
);

  import "DPI-C" function chandle bitswath_mvu(
    input int unsigned pe, input int unsigned simd, input int unsigned act_pe, input int unsigned weight_bits,
    input int unsigned activation_bits, input bit signed_activations
  );
  import "DPI-C" function void bitswath_mvu_weights(input chandle unit, input int unsigned part, input bit [511:0] bits);
  import "DPI-C" function void bitswath_mvu_activations(
    input chandle unit, input int unsigned part, input bit [511:0] bits
  );
  import "DPI-C" function void bitswath_mvu_accumulate(input chandle unit);
  import "DPI-C" function longint bitswath_mvu_sum(input chandle unit, input int unsigned pe);

  localparam int unsigned W_PARTS = (PE * SIMD * WEIGHT_WIDTH + 511) / 512;
  localparam int unsigned A_PARTS = (ACT_PE * SIMD * ACTIVATION_WIDTH + 511) / 512;
  localparam int unsigned PLACES = 2 ** $clog2(DEPTH + 1);

  chandle unit;
  logic [W_PARTS*512-1:0] w_bits;
  logic [A_PARTS*512-1:0] a_bits;
  logic [PE-1:0][ACCU_WIDTH-1:0] sums[PLACES];
  logic [$clog2(PLACES)-1:0] put, get;
  logic [DEPTH:1] coming;

  initial unit = bitswath_mvu(PE, SIMD, ACT_PE, WEIGHT_WIDTH, ACTIVATION_WIDTH, SIGNED_ACTIVATIONS);

  assign w_bits = (W_PARTS * 512)'(w);
  assign a_bits = (A_PARTS * 512)'(a);
  assign vld = coming[DEPTH];
  assign p = sums[get];

  always @(posedge clk)
    if (rst) begin
      coming <= '0;
      put <= '0;
      get <= '0;
    end else begin
      if (!zero) begin
        for (int i = 0; i < W_PARTS; i++) bitswath_mvu_weights(unit, i, w_bits[i*512+:512]);
        for (int i = 0; i < A_PARTS; i++) bitswath_mvu_activations(unit, i, a_bits[i*512+:512]);
        bitswath_mvu_accumulate(unit);
      end
      if (last) begin
        for (int i = 0; i < PE; i++) sums[put][i] <= ACCU_WIDTH'(bitswath_mvu_sum(unit, i));
        put <= put + 1'b1;
      end
      if (vld) get <= get + 1'b1;
      coming <= {coming[DEPTH-1:1], last};
    end

endmodule
