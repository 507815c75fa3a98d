// Stream beats to dense packing, the inverse of dense_unpack: SIMD codes a beat in, words of a little-endian bit
// stream with codes back to back (host/codecs/packing.py) out. After each frame of FRAME_CODES codes the word is filled
// up with zeros. A beat or a word in every cycle, but for one more where a frame's last beat reaches into a
// further word.
module dense_pack #(
    parameter int unsigned SIMD = 3,
    parameter int unsigned BITS = 4,
    parameter int unsigned FRAME_CODES = 12288,
    parameter int unsigned OUT_WIDTH = 64,
    localparam int unsigned S_WIDTH = (SIMD * BITS + 7) / 8 * 8
) (
    input  logic                 clk,
    input  logic                 rst_n,
    input  logic [  S_WIDTH-1:0] s_axis_tdata,
    input  logic                 s_axis_tvalid,
    output logic                 s_axis_tready,
    output logic [OUT_WIDTH-1:0] m_axis_tdata,
    output logic                 m_axis_tvalid,
    input  logic                 m_axis_tready
);

  if (SIMD < 1 || BITS < 1 || FRAME_CODES < 1 || FRAME_CODES % SIMD != 0) begin : gen_bad
    $fatal(1, "dense_pack: expected SIMD to divide FRAME_CODES");
  end

  function automatic int unsigned gcd(int unsigned a, int unsigned b);
    while (b != 0) begin
      automatic int unsigned rest = a % b;
      a = b;
      b = rest;
    end
    return a;
  endfunction

  localparam int unsigned BEAT = SIMD * BITS;
  localparam int unsigned BEATS = FRAME_CODES / SIMD;  // of a frame
  localparam int unsigned BEATS_BITS = BEATS > 1 ? $clog2(BEATS) : 1;
  localparam int unsigned UNIT = gcd(BEAT, OUT_WIDTH);  // what is held is counted in units
  localparam int unsigned B = BEAT / UNIT;
  localparam int unsigned W = OUT_WIDTH / UNIT;
  localparam int unsigned CAPACITY = W - 1 + B;
  localparam int unsigned FILL_BITS = $clog2(CAPACITY + 1);
  localparam int unsigned PLACE_BITS = W > 1 ? $clog2(W) : 1;

  // A beat is taken only where less than a word is left before it, so its place does not depend on whether a word
  // leaves: it is `over` that word.
  logic [CAPACITY*UNIT-1:0] buffer, kept, beat;  // 0 above its fill
  logic [FILL_BITS-1:0] over, next;  // units that are held beyond a word, or all where there is none
  logic [BEATS_BITS-1:0] count;
  logic full;  // a word is held
  logic ending;  // the buffer ends with its frame's last code

  wire send = m_axis_tvalid && m_axis_tready;
  wire take = s_axis_tvalid && s_axis_tready;
  wire last = count == BEATS_BITS'(BEATS - 1);
  wire empties = !full || over == 0;  // a frame's last word

  assign m_axis_tvalid = ending || full;
  assign m_axis_tdata = OUT_WIDTH'(buffer);
  assign s_axis_tready = ending ? m_axis_tready && empties : !full || (m_axis_tready && over < FILL_BITS'(W));
  assign next = (ending && empties ? '0 : over) + (take ? FILL_BITS'(B) : '0);

  always_comb begin
    kept = send ? (CAPACITY * UNIT)'({OUT_WIDTH'(0), buffer} >> OUT_WIDTH) : buffer;
    beat = (CAPACITY * UNIT)'(s_axis_tdata[BEAT-1:0]);
    for (int i = 0; i < PLACE_BITS; i++) if (over[i] && !ending) beat = beat << ((1 << i) * UNIT);
  end

  always_ff @(posedge clk)
    if (!rst_n) begin
      buffer <= '0;
      over <= '0;
      full <= 1'b0;
      count <= '0;
      ending <= 1'b0;
    end else begin
      buffer <= kept | (take ? beat : '0);
      if (take) count <= last ? '0 : count + 1'b1;
      if (send || take) begin
        full <= next >= FILL_BITS'(W);
        over <= next >= FILL_BITS'(W) ? next - FILL_BITS'(W) : next;
        ending <= take ? last : ending && !empties;
      end
    end

`ifndef SYNTHESIS
  wire [FILL_BITS:0] fill = (FILL_BITS + 1)'(over) + (full ? (FILL_BITS + 1)'(W) : '0);
  fits :
  assert property (@(posedge clk) disable iff (!rst_n) 1 |=> fill <= (FILL_BITS + 1)'(CAPACITY))
  else $error("%m: %0d units in a buffer of %0d", fill, CAPACITY);
`endif

  axis_check #(.WIDTH(S_WIDTH)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );
  axis_check #(.WIDTH(OUT_WIDTH)) check_m (
      .clk, .rst_n, .tdata(m_axis_tdata), .tvalid(m_axis_tvalid), .tready(m_axis_tready)
  );

endmodule
