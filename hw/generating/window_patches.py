"""FINN's window generators made faster: the same in every cycle, with 5 ns between registers instead of 7 to 9.

Measured as `bitswath.hw.counting.timing` does, on 7 series of the slowest grade; what decides the clock of a build.
"""

from __future__ import annotations

from bitswath.hw.generating.patch import Patch

__all__ = ["WINDOW_PATCHES"]

_GAPS = """\
    // From the newest and the oldest element in the buffer to the one that is fetched next and to the first one of the
    // next window, less one: what is not there yet, and what may be overwritten, are their signs;
    // when all is fetched, those of the next image's first
    localparam int unsigned  GAP_BITS = $clog2(BUF_ELEM_TOTAL + 2**INCR_BITWIDTH) + 1;
    logic signed [GAP_BITS-1:0]  Until_newest = 0;
    logic signed [GAP_BITS-1:0]  From_oldest = BUF_ELEM_TOTAL-1;
    logic signed [GAP_BITS-1:0]  Until_next = BUF_ELEM_TOTAL-1;
"""

_ENDS = """\
    uwire  reading_ends = read_ok && ReadingLast;
    uwire  writing_ends = write_ok && %s;
    uwire  all_read     = ReadingDone || reading_ends;
    uwire  all_written  = Writing_done || writing_ends;
"""

_FIRST_GAPS = """\
            Until_newest <= 0;
            From_oldest <= BUF_ELEM_TOTAL-1;
            Until_next <= BUF_ELEM_TOTAL-1;
"""

_COUNT_GAPS = """\
            if(fetch_ends) begin
                Until_newest <= 0;
                From_oldest <= BUF_ELEM_TOTAL-1;
                Until_next <= BUF_ELEM_TOTAL-1;
                Window_buffer_read_addr_reg <= 0;
            end
            else if(!Fetching_done) begin
                automatic logic signed [$clog2(2*BUF_ELEM_TOTAL-1):0]  ra = Window_buffer_read_addr_reg + addr_incr;
                automatic logic signed [$clog2(2*BUF_ELEM_TOTAL-1):0]  ra_wrapped =
                    Window_buffer_read_addr_reg + wrap_incr;
                automatic logic signed [1:0]  unread = {1'b0, !read_ok};
                automatic int  current_step = fetch_cmd? addr_step : -1;
                automatic int  next_step = fetch_cmd && PositionZero? tail_step : -1;
                Until_newest <= Until_newest + current_step + unread;
                From_oldest <= From_oldest + current_step + unread;
                Until_next <= Until_next + next_step + unread;
                if(fetch_cmd)
                    Window_buffer_read_addr_reg <= (addr_incr < 0? ra < 0 : ra_wrapped >= 0)? ra_wrapped : ra;
            end

            if(read_ok) begin
                automatic logic  wa_rst = ReadingLast || Window_buffer_write_addr_reg == BUF_ELEM_TOTAL-1;
                Window_buffer_write_addr_reg <= wa_rst? 0 : Window_buffer_write_addr_reg + 1;
                ReadingLast <= Newest_buffered_elem == $signed(LAST_READ_ELEM) - 2;
            end
            if(reading_ends)  Newest_buffered_elem <= -1;
            else if(read_ok)  Newest_buffered_elem <= Newest_buffered_elem + 1;

            if(fetch_cmd) begin
                automatic logic  wrap_position = Position_in_window == ELEM_PER_WINDOW - 1;
                Position_in_window <= wrap_position? 0 : Position_in_window + 1;
                PositionZero <= wrap_position;
            end

            if(fetch_cmd || write_ok)  Write_cmd <= fetch_cmd;
            ReadingDone <= all_read && !all_written;
            Writing_done <= all_written && !all_read;
            Fetching_done <= (Fetching_done || fetch_ends) && !(all_read && all_written);
        end
    end

endmodule"""

_MORE_OUTPUTS = """\
    output  int  wrap_incr,  // addr_incr, once round the buffer
    output  int  addr_step,  // each less an element that is read meanwhile
    output  int  tail_step,
    output  int  addr_step_2,  // less two
    output  logic  Last = 0,  // State == STATE_START
"""

_STEPS = """\
    function automatic logic [95:0] steps(input int incr);
        return {incr < 0? incr + DEPTH : incr - DEPTH, incr - 1, incr - 2};
    endfunction

    always_comb begin : blkSteps
        unique case (State)
            STATE_START     : {wrap_incr, addr_step, addr_step_2} = steps(0);
            STATE_LOOP_SIMD : {wrap_incr, addr_step, addr_step_2} = steps(HEAD_INCR_SIMD);
            STATE_LOOP_KW   : {wrap_incr, addr_step, addr_step_2} = steps(HEAD_INCR_KW);
            STATE_LOOP_KH   : {wrap_incr, addr_step, addr_step_2} = steps(HEAD_INCR_KH);
            STATE_LOOP_W    : {wrap_incr, addr_step, addr_step_2} = steps(HEAD_INCR_W);
            STATE_LOOP_H    : {wrap_incr, addr_step, addr_step_2} = steps(HEAD_INCR_H);
            default         : {wrap_incr, addr_step, addr_step_2} = 'x;  // so that no tool sees a latch
        endcase
    end

"""

_TAIL_STEP = r"""\1
    assign tail_step =
        tail_incr_inner_condition? 0 :
        Counter_loop_w >= 0?       TAIL_INCR_W - 1 :
        Counter_loop_h >= 0?       TAIL_INCR_H - 1 :
        /* else */                 TAIL_INCR_LAST - 1;
"""

_TURNS = r"""    logic  Inner = 1;  // State == INNERMOST_STATE
    uwire  turn_simd = Inner;
    uwire  turn_kw = turn_simd && Counter_loop_simd < 0;
    uwire  turn_kh = turn_kw && Counter_loop_kw < 0;
    uwire  turn_w = turn_kh && Counter_loop_kh < 0;
    uwire  turn_h = turn_w && Counter_loop_w < 0;

\1"""

_COUNTERS = """\
            if(turn_simd)  Counter_loop_simd <= Counter_loop_simd < 0? LOOP_SIMD_ITERATIONS : Counter_loop_simd-1;
            if(turn_kw)    Counter_loop_kw   <= Counter_loop_kw   < 0? LOOP_KW_ITERATIONS   : Counter_loop_kw-1;
            if(turn_kh)    Counter_loop_kh   <= Counter_loop_kh   < 0? LOOP_KH_ITERATIONS   : Counter_loop_kh-1;
            if(turn_w)     Counter_loop_w    <= Counter_loop_w    < 0? LOOP_W_ITERATIONS    : Counter_loop_w-1;
            Counter_loop_h <= turn_h && Counter_loop_h < 0? LOOP_H_ITERATIONS : Counter_loop_h - turn_h;
"""

_ADVANCE = "!write_blocked && (in0_V_V_TVALID || !read_cmd);"

_COUNTDOWN = """\
    // Elements to read until the window is complete, less one: -1 when it is, -2 when one more has been read;
    // when all windows are written, that of the next image's first
    localparam int unsigned  COUNTDOWN_BITS = $clog2(BUF_ELEM_TOTAL + 2**INCR_BITWIDTH) + 1;
    logic signed [COUNTDOWN_BITS-1:0]  Until_complete = FIRST_WRITE_ELEM;
    uwire  complete = Until_complete[COUNTDOWN_BITS-1];
    logic  ReadingLast = 0;
    logic  ReadingDone = 0;
"""

_COUNT_DOWN = """\
        if(!ap_rst_n) begin
            Newest_buffered_elem <= -1;
            Until_complete <= FIRST_WRITE_ELEM;
            ReadingLast <= 0;
            ReadingDone <= 0;
            Writing_done <= 0;
        end
        else begin
            if(writing_ends)  Until_complete <= FIRST_WRITE_ELEM;
            else if(write_ok)  Until_complete <= Until_complete[0] && !read_ok? addr_step : addr_step_2;
            else if(read_ok && !Writing_done)  Until_complete <= Until_complete - 1;

            if(read_ok)  ReadingLast <= Newest_buffered_elem == $signed(LAST_READ_ELEM) - 2;
            if(reading_ends)  Newest_buffered_elem <= -1;
            else if(read_ok)  Newest_buffered_elem <= Newest_buffered_elem + 1;

            ReadingDone <= all_read && !all_written;
            Writing_done <= all_written && !all_read;
        end
    end

endmodule"""

_TEMPLATE, _CONTROLLER = "swg/swg_template_default.sv", "swg/swg_common.sv"
_PARALLEL = "swg/swg_template_parallel.sv"
_INCREMENT = r"(uwire signed \[INCR_BITWIDTH-1:0\]  addr_incr;\n)"
_CONNECTION = r"( +)(\.addr_incr\(addr_incr\),\n)"


def _connected(*used: str) -> str:
    """The controller's outputs beyond FINN's; those that are not used stay open."""
    outputs = ("wrap_incr", "addr_step", "addr_step_2", "tail_step", "Last")
    return "".join(rf"\1.{name}({name if name in used else ''}),\n" for name in outputs)


WINDOW_PATCHES = (
    Patch(
        "window-default",
        _TEMPLATE,
        "Two subtractions and two comparisons lie before every handshake, three additions before the read address; all "
        "counters restart where both handshakes end an image. The controller says which element is the last, FINN's "
        "LAST_WRITE_ELEM wherever its windows are those of the convolution.",
        (
            (
                _INCREMENT,
                r"\1    int  wrap_incr, addr_step, tail_step;\n    uwire  Last;\n",
            ),
            (r"( +)(\.IS_DEPTHWISE\()", r"\1.DEPTH(BUF_ELEM_TOTAL),\n\1\2"),
            (
                _CONNECTION,
                rf"\1\2{_connected('wrap_incr', 'addr_step', 'tail_step', 'Last')}",
            ),
            (r"    logic signed [^\n]*Current_elem = 0;[^\n]*\n", ""),
            (
                r"    // Wider than the other element counters: .*?First_elem_next_window = 0;[^\n]*\n",
                _GAPS,
            ),
            (
                r"!\(Current_elem > Newest_buffered_elem\) && (!write_blocked) && !Fetching_done",
                r"Until_newest[GAP_BITS-1] && \1",
            ),
            (
                r"(uwire  read_cmd =).*?;\n",
                r"\1 !ReadingDone && !Until_next[GAP_BITS-1] && !From_oldest[GAP_BITS-1];\n",
            ),
            (
                r"    //assign buffer control\n",
                f"    uwire  fetch_ends = fetch_cmd && Last;\n{_ENDS % 'Fetching_done'}\n\\g<0>",
            ),
            (
                r" +Current_elem <= 0;\n +First_elem_next_window <= 0;\n(?=.*?else begin\n)",
                _FIRST_GAPS,
            ),
            (r"            automatic logic  nbe_rst = 0;\n.*?endmodule", _COUNT_GAPS),
        ),
    ),
    Patch(
        "window-controller",
        _CONTROLLER,
        "Each loop's enable lies behind the next inner one's; the outermost subtracts its turn instead. And what the "
        "two templates ask.",
        (
            (
                r"(    bit IS_DEPTHWISE,\n)",
                r"    int  DEPTH = 1,  // of the buffer\n\1",
            ),
            (
                r"(    output  logic \[INCR_BITWIDTH-1:0\]  addr_incr,\n)",
                rf"\1{_MORE_OUTPUTS}",
            ),
            (r"( +)STATE_LOOP_H( +): addr_incr = HEAD_INCR_H;\n", r"\g<0>\1default     \2: addr_incr = 'x;\n"),
            (
                r"(    // combinational logic for tail_incr generation\n)",
                rf"{_STEPS}\1",
            ),
            (r"(/\* else \*/ +TAIL_INCR_LAST;\n)", _TAIL_STEP),
            (r"(    // combinational next state logic\n)", _TURNS),
            (r"if\(State != INNERMOST_STATE\)", "if(!Inner)"),
            (r"(\n +)State <= INNERMOST_STATE;", r"\g<0>\1Inner <= 1;\1Last <= 0;"),
            (
                r"(\n +)State <= state_next;",
                r"\g<0>\1Inner <= state_next == INNERMOST_STATE;\1Last <= state_next == STATE_START;",
            ),
            (
                r"            if \(State == INNERMOST_STATE\) begin\n.*?\n            end\n(?=        end\n    end\n)",
                _COUNTERS,
            ),
        ),
    ),
    Patch(
        "window-parallel",
        _PARALLEL,
        "Comparisons of whole counters lie before every handshake; what counts down to a window has a sign.",
        (
            (_INCREMENT, r"\1    int  addr_step, addr_step_2;\n    uwire  Last;\n"),
            (_CONNECTION, rf"\1\2{_connected('addr_step', 'addr_step_2', 'Last')}"),
            (
                r"    logic signed [^\n]*Current_elem = FIRST_WRITE_ELEM;[^\n]*\n",
                _COUNTDOWN,
            ),
            (r"!\(Current_elem > Newest_buffered_elem\) && !Writing_done;", "complete"),
            (r"    uwire  reading_done = [^\n]*\n", ""),
            (
                r"!reading_done && \(Writing_done \|\| Newest_buffered_elem <= Current_elem\)",
                "!ReadingDone && (!complete || Until_complete[0])",
            ),
            (
                r" +//[^\n]*\n( +uwire advance +=)[^\n]*\n",
                rf"\1 {_ADVANCE}\n\n{_ENDS % 'Last'}",
            ),
            (
                r"(// main process for advancing counters\n[^\n]*\n).*?endmodule",
                rf"\1{_COUNT_DOWN}",
            ),
        ),
    ),
)
