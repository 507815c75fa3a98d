// The DSP blocks of 7 series (DSP48E1, UG479) and UltraScale+ (DSP48E2, UG579) as far as Yosys and finn-rtllib use
// them: multiplier, pre-adder and adder, all pipeline registers, cascades; no pattern detector, no XOR, no divided
// adder, no carries but CARRYIN.
module dsp48 #(
    parameter int unsigned D_BITS = 25,  // of the pre-adder, and what the multiplier takes of A
    parameter bit USE_AD = 0,  // the multiplier takes the pre-adder's result
    parameter bit MULTIPLIES = 1,
    parameter bit A_CASCADES = 0, B_CASCADES = 0,
    parameter int unsigned AREG = 1, BREG = 1, ACASCREG = 1, BCASCREG = 1, CREG = 1, DREG = 1, ADREG = 1, MREG = 1,
    parameter int unsigned PREG = 1, INMODEREG = 1, OPMODEREG = 1, ALUMODEREG = 1, CARRYINREG = 1, CARRYINSELREG = 1,
    parameter logic [47:0] RND = '0
) (
    input  logic              clk,
    input  logic [29:0]       a, acin,
    input  logic [17:0]       b, bcin,
    input  logic [47:0]       c, pcin,
    input  logic [D_BITS-1:0] d,
    input  logic              carryin,
    input  logic [2:0]        carryinsel,
    input  logic [3:0]        alumode,
    input  logic [4:0]        inmode,
    input  logic [8:0]        opmode,  // the two high bits are 0 on 7 series
    input  logic              cea1, cea2, ceb1, ceb2, cec, ced, cead, cem, cep, cectrl, cealumode, ceinmode, cecarryin,
    input  logic              rsta, rstb, rstc, rstd, rstm, rstp, rstctrl, rstalumode, rstinmode, rstcarryin,
    output logic [29:0]       acout,
    output logic [17:0]       bcout,
    output logic [47:0]       p, pcout
);

  logic [29:0] a_taken, a1, a2;
  logic [17:0] b_taken, b1, b2;
  logic [47:0] c1, p_next;
  logic [D_BITS-1:0] d1, ad_next, ad1;
  logic [D_BITS+17:0] m_next, m1;
  logic [4:0] inmode1;
  logic [8:0] opmode1;
  logic [3:0] alumode1;
  logic [2:0] sel1;
  logic carry1;

  assign a_taken = A_CASCADES ? acin : a;
  assign b_taken = B_CASCADES ? bcin : b;

  optional_register #(.WIDTH(30), .ON(AREG == 2)) reg_a1 (.clk, .ce(cea1), .rst(rsta), .d(a_taken), .q(a1));
  optional_register #(.WIDTH(30), .ON(AREG >= 1)) reg_a2 (.clk, .ce(cea2), .rst(rsta), .d(a1), .q(a2));
  optional_register #(.WIDTH(18), .ON(BREG == 2)) reg_b1 (.clk, .ce(ceb1), .rst(rstb), .d(b_taken), .q(b1));
  optional_register #(.WIDTH(18), .ON(BREG >= 1)) reg_b2 (.clk, .ce(ceb2), .rst(rstb), .d(b1), .q(b2));
  optional_register #(.WIDTH(48), .ON(CREG == 1)) reg_c (.clk, .ce(cec), .rst(rstc), .d(c), .q(c1));
  optional_register #(.WIDTH(D_BITS), .ON(DREG == 1)) reg_d (.clk, .ce(ced), .rst(rstd), .d(d), .q(d1));
  optional_register #(.WIDTH(D_BITS), .ON(ADREG == 1)) reg_ad (.clk, .ce(cead), .rst(rstd), .d(ad_next), .q(ad1));
  optional_register #(.WIDTH(D_BITS + 18), .ON(MREG == 1)) reg_m (.clk, .ce(cem), .rst(rstm), .d(m_next), .q(m1));
  optional_register #(.WIDTH(48), .ON(PREG == 1)) reg_p (.clk, .ce(cep), .rst(rstp), .d(p_next), .q(p));
  optional_register #(.WIDTH(5), .ON(INMODEREG == 1)) reg_inmode (
      .clk, .ce(ceinmode), .rst(rstinmode), .d(inmode), .q(inmode1)
  );
  optional_register #(.WIDTH(9), .ON(OPMODEREG == 1)) reg_opmode (
      .clk, .ce(cectrl), .rst(rstctrl), .d(opmode), .q(opmode1)
  );
  optional_register #(.WIDTH(4), .ON(ALUMODEREG == 1)) reg_alumode (
      .clk, .ce(cealumode), .rst(rstalumode), .d(alumode), .q(alumode1)
  );
  optional_register #(.WIDTH(3), .ON(CARRYINSELREG == 1)) reg_sel (
      .clk, .ce(cectrl), .rst(rstctrl), .d(carryinsel), .q(sel1)
  );
  optional_register #(.WIDTH(1), .ON(CARRYINREG == 1)) reg_carry (
      .clk, .ce(cecarryin), .rst(rstcarryin), .d(carryin), .q(carry1)
  );

  assign acout = ACASCREG == AREG ? a2 : a1;
  assign bcout = BCASCREG == BREG ? b2 : b1;
  assign pcout = p;

  wire [29:0] a_chosen = inmode1[0] ? a1 : a2;
  wire [17:0] b_chosen = inmode1[4] ? b1 : b2;
  wire [D_BITS-1:0] added = inmode1[1] ? '0 : a_chosen[D_BITS-1:0];
  wire [D_BITS-1:0] base = inmode1[2] ? d1 : '0;
  assign ad_next = inmode1[3] ? base - added : base + added;

  wire signed [D_BITS-1:0] factor = USE_AD ? ad1 : a_chosen[D_BITS-1:0];
  assign m_next = MULTIPLIES ? (D_BITS + 18)'(factor * $signed(b_chosen)) : '0;

  logic [47:0] w, x, y, z;
  wire [47:0] product = 48'($signed(m1));

  always_comb begin
    case (opmode1[1:0])
      2'b00: x = '0;
      2'b01: x = product;
      2'b10: x = p;
      default: x = {a2, b2};
    endcase
    case (opmode1[3:2])
      2'b00, 2'b01: y = '0;  // a product is whole in x
      2'b10: y = '1;
      default: y = c1;
    endcase
    case (opmode1[6:4])
      3'b000: z = '0;
      3'b001: z = pcin;
      3'b010, 3'b100: z = p;
      3'b011: z = c1;
      3'b101: z = 48'($signed(pcin) >>> 17);
      3'b110: z = 48'($signed(p) >>> 17);
      default: z = 'x;
    endcase
    case (opmode1[8:7])
      2'b00: w = '0;
      2'b01: w = p;
      2'b10: w = RND;
      default: w = c1;
    endcase
    case (alumode1)
      4'b0000: p_next = z + (w + x + y + 48'(carry1));
      4'b0011: p_next = z - (w + x + y + 48'(carry1));
      4'b0001: p_next = ~z + (w + x + y + 48'(carry1));
      4'b0010: p_next = ~(z + w + x + y + 48'(carry1));
      default: p_next = 'x;
    endcase
  end

  always @(posedge clk) begin
    if (sel1 != 0) $fatal(1, "dsp48: carries but CARRYIN are not modelled");
    if (alumode1 > 3) $fatal(1, "dsp48: logic functions are not modelled");
    if ((opmode1[1:0] == 2'b01) != (opmode1[3:2] == 2'b01)) $fatal(1, "dsp48: half a product is no number");
  end

endmodule

module optional_register #(
    parameter int unsigned WIDTH = 1,
    parameter bit ON = 1
) (
    input  logic             clk, ce, rst,
    input  logic [WIDTH-1:0] d,
    output logic [WIDTH-1:0] q
);
  if (ON) begin : gen_register
    initial q = '0;
    always_ff @(posedge clk)
      if (rst) q <= '0;
      else if (ce) q <= d;
  end else begin : gen_wire
    assign q = d;
  end
endmodule
