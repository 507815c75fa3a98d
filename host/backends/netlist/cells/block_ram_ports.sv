// The vendor's block RAMs by their ports, around `block_ram`.

module ramb18e1_model #(
    parameter logic [16383:0] INIT = '0,
    parameter logic [2047:0] INITP = '0,
    parameter int DOA_REG = 0, DOB_REG = 0,
    parameter int READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0,
    parameter WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST",
    parameter RAM_MODE = "TDP",
    parameter logic [17:0] INIT_A = '0, INIT_B = '0,
    parameter logic [17:0] SRVAL_A = '0, SRVAL_B = '0
) (
    input logic CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
    input logic RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
    input logic [13:0] ADDRARDADDR, ADDRBWRADDR,
    input logic [15:0] DIADI, DIBDI,
    input logic [1:0] DIPADIP, DIPBDIP,
    input logic [1:0] WEA,
    input logic [3:0] WEBWE,
    output logic [15:0] DOADO, DOBDO,
    output logic [1:0] DOPADOP, DOPBDOP
);
  if (DOA_REG != 0 || DOB_REG != 0) begin : gen_bad
    $fatal(1, "ramb18e1_model: registers and cascades are not modelled");
  end
  block_ram #(
      .BITS(16384), .INIT(INIT), .INITP(INITP), .HALF(16), .SRVAL_A(SRVAL_A), .SRVAL_B(SRVAL_B),
      .INIT_A(INIT_A), .INIT_B(INIT_B),
      .READ_A(READ_WIDTH_A), .READ_B(READ_WIDTH_B), .WRITE_A(WRITE_WIDTH_A), .WRITE_B(WRITE_WIDTH_B),
      .MODE_A(WRITE_MODE_A), .MODE_B(WRITE_MODE_B)
  ) ram (
      .clk_a(CLKARDCLK), .clk_b(CLKBWRCLK), .en_a(ENARDEN), .en_b(ENBWREN),
      .rst_a(RSTRAMARSTRAM), .rst_b(RSTRAMB), .addr_a(ADDRARDADDR[13:0]), .addr_b(ADDRBWRADDR[13:0]),
      .di_a(DIADI), .di_b(DIBDI), .dip_a(DIPADIP), .dip_b(DIPBDIP),
      .we_a(WEA), .we_b(WEBWE), .do_a(DOADO), .do_b(DOBDO), .dop_a(DOPADOP), .dop_b(DOPBDOP)
  );
endmodule

module ramb18e2_model #(
    parameter logic [16383:0] INIT = '0,
    parameter logic [2047:0] INITP = '0,
    parameter int DOA_REG = 0, DOB_REG = 0,
    parameter int READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0,
    parameter WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST",
    parameter logic [17:0] INIT_A = '0, INIT_B = '0,
    parameter logic [17:0] SRVAL_A = '0, SRVAL_B = '0
) (
    input logic CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
    input logic RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
    input logic ADDRENA, ADDRENB, SLEEP,
    input logic [13:0] ADDRARDADDR, ADDRBWRADDR,
    input logic [15:0] DINADIN, DINBDIN,
    input logic [1:0] DINPADINP, DINPBDINP,
    input logic [1:0] WEA,
    input logic [3:0] WEBWE,
    output logic [15:0] DOUTADOUT, DOUTBDOUT,
    output logic [1:0] DOUTPADOUTP, DOUTPBDOUTP
);
  if (DOA_REG != 0 || DOB_REG != 0) begin : gen_bad
    $fatal(1, "ramb18e2_model: registers and cascades are not modelled");
  end
  block_ram #(
      .BITS(16384), .INIT(INIT), .INITP(INITP), .HALF(16), .SRVAL_A(SRVAL_A), .SRVAL_B(SRVAL_B),
      .INIT_A(INIT_A), .INIT_B(INIT_B),
      .READ_A(READ_WIDTH_A), .READ_B(READ_WIDTH_B), .WRITE_A(WRITE_WIDTH_A), .WRITE_B(WRITE_WIDTH_B),
      .MODE_A(WRITE_MODE_A), .MODE_B(WRITE_MODE_B)
  ) ram (
      .clk_a(CLKARDCLK), .clk_b(CLKBWRCLK), .en_a(ENARDEN && ADDRENA), .en_b(ENBWREN && ADDRENB),
      .rst_a(RSTRAMARSTRAM), .rst_b(RSTRAMB), .addr_a(ADDRARDADDR[13:0]), .addr_b(ADDRBWRADDR[13:0]),
      .di_a(DINADIN), .di_b(DINBDIN), .dip_a(DINPADINP), .dip_b(DINPBDINP),
      .we_a(WEA), .we_b(WEBWE), .do_a(DOUTADOUT), .do_b(DOUTBDOUT), .dop_a(DOUTPADOUTP), .dop_b(DOUTPBDOUTP)
  );
endmodule

module ramb36e1_model #(
    parameter logic [32767:0] INIT = '0,
    parameter logic [4095:0] INITP = '0,
    parameter int DOA_REG = 0, DOB_REG = 0,
    parameter int READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0,
    parameter WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST",
    parameter RAM_MODE = "TDP",
    parameter RAM_EXTENSION_A = "NONE", RAM_EXTENSION_B = "NONE",
    parameter logic [35:0] INIT_A = '0, INIT_B = '0,
    parameter logic [35:0] SRVAL_A = '0, SRVAL_B = '0
) (
    input logic CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
    input logic RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
    input logic [15:0] ADDRARDADDR, ADDRBWRADDR,
    input logic [31:0] DIADI, DIBDI,
    input logic [3:0] DIPADIP, DIPBDIP,
    input logic [3:0] WEA,
    input logic [7:0] WEBWE,
    output logic [31:0] DOADO, DOBDO,
    output logic [3:0] DOPADOP, DOPBDOP
);
  if (DOA_REG != 0 || DOB_REG != 0 || RAM_EXTENSION_A != "NONE" || RAM_EXTENSION_B != "NONE") begin : gen_bad
    $fatal(1, "ramb36e1_model: registers and cascades are not modelled");
  end
  block_ram #(
      .BITS(32768), .INIT(INIT), .INITP(INITP), .HALF(32), .SRVAL_A(SRVAL_A), .SRVAL_B(SRVAL_B),
      .INIT_A(INIT_A), .INIT_B(INIT_B),
      .READ_A(READ_WIDTH_A), .READ_B(READ_WIDTH_B), .WRITE_A(WRITE_WIDTH_A), .WRITE_B(WRITE_WIDTH_B),
      .MODE_A(WRITE_MODE_A), .MODE_B(WRITE_MODE_B)
  ) ram (
      .clk_a(CLKARDCLK), .clk_b(CLKBWRCLK), .en_a(ENARDEN), .en_b(ENBWREN),
      .rst_a(RSTRAMARSTRAM), .rst_b(RSTRAMB), .addr_a(ADDRARDADDR[14:0]), .addr_b(ADDRBWRADDR[14:0]),
      .di_a(DIADI), .di_b(DIBDI), .dip_a(DIPADIP), .dip_b(DIPBDIP),
      .we_a(WEA), .we_b(WEBWE), .do_a(DOADO), .do_b(DOBDO), .dop_a(DOPADOP), .dop_b(DOPBDOP)
  );
endmodule

module ramb36e2_model #(
    parameter logic [32767:0] INIT = '0,
    parameter logic [4095:0] INITP = '0,
    parameter int DOA_REG = 0, DOB_REG = 0,
    parameter int READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0,
    parameter WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST",
    parameter logic [35:0] INIT_A = '0, INIT_B = '0,
    parameter logic [35:0] SRVAL_A = '0, SRVAL_B = '0
) (
    input logic CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
    input logic RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
    input logic ADDRENA, ADDRENB, SLEEP,
    input logic [14:0] ADDRARDADDR, ADDRBWRADDR,
    input logic [31:0] DINADIN, DINBDIN,
    input logic [3:0] DINPADINP, DINPBDINP,
    input logic [3:0] WEA,
    input logic [7:0] WEBWE,
    output logic [31:0] DOUTADOUT, DOUTBDOUT,
    output logic [3:0] DOUTPADOUTP, DOUTPBDOUTP
);
  if (DOA_REG != 0 || DOB_REG != 0) begin : gen_bad
    $fatal(1, "ramb36e2_model: registers and cascades are not modelled");
  end
  block_ram #(
      .BITS(32768), .INIT(INIT), .INITP(INITP), .HALF(32), .SRVAL_A(SRVAL_A), .SRVAL_B(SRVAL_B),
      .INIT_A(INIT_A), .INIT_B(INIT_B),
      .READ_A(READ_WIDTH_A), .READ_B(READ_WIDTH_B), .WRITE_A(WRITE_WIDTH_A), .WRITE_B(WRITE_WIDTH_B),
      .MODE_A(WRITE_MODE_A), .MODE_B(WRITE_MODE_B)
  ) ram (
      .clk_a(CLKARDCLK), .clk_b(CLKBWRCLK), .en_a(ENARDEN && ADDRENA), .en_b(ENBWREN && ADDRENB),
      .rst_a(RSTRAMARSTRAM), .rst_b(RSTRAMB), .addr_a(ADDRARDADDR[14:0]), .addr_b(ADDRBWRADDR[14:0]),
      .di_a(DINADIN), .di_b(DINBDIN), .dip_a(DINPADINP), .dip_b(DINPBDINP),
      .we_a(WEA), .we_b(WEBWE), .do_a(DOUTADOUT), .do_b(DOUTBDOUT), .dop_a(DOUTPADOUTP), .dop_b(DOUTPBDOUTP)
  );
endmodule
