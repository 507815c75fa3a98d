// Black boxes of the vendor primitives that finn-rtllib instantiates, so that synthesis can count them.
// Parameters and ports are those that its instances name.

(* blackbox *)
module LUT6_2 #(
	parameter INIT = 0
)(
	output O6, output O5, input I0, input I1, input I2, input I3, input I4, input I5
);
endmodule

(* blackbox *)
module DSP48E1 #(
	parameter A_INPUT = 0, parameter B_INPUT = 0, parameter USE_DPORT = 0, parameter USE_MULT = 0, parameter
	USE_SIMD = 0, parameter AUTORESET_PATDET = 0, parameter MASK = 0, parameter PATTERN = 0, parameter SEL_MASK =
	0, parameter SEL_PATTERN = 0, parameter USE_PATTERN_DETECT = 0, parameter ACASCREG = 0, parameter ADREG = 0,
	parameter ALUMODEREG = 0, parameter AREG = 0, parameter BCASCREG = 0, parameter BREG = 0, parameter CARRYINREG
	= 0, parameter CARRYINSELREG = 0, parameter CREG = 0, parameter DREG = 0, parameter INMODEREG = 0, parameter
	MREG = 0, parameter OPMODEREG = 0, parameter PREG = 0
)(
	output [29:0] ACOUT, output [17:0] BCOUT, output CARRYCASCOUT, output MULTSIGNOUT, output [47:0] PCOUT, output
	OVERFLOW, output PATTERNBDETECT, output PATTERNDETECT, output UNDERFLOW, output [3:0] CARRYOUT, output [47:0]
	P, input [29:0] ACIN, input [17:0] BCIN, input CARRYCASCIN, input MULTSIGNIN, input [47:0] PCIN, input CLK,
	input [3:0] ALUMODE, input [2:0] CARRYINSEL, input [4:0] INMODE, input [6:0] OPMODE, input [29:0] A, input
	[17:0] B, input [47:0] C, input CARRYIN, input [24:0] D, input CEA1, input CEA2, input CEAD, input CEALUMODE,
	input CEB1, input CEB2, input CEC, input CECARRYIN, input CECTRL, input CED, input CEINMODE, input CEM, input
	CEP, input RSTA, input RSTB, input RSTC, input RSTD, input RSTALLCARRYIN, input RSTALUMODE, input RSTCTRL,
	input RSTINMODE, input RSTM, input RSTP
);
endmodule

(* blackbox *)
module DSP48E2 #(
	parameter AMULTSEL = 0, parameter A_INPUT = 0, parameter BMULTSEL = 0, parameter B_INPUT = 0, parameter
	PREADDINSEL = 0, parameter RND = 0, parameter USE_MULT = 0, parameter USE_SIMD = 0, parameter USE_WIDEXOR = 0,
	parameter XORSIMD = 0, parameter AUTORESET_PATDET = 0, parameter AUTORESET_PRIORITY = 0, parameter MASK = 0,
	parameter PATTERN = 0, parameter SEL_MASK = 0, parameter SEL_PATTERN = 0, parameter USE_PATTERN_DETECT = 0,
	parameter IS_ALUMODE_INVERTED = 0, parameter IS_CARRYIN_INVERTED = 0, parameter IS_CLK_INVERTED = 0, parameter
	IS_INMODE_INVERTED = 0, parameter IS_OPMODE_INVERTED = 0, parameter IS_RSTALLCARRYIN_INVERTED = 0, parameter
	IS_RSTALUMODE_INVERTED = 0, parameter IS_RSTA_INVERTED = 0, parameter IS_RSTB_INVERTED = 0, parameter
	IS_RSTCTRL_INVERTED = 0, parameter IS_RSTC_INVERTED = 0, parameter IS_RSTD_INVERTED = 0, parameter
	IS_RSTINMODE_INVERTED = 0, parameter IS_RSTM_INVERTED = 0, parameter IS_RSTP_INVERTED = 0, parameter ACASCREG
	= 0, parameter ADREG = 0, parameter ALUMODEREG = 0, parameter AREG = 0, parameter BCASCREG = 0, parameter BREG
	= 0, parameter CARRYINREG = 0, parameter CARRYINSELREG = 0, parameter CREG = 0, parameter DREG = 0, parameter
	INMODEREG = 0, parameter MREG = 0, parameter OPMODEREG = 0, parameter PREG = 0
)(
	output [33:0] ACOUT, output [23:0] BCOUT, output CARRYCASCOUT, output MULTSIGNOUT, output [57:0] PCOUT, output
	OVERFLOW, output PATTERNBDETECT, output PATTERNDETECT, output UNDERFLOW, output [3:0] CARRYOUT, output [57:0]
	P, output [7:0] XOROUT, input [33:0] ACIN, input [23:0] BCIN, input CARRYCASCIN, input MULTSIGNIN, input
	[57:0] PCIN, input CLK, input [3:0] ALUMODE, input [2:0] CARRYINSEL, input [4:0] INMODE, input [8:0] OPMODE,
	input [29:0] A, input [17:0] B, input [47:0] C, input CARRYIN, input [26:0] D, input CEA1, input CEA2, input
	CEAD, input CEALUMODE, input CEB1, input CEB2, input CEC, input CECARRYIN, input CECTRL, input CED, input
	CEINMODE, input CEM, input CEP, input RSTA, input RSTB, input RSTC, input RSTD, input RSTALLCARRYIN, input
	RSTALUMODE, input RSTCTRL, input RSTINMODE, input RSTM, input RSTP
);
endmodule

(* blackbox *)
module DSP58 #(
	parameter AMULTSEL = 0, parameter A_INPUT = 0, parameter BMULTSEL = 0, parameter B_INPUT = 0, parameter
	DSP_MODE = 0, parameter PREADDINSEL = 0, parameter RND = 0, parameter USE_MULT = 0, parameter USE_SIMD = 0,
	parameter USE_WIDEXOR = 0, parameter XORSIMD = 0, parameter AUTORESET_PATDET = 0, parameter AUTORESET_PRIORITY
	= 0, parameter MASK = 0, parameter PATTERN = 0, parameter SEL_MASK = 0, parameter SEL_PATTERN = 0, parameter
	USE_PATTERN_DETECT = 0, parameter IS_ALUMODE_INVERTED = 0, parameter IS_CARRYIN_INVERTED = 0, parameter
	IS_CLK_INVERTED = 0, parameter IS_INMODE_INVERTED = 0, parameter IS_NEGATE_INVERTED = 0, parameter
	IS_OPMODE_INVERTED = 0, parameter IS_RSTALLCARRYIN_INVERTED = 0, parameter IS_RSTALUMODE_INVERTED = 0,
	parameter IS_RSTA_INVERTED = 0, parameter IS_RSTB_INVERTED = 0, parameter IS_RSTCTRL_INVERTED = 0, parameter
	IS_RSTC_INVERTED = 0, parameter IS_RSTD_INVERTED = 0, parameter IS_RSTINMODE_INVERTED = 0, parameter
	IS_RSTM_INVERTED = 0, parameter IS_RSTP_INVERTED = 0, parameter ACASCREG = 0, parameter ADREG = 0, parameter
	ALUMODEREG = 0, parameter AREG = 0, parameter BCASCREG = 0, parameter BREG = 0, parameter CARRYINREG = 0,
	parameter CARRYINSELREG = 0, parameter CREG = 0, parameter DREG = 0, parameter INMODEREG = 0, parameter MREG =
	0, parameter OPMODEREG = 0, parameter PREG = 0, parameter RESET_MODE = 0
)(
	output [33:0] ACOUT, output [23:0] BCOUT, output CARRYCASCOUT, output MULTSIGNOUT, output [57:0] PCOUT, output
	OVERFLOW, output PATTERNBDETECT, output PATTERNDETECT, output UNDERFLOW, output [3:0] CARRYOUT, output [57:0]
	P, output [7:0] XOROUT, input [33:0] ACIN, input [23:0] BCIN, input CARRYCASCIN, input MULTSIGNIN, input
	[57:0] PCIN, input CLK, input [3:0] ALUMODE, input [2:0] CARRYINSEL, input [4:0] INMODE, input [2:0] NEGATE,
	input [8:0] OPMODE, input [33:0] A, input [23:0] B, input [57:0] C, input CARRYIN, input [26:0] D, input
	ASYNC_RST, input CEA1, input CEA2, input CEAD, input CEALUMODE, input CEB1, input CEB2, input CEC, input
	CECARRYIN, input CECTRL, input CED, input CEINMODE, input CEM, input CEP, input RSTA, input RSTB, input RSTC,
	input RSTD, input RSTALLCARRYIN, input RSTALUMODE, input RSTCTRL, input RSTINMODE, input RSTM, input RSTP
);
endmodule
