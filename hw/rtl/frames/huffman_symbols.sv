// A frame's bits to levels at positions of the scan: static canonical Huffman codes of at most 12 bits over (run,
// size), one of 8 AC tables by component class, position and the level before, one of 2 DC tables by class, DC
// predicted from the blocks beside. Levels of a block component come in ascending positions, then an end; there are
// always BLOCKS_X * BLOCKS_Y * BANDS ends. What no encoder writes makes the frame damaged: then only ends follow. The
// last end of a frame says whether it is damaged.
//
// A symbol with its level needs 5 cycles, an escaped one 6, a DC level 8, an end 6.
//
// Files ($readmemh): INIT_PREFIX limits.hex, a line for each AC table 0..7, then each DC table: for lengths 1..11, from
// the lowest bits on, length + 1 bits: how many codes of that length begin codes that are no longer. INIT_PREFIX
// bases.hex, 16 lines a table, line l: the address of the first symbol of length l minus its code. INIT_PREFIX
// symbols.hex: run << 4 | size, 542 lines. INIT_PREFIX contexts.hex, 64 lines: the AC table of class << 5 | zone << 2 |
// min(level before, 3).
module huffman_symbols #(
    parameter int unsigned BANDS = 3,
    parameter int unsigned BLOCKS_X = 4,
    parameter int unsigned BLOCKS_Y = 4,
    parameter int unsigned LENGTH_BITS = 12,
    parameter INIT_PREFIX = "frames_"
) (
    input  logic                   clk,
    input  logic                   rst_n,
    input  logic                   frame_valid,
    input  logic                   frame_damaged,
    input  logic [LENGTH_BITS-1:0] frame_bytes,
    output logic                   frame_ready,
    output logic                   byte_ask,
    input  logic                   byte_valid,
    input  logic [            7:0] byte_data,
    output logic                   m_valid,
    input  logic                   m_ready,
    output logic                   m_end,          // of a block component
    output logic                   m_damaged,      // the frame, with its last end
    output logic [            7:0] m_position,
    output logic                   m_negative,
    output logic [           13:0] m_magnitude
);

  localparam int unsigned TABLES = 10;
  localparam int unsigned SYMBOLS = 542;  // 8 tables of 64, 2 of 15
  localparam int unsigned LIMIT_BITS = 77;
  localparam int unsigned ADDRESS_BITS = $clog2(SYMBOLS);
  localparam int unsigned PARTS = BLOCKS_X * BLOCKS_Y * BANDS;
  localparam int unsigned PART_BITS = PARTS > 1 ? $clog2(PARTS) : 1;
  localparam int unsigned BAND_BITS = BANDS > 1 ? $clog2(BANDS) : 1;

  typedef enum logic [3:0] {
    IDLE, FETCH, MATCH, INDEX, READ, SYMBOL, ADD, PREDICTED, PUSH_DC, END, TAIL, DAMAGED
  } state_t;

  state_t state;
  logic [PART_BITS-1:0] part;  // block components that are behind
  logic [BAND_BITS-1:0] band;
  logic dc;  // its DC level comes
  logic last_part;
  wire last_band = band == BAND_BITS'(BANDS - 1);

  // Bits
  logic enough, over, all_used;
  logic [13:0] next;
  logic [3:0] take;
  wire start = state == IDLE && frame_valid;

  frame_bits #(.LENGTH_BITS(LENGTH_BITS)) bits (
      .clk, .rst_n, .start, .bytes(frame_bytes), .active(state != IDLE && state != DAMAGED),
      .byte_ask, .byte_valid, .byte_data, .ready(enough), .next, .take, .over, .all_used
  );

  // Tables
  logic [LIMIT_BITS-1:0] limit_rom[TABLES];
  logic [ADDRESS_BITS-1:0] base_rom[TABLES * 16];
  (* rom_style = "block" *)
  logic [11:0] symbol_rom[SYMBOLS];
  logic [2:0] context_rom[64];

  initial begin
    $readmemh($sformatf("%slimits.hex", INIT_PREFIX), limit_rom);
    $readmemh($sformatf("%sbases.hex", INIT_PREFIX), base_rom);
    $readmemh($sformatf("%ssymbols.hex", INIT_PREFIX), symbol_rom);
    $readmemh($sformatf("%scontexts.hex", INIT_PREFIX), context_rom);
  end

  // Context to table
  logic [7:0] position;
  logic [1:0] prior;
  logic [2:0] zone;
  logic [3:0] table_id, fetched;
  logic [LIMIT_BITS-1:0] limits;
  wire class_id = band != 0;

  always_comb begin
    zone = 3'(position >= 1) + 3'(position >= 3) + 3'(position >= 6);
    if (position >= 15) zone = position >= 90 ? 3'd6 : position >= 36 ? 3'd5 : 3'd4;
    table_id = dc ? {3'b100, class_id} : {1'b0, context_rom[{class_id, zone, prior}]};
  end

  always_ff @(posedge clk)
    if (state == FETCH) begin
      limits  <= limit_rom[table_id];
      fetched <= table_id;
    end

  // Code to symbol
  wire act = state == SYMBOL && enough && !over;
  logic [11:1] longer;  // than so many bits is the code
  logic [3:0] length, length_found;
  logic [11:0] read, symbol;
  logic [ADDRESS_BITS-1:0] address;
  logic is_end, is_escape, is_wrong;

  for (genvar l = 1; l < 12; l++) begin : gen_lengths
    assign longer[l] = {1'b0, next[13-:l]} >= limits[l*(l+1)/2-1+:l+1];
  end

  always_comb begin
    length_found = 4'd1;
    for (int l = 1; l < 12; l++) if (longer[l]) length_found = 4'(l + 1);
    address = base_rom[{fetched, length}] + ADDRESS_BITS'(next[13:2] >> (4'd12 - length));
  end

  always_ff @(posedge clk) begin
    if (state == MATCH) length <= length_found;
    if (state == INDEX) read <= symbol_rom[address];
    if (state == READ) begin
      symbol <= read;
      is_end <= !dc && read == 12'h000;
      is_escape <= !dc && read == 12'h00f;
      if (dc) is_wrong <= read[11:4] != 0 || read[3:0] == 4'd15;
      else is_wrong <= read[11:4] != 0 && (read[3:0] == 4'd0 || read[3:0] == 4'd15);
    end else if (act && is_escape) begin
      symbol <= next[13:2];
      is_escape <= 1'b0;
      is_wrong <= next[5:2] == 4'd0 || next[5:2] == 4'd15;
    end
  end

  // Symbol to level
  logic [3:0] size;
  logic negative;
  logic [12:0] tail;  // what follows the sign
  logic [13:0] magnitude;
  logic pending;  // a level that was not given yet
  wire [8:0] reached = {1'b0, position} + {1'b0, symbol[11:4]} + 9'd1;
  wire impossible = is_wrong || (!dc && reached[8]);

  assign magnitude = {1'b1, tail} >> (4'd14 - size);

  always_comb begin
    take = 4'd0;
    if (state == INDEX) take = length;
    else if (act) take = symbol[3:0] == 4'd15 ? 4'd12 : symbol[3:0];
  end

  always_ff @(posedge clk) begin
    if (act) begin
      size <= symbol[3:0];
      negative <= next[13];
      tail <= next[12:0];
    end
  end

  // DC: predicted from the blocks on the left and above
  logic signed [15:0] difference, level, predicted;
  logic predict;

  dc_prediction #(.BANDS(BANDS), .BLOCKS_X(BLOCKS_X)) prediction (
      .clk, .rst_n, .restart(start), .step(predict), .level(level[14:0]), .predicted
  );

  wire too_large = level > 16'sd16383 || level < -16'sd16383;
  wire [13:0] level_magnitude = 14'(level < 0 ? -level : level);
  assign predict = state == PUSH_DC && m_ready && !too_large;

  always_ff @(posedge clk) begin
    if (state == ADD) difference <= negative ? -16'(magnitude) : 16'(magnitude);
    if (state == PREDICTED) level <= difference + predicted;
  end

  // What is given
  wire has_level = state == FETCH && pending && !over;

  always_comb begin
    m_end = state == END || state == TAIL || state == DAMAGED;
    m_damaged = state == DAMAGED || (state == TAIL && !all_used);
    m_position = dc ? 8'd0 : position;
    m_negative = dc ? level < 0 : negative;
    m_magnitude = dc ? level_magnitude : magnitude;
    unique case (state)
      FETCH: m_valid = has_level;
      PUSH_DC: m_valid = !too_large;
      END: m_valid = !last_part;
      TAIL: m_valid = enough;
      DAMAGED: m_valid = 1'b1;
      default: m_valid = 1'b0;
    endcase
  end

  wire part_done = m_valid && m_ready && m_end;
  assign frame_ready = part_done && last_part;

  always_ff @(posedge clk) begin
    if (part_done || start) begin
      dc <= 1'b1;
      position <= '0;
      prior <= '0;
      pending <= 1'b0;
    end
    if (!rst_n) begin
      state <= IDLE;
      part <= '0;
      band <= '0;
      last_part <= PARTS == 1;
    end else begin
      if (part_done) begin
        part <= last_part ? '0 : part + 1'b1;
        last_part <= PARTS == 1 || part == PART_BITS'(PARTS - 2);
        band <= last_band ? '0 : band + 1'b1;
      end
      unique case (state)
        IDLE: if (frame_valid) state <= frame_damaged ? DAMAGED : FETCH;
        FETCH:
        if (over) state <= DAMAGED;
        else if (!pending || m_ready) begin
          pending <= 1'b0;
          state   <= MATCH;
        end
        MATCH: if (enough) state <= INDEX;
        INDEX: state <= READ;
        READ: state <= SYMBOL;
        SYMBOL:
        if (over) state <= DAMAGED;
        else if (enough) begin
          if (is_end) state <= END;
          else if (is_escape) state <= SYMBOL;
          else if (impossible) state <= DAMAGED;
          else if (dc) state <= ADD;
          else begin
            position <= reached[7:0];
            prior <= symbol[3:0] == 4'd1 ? 2'd1 : symbol[3:0] == 4'd2 ? {1'b1, next[12]} : 2'd3;
            pending <= 1'b1;
            state <= FETCH;
          end
        end
        ADD: state <= over ? DAMAGED : PREDICTED;
        PREDICTED: state <= PUSH_DC;
        PUSH_DC:
        if (too_large) state <= DAMAGED;
        else if (m_ready) begin
          dc <= 1'b0;
          state <= FETCH;
        end
        END: if (last_part) state <= TAIL; else if (m_ready) state <= FETCH;
        TAIL: if (frame_ready) state <= IDLE;
        DAMAGED: if (frame_ready) state <= IDLE;
        default: state <= IDLE;
      endcase
    end
  end

`ifndef SYNTHESIS
  one_end_a_part :
  assert property (@(posedge clk) disable iff (!rst_n) frame_ready |=> part == 0 && band == 0 && state == IDLE)
  else $error("%m: a frame ended after %0d block components", part);
`endif

endmodule
