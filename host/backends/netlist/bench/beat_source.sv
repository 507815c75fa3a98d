// Gives the beats of the file NAME.beats in the folder of plusarg `beats`, from the first one on after each reset, with
// pauses. While it gives none its data are random.
module beat_source #(
    parameter int unsigned WIDTH = 8,
    parameter NAME = ""
) (
    input  logic             clk,
    input  logic             rst_n,
    input  logic [7:0]       pause,  // of 256 cycles
    output logic [WIDTH-1:0] tdata,
    output logic             tvalid,
    input  logic             tready
);
  localparam int unsigned WORDS = (WIDTH + 31) / 32;

  int file;
  string folder;
  logic [WIDTH-1:0] beat;
  logic [WORDS-1:0][31:0] noise;
  bit ended, given;

  initial if (!$value$plusargs("beats=%s", folder)) $fatal(1, "beat_source: expected +beats=FOLDER");

  always @(posedge clk) begin
    for (int i = 0; i < WORDS; i++) noise[i] = $urandom();
    if (!rst_n) begin
      if (file != 0) $fclose(file);
      file = $fopen({folder, "/", NAME, ".beats"}, "r");
      if (file == 0) $fatal(1, "beat_source: cannot read %s.beats", NAME);
      ended = 0;
      tvalid <= 1'b0;
      tdata <= noise[0+:WORDS];
    end else if (!tvalid || tready) begin
      given = 0;
      if (!ended && 8'($urandom()) >= pause) begin
        given = $fscanf(file, "%h", beat) == 1;
        ended = !given;
      end
      tvalid <= given;
      tdata <= given ? beat : noise[0+:WORDS];
    end
  end
endmodule
