// A model of the windows FINN generates in its default style (finn-rtllib/swg/swg_template_default.sv with
// swg_common.sv) for fast simulation: the same beats in the same cycles, evaluated only when one moves.
// host/backends/rtl/stand_in.py puts it into the modules FINN generated.
module swg_window #(
    int unsigned WIDTH,
    int LAST_READ_ELEM,
    int LAST_WRITE_ELEM,
    int BUF_ELEM_TOTAL,
    int ELEM_PER_WINDOW,
    int INCR_BITWIDTH,
    int LOOP_H_ITERATIONS,
    int LOOP_W_ITERATIONS,
    int LOOP_KH_ITERATIONS,
    int LOOP_KW_ITERATIONS,
    int LOOP_SIMD_ITERATIONS,
    int HEAD_INCR_SIMD,
    int HEAD_INCR_KW,
    int HEAD_INCR_KH,
    int HEAD_INCR_W,
    int HEAD_INCR_H,
    int TAIL_INCR_W,
    int TAIL_INCR_H,
    int TAIL_INCR_LAST,
    bit IS_DEPTHWISE,
    swg::state_e INNERMOST_STATE
) (
    input  logic             ap_clk,
    input  logic             ap_rst_n,
    input  logic             in0_V_V_TVALID,
    output logic             in0_V_V_TREADY,
    input  logic [WIDTH-1:0] in0_V_V_TDATA,
    output logic             out_V_V_TVALID,
    input  logic             out_V_V_TREADY,
    output logic [WIDTH-1:0] out_V_V_TDATA
);

  localparam int unsigned ADDRESS_BITS = BUF_ELEM_TOTAL > 1 ? $clog2(BUF_ELEM_TOTAL) : 1;

  logic [WIDTH-1:0] buffer[1<<ADDRESS_BITS];  // no address is beyond, which Verilator would check
  int newest, current, first_next, position, read_address, write_address;
  int left_h, left_w, left_kh, left_kw, left_simd;
  swg::state_e state;
  bit reading_last, reading_done, writing_done, fetching_done;  // as FINN's, with the old values in `was`
  bit restart, was_last, was_done, was_fetching_done, was_writing_done;
  logic may_read, may_fetch, fetched;

  wire read = may_read && in0_V_V_TVALID;
  wire write = fetched && out_V_V_TREADY;
  wire fetch = may_fetch && (!fetched || out_V_V_TREADY);

  assign in0_V_V_TREADY = ap_rst_n && read;
  assign out_V_V_TVALID = ap_rst_n && fetched;

  function automatic int head_step();
    case (state)
      swg::STATE_LOOP_SIMD: return HEAD_INCR_SIMD;
      swg::STATE_LOOP_KW: return HEAD_INCR_KW;
      swg::STATE_LOOP_KH: return HEAD_INCR_KH;
      swg::STATE_LOOP_W: return HEAD_INCR_W;
      swg::STATE_LOOP_H: return HEAD_INCR_H;
      default: return 0;
    endcase
  endfunction

  function automatic int tail_step();
    if (IS_DEPTHWISE && left_kh >= 0) return 1;
    return left_w >= 0 ? TAIL_INCR_W : left_h >= 0 ? TAIL_INCR_H : TAIL_INCR_LAST;
  endfunction

  task automatic reset_loops();
    state = INNERMOST_STATE;
    left_h = LOOP_H_ITERATIONS;
    left_w = LOOP_W_ITERATIONS;
    left_kh = LOOP_KH_ITERATIONS;
    left_kw = LOOP_KW_ITERATIONS;
    left_simd = LOOP_SIMD_ITERATIONS;
  endtask

  task automatic advance_loops();
    if (state != INNERMOST_STATE) state = INNERMOST_STATE;
    else if (left_simd >= 0) left_simd = left_simd - 1;
    else begin
      left_simd = LOOP_SIMD_ITERATIONS;
      state = left_kw >= 0 ? swg::STATE_LOOP_KW : left_kh >= 0 ? swg::STATE_LOOP_KH :
              left_w >= 0 ? swg::STATE_LOOP_W : left_h >= 0 ? swg::STATE_LOOP_H : swg::STATE_START;
      if (left_kw >= 0) left_kw = left_kw - 1;
      else begin
        left_kw = LOOP_KW_ITERATIONS;
        if (left_kh >= 0) left_kh = left_kh - 1;
        else begin
          left_kh = LOOP_KH_ITERATIONS;
          if (left_w >= 0) left_w = left_w - 1;
          else begin
            left_w = LOOP_W_ITERATIONS;
            left_h = left_h >= 0 ? left_h - 1 : LOOP_H_ITERATIONS;
          end
        end
      end
    end
  endtask

  task automatic restart_output();
    restart = 1;
    current = 0;
    read_address = 0;
    first_next = 0;
    fetching_done = 0;
  endtask

  task automatic fetch_step();
    automatic int step = head_step();
    if (position == 0) first_next = first_next + tail_step();
    position = position == ELEM_PER_WINDOW - 1 ? 0 : position + 1;
    read_address = read_address + step;
    if (read_address >= BUF_ELEM_TOTAL) read_address = read_address - BUF_ELEM_TOTAL;
    else if (read_address < 0) read_address = read_address + BUF_ELEM_TOTAL;
    if (current == LAST_WRITE_ELEM) fetching_done = 1;
    else current = current + step;
    advance_loops();
  endtask

  always @(posedge ap_clk)
    if (!ap_rst_n) begin
      reset_loops();
      newest = -1;
      current = 0;
      first_next = 0;
      position = 0;
      read_address = 0;
      write_address = 0;
      reading_last = LAST_READ_ELEM == 0;
      reading_done = 0;
      writing_done = 0;
      fetching_done = 0;
      fetched <= 1'b0;
      may_read <= 1'b1;
      may_fetch <= 1'b0;
    end else if (read || fetch || write) begin
      restart = 0;
      was_last = reading_last;
      was_done = reading_done;
      was_fetching_done = fetching_done;
      was_writing_done = writing_done;
      if (fetch) out_V_V_TDATA <= buffer[ADDRESS_BITS'(read_address)];
      if (read) begin
        buffer[ADDRESS_BITS'(write_address)] = in0_V_V_TDATA;
        write_address = was_last || write_address == BUF_ELEM_TOTAL - 1 ? 0 : write_address + 1;
        if (was_last && was_writing_done) begin
          restart_output();
          writing_done = 0;
        end
      end
      if (fetch) fetch_step();
      if (fetch || write) fetched <= fetch;
      if (write && was_fetching_done) begin
        if (was_done || read && was_last) restart_output();
        else writing_done = 1;
      end
      if (restart) begin
        newest = -1;
        reading_last = LAST_READ_ELEM == 0;
        reading_done = 0;
      end else if (read) begin
        reading_last = (~newest & (LAST_READ_ELEM - 2)) == 0 && !was_last && newest >= 0;
        reading_done = was_last;
        newest = newest + 1;
      end
      may_read <= !reading_done &&
                  (fetching_done || newest - BUF_ELEM_TOTAL + 1 < first_next && newest - BUF_ELEM_TOTAL + 1 < current);
      may_fetch <= current <= newest && !fetching_done;
    end

endmodule
