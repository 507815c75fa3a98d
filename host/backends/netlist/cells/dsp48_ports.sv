// The vendor's DSP blocks by their ports, around `dsp48`.

module dsp48e1_model #(
    parameter USE_DPORT = "FALSE",
    parameter A_INPUT = "DIRECT", B_INPUT = "DIRECT", USE_MULT = "MULTIPLY", USE_SIMD = "ONE48",
    parameter AUTORESET_PATDET = "NO_RESET", SEL_MASK = "MASK", SEL_PATTERN = "PATTERN",
    parameter USE_PATTERN_DETECT = "NO_PATDET",
    parameter logic [47:0] MASK = '0, PATTERN = '0,
    parameter int ACASCREG = 1, ADREG = 1, ALUMODEREG = 1, AREG = 1, BCASCREG = 1, BREG = 1, CARRYINREG = 1,
    parameter int CARRYINSELREG = 1, CREG = 1, DREG = 1, INMODEREG = 1, MREG = 1, OPMODEREG = 1, PREG = 1,
    parameter logic [3:0] IS_ALUMODE_INVERTED = '0,
    parameter logic IS_CARRYIN_INVERTED = 0, IS_CLK_INVERTED = 0,
    parameter logic [4:0] IS_INMODE_INVERTED = '0,
    parameter logic [6:0] IS_OPMODE_INVERTED = '0
) (
    output logic [29:0] ACOUT,
    output logic [17:0] BCOUT,
    output logic CARRYCASCOUT, MULTSIGNOUT, OVERFLOW, PATTERNBDETECT, PATTERNDETECT, UNDERFLOW,
    output logic [3:0] CARRYOUT,
    output logic [47:0] P, PCOUT,
    input logic [29:0] A, ACIN,
    input logic [17:0] B, BCIN,
    input logic [47:0] C, PCIN,
    input logic [24:0] D,
    input logic CLK, CARRYIN, CARRYCASCIN, MULTSIGNIN,
    input logic [3:0] ALUMODE,
    input logic [2:0] CARRYINSEL,
    input logic [4:0] INMODE,
    input logic [6:0] OPMODE,
    input logic CEA1, CEA2, CEAD, CEALUMODE, CEB1, CEB2, CEC, CECARRYIN, CECTRL, CED, CEINMODE, CEM, CEP,
    input logic RSTA, RSTALLCARRYIN, RSTALUMODE, RSTB, RSTC, RSTCTRL, RSTD, RSTINMODE, RSTM, RSTP
);
  if (USE_SIMD != "ONE48" || USE_PATTERN_DETECT != "NO_PATDET" || IS_CLK_INVERTED) begin : gen_bad
    $fatal(1, "dsp48e1_model: a feature that is not modelled");
  end
  dsp48 #(
      .D_BITS(25), .USE_AD(USE_DPORT == "TRUE"), .MULTIPLIES(USE_MULT != "NONE"), .A_CASCADES(A_INPUT == "CASCADE"),
      .B_CASCADES(B_INPUT == "CASCADE"), .AREG(AREG), .BREG(BREG), .ACASCREG(ACASCREG), .BCASCREG(BCASCREG),
      .CREG(CREG), .DREG(DREG), .ADREG(ADREG), .MREG(MREG), .PREG(PREG), .INMODEREG(INMODEREG), .OPMODEREG(OPMODEREG),
      .ALUMODEREG(ALUMODEREG), .CARRYINREG(CARRYINREG), .CARRYINSELREG(CARRYINSELREG)
  ) core (
      .clk(CLK), .a(A), .acin(ACIN), .b(B), .bcin(BCIN), .c(C), .pcin(PCIN), .d(D), .carryinsel(CARRYINSEL),
      .carryin(CARRYIN ^ IS_CARRYIN_INVERTED), .alumode(ALUMODE ^ IS_ALUMODE_INVERTED),
      .inmode(INMODE ^ IS_INMODE_INVERTED), .opmode({2'b00, OPMODE ^ IS_OPMODE_INVERTED}),
      .cea1(CEA1), .cea2(CEA2), .ceb1(CEB1), .ceb2(CEB2), .cec(CEC), .ced(CED), .cead(CEAD), .cem(CEM), .cep(CEP),
      .cectrl(CECTRL), .cealumode(CEALUMODE), .ceinmode(CEINMODE), .cecarryin(CECARRYIN),
      .rsta(RSTA), .rstb(RSTB), .rstc(RSTC),
      .rstd(RSTD), .rstm(RSTM), .rstp(RSTP),
      .rstctrl(RSTCTRL), .rstalumode(RSTALUMODE),
      .rstinmode(RSTINMODE), .rstcarryin(RSTALLCARRYIN),
      .acout(ACOUT), .bcout(BCOUT), .p(P), .pcout(PCOUT)
  );
  // What is not modelled is nothing that a netlist could rest upon.
  assign {CARRYCASCOUT, MULTSIGNOUT, OVERFLOW, PATTERNBDETECT, PATTERNDETECT, UNDERFLOW, CARRYOUT} = 'x;
endmodule

module dsp48e2_model #(
    parameter AMULTSEL = "A", BMULTSEL = "B", PREADDINSEL = "A",
    parameter logic [47:0] RND = '0,
    parameter USE_WIDEXOR = "FALSE", XORSIMD = "XOR24_48_96", AUTORESET_PRIORITY = "RESET",
    parameter logic IS_RSTALLCARRYIN_INVERTED = 0, IS_RSTALUMODE_INVERTED = 0, IS_RSTA_INVERTED = 0,
    parameter logic IS_RSTB_INVERTED = 0, IS_RSTCTRL_INVERTED = 0, IS_RSTC_INVERTED = 0, IS_RSTD_INVERTED = 0,
    parameter logic IS_RSTINMODE_INVERTED = 0, IS_RSTM_INVERTED = 0, IS_RSTP_INVERTED = 0,
    parameter A_INPUT = "DIRECT", B_INPUT = "DIRECT", USE_MULT = "MULTIPLY", USE_SIMD = "ONE48",
    parameter AUTORESET_PATDET = "NO_RESET", SEL_MASK = "MASK", SEL_PATTERN = "PATTERN",
    parameter USE_PATTERN_DETECT = "NO_PATDET",
    parameter logic [47:0] MASK = '0, PATTERN = '0,
    parameter int ACASCREG = 1, ADREG = 1, ALUMODEREG = 1, AREG = 1, BCASCREG = 1, BREG = 1, CARRYINREG = 1,
    parameter int CARRYINSELREG = 1, CREG = 1, DREG = 1, INMODEREG = 1, MREG = 1, OPMODEREG = 1, PREG = 1,
    parameter logic [3:0] IS_ALUMODE_INVERTED = '0,
    parameter logic IS_CARRYIN_INVERTED = 0, IS_CLK_INVERTED = 0,
    parameter logic [4:0] IS_INMODE_INVERTED = '0,
    parameter logic [8:0] IS_OPMODE_INVERTED = '0
) (
    output logic [29:0] ACOUT,
    output logic [17:0] BCOUT,
    output logic CARRYCASCOUT, MULTSIGNOUT, OVERFLOW, PATTERNBDETECT, PATTERNDETECT, UNDERFLOW,
    output logic [3:0] CARRYOUT,
    output logic [47:0] P, PCOUT,
    output logic [7:0] XOROUT,
    input logic [29:0] A, ACIN,
    input logic [17:0] B, BCIN,
    input logic [47:0] C, PCIN,
    input logic [26:0] D,
    input logic CLK, CARRYIN, CARRYCASCIN, MULTSIGNIN,
    input logic [3:0] ALUMODE,
    input logic [2:0] CARRYINSEL,
    input logic [4:0] INMODE,
    input logic [8:0] OPMODE,
    input logic CEA1, CEA2, CEAD, CEALUMODE, CEB1, CEB2, CEC, CECARRYIN, CECTRL, CED, CEINMODE, CEM, CEP,
    input logic RSTA, RSTALLCARRYIN, RSTALUMODE, RSTB, RSTC, RSTCTRL, RSTD, RSTINMODE, RSTM, RSTP
);
  if (USE_SIMD != "ONE48" || USE_PATTERN_DETECT != "NO_PATDET" || IS_CLK_INVERTED || BMULTSEL != "B" || PREADDINSEL != "A" || USE_WIDEXOR != "FALSE") begin : gen_bad
    $fatal(1, "dsp48e2_model: a feature that is not modelled");
  end
  dsp48 #(
      .D_BITS(27), .USE_AD(AMULTSEL == "AD"), .MULTIPLIES(USE_MULT != "NONE"), .RND(RND), .A_CASCADES(A_INPUT == "CASCADE"),
      .B_CASCADES(B_INPUT == "CASCADE"), .AREG(AREG), .BREG(BREG), .ACASCREG(ACASCREG), .BCASCREG(BCASCREG),
      .CREG(CREG), .DREG(DREG), .ADREG(ADREG), .MREG(MREG), .PREG(PREG), .INMODEREG(INMODEREG), .OPMODEREG(OPMODEREG),
      .ALUMODEREG(ALUMODEREG), .CARRYINREG(CARRYINREG), .CARRYINSELREG(CARRYINSELREG)
  ) core (
      .clk(CLK), .a(A), .acin(ACIN), .b(B), .bcin(BCIN), .c(C), .pcin(PCIN), .d(D), .carryinsel(CARRYINSEL),
      .carryin(CARRYIN ^ IS_CARRYIN_INVERTED), .alumode(ALUMODE ^ IS_ALUMODE_INVERTED),
      .inmode(INMODE ^ IS_INMODE_INVERTED), .opmode(OPMODE ^ IS_OPMODE_INVERTED),
      .cea1(CEA1), .cea2(CEA2), .ceb1(CEB1), .ceb2(CEB2), .cec(CEC), .ced(CED), .cead(CEAD), .cem(CEM), .cep(CEP),
      .cectrl(CECTRL), .cealumode(CEALUMODE), .ceinmode(CEINMODE), .cecarryin(CECARRYIN),
      .rsta(RSTA ^ IS_RSTA_INVERTED), .rstb(RSTB ^ IS_RSTB_INVERTED), .rstc(RSTC ^ IS_RSTC_INVERTED),
      .rstd(RSTD ^ IS_RSTD_INVERTED), .rstm(RSTM ^ IS_RSTM_INVERTED), .rstp(RSTP ^ IS_RSTP_INVERTED),
      .rstctrl(RSTCTRL ^ IS_RSTCTRL_INVERTED), .rstalumode(RSTALUMODE ^ IS_RSTALUMODE_INVERTED),
      .rstinmode(RSTINMODE ^ IS_RSTINMODE_INVERTED), .rstcarryin(RSTALLCARRYIN ^ IS_RSTALLCARRYIN_INVERTED),
      .acout(ACOUT), .bcout(BCOUT), .p(P), .pcout(PCOUT)
  );
  // What is not modelled is nothing that a netlist could rest upon.
  assign {CARRYCASCOUT, MULTSIGNOUT, OVERFLOW, PATTERNBDETECT, PATTERNDETECT, UNDERFLOW, CARRYOUT} = 'x;
  assign XOROUT = 'x;
endmodule
