// Memories of every kind that Yosys maps to block RAM, UltraRAM or LUT RAM, behind the streams that `Part` has: a beat
// says what to do, what was read follows it.
module memory #(
    parameter int unsigned ABITS = 11,
    parameter int unsigned WIDTH = 18,
    parameter STYLE = "block",
    parameter MODE = "read_first",  // of one port; or "two": one that writes, one that reads
    parameter bit BYTES = 0,
    parameter INIT = "",
    localparam int unsigned S_WIDTH = (2 * ABITS + WIDTH + 4 + 7) / 8 * 8,
    localparam int unsigned M_WIDTH = (WIDTH + 7) / 8 * 8
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic [S_WIDTH-1:0] s_axis_tdata,
    input  logic               s_axis_tvalid,
    output logic               s_axis_tready,
    output logic [M_WIDTH-1:0] m_axis_tdata,
    output logic               m_axis_tvalid,
    input  logic               m_axis_tready
);
  (* ram_style = STYLE *) logic [WIDTH-1:0] words[1<<ABITS];
  if (INIT != "") begin : gen_init
    initial $readmemh(INIT, words);
  end else if (STYLE != "ultra") begin : gen_zero
    initial for (int i = 0; i < 1 << ABITS; i++) words[i] = '0;
  end

  logic [WIDTH-1:0] read;
  logic valid;
  // Addresses begin anew with each reset, so that what a memory holds then is written before it is read.
  logic [ABITS-1:0] cleaned;
  logic clean;

  wire move = !valid || m_axis_tready;
  wire take = s_axis_tvalid && s_axis_tready;
  wire [ABITS-1:0] one = s_axis_tdata[ABITS-1:0];
  wire [ABITS-1:0] other = s_axis_tdata[ABITS+:ABITS];
  wire [WIDTH-1:0] value = s_axis_tdata[2*ABITS+:WIDTH];
  wire write = take && (&s_axis_tdata[2*ABITS+WIDTH+:1]);
  wire [ABITS-1:0] into = clean ? one : cleaned;
  wire [WIDTH-1:0] stored = clean ? value : WIDTH'(cleaned) * WIDTH'(77);
  wire enable = clean ? take : 1'b1;
  wire store = clean ? write && MODE != "rom" : MODE != "rom";

  assign s_axis_tready = clean && move;
  assign m_axis_tdata = M_WIDTH'(read);
  assign m_axis_tvalid = valid;

  always_ff @(posedge clk)
    if (!rst_n) begin
      valid <= 1'b0;
      cleaned <= '0;
      clean <= MODE == "rom";
    end else begin
      if (!clean) {clean, cleaned} <= {1'b0, cleaned} + 1'b1;
      if (move) valid <= take;
    end

  if (MODE == "two") begin : gen_two
    always_ff @(posedge clk) begin
      if (store) begin
        if (BYTES) begin
          for (int i = 0; i < WIDTH / 9; i++)
            if (!clean || s_axis_tdata[2*ABITS+WIDTH+1+i%2]) words[into][9*i+:9] <= stored[9*i+:9];
        end else words[into] <= stored;
      end
      if (take) read <= words[other];
    end
  end else if (MODE == "rom") begin : gen_rom
    always_ff @(posedge clk) if (take) read <= words[one];
  end else begin : gen_one
    always_ff @(posedge clk)
      if (enable) begin
        if (store) words[into] <= stored;
        if (MODE == "read_first" || !store) read <= words[into];
        else if (MODE == "write_first") read <= stored;
      end
  end
endmodule
