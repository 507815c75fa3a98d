// Levels to coefficients, in units of a step of the frame, and positions of the zigzag scan to rows and columns: min((r
// * step + half) >> shift, 32767) with r = 32 |level| - DELTAS[min(|level|, 3) - 1], DC without a delta. The step is 2
// ** (i / 8) in 8 bits behind the point. One a cycle, 6 cycles later; what follows has room for those 6.
module dequantize #(
    parameter int unsigned GUARD = 0,  // right shifts more than for up to 15 bands
    parameter logic [2:0][5:0] DELTAS = '0  // two's complement; for levels of 1 in the low bits
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic        [ 5:0] step,
    input  logic               s_valid,
    input  logic               s_end,
    input  logic               s_damaged,
    input  logic        [ 7:0] s_position,
    input  logic               s_negative,
    input  logic        [13:0] s_magnitude,
    output logic               m_valid,
    output logic               m_end,
    output logic               m_damaged,
    output logic        [ 7:0] m_address,   // row, column
    output logic signed [15:0] m_value
);

  localparam int unsigned SHIFT = 11 + GUARD;  // the step's power of two is in the factor
  localparam logic [7:0][8:0] MANTISSAS = {9'd470, 9'd431, 9'd395, 9'd362, 9'd332, 9'd304, 9'd279, 9'd256};

  function automatic logic [255:0][7:0] scan();
    automatic int n = 0;
    for (int sum = 0; sum < 31; sum++)
      for (int i = 0; i <= sum; i++)
        if (i < 16 && sum - i < 16) begin  // (u, v): ascending u where u + v is odd, ascending v where it is even
          scan[n] = sum % 2 == 1 ? {4'(i), 4'(sum - i)} : {4'(sum - i), 4'(i)};
          n++;
        end
  endfunction

  logic [7:0] scan_rom[256];
  localparam logic [255:0][7:0] SCAN = scan();
  initial for (int i = 0; i < 256; i++) scan_rom[i] = SCAN[i];

  logic signed [5:0] delta;
  logic signed [19:0] reduced;
  logic [15:0] factor;
  logic signed [36:0] product;
  logic [36-SHIFT:0] scaled;
  logic [14:0] magnitude;

  logic [4:0] valid, ends, damaged, negative;
  logic [3:0][7:0] address;
  logic [7:0] position;
  logic [13:0] level;
  logic [5:0] index;

  always_comb begin
    delta = level >= 3 ? DELTAS[2] : level == 2 ? DELTAS[1] : DELTAS[0];
    if (position == 0) delta = '0;
  end

  always_ff @(posedge clk) begin
    position <= s_position;
    level <= s_magnitude;
    index <= step;
    reduced <= $signed({1'b0, level, 5'd0}) - 20'(delta);
    factor <= 16'(MANTISSAS[index[2:0]]) << index[5:3];
    product <= reduced * $signed({1'b0, factor});
    scaled <= (37 - SHIFT)'((product + 37'(1 << (SHIFT - 1))) >> SHIFT);
    magnitude <= scaled > (37 - SHIFT)'(32767) ? 15'd32767 : scaled[14:0];
    m_value <= negative[4] ? -16'(magnitude) : 16'(magnitude);
    ends <= {ends[3:0], s_end};
    damaged <= {damaged[3:0], s_damaged};
    negative <= {negative[3:0], s_negative};
    address <= {address[2:0], scan_rom[position]};
    m_end <= ends[4];
    m_damaged <= damaged[4];
    m_address <= address[3];
    {m_valid, valid} <= rst_n ? {valid, s_valid} : '0;
  end

endmodule
