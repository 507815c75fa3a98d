// Sliding windows of an image that comes several pixels a beat, padded with zeros on the way: PIXELS neighbours of a row
// in, and out of each of LANES streams a whole window a beat, (kernel row, kernel column, channel) as FINN's order is.
// Lane i has the windows i, i + LANES, ... of each row. KERNEL_H - 1 lines lie in a memory, the columns that the windows
// of a beat share in registers.
//
// Beats go through in steps of a raster that is longer than the image where windows reach over its right and lower edge.
// A step takes a beat, or none beyond the edge; a cycle later its lines are there, its column of pixels goes into the
// registers, and where a row and a column of windows end, they are given.
module line_windows #(
    parameter int unsigned PIXELS = 2,
    parameter int unsigned PIXEL_BITS = 12,
    parameter int unsigned HEIGHT = 8,
    parameter int unsigned WIDTH = 8,
    parameter int unsigned KERNEL_H = 3,
    parameter int unsigned KERNEL_W = 3,
    parameter int unsigned STRIDE_H = 1,
    parameter int unsigned STRIDE_W = 1,
    parameter int unsigned TOP = 1,
    parameter int unsigned LEFT = 1,
    parameter int unsigned BOTTOM = 1,
    parameter int unsigned RIGHT = 1,
    localparam int unsigned LANES = PIXELS > STRIDE_W ? PIXELS / STRIDE_W : 1,
    localparam int unsigned BEAT = PIXELS * PIXEL_BITS,
    localparam int unsigned WINDOW = KERNEL_H * KERNEL_W * PIXEL_BITS,
    localparam int unsigned S_WIDTH = (BEAT + 7) / 8 * 8,
    localparam int unsigned M_WIDTH = (WINDOW + 7) / 8 * 8
) (
    input  logic                          clk,
    input  logic                          rst_n,
    input  logic [S_WIDTH-1:0]            s_axis_tdata,
    input  logic                          s_axis_tvalid,
    output logic                          s_axis_tready,
    output logic [LANES-1:0][M_WIDTH-1:0] m_axis_tdata,
    output logic [LANES-1:0]              m_axis_tvalid,
    input  logic [LANES-1:0]              m_axis_tready
);

  localparam int unsigned GROUPS = WIDTH / PIXELS;  // beats of a row
  localparam int unsigned ROWS = (HEIGHT + TOP + BOTTOM - KERNEL_H) / STRIDE_H + 1;  // of windows
  localparam int unsigned COLUMNS = (WIDTH + LEFT + RIGHT - KERNEL_W) / STRIDE_W + 1;
  localparam int unsigned EVERY = STRIDE_W > PIXELS ? STRIDE_W / PIXELS : 1;  // beats from one window to the next
  localparam int unsigned GIVEN = COLUMNS / LANES;  // times that a row gives windows

  // Of the beat in which a lane's window begins, the beats before and behind that its windows reach into
  localparam int unsigned BEFORE = (LEFT + PIXELS - 1) / PIXELS;
  localparam int unsigned REACH = (LANES - 1) * STRIDE_W + KERNEL_W;
  localparam int unsigned BEHIND = REACH > LEFT + PIXELS ? (REACH - LEFT + PIXELS - 1) / PIXELS - 1 : 0;
  localparam int unsigned SPAN = BEFORE + 1 + BEHIND;

  localparam int unsigned BELOW = KERNEL_H - 1 - TOP;  // rows of the image before the first row of windows is whole
  localparam int unsigned LAST_U = (GIVEN - 1) * EVERY + BEHIND;
  localparam int unsigned LAST_V = (ROWS - 1) * STRIDE_H + BELOW;
  localparam int unsigned STEPS_U = LAST_U + 1 > GROUPS ? LAST_U + 1 : GROUPS;
  localparam int unsigned STEPS_V = LAST_V + 1 > HEIGHT ? LAST_V + 1 : HEIGHT;
  localparam int unsigned U_BITS = $clog2(STEPS_U + 1);
  localparam int unsigned V_BITS = $clog2(STEPS_V + 1);
  localparam int unsigned ADDRESS_BITS = GROUPS > 1 ? $clog2(GROUPS) : 1;

  if (PIXELS < 1 || WIDTH % PIXELS != 0 || COLUMNS % LANES != 0 || STEPS_U < 2
      || (STRIDE_W % PIXELS != 0 && PIXELS % STRIDE_W != 0)) begin : gen_bad_beats
    $fatal(1, "line_windows: expected rows of whole beats, two or more, both of pixels and of windows");
  end
  if (TOP >= KERNEL_H || BOTTOM >= KERNEL_H || LEFT >= KERNEL_W || RIGHT >= KERNEL_W) begin : gen_bad_pads
    $fatal(1, "line_windows: expected less padding than the kernel is long");
  end

  // A step: where it is, and whether it takes a beat
  logic [U_BITS-1:0] u, until_given;
  logic [V_BITS-1:0] v, until_whole;
  logic [ADDRESS_BITS-1:0] address;
  logic in_width, in_height, row_given, held;
  logic [KERNEL_H-1:0] live;  // of the rows that end with this one, those that are of the image

  wire last_u = u == U_BITS'(STEPS_U - 1);
  wire last_v = v == V_BITS'(STEPS_V - 1);
  wire more_beats = in_width && u != U_BITS'(GROUPS - 1);  // of the image, behind this one
  wire more_rows = in_height && v != V_BITS'(HEIGHT - 1);
  wire takes = in_width && in_height;
  wire gives = row_given && until_given == 0 && u <= U_BITS'(LAST_U);
  wire step = held && (!takes || s_axis_tvalid);

  assign s_axis_tready = held && takes;

  always_ff @(posedge clk)
    if (!rst_n) begin
      u <= '0;
      v <= '0;
      address <= '0;
      in_width <= 1'b1;
      in_height <= 1'b1;
      until_given <= U_BITS'(BEHIND);
      until_whole <= V_BITS'(BELOW);
      row_given <= BELOW == 0;
      live <= KERNEL_H'(1) << (KERNEL_H - 1);
    end else if (step) begin
      u <= last_u ? '0 : u + 1'b1;
      if (in_width) address <= address == ADDRESS_BITS'(GROUPS - 1) ? '0 : address + 1'b1;
      in_width <= last_u || more_beats;
      until_given <= last_u ? U_BITS'(BEHIND) : until_given == 0 ? U_BITS'(EVERY - 1) : until_given - 1'b1;
      if (last_u) begin
        v <= last_v ? '0 : v + 1'b1;
        in_height <= last_v || more_rows;
        live <= last_v ? KERNEL_H'(1) << (KERNEL_H - 1) : KERNEL_H'({more_rows, live} >> 1);
        until_whole <= last_v ? V_BITS'(BELOW) : until_whole == 0 ? V_BITS'(STRIDE_H - 1) : until_whole - 1'b1;
        row_given <= last_v ? BELOW == 0
                            : (until_whole == 1 || (until_whole == 0 && STRIDE_H == 1)) && v + 1'b1 <= V_BITS'(LAST_V);
      end
    end

  // A cycle later: the lines above, the column of pixels
  logic [KERNEL_H-1:0][BEAT-1:0] rows, column;  // the topmost first
  logic [BEAT-1:0] beat;
  logic [ADDRESS_BITS-1:0] to;
  logic [KERNEL_H-1:0] shown;
  logic there, first, stored, whole;
  logic [LANES-1:0] waiting;  // streams that have not taken their window yet

  wire free = (waiting & ~m_axis_tready) == 0;
  wire move = there && free;

  assign held = !there || free;

  always_ff @(posedge clk) begin
    if (step) begin
      beat <= s_axis_tdata[BEAT-1:0];
      to <= address;
      shown <= in_width ? live : '0;
      first <= u == 0;
      stored <= in_width;
      whole <= gives;
    end
    if (!rst_n) there <= 1'b0;
    else if (held) there <= step;
  end

  if (KERNEL_H > 1) begin : gen_lines
    localparam int unsigned LINES = (KERNEL_H - 1) * BEAT;
    logic [LINES-1:0] memory[GROUPS];
    logic [LINES-1:0] lines;

    assign rows = {beat, lines};
    always_ff @(posedge clk) if (step) lines <= memory[address];
    always_ff @(posedge clk) if (move && stored) memory[to] <= rows[KERNEL_H-1:1];
  end else begin : gen_no_lines
    wire unused = &{address, to, stored};
    assign rows = beat;
  end

  for (genvar k = 0; k < KERNEL_H; k++) begin : gen_column
    assign column[k] = shown[k] ? rows[k] : '0;
  end

  // The columns that are shared, the leftmost first
  logic [KERNEL_H-1:0][SPAN-1:0][BEAT-1:0] span;

  always_ff @(posedge clk) begin
    if (move)
      for (int k = 0; k < KERNEL_H; k++)
        span[k] <= (SPAN * BEAT)'({column[k], first ? (SPAN * BEAT)'(0) : span[k]} >> BEAT);
    if (!rst_n) waiting <= '0;
    else if (move) waiting <= {LANES{whole}};
    else waiting <= waiting & ~m_axis_tready;
  end

  for (genvar i = 0; i < LANES; i++) begin : gen_lanes
    localparam int unsigned START = PIXELS * BEFORE + i * STRIDE_W - LEFT;
    wire [KERNEL_H-1:0][KERNEL_W*PIXEL_BITS-1:0] window;

    for (genvar k = 0; k < KERNEL_H; k++) begin : gen_rows
      wire [SPAN*BEAT-1:0] row = span[k];
      assign window[k] = row[START*PIXEL_BITS+:KERNEL_W*PIXEL_BITS];
    end
    assign m_axis_tdata[i] = M_WIDTH'(window);

    axis_check #(.WIDTH(M_WIDTH)) check_m (
        .clk, .rst_n, .tdata(m_axis_tdata[i]), .tvalid(m_axis_tvalid[i]), .tready(m_axis_tready[i])
    );
  end
  assign m_axis_tvalid = waiting;

  axis_check #(.WIDTH(S_WIDTH)) check_s (
      .clk, .rst_n, .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tready(s_axis_tready)
  );

endmodule
