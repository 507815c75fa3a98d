// Simulation only, under BITSWATH_TAPS: writes every beat of a stream, a line of hexadecimal digits each, to the
// file NAME.beats in the folder that the simulator is given as +taps=FOLDER. Without it nothing is written.
module stream_tap #(
    parameter int unsigned WIDTH = 8,
    parameter NAME = "stream"
) (
    input logic             clk,
    input logic             rst_n,
    input logic [WIDTH-1:0] tdata,
    input logic             tvalid,
    input logic             tready
);

`ifdef BITSWATH_TAPS
  string folder;
  int file;

  initial begin
    file = 0;
    if ($value$plusargs("taps=%s", folder)) file = $fopen({folder, "/", NAME, ".beats"}, "w");
  end

  always @(posedge clk) if (rst_n && tvalid && tready && file != 0) $fwrite(file, "%h\n", tdata);

  final if (file != 0) $fclose(file);
`endif

endmodule
