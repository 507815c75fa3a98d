"""FINN's window generators made faster: the same in every cycle, with 6 ns between registers instead of 8 to 9.

Measured as `bitswath.hw.counting.timing` does, on 7 series of the slowest grade; what decides the clock of a build.
"""

from __future__ import annotations

from bitswath.hw.generating.patch import Patch

__all__ = ["WINDOW_PATCHES"]

_GAPS = """\
    // From the newest and the oldest element in the buffer to the one that is fetched next and to the first one of the
    // next window, less one: what is not there yet, and what may be overwritten, are their signs
    localparam int unsigned  GAP_BITS = $clog2(BUF_ELEM_TOTAL + 2**INCR_BITWIDTH) + 1;
    logic signed [GAP_BITS-1:0]  Until_newest = 0;
    logic signed [GAP_BITS-1:0]  From_oldest = BUF_ELEM_TOTAL-1;
    logic signed [GAP_BITS-1:0]  Until_next = BUF_ELEM_TOTAL-1;
"""

_MOVE_GAPS = """
            automatic logic signed [1:0]  unread = {1'b0, !read_ok};
            automatic int  current_step = fetch_cmd? addr_step : -1;
            automatic int  next_step = fetch_cmd && PositionZero? tail_step : -1;
            Until_newest <= Until_newest + current_step + unread;
            From_oldest <= From_oldest + current_step + unread;
            Until_next <= Until_next + next_step + unread;
"""

_READ_ADDRESS = r"""\1 = Window_buffer_read_addr_reg + addr_incr;
                \1_wrapped = Window_buffer_read_addr_reg + wrap_incr;
                Window_buffer_read_addr_reg <= (addr_incr < 0? ra < 0 : ra_wrapped >= 0)? ra_wrapped : ra;"""

_MORE_OUTPUTS = """\
    output  int  wrap_incr,  // addr_incr, once round the buffer
    output  int  addr_step,  // each less an element that is read meanwhile
    output  int  tail_step,
"""

_CONSTANTS = """\
    function automatic int round(input int incr);
        return incr < 0? incr + DEPTH : incr - DEPTH;
    endfunction

    always_comb begin : blkConstants
        unique case (State)
            STATE_START     : {wrap_incr, addr_step} = {-DEPTH, -1};
            STATE_LOOP_SIMD : {wrap_incr, addr_step} = {round(HEAD_INCR_SIMD), HEAD_INCR_SIMD - 1};
            STATE_LOOP_KW   : {wrap_incr, addr_step} = {round(HEAD_INCR_KW), HEAD_INCR_KW - 1};
            STATE_LOOP_KH   : {wrap_incr, addr_step} = {round(HEAD_INCR_KH), HEAD_INCR_KH - 1};
            STATE_LOOP_W    : {wrap_incr, addr_step} = {round(HEAD_INCR_W), HEAD_INCR_W - 1};
            STATE_LOOP_H    : {wrap_incr, addr_step} = {round(HEAD_INCR_H), HEAD_INCR_H - 1};
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
            if(turn_h)     Counter_loop_h    <= Counter_loop_h    < 0? LOOP_H_ITERATIONS    : Counter_loop_h-1;
"""

_TEMPLATE, _CONTROLLER = "swg/swg_template_default.sv", "swg/swg_common.sv"
_CONNECTION = r"( +)(\.addr_incr\(addr_incr\),\n)"
_OLDEST = r"\$signed\(Newest_buffered_elem - \(BUF_ELEM_TOTAL - 1\)\)"

WINDOW_PATCHES = (
    Patch(
        "window-distances",
        _TEMPLATE,
        "Two subtractions and two comparisons lie before every handshake.",
        (
            (r"    // Wider than the other element counters: .*?First_elem_next_window = 0;[^\n]*\n", _GAPS),
            (r"!\(Current_elem > Newest_buffered_elem\)", "Until_newest[GAP_BITS-1]"),
            (
                rf"{_OLDEST} < First_elem_next_window &&\s+{_OLDEST} < Current_elem",
                "!Until_next[GAP_BITS-1] && !From_oldest[GAP_BITS-1]",
            ),
            (r"(automatic logic  nbe_inc = 0;\n)", rf"\1{_MOVE_GAPS}"),
            (
                r"(\n +)First_elem_next_window <= 0;",
                r"\1Until_newest <= 0;\1From_oldest <= BUF_ELEM_TOTAL-1;\1Until_next <= BUF_ELEM_TOTAL-1;",
            ),
            (r"\n +//update first element of next window[^\n]*\n[^\n]*First_elem_next_window[^\n]*\n", "\n"),
        ),
    ),
    Patch(
        "window-address",
        _TEMPLATE,
        "Three additions lie before the read address; both that may follow are added at once instead.",
        (
            (
                r"(uwire signed \[INCR_BITWIDTH-1:0\]  addr_incr;\n)",
                r"\1    int  wrap_incr, addr_step, tail_step;\n",
            ),
            (r"( +)(\.IS_DEPTHWISE\()", r"\1.DEPTH(BUF_ELEM_TOTAL),\n\1\2"),
            (
                _CONNECTION,
                r"\1\2\1.wrap_incr(wrap_incr),\n\1.addr_step(addr_step),\n\1.tail_step(tail_step),\n",
            ),
            (
                r"(automatic logic signed \[[^\n]*\]  ra) = [^\n]*\n"
                r".*?Window_buffer_read_addr_reg <= ra \+ ra_correct;",
                _READ_ADDRESS,
            ),
        ),
    ),
    Patch(
        "window-controller",
        _CONTROLLER,
        "Each loop's enable lies behind the next inner one's; and what the two patches above add.",
        (
            (r"(    bit IS_DEPTHWISE,\n)", r"    int  DEPTH = 1,  // of the buffer\n\1"),
            (r"(    output  logic \[INCR_BITWIDTH-1:0\]  addr_incr,\n)", rf"\1{_MORE_OUTPUTS}"),
            (r"(    // combinational logic for tail_incr generation\n)", rf"{_CONSTANTS}\1"),
            (r"(/\* else \*/ +TAIL_INCR_LAST;\n)", _TAIL_STEP),
            (r"(    // sequential logic\n)", _TURNS),
            (r"(\n +)State <= INNERMOST_STATE;", r"\g<0>\1Inner <= 1;"),
            (r"(\n +)State <= state_next;", r"\g<0>\1Inner <= state_next == INNERMOST_STATE;"),
            (
                r"            if \(State == INNERMOST_STATE\) begin\n.*?\n            end\n(?=        end\n    end\n)",
                _COUNTERS,
            ),
        ),
    ),
    Patch(
        "window-parallel",
        "swg/swg_template_parallel.sv",
        "Windows in shift registers have no use for what the controller says beyond FINN's.",
        ((_CONNECTION, r"\1\2\1.wrap_incr(),\n\1.addr_step(),\n\1.tail_step(),\n"),),
    ),
)
