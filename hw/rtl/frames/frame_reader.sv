// Compressed frames out of link words: each begins at a word and is filled up to one. Bytes lie in a ring, where a
// frame is checked (version, length, CRC-16) before it is given out, and stays until `frame_ready`; by then the next
// one is checked. Two cycles a byte, cycles in which `byte_ask` is served apart.
//
// Nothing but a frame's own length says where the next begins. A header is plausible if its version is 1 and its length
// 5..MAX_BYTES. A frame whose header is not, or whose check is wrong, is given out as damaged. Then each word behind
// its first is tried as a beginning, and nothing is given out until one passes the check. Only if none does up to where
// the damaged frame's length says, and a plausible header lies there, is that taken as the next frame, whole or not. A
// frame for whose rest the link stays idle for TIMEOUT cycles (0: no limit) is damaged, and after so long a pause
// behind all that came, the next word is a beginning again.
module frame_reader #(
    parameter int unsigned WORD_BITS = 64,
    parameter int unsigned MAX_BYTES = 2048,
    parameter logic [15:0] SEED = 16'h0,
    parameter int unsigned TIMEOUT = 65536,
    localparam int unsigned LENGTH_BITS = $clog2(MAX_BYTES + 1)
) (
    input  logic                   clk,
    input  logic                   rst_n,
    input  logic [  WORD_BITS-1:0] s_axis_tdata,
    input  logic                   s_axis_tvalid,
    output logic                   s_axis_tready,
    output logic                   frame_valid,
    output logic                   frame_damaged,
    output logic [LENGTH_BITS-1:0] frame_bytes,    // behind the header
    output logic [            5:0] frame_step,
    input  logic                   frame_ready,    // done with it
    input  logic                   byte_ask,       // for the frame's next byte behind the header
    output logic                   byte_valid,     // a cycle later; 0 behind the last
    output logic [            7:0] byte_data
);

  localparam int unsigned WORD_BYTES = WORD_BITS / 8;
  localparam int unsigned ADDRESS_BITS = $clog2(2 * MAX_BYTES);
  localparam int unsigned SIZE = 1 << ADDRESS_BITS;
  localparam int unsigned LEFT_BITS = $clog2(WORD_BYTES + 1);
  localparam int unsigned IDLE_BITS = $clog2(TIMEOUT + 2);
  localparam logic [ADDRESS_BITS:0] WORD = (ADDRESS_BITS + 1)'(WORD_BYTES);

  localparam bit BAD_WORD = WORD_BITS < 32 || (WORD_BITS & (WORD_BITS - 1)) != 0;

  if (BAD_WORD || MAX_BYTES < 4 * WORD_BYTES || MAX_BYTES > 32768) begin : gen_bad
    $fatal(1, "frame_reader: expected WORD_BITS to be a power of two from 32 on, MAX_BYTES of 4 words to 32768");
  end

  function automatic logic [15:0] crc_of(logic [15:0] crc, logic [7:0] data);
    for (int i = 7; i >= 0; i--) crc = {crc[14:0], 1'b0} ^ (crc[15] != data[i] ? 16'h1021 : 16'h0);
    return crc;
  endfunction

  typedef enum logic [1:0] {SURE, WITHIN, DOUBT, LOST} trust_t;  // whether a frame begins at `first`
  typedef enum logic [2:0] {ASK, TAKE, HEADER, JUDGE, VERDICT, GIVE} state_t;

  (* ram_style = "block" *)
  logic [7:0] ring[SIZE];
  logic [7:0] found;
  logic [ADDRESS_BITS:0] head, first, at, limit, kept;  // a bit more than addresses need: full or empty
  logic [ADDRESS_BITS:0] given;  // next byte of the frame given out
  trust_t trust;
  state_t state;

  // Words to bytes in the ring
  logic [WORD_BITS-1:0] word;
  logic [LEFT_BITS-1:0] left;

  wire [ADDRESS_BITS:0] oldest = frame_valid && !frame_damaged ? kept : first;
  wire [ADDRESS_BITS:0] held = head - oldest;
  logic room;  // a cycle ago, for 4 bytes
  wire store = left != 0 && room;
  wire take = s_axis_tvalid && s_axis_tready;

  assign s_axis_tready = left == 0 || (left == 1 && store);

  always_ff @(posedge clk) begin
    if (take) word <= s_axis_tdata;
    else if (store) word <= word >> 8;
    room <= held < (ADDRESS_BITS + 1)'(SIZE - 4) || held > (ADDRESS_BITS + 1)'(SIZE);
    if (!rst_n) begin
      left <= '0;
      head <= '0;
    end else begin
      if (take) left <= LEFT_BITS'(WORD_BYTES);
      else if (store) left <= left - 1'b1;
      if (store) head <= head + 1'b1;
    end
  end

  logic [IDLE_BITS-1:0] idle;
  wire expired = TIMEOUT != 0 && idle == IDLE_BITS'(TIMEOUT);

  always_ff @(posedge clk)
    if (!rst_n || s_axis_tvalid || left != 0) idle <= '0;
    else if (!expired) idle <= idle + 1'b1;

  // One port reads for both
  logic [LENGTH_BITS-1:0] given_left;
  logic zero;
  wire serve = byte_ask && given_left != 0;
  wire [ADDRESS_BITS:0] ahead = head - at;  // negative while the rest of a word is on its way
  wire there = ahead != 0 && (!ahead[ADDRESS_BITS] || ahead == (ADDRESS_BITS + 1)'(SIZE));
  wire look = state == ASK && !serve;
  logic present;  // what is looked at

  always_ff @(posedge clk) if (store) ring[head[ADDRESS_BITS-1:0]] <= word[7:0];
  always_ff @(posedge clk)
    if (serve || look) found <= ring[serve ? given[ADDRESS_BITS-1:0] : at[ADDRESS_BITS-1:0]];
  always_ff @(posedge clk) if (look) present <= there;

  assign byte_data = zero ? 8'd0 : found;

  always_ff @(posedge clk) begin
    zero <= given_left == 0;
    byte_valid <= rst_n && byte_ask;
  end

  // The check
  logic [15:0] length, check, crc, left_over;  // left_over: bytes that come, behind the header
  logic [2:0] count;  // bytes seen, of the header
  logic [7:0] version_step;
  logic good, begun, plausible;
  wire in_check = count == 3 || count == 4;
  wire [ADDRESS_BITS:0] filled = ((ADDRESS_BITS + 1)'(length) + WORD - 1'b1) & ~(WORD - 1'b1);
  wire [ADDRESS_BITS:0] next = first + WORD;
  wire [LENGTH_BITS-1:0] bytes = LENGTH_BITS'(length - 16'd5);
  wire give = state == GIVE && !frame_valid;
  wire cut = state == TAKE && !present && expired && begun;
  wire reject = cut || (state == JUDGE && !plausible);

  always_ff @(posedge clk) begin
    if (state == TAKE && present) begin
      if (count == 0) length[7:0] <= found;
      if (count == 1) length[15:8] <= found;
      if (count == 2) version_step <= found;
      if (count == 3) check[7:0] <= found;
      if (count == 4) check[15:8] <= found;
    end
    if (!rst_n) begin
      state <= ASK;
      trust <= SURE;
      begin_at('0);
    end else if (reject) begin
      good <= 1'b0;
      if (trust == SURE) begin
        limit <= first;  // unknown
        state <= GIVE;
      end else go_on();
    end else
      unique case (state)
        ASK: if (look) state <= TAKE;
        TAKE:
        if (!present) begin
          if (expired) trust <= SURE;  // nothing has begun here
          state <= ASK;
        end else begin
          begun <= 1'b1;
          if (!in_check) crc <= crc_of(crc, found);
          if (count != 5) count <= count + 1'b1;
          left_over <= left_over - 1'b1;
          at <= at + 1'b1;
          state <= count == 4 ? HEADER : count == 5 && left_over == 1 ? VERDICT : ASK;
        end
        HEADER: begin
          plausible <= version_step[7:6] == 2'd1 && length >= 5 && length <= 16'(MAX_BYTES);
          left_over <= length - 16'd5;
          state <= JUDGE;
        end
        JUDGE: begin
          if (trust == DOUBT) trust <= SURE;
          state <= left_over == 0 ? VERDICT : ASK;
        end
        VERDICT: begin
          good <= crc == check;
          if (crc == check || trust == SURE) begin
            limit <= first + filled;
            trust <= SURE;
            state <= GIVE;
          end else go_on();
        end
        GIVE:
        if (!frame_valid) begin
          if (good) begin_at(limit);
          else go_on();
        end
        default: begin_at(first);
      endcase
  end

  // The next word is tried
  task automatic go_on();
    begin_at(next);
    if (trust == SURE || trust == WITHIN) trust <= next == limit ? DOUBT : limit == first ? LOST : WITHIN;
    else trust <= LOST;
  endtask

  task automatic begin_at(logic [ADDRESS_BITS:0] address);
    first <= address;
    at <= address;
    count <= '0;
    begun <= 1'b0;
    crc <= SEED;
    state <= ASK;
  endtask

  // The frame that is given out
  always_ff @(posedge clk) begin
    if (give) begin
      frame_damaged <= !good;
      frame_step <= version_step[5:0];
      frame_bytes <= bytes;
      kept <= first;
      given <= first + (ADDRESS_BITS + 1)'(5);
      given_left <= good ? bytes : '0;
    end else if (serve) begin
      given <= given + 1'b1;
      given_left <= given_left - 1'b1;
    end
    if (!rst_n) frame_valid <= 1'b0;
    else if (give) frame_valid <= 1'b1;
    else if (frame_ready) frame_valid <= 1'b0;
  end

`ifndef SYNTHESIS
  no_overrun :
  assert property (@(posedge clk) disable iff (!rst_n) 1 |=> held <= (ADDRESS_BITS + 1)'(SIZE) || -held < WORD)
  else $error("%m: %0d bytes in a ring of %0d", held, SIZE);
  asked_of_a_frame :
  assert property (@(posedge clk) disable iff (!rst_n) 1 |=> !byte_ask || frame_valid)
  else $error("%m: a byte is asked for and there is no frame");
`endif

  axis_check #(.WIDTH(WORD_BITS)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );

endmodule
