// Dense packing to stream beats: words of a little-endian bit stream with codes back to back (host/codecs/packing.py)
// in, SIMD codes a beat out. Each frame of FRAME_CODES codes starts on a word; the bits after its last code are
// dropped. The slower side never waits for this module: it gives a beat or takes a word in every cycle.
//
// A word is first cut into chunks, the smallest halves of it that are not narrower than a beat, and chunks are
// lined up behind what is left of the ones before. So only a chunk goes through a barrel shifter, in steps of the
// greatest common divisor of chunk and beat. A frame's last chunk counts only its used bits, which is why frames
// follow each other without a gap.
module dense_unpack #(
    parameter int unsigned IN_WIDTH = 64,
    parameter int unsigned SIMD = 3,
    parameter int unsigned BITS = 4,
    parameter int unsigned FRAME_CODES = 12288,
    localparam int unsigned M_WIDTH = (SIMD * BITS + 7) / 8 * 8
) (
    input  logic                clk,
    input  logic                rst_n,
    input  logic [IN_WIDTH-1:0] s_axis_tdata,
    input  logic                s_axis_tvalid,
    output logic                s_axis_tready,
    output logic [ M_WIDTH-1:0] m_axis_tdata,
    output logic                m_axis_tvalid,
    input  logic                m_axis_tready
);

  if (SIMD < 1 || BITS < 1 || FRAME_CODES < 1 || FRAME_CODES % SIMD != 0) begin : gen_bad
    $fatal(1, "dense_unpack: expected SIMD to divide FRAME_CODES");
  end

  function automatic int unsigned chunk_width(int unsigned beat);
    chunk_width = IN_WIDTH;
    while (chunk_width % 2 == 0 && chunk_width / 2 >= beat) chunk_width /= 2;
  endfunction

  function automatic int unsigned gcd(int unsigned a, int unsigned b);
    while (b != 0) begin
      automatic int unsigned rest = a % b;
      a = b;
      b = rest;
    end
    return a;
  endfunction

  localparam int unsigned BEAT = SIMD * BITS;
  localparam int unsigned CHUNK = chunk_width(BEAT);
  localparam int unsigned WORDS = (FRAME_CODES * BITS + IN_WIDTH - 1) / IN_WIDTH;  // of a frame
  localparam int unsigned LAST_WORD = FRAME_CODES * BITS - (WORDS - 1) * IN_WIDTH;  // its used bits
  localparam int unsigned LAST_CHUNKS = (LAST_WORD + CHUNK - 1) / CHUNK;
  localparam int unsigned LAST_CHUNK = LAST_WORD - (LAST_CHUNKS - 1) * CHUNK;
  localparam int unsigned UNIT = gcd(CHUNK, BEAT);

  // Words to chunks
  localparam int unsigned WORD_BITS = WORDS > 1 ? $clog2(WORDS) : 1;
  localparam int unsigned LEFT_BITS = $clog2(IN_WIDTH / CHUNK + 1);

  logic [IN_WIDTH-1:0] word;
  logic [WORD_BITS-1:0] word_count;
  logic [LEFT_BITS-1:0] left;  // chunks of the word not passed on yet
  logic ends_frame;  // the word is its frame's last
  logic chunk_taken;

  wire take = s_axis_tvalid && s_axis_tready;
  wire last_word = word_count == WORD_BITS'(WORDS - 1);
  wire last_chunk = ends_frame && left == 1;

  assign s_axis_tready = left == 0 || (left == 1 && chunk_taken);

  always_ff @(posedge clk) begin
    if (take) begin
      word <= s_axis_tdata;
      ends_frame <= last_word;
    end else if (chunk_taken) word <= IN_WIDTH'({1'b0, word} >> CHUNK);
    if (!rst_n) begin
      left <= '0;
      word_count <= '0;
    end else if (take) begin
      left <= last_word ? LEFT_BITS'(LAST_CHUNKS) : LEFT_BITS'(IN_WIDTH / CHUNK);
      word_count <= last_word ? '0 : word_count + 1'b1;
    end else if (chunk_taken) left <= left - 1'b1;
  end

  // Chunks to beats; all counts are in units. A chunk is taken only where less than a beat is left before it, so its
  // place does not depend on whether a beat leaves: it is `over` that beat.
  localparam int unsigned B = BEAT / UNIT;
  localparam int unsigned C = CHUNK / UNIT;
  localparam int unsigned L = LAST_CHUNK / UNIT;
  localparam int unsigned CAPACITY = B + C - 1;
  localparam int unsigned FILL_BITS = $clog2(CAPACITY + 1);
  localparam int unsigned PLACE_BITS = B > 1 ? $clog2(B) : 1;

  logic [CAPACITY*UNIT-1:0] buffer, chunk, kept;  // 0 above its fill
  logic [FILL_BITS-1:0] over, next;  // units that are held beyond a beat, or all where there is none
  logic full;  // a beat is held

  wire send = full && m_axis_tready;

  assign m_axis_tvalid = full;
  assign m_axis_tdata = M_WIDTH'(buffer[BEAT-1:0]);
  assign chunk_taken = left != 0 && (!full || (m_axis_tready && over < FILL_BITS'(B)));
  assign next = over + (!chunk_taken ? '0 : last_chunk ? FILL_BITS'(L) : FILL_BITS'(C));

  always_comb begin
    chunk = (CAPACITY * UNIT)'(last_chunk ? word[LAST_CHUNK-1:0] : word[CHUNK-1:0]);
    for (int i = 0; i < PLACE_BITS; i++) if (over[i]) chunk = chunk << ((1 << i) * UNIT);
    kept = send ? (CAPACITY * UNIT)'({BEAT'(0), buffer} >> BEAT) : buffer;
  end

  always_ff @(posedge clk)
    if (!rst_n) begin
      buffer <= '0;
      over   <= '0;
      full   <= 1'b0;
    end else begin
      buffer <= kept | (chunk_taken ? chunk : '0);
      if (send || chunk_taken) begin
        full <= next >= FILL_BITS'(B);
        over <= next >= FILL_BITS'(B) ? next - FILL_BITS'(B) : next;
      end
    end

`ifndef SYNTHESIS
  wire [FILL_BITS:0] fill = (FILL_BITS + 1)'(over) + (full ? (FILL_BITS + 1)'(B) : '0);
  fits :
  assert property (@(posedge clk) disable iff (!rst_n)
      1 |=> fill <= (FILL_BITS + 1)'(CAPACITY) && buffer >> (fill * UNIT) == 0)
  else $error("%m: %0d units in a buffer of %0d", fill, CAPACITY);
`endif

  axis_check #(.WIDTH(IN_WIDTH)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );
  axis_check #(.WIDTH(M_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
