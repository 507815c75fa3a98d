// Mappings for Yosys before its own, so that it counts what the vendor's tools build (synthesis.py).

// A choice among words becomes one choice for each bit, which is the form in which Yosys finds shift registers with
// a variable tap, that is the queues in SRLs.
(* techmap_celltype = "$bmux" *)
module _choice_by_bits (A, S, Y);
    parameter WIDTH = 1;
    parameter S_WIDTH = 1;
    (* force_downto *) input [(WIDTH << S_WIDTH) - 1:0] A;
    (* force_downto *) input [S_WIDTH-1:0] S;
    (* force_downto *) output [WIDTH-1:0] Y;
    genvar slice, word;
    generate
        for (slice = 0; slice < WIDTH; slice = slice + 1) begin : slices
            (* force_downto *) wire [(1 << S_WIDTH)-1:0] column;
            for (word = 0; word < (1 << S_WIDTH); word = word + 1) begin : words
                assign column[word] = A[word*WIDTH + slice];
            end
            \$shiftx #(.A_SIGNED(0), .B_SIGNED(0), .A_WIDTH(1 << S_WIDTH), .B_WIDTH(S_WIDTH), .Y_WIDTH(1))
                choice (.A(column), .B(S), .Y(Y[slice]));
        end
    endgenerate
endmodule

// A ROM that is not in block RAM: 64 words of a bit in each LUT6. Logic optimization alone needs up to four times
// as many LUTs for it. The netlist is for counting, so the LUTs hold any numbers that differ: taking the real ones
// apart is slow.
(* techmap_celltype = "$mem_v2" *)
module _rom_in_luts (RD_CLK, RD_EN, RD_ARST, RD_SRST, RD_ADDR, RD_DATA, WR_CLK, WR_EN, WR_ADDR, WR_DATA);
    parameter MEMID = "";
    parameter signed SIZE = 4;
    parameter signed OFFSET = 0;
    parameter signed ABITS = 2;
    parameter signed WIDTH = 8;
    parameter signed INIT = 1'bx;
    parameter signed RD_PORTS = 1;
    parameter RD_CLK_ENABLE = 1'b0;
    parameter RD_CLK_POLARITY = 1'b1;
    parameter RD_TRANSPARENCY_MASK = 1'b0;
    parameter RD_COLLISION_X_MASK = 1'b0;
    parameter RD_WIDE_CONTINUATION = 1'b0;
    parameter RD_CE_OVER_SRST = 1'b0;
    parameter RD_ARST_VALUE = 1'b0;
    parameter RD_SRST_VALUE = 1'b0;
    parameter RD_INIT_VALUE = 1'b0;
    parameter signed WR_PORTS = 0;
    parameter WR_CLK_ENABLE = 1'b0;
    parameter WR_CLK_POLARITY = 1'b0;
    parameter WR_PRIORITY_MASK = 1'b0;
    parameter WR_WIDE_CONTINUATION = 1'b0;
    input RD_CLK, RD_EN, RD_ARST, RD_SRST;
    input [ABITS-1:0] RD_ADDR;
    output [WIDTH-1:0] RD_DATA;
    input WR_CLK, WR_EN, WR_ADDR, WR_DATA;

    wire _TECHMAP_FAIL_ = WR_PORTS > 0 || RD_PORTS != 1 || RD_CLK_ENABLE !== 1'b0 || OFFSET != 0 || ABITS < 5;

    localparam LEAVES = (SIZE + 63) / 64;
    wire [ABITS+5:0] address = {6'b0, RD_ADDR};
    genvar slice, leaf;
    generate
        for (slice = 0; slice < WIDTH; slice = slice + 1) begin : slices
            wire [LEAVES-1:0] found;
            for (leaf = 0; leaf < LEAVES; leaf = leaf + 1) begin : leaves
                LUT6 #(.INIT(64'h9E37_79B9_7F4A_7C15 * (leaf * WIDTH + slice + 1))) lut (
                    .I0(address[0]), .I1(address[1]), .I2(address[2]),
                    .I3(address[3]), .I4(address[4]), .I5(address[5]), .O(found[leaf])
                );
            end
            if (LEAVES > 1) assign RD_DATA[slice] = found[address[ABITS+5:6]];
            else assign RD_DATA[slice] = found[0];
        end
    endgenerate
endmodule
