// Block RAMs of 7 series and UltraScale+ (UG473, UG573) as far as Yosys uses them: two ports of one clock each,
// widths that differ, byte enables, the three write modes, no output register, no cascade. With both ports together
// one is twice as wide (simple dual port).
//
// Where both ports meet one bit and one of them writes, the other reads what was there before if the writing port is
// READ_FIRST; else the vendor promises nothing, and this gives what is certainly wrong.
module block_ram #(
    parameter int unsigned BITS = 16384,  // without parity
    parameter logic [BITS-1:0] INIT = '0,
    parameter logic [BITS/8-1:0] INITP = '0,
    parameter int unsigned HALF = 16,  // data bits of a port that is not joined with the other
    parameter int unsigned READ_A = 0, WRITE_A = 0, READ_B = 0, WRITE_B = 0,  // with parity, as in READ_WIDTH_A
    parameter MODE_A = "WRITE_FIRST", MODE_B = "WRITE_FIRST",
    parameter logic [HALF*9/8-1:0] INIT_A = '0, INIT_B = '0, SRVAL_A = '0, SRVAL_B = '0,
    localparam int unsigned WIDE = 2 * HALF,
    localparam int unsigned AW = $clog2(BITS)
) (
    input  logic                clk_a, clk_b, en_a, en_b, rst_a, rst_b,
    input  logic [AW-1:0]       addr_a, addr_b,
    input  logic [HALF-1:0]     di_a, di_b,
    input  logic [HALF/8-1:0]   dip_a, dip_b,
    input  logic [HALF/8-1:0]   we_a,
    input  logic [WIDE/8-1:0]   we_b,
    output logic [HALF-1:0]     do_a, do_b,
    output logic [HALF/8-1:0]   dop_a, dop_b
);

  localparam bit JOINED_READ = READ_A > HALF * 9 / 8;
  localparam bit JOINED_WRITE = WRITE_B > HALF * 9 / 8;

  logic [7:0] data[BITS/8];
  logic [BITS/8-1:0] parity;

  initial begin
    for (int i = 0; i < BITS / 8; i++) data[i] = INIT[8*i+:8];
    parity = INITP;
    {dop_a, do_a} = INIT_A;
    {dop_b, do_b} = INIT_B;
  end

  // Data bits of a width that counts parity.
  function automatic int unsigned plain(int unsigned width);
    plain = width < 9 ? width : width / 9 * 8;
  endfunction

  function automatic logic [WIDE*9/8-1:0] word(int unsigned width, logic [AW-1:0] addr);
    automatic int unsigned bits = plain(width), at = addr / AW'(1) & ~(bits - 1);
    word = '0;
    if (bits < 8) for (int i = 0; i < bits; i++) word[i] = data[(at+i)/8][(at+i)%8];
    else
      for (int i = 0; i < bits / 8; i++) begin
        word[8*i+:8] = data[at/8+i];
        word[WIDE+i] = parity[at/8+i];
      end
  endfunction

  task automatic store(int unsigned width, logic [AW-1:0] addr, logic [WIDE-1:0] value, logic [WIDE/8-1:0] p,
                       logic [WIDE/8-1:0] enable);
    automatic int unsigned bits = plain(width), at = addr & ~(bits - 1);
    if (bits < 8) begin
      if (enable[0]) for (int i = 0; i < bits; i++) data[(at+i)/8][(at+i)%8] = value[i];
    end else
      for (int i = 0; i < bits / 8; i++)
        if (enable[i]) begin
          data[at/8+i] = value[8*i+:8];
          if (width >= 9) parity[at/8+i] = p[i];
        end
  endtask

  // Whether a word of one port and one of the other have a bit in common.
  function automatic bit meet(int unsigned width, logic [AW-1:0] addr, int unsigned other, logic [AW-1:0] elsewhere);
    automatic int unsigned bits = plain(width > other ? width : other);
    meet = width != 0 && other != 0 && (addr & ~(bits - 1)) == (elsewhere & ~(bits - 1));
  endfunction

  wire writes_a = en_a && WRITE_A != 0 && |we_a;
  wire writes_b = en_b && WRITE_B != 0 && |we_b;
  wire lost_a = writes_b && MODE_B != "READ_FIRST" && meet(READ_A, addr_a, WRITE_B, addr_b);
  wire lost_b = writes_a && MODE_A != "READ_FIRST" && meet(READ_B, addr_b, WRITE_A, addr_a);

  // One process for both ports: netlists of one clock. What is read is what was there before either writes.
  always @(posedge clk_a) begin
    automatic logic [WIDE*9/8-1:0] a = word(READ_A, addr_a), b = word(READ_B, addr_b);
    if (writes_a) store(WRITE_A, addr_a, WIDE'(di_a), (WIDE / 8)'(dip_a), (WIDE / 8)'(we_a));
    if (writes_b)
      store(WRITE_B, addr_b, JOINED_WRITE ? {di_b, di_a} : WIDE'(di_b),
            JOINED_WRITE ? {dip_b, dip_a} : (WIDE / 8)'(dip_b), we_b);
    if (MODE_A == "WRITE_FIRST" && writes_a) a = word(READ_A, addr_a);
    if (MODE_B == "WRITE_FIRST" && writes_b) b = word(READ_B, addr_b);
    if (lost_a) a = ~a;
    if (lost_b) b = ~b;
    if (en_a && READ_A != 0) begin
      if (rst_a) {dop_a, do_a} <= SRVAL_A;
      else if (MODE_A != "NO_CHANGE" || !writes_a) {dop_a, do_a} <= {a[WIDE+:HALF/8], a[HALF-1:0]};
      if (JOINED_READ && rst_a) {dop_b, do_b} <= SRVAL_B;
      else if (JOINED_READ) {dop_b, do_b} <= {a[WIDE+HALF/8+:HALF/8], a[WIDE-1:HALF]};
    end
    if (en_b && READ_B != 0) begin
      if (rst_b) {dop_b, do_b} <= SRVAL_B;
      else if (MODE_B != "NO_CHANGE" || !writes_b) {dop_b, do_b} <= {b[WIDE+:HALF/8], b[HALF-1:0]};
    end
  end

endmodule
