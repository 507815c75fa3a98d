// A model of hw/rtl/streams/rom_stream.sv for fast simulation: the same beats in the same cycles, each moved only once.
module rom_stream #(
    parameter int unsigned WIDTH = 8,
    parameter int unsigned DEPTH = 16,
    parameter RAM_STYLE = "auto",
    parameter INIT_FILE = "",
    localparam int unsigned M_WIDTH = (WIDTH + 7) / 8 * 8
) (
    input  logic               clk,
    input  logic               rst_n,
    output logic [M_WIDTH-1:0] m_axis_tdata,
    output logic               m_axis_tvalid,
    input  logic               m_axis_tready
);

  localparam int unsigned ADDRESS_BITS = DEPTH > 1 ? $clog2(DEPTH) : 1;

  logic [WIDTH-1:0] rom[1<<ADDRESS_BITS];  // no address is beyond: Verilator would check it for each 32 bits
  logic [ADDRESS_BITS-1:0] address;
  logic started;

  initial $readmemh(INIT_FILE, rom, 0, DEPTH - 1);

  always_ff @(posedge clk)
    if (!rst_n) begin
      address <= '0;
      started <= 1'b0;
      m_axis_tvalid <= 1'b0;
    end else if (!started) started <= 1'b1;
    else if (!m_axis_tvalid || m_axis_tready) begin
      m_axis_tdata <= M_WIDTH'(rom[address]);
      address <= address == ADDRESS_BITS'(DEPTH - 1) ? '0 : address + 1'b1;
      m_axis_tvalid <= 1'b1;
    end

endmodule
