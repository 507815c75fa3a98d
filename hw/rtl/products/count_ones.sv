// Count of ones among 18 bits in a pipeline of three steps that moves while `en` is set. Threes of bits are counted
// together with the gates that make them (two LUT6), then six of these counts at once (nine LUTs): 1.2 LUTs a bit.
module count_ones (
    input  logic        clk,
    input  logic        en,
    input  logic [17:0] x,
    output logic [ 4:0] count
);

  // As tables, which a LUT6 holds, and not as additions, of which synthesis makes carry chains.
  function automatic logic [2:0] ones(logic [5:0] bits);
    automatic logic [63:0] table0, table1, table2;
    for (int i = 0; i < 64; i++)
      {table2[i], table1[i], table0[i]} = 3'(i[0]) + 3'(i[1]) + 3'(i[2]) + 3'(i[3]) + 3'(i[4]) + 3'(i[5]);
    return {table2[bits], table1[bits], table0[bits]};
  endfunction

  logic [5:0] ones_of_three, twos_of_three;
  logic [2:0] low, high;

  always_ff @(posedge clk)
    if (en) begin
      for (int i = 0; i < 6; i++) begin
        ones_of_three[i] <= x[3*i] ^ x[3*i+1] ^ x[3*i+2];
        twos_of_three[i] <= (x[3*i] & x[3*i+1]) | (x[3*i+2] & (x[3*i] | x[3*i+1]));
      end
      low   <= ones(ones_of_three);
      high  <= ones(twos_of_three);
      count <= {{2'b0, low[2:1]} + {1'b0, high}, low[0]};
    end

endmodule
