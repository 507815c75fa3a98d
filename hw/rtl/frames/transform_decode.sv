// Frames of the transform codec (host/codecs/transform.py) to pixels: link words in, SIMD of a pixel's BANDS bands a
// beat out, HEIGHT x WIDTH pixels a frame in raster order, whatever comes in. With a frame's last beat `frame_valid` is
// high for a cycle and `frame_damaged` says whether it is damaged; where it was found so before a level, those that
// follow are 0. A coefficient a cycle, that is 256 * BANDS cycles a block of 16 x 16, unless a frame has more than
// about 50 levels a block component. The tables' files: see huffman_symbols; what is done about a wrong length: see
// frame_reader.
module transform_decode #(
    parameter int unsigned WORD_BITS = 64,
    parameter int unsigned MAX_BYTES = 2048,
    parameter int unsigned TIMEOUT = 65536,
    parameter int unsigned BANDS = 3,
    parameter int unsigned HEIGHT = 64,
    parameter int unsigned WIDTH = 64,
    parameter int unsigned SIMD = 1,
    parameter logic [15:0] SEED = 16'h0,
    parameter logic [2:0][5:0] DELTAS = '0,
    parameter logic [BANDS*BANDS-1:0][15:0] MATRIX = '0,
    parameter int unsigned QUEUE = 512,
    parameter INIT_PREFIX = "frames_",
    localparam int unsigned M_WIDTH = SIMD * 8
) (
    input  logic                 clk,
    input  logic                 rst_n,
    input  logic [WORD_BITS-1:0] s_axis_tdata,
    input  logic                 s_axis_tvalid,
    output logic                 s_axis_tready,
    output logic [  M_WIDTH-1:0] m_axis_tdata,
    output logic                 m_axis_tvalid,
    input  logic                 m_axis_tready,
    output logic                 frame_valid,
    output logic                 frame_damaged
);

  if (BANDS < 1 || BANDS > 255 || HEIGHT < 1 || WIDTH < 1) begin : gen_bad
    $fatal(1, "transform_decode: expected 1 to 255 bands and a patch of at least one pixel");
  end

  localparam int unsigned LENGTH_BITS = $clog2(MAX_BYTES + 1);
  localparam int unsigned GUARD = BANDS <= 15 ? 0 : BANDS <= 63 ? 1 : 2;

  logic next_valid, next_damaged, next_ready;
  logic [LENGTH_BITS-1:0] next_bytes;
  logic [5:0] step;
  logic byte_ask, byte_valid;
  logic [7:0] byte_data;

  frame_reader #(
      .WORD_BITS(WORD_BITS), .MAX_BYTES(MAX_BYTES), .SEED(SEED), .TIMEOUT(TIMEOUT)
  ) reader (
      .clk, .rst_n, .s_axis_tdata, .s_axis_tvalid, .s_axis_tready,
      .frame_valid(next_valid), .frame_damaged(next_damaged), .frame_bytes(next_bytes), .frame_step(step),
      .frame_ready(next_ready), .byte_ask, .byte_valid, .byte_data
  );

  logic level_valid, level_ready, level_end, level_damaged, negative;
  logic [7:0] position;
  logic [13:0] magnitude;

  huffman_symbols #(
      .BANDS(BANDS), .BLOCKS_X((WIDTH + 15) / 16), .BLOCKS_Y((HEIGHT + 15) / 16), .LENGTH_BITS(LENGTH_BITS),
      .INIT_PREFIX(INIT_PREFIX)
  ) symbols (
      .clk, .rst_n, .frame_valid(next_valid), .frame_damaged(next_damaged), .frame_bytes(next_bytes),
      .frame_ready(next_ready), .byte_ask, .byte_valid, .byte_data,
      .m_valid(level_valid), .m_ready(level_ready), .m_end(level_end), .m_damaged(level_damaged),
      .m_position(position), .m_negative(negative), .m_magnitude(magnitude)
  );

  logic value_valid, value_end, value_damaged;
  logic [7:0] address;
  logic signed [15:0] value;

  dequantize #(.GUARD(GUARD), .DELTAS(DELTAS)) scale (
      .clk, .rst_n, .step, .s_valid(level_valid && level_ready), .s_end(level_end), .s_damaged(level_damaged),
      .s_position(position), .s_negative(negative), .s_magnitude(magnitude),
      .m_valid(value_valid), .m_end(value_end), .m_damaged(value_damaged), .m_address(address), .m_value(value)
  );

  logic [1:0] full, damaged;
  logic read, read_block, read_done;
  logic [7:0] read_address;
  logic signed [15:0] read_value;

  block_buffer #(.QUEUE(QUEUE)) blocks (
      .clk, .rst_n, .s_ready(level_ready), .s_valid(value_valid), .s_end(value_end), .s_damaged(value_damaged),
      .s_address(address), .s_value(value), .full, .damaged, .read, .read_block, .read_address, .read_value, .read_done
  );

  logic open, begins, begins_damaged, sample_valid;
  logic signed [11:0] sample;

  block_inverse #(.GUARD(GUARD)) inverse (
      .clk, .rst_n, .full, .damaged, .read, .read_block, .read_address, .read_value, .read_done,
      .open, .begins, .begins_damaged, .m_valid(sample_valid), .m_sample(sample)
  );

  stripe_bands #(
      .BANDS(BANDS), .HEIGHT(HEIGHT), .WIDTH(WIDTH), .SIMD(SIMD), .MATRIX(MATRIX)
  ) bands (
      .clk, .rst_n, .open, .begins, .begins_damaged, .s_valid(sample_valid), .s_sample(sample),
      .m_axis_tdata, .m_axis_tvalid, .m_axis_tready, .frame_valid, .frame_damaged
  );

endmodule
