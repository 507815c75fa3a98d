// Endless stream of a memory's words, over and over: the weights of lut_mvu and lut_vvu. One beat a cycle.
// INIT_FILE ($readmemh): DEPTH lines, such as FINN's memblock.dat. A read passes two registers, as block RAM has.
module rom_stream #(
    parameter int unsigned WIDTH = 8,
    parameter int unsigned DEPTH = 16,
    // verilator lint_off UNUSEDPARAM
    parameter RAM_STYLE = "auto",  // read by synthesis
    // verilator lint_on UNUSEDPARAM
    parameter INIT_FILE = "",
    localparam int unsigned M_WIDTH = (WIDTH + 7) / 8 * 8
) (
    input  logic               clk,
    input  logic               rst_n,
    output logic [M_WIDTH-1:0] m_axis_tdata,
    output logic               m_axis_tvalid,
    input  logic               m_axis_tready
);

  if (DEPTH < 1 || WIDTH < 1 || INIT_FILE == "") begin : gen_bad
    $fatal(1, "rom_stream: expected DEPTH and WIDTH of at least 1 and an INIT_FILE");
  end

  localparam int unsigned ADDRESS_BITS = DEPTH > 1 ? $clog2(DEPTH) : 1;

`ifdef __slang__  // Yosys' reader; Yosys knows no ROM in distributed memory
  (* rom_style = RAM_STYLE == "distributed" ? "logic" : RAM_STYLE *)
`else
  (* rom_style = RAM_STYLE *)
`endif
  logic [WIDTH-1:0] rom[DEPTH];
  logic [WIDTH-1:0] read, word;
  logic [ADDRESS_BITS-1:0] address;
  logic read_valid, valid;

  initial $readmemh(INIT_FILE, rom);

  wire en = !valid || m_axis_tready;

  assign m_axis_tdata = M_WIDTH'(word);
  assign m_axis_tvalid = valid;

  always_ff @(posedge clk)
    if (en) begin
      read <= rom[address];
      word <= read;
    end

  always_ff @(posedge clk)
    if (!rst_n) begin
      address <= '0;
      read_valid <= 1'b0;
      valid <= 1'b0;
    end else if (en) begin
      address <= address == ADDRESS_BITS'(DEPTH - 1) ? '0 : address + 1'b1;
      read_valid <= 1'b1;
      valid <= read_valid;
    end

  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
