// Samples of components, block by block, to pixels in raster order: as a block's last component comes, its bands are
// clip(128 + (sum over components c of MATRIX[c * BANDS + b] * sample + 2048 >> 12), 0, 255), one pixel a cycle;
// STRIPES stripes of 16 lines hold pixels until they leave, SIMD bands a beat. Columns and lines behind WIDTH and
// HEIGHT are dropped. One beat a cycle. `open` says that the next block component may begin; each `begins` leads to 256
// samples. With a frame's last beat, `frame_valid` is high for a cycle and `frame_damaged` says whether it is.
module stripe_bands #(
    parameter int unsigned BANDS = 3,
    parameter int unsigned HEIGHT = 64,
    parameter int unsigned WIDTH = 64,
    parameter int unsigned SIMD = 1,
    parameter logic [BANDS*BANDS-1:0][15:0] MATRIX = '0,  // two's complement, 12 bits behind the point
    parameter int unsigned STRIPES = BANDS > 1 ? 2 : 4,  // a power of two
    localparam int unsigned M_WIDTH = SIMD * 8,
    localparam int unsigned SAMPLE_BITS = 12
) (
    input  logic                          clk,
    input  logic                          rst_n,
    output logic                          open,
    input  logic                          begins,
    input  logic                          begins_damaged,
    input  logic                          s_valid,
    input  logic signed [SAMPLE_BITS-1:0] s_sample,
    output logic        [    M_WIDTH-1:0] m_axis_tdata,
    output logic                          m_axis_tvalid,
    input  logic                          m_axis_tready,
    output logic                          frame_valid,
    output logic                          frame_damaged
);

  if (SIMD < 1 || BANDS % SIMD != 0 || STRIPES < 2 || (STRIPES & (STRIPES - 1)) != 0) begin : gen_bad
    $fatal(1, "stripe_bands: expected SIMD to divide BANDS and STRIPES to be a power of two");
  end

  localparam int unsigned BLOCKS_X = (WIDTH + 15) / 16;
  localparam int unsigned BLOCKS_Y = (HEIGHT + 15) / 16;
  localparam int unsigned LINE = 16 * BLOCKS_X;
  localparam int unsigned STRIPE = 16 * LINE;
  localparam int unsigned DEPTH = STRIPES * STRIPE;
  localparam int unsigned ADDRESS_BITS = $clog2(DEPTH);
  localparam int unsigned LAST_LINES = HEIGHT - 16 * (BLOCKS_Y - 1);
  localparam int unsigned BAND_BITS = BANDS > 1 ? $clog2(BANDS) : 1;
  localparam int unsigned STRIPE_BITS = $clog2(STRIPES);
  localparam int unsigned X_BITS = BLOCKS_X > 1 ? $clog2(BLOCKS_X) : 1;
  localparam int unsigned Y_BITS = BLOCKS_Y > 1 ? $clog2(BLOCKS_Y) : 1;
  localparam int unsigned SUM_BITS = SAMPLE_BITS + 17 + $clog2(BANDS + 1);

  localparam logic [ADDRESS_BITS:0] STEP = 1;
  localparam logic [ADDRESS_BITS:0] NEXT_LINE = (ADDRESS_BITS + 1)'(LINE - WIDTH + 1);
  localparam logic [ADDRESS_BITS:0] NEXT_FRAME = (ADDRESS_BITS + 1)'((17 - LAST_LINES) * LINE - WIDTH + 1);

  typedef logic [ADDRESS_BITS-1:0] address_t;

  function automatic address_t on(address_t from, logic [ADDRESS_BITS:0] steps);
    automatic logic [ADDRESS_BITS:0] sum = {1'b0, from} + steps;
    return address_t'(sum >= (ADDRESS_BITS + 1)'(DEPTH) ? sum - (ADDRESS_BITS + 1)'(DEPTH) : sum);
  endfunction

  // Which block components may begin
  logic [BAND_BITS-1:0] band_ahead;
  logic [X_BITS-1:0] x_ahead;
  logic [STRIPE_BITS:0] taken;  // stripes with pixels in them or on their way
  logic [STRIPE_BITS-1:0] stripe_ahead;
  logic [STRIPES-1:0] bad;
  logic stripe_read;
  wire last_ahead = band_ahead == BAND_BITS'(BANDS - 1);
  wire opens_stripe = last_ahead && x_ahead == 0;

  assign open = !opens_stripe || taken != (STRIPE_BITS + 1)'(STRIPES);

  always_ff @(posedge clk) begin
    if (begins && last_ahead) bad[stripe_ahead] <= begins_damaged;
    if (!rst_n) begin
      band_ahead <= '0;
      x_ahead <= '0;
      taken <= '0;
      stripe_ahead <= '0;
    end else begin
      taken <= taken + (STRIPE_BITS + 1)'(begins && opens_stripe) - (STRIPE_BITS + 1)'(stripe_read);
      if (begins) band_ahead <= last_ahead ? '0 : band_ahead + 1'b1;
      if (begins && last_ahead) begin
        x_ahead <= x_ahead == X_BITS'(BLOCKS_X - 1) ? '0 : x_ahead + 1'b1;
        stripe_ahead <= stripe_ahead + STRIPE_BITS'(x_ahead == X_BITS'(BLOCKS_X - 1));
      end
    end
  end

  // A pixel's samples side by side
  logic [BANDS-1:0][SAMPLE_BITS-1:0] samples;
  logic [BAND_BITS-1:0] band;
  logic [7:0] place;
  logic samples_valid;
  wire last_band = band == BAND_BITS'(BANDS - 1);

  for (genvar c = 0; c < BANDS - 1; c++) begin : gen_components
    (* ram_style = "distributed" *)
    logic [SAMPLE_BITS-1:0] component[256];
    always_ff @(posedge clk) begin
      if (s_valid && band == BAND_BITS'(c)) component[place] <= s_sample;
      samples[c] <= component[place];
    end
  end

  always_ff @(posedge clk) begin
    samples[BANDS-1] <= s_sample;
    samples_valid <= rst_n && s_valid && last_band;
    if (!rst_n) begin
      band  <= '0;
      place <= '0;
    end else if (s_valid) begin
      place <= place + 1'b1;
      if (place == 8'd255) band <= last_band ? '0 : band + 1'b1;
    end
  end

  // Components to bands: component c joins its sums c cycles later
  logic [BANDS-1:0][7:0] pixel;
  logic [BANDS:0] on_way;
  logic pixel_valid;

  always_ff @(posedge clk) {pixel_valid, on_way} <= rst_n ? {on_way, samples_valid} : '0;

  for (genvar c = 0; c < BANDS; c++) begin : gen_terms
    logic signed [c:0][SAMPLE_BITS-1:0] waited;
    always_comb waited[0] = samples[c];
    for (genvar i = 1; i <= c; i++) begin : gen_wait
      always_ff @(posedge clk) waited[i] <= waited[i-1];
    end
    for (genvar b = 0; b < BANDS; b++) begin : gen_products
      localparam logic signed [15:0] FACTOR = MATRIX[c*BANDS+b];
      logic signed [SAMPLE_BITS+15:0] product;
      logic signed [SUM_BITS-1:0] sum;
      wire signed [SAMPLE_BITS-1:0] sample = waited[c];
      always_ff @(posedge clk) product <= sample * FACTOR;
      if (c == 0) begin : gen_first
        always_ff @(posedge clk) sum <= SUM_BITS'(product) + SUM_BITS'((128 << 12) + 2048);
      end else begin : gen_next
        always_ff @(posedge clk) sum <= SUM_BITS'(product) + gen_terms[c-1].gen_products[b].sum;
      end
      if (c == BANDS - 1) begin : gen_last
        always_ff @(posedge clk)
          pixel[b] <= sum < 0 ? 8'd0 : sum[SUM_BITS-1:20] != 0 ? 8'd255 : sum[19:12];
      end
    end
  end

  // Pixels into their stripe
  address_t write_at;
  logic [7:0] write_place;
  logic [X_BITS-1:0] write_x;
  logic stripe_written;
  wire write_last_x = write_x == X_BITS'(BLOCKS_X - 1);
  wire block_written = pixel_valid && write_place == 8'd255;

  assign stripe_written = block_written && write_last_x;

  always_ff @(posedge clk)
    if (!rst_n) begin
      write_at <= '0;
      write_place <= '0;
      write_x <= '0;
    end else if (pixel_valid) begin
      write_place <= write_place + 1'b1;
      if (block_written) begin
        write_at <= write_last_x ? on(write_at, STEP) : write_at - address_t'(15 * LINE - 1);
        write_x <= write_last_x ? '0 : write_x + 1'b1;
      end else write_at <= write_at + (write_place[3:0] == 4'd15 ? address_t'(LINE - 15) : address_t'(1));
    end

  // And out
  localparam int unsigned FOLD = BANDS / SIMD;
  localparam int unsigned FOLD_BITS = FOLD > 1 ? $clog2(FOLD) : 1;
  localparam int unsigned COLUMN_BITS = WIDTH > 1 ? $clog2(WIDTH) : 1;

  address_t read_at;
  logic [STRIPE_BITS:0] written;  // stripes that wait or are read
  logic [STRIPE_BITS-1:0] stripe;
  logic [COLUMN_BITS-1:0] column;
  logic [3:0] line;
  logic [Y_BITS-1:0] y;
  logic [BANDS-1:0][7:0] word;
  logic [FOLD_BITS-1:0] fold;
  logic word_valid, word_last, word_bad, beat_last, beat_bad;
  logic [SIMD-1:0][7:0] beat;
  wire last_column = column == COLUMN_BITS'(WIDTH - 1);
  wire last_y = y == Y_BITS'(BLOCKS_Y - 1);
  wire last_line = line == (last_y ? 4'(LAST_LINES - 1) : 4'd15);
  wire free = !m_axis_tvalid || m_axis_tready;
  wire last_fold = fold == FOLD_BITS'(FOLD - 1);
  wire read = written != 0 && (!word_valid || (free && last_fold));

  assign stripe_read = read && last_column && last_line;
  assign m_axis_tdata = beat;
  assign frame_valid = m_axis_tvalid && m_axis_tready && beat_last;
  assign frame_damaged = beat_bad;

  for (genvar b = 0; b < BANDS; b++) begin : gen_stripes
    (* ram_style = "block" *)
    logic [7:0] pixels[DEPTH];
    always_ff @(posedge clk) begin
      if (pixel_valid) pixels[write_at] <= pixel[b];
      if (read) word[b] <= pixels[read_at];
    end
  end

  always_ff @(posedge clk) begin
    if (read) begin
      word_last <= last_column && last_line && last_y;
      word_bad  <= bad[stripe];
    end
    if (free) begin
      beat <= word[fold*SIMD+:SIMD];
      beat_last <= word_last && last_fold;
      beat_bad <= word_bad;
    end
    if (!rst_n) begin
      read_at <= '0;
      written <= '0;
      stripe <= '0;
      column <= '0;
      line <= '0;
      y <= '0;
      fold <= '0;
      word_valid <= 1'b0;
      m_axis_tvalid <= 1'b0;
    end else begin
      written <= written + (STRIPE_BITS + 1)'(stripe_written) - (STRIPE_BITS + 1)'(stripe_read);
      if (read) begin
        column <= last_column ? '0 : column + 1'b1;
        if (!last_column) read_at <= read_at + 1'b1;
        else if (!last_line) read_at <= read_at + address_t'(NEXT_LINE);
        else if (!last_y) read_at <= on(read_at, NEXT_LINE);
        else read_at <= on(read_at, NEXT_FRAME);
        if (last_column) line <= last_line ? '0 : line + 1'b1;
      end
      if (stripe_read) begin
        stripe <= stripe + 1'b1;
        y <= last_y ? '0 : y + 1'b1;
      end
      if (word_valid && free) fold <= last_fold ? '0 : fold + 1'b1;
      if (read) word_valid <= 1'b1;
      else if (free && last_fold) word_valid <= 1'b0;
      if (free) m_axis_tvalid <= word_valid;
    end
  end

`ifndef SYNTHESIS
  not_more_than_taken :
  assert property (@(posedge clk) disable iff (!rst_n) 1 |=> written <= taken && taken <= (STRIPE_BITS + 1)'(STRIPES))
  else $error("%m: %0d stripes written, %0d taken", written, taken);
  begins_while_open :
  assert property (@(posedge clk) disable iff (!rst_n) begins |-> open)
  else $error("%m: a block component began without room");
`endif

  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
