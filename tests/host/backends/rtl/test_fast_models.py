"""The models of fast simulators do what FINN's own modules do, beat by beat and cycle by cycle."""

from __future__ import annotations

import secrets
from importlib.metadata import distribution
from pathlib import Path

import numpy as np

from bitswath.backends.rtl import stand_in as fast
from bitswath.hw.generating.rtllib import PATCHES
from bitswath.hw.rtl import KERNELS
from tests.designs import finn_fifo
from tests.twins import WINDOW_PORTS, assert_twins, renamed, stream

FINN = (
    *("mvu/mvu_pkg.sv", "mvu/mvu.sv", "mvu/add_multi.sv", "dwc/hdl/dwc_axi.sv", "dwc/hdl/vpc.sv"),
    *("fmpadding/hdl/fmpadding_axi.sv", "fmpadding/hdl/fmpadding.sv", "fmpadding/hdl/axi2we.sv"),
    *("thresholding/hdl/thresholding.sv", "swg/swg_pkg.sv", "swg/swg_common.sv"),
)
MVU = ((4, 1, 4, 4, 14, 0), (3, 6, 4, 4, 16, 1), (2, 9, 3, 5, 20, 0), (1, 16, 8, 8, 24, 1), (5, 8, 2, 8, 17, 0))
QUEUES = ((2, 8, "auto"), (6, 65, "shift"), (33, 3, "auto"), (40, 16, "distributed"), (257, 7, "auto"))

MVU_BLOCK = """
  if (1) begin : mvu{n}
    int bad = 0, moved = 0;
    final $display("mvu{n}: bad %0d moved %0d", bad, moved);
    logic [{pe}*{simd}*{wb}-1:0] w; logic [{simd}*{ab}-1:0] a; logic last, zero;
    logic vld, vld_fast; logic [{pe}*{acc}-1:0] p, p_fast;
    mvu #(.PE({pe}), .SIMD({simd}), .WEIGHT_WIDTH({wb}), .ACTIVATION_WIDTH({ab}), .ACCU_WIDTH({acc}),
          .SIGNED_ACTIVATIONS({signed})) fast (.clk, .rst, .en(1'b1), .last, .zero, .w, .a, .vld(vld_fast), .p(p_fast));
    mvu_finn #(.PE({pe}), .SIMD({simd}), .WEIGHT_WIDTH({wb}), .ACTIVATION_WIDTH({ab}), .ACCU_WIDTH({acc}),
          .SIGNED_ACTIVATIONS({signed})) finn (.clk, .rst, .en(1'b1), .last, .zero, .w, .a, .vld(vld), .p(p));
    int left;
    always @(posedge clk) begin
      for (int i = 0; i < $bits(w); i++) w[i] <= $urandom[0];
      for (int i = 0; i < $bits(a); i++) a[i] <= $urandom[0];
      // runs of at most 8 products, some ignored, as the flow control around the kernel gives them
      last <= left == 1;
      zero <= $urandom % 4 == 0 && left != 1;
      left <= left <= 1 ? 1 + $urandom % 8 : left - 1;
      if (!rst) begin
        if (vld !== vld_fast || vld && p !== p_fast) bad <= bad + 1;
        if (vld) moved <= moved + 1;
      end
    end
  end
"""

QUEUE_BLOCK = """
  if (1) begin : queue{n}
    int bad = 0, moved = 0;
    final $display("queue{n}: bad %0d moved %0d", bad, moved);
    logic [{width}-1:0] data, out, out_fast; logic valid, ready, ready_fast, out_valid, out_valid_fast, take;
    int mode;
    stream_fifo #(.WIDTH({width}), .DEPTH({depth}), .RAM_STYLE("{style}")) fast (.clk, .rst_n(!rst),
        .s_axis_tdata(data), .s_axis_tvalid(valid), .s_axis_tready(ready_fast),
        .m_axis_tdata(out_fast), .m_axis_tvalid(out_valid_fast), .m_axis_tready(take));
    fifo #(.DEPTH({depth}), .DATA_WIDTH({width}), .RAM_STYLE("{style}")) finn (.clk, .rst,
        .idat(data), .ivld(valid), .irdy(ready), .odat(out), .ovld(out_valid), .ordy(take), .count(), .maxcount());
    always @(posedge clk) begin
      mode <= cycle % 512 == 0 ? $urandom : mode;  // rates that fill it up, empty it, keep it
      if (!valid || ready) begin
        valid <= ($urandom & 3) <= (mode & 3);
        for (int i = 0; i < {width}; i++) data[i] <= $urandom[0];
      end
      take <= ($urandom & 3) <= (mode >> 2 & 3);
      if (!rst) begin
        if (ready !== ready_fast || out_valid !== out_valid_fast || out_valid && out !== out_fast) bad <= bad + 1;
        if (out_valid && take) moved <= moved + 1;
      end
    end
  end
"""


LUT_DOTS = (  # PE, SIMD, lanes; activations' bits, signed, bipolar; weights'; bits of the sum, latency
    (4, 32, 1, 4, 0, 0, 4, 1, 0, 16, 5),
    (3, 12, 1, 4, 0, 0, 4, 0, 0, 16, 3),
    (2, 9, 2, 3, 1, 0, 2, 1, 0, 14, 4),
    (7, 3, 1, 4, 0, 0, 4, 1, 0, 11, 3),
    (5, 16, 1, 1, 0, 1, 1, 0, 1, 10, 3),
    (2, 24, 1, 2, 0, 0, 2, 1, 0, 12, 4),
    (1, 7, 1, 8, 1, 0, 1, 0, 1, 18, 6),
)

LUT_DOT_BLOCK = """
  if (1) begin : lutdot{n}
    int bad = 0, moved = 0;
    final $display("lutdot{n}: bad %0d moved %0d", bad, moved);
    logic [{pe}*{simd}*{wb}-1:0] w; logic [{lanes}*{simd}*{ab}-1:0] a; logic en, valid, last, first;
    logic vld, vld_fast; logic [{pe}*{acc}-1:0] p, p_fast;
    lut_dot_model #({parameters}) fast (.clk, .rst_n(!rst), .en, .valid, .first, .last, .a, .w,
        .sum(p_fast), .sum_valid(vld_fast));
    lut_dot_model_exact #({parameters}) exact (.clk, .rst_n(!rst), .en, .valid, .first, .last, .a, .w,
        .sum(p), .sum_valid(vld));
    always @(posedge clk) begin
      en <= $urandom % 4 != 0;
      valid <= $urandom % 4 != 0;
      for (int i = 0; i < $bits(w); i++) w[i] <= $urandom[0];
      for (int i = 0; i < $bits(a); i++) a[i] <= $urandom[0];
      if (rst) begin
        last <= 0;
        first <= 1;
      end else if (en && valid) begin
        last <= $urandom % 3 == 0;
        first <= last;
      end
      if (!rst) begin
        if (vld !== vld_fast || vld && p !== p_fast) bad <= bad + 1;
        if (vld && en) moved <= moved + 1;
      end
    end
  end
"""

AXIS = ".s_axis_tdata(data), .s_axis_tvalid(valid), .s_axis_tready(ready{0}),"
AXIS += " .m_axis_tdata(out{0}), .m_axis_tvalid(out_valid{0}), .m_axis_tready(take)"
FINN_AXIS = ".ap_clk(clk), .ap_rst_n(!rst), " + AXIS
AXI_LITE = ".s_axilite_AWVALID(1'b0), .s_axilite_WVALID(1'b0), .s_axilite_ARVALID(1'b0), "
THRESHOLD_PORTS = ".clk, .rst, .cfg_en(1'b0), .cfg_we(1'b0), .cfg_a('0), .cfg_d('0), .cfg_rack(), .cfg_q(), .iset('0),"
THRESHOLD_PORTS += " .idat(data), .ivld(valid), .irdy(ready{0}), .odat(out{0}), .ovld(out_valid{0}), .ordy(take)"
ROM_PORTS = ".clk, .rst_n(!rst), .m_axis_tdata(out{0}), .m_axis_tvalid(out_valid{0}), .m_axis_tready(take)"

CONVERTERS = ((8, 24), (24, 8), (88, 11), (4, 32), (12, 20), (20, 12), (130, 26), (1, 4), (6, 6))
PADDINGS = ((1, 1, 1, 5, 6), (6, 2, 0, 3, 4), (4, 1, 2, 6, 7))  # channels, SIMD, first and end, size - 1
THRESHOLDINGS = (  # K, N, C, PE, SIGNED, BIAS, DEEP_PIPELINE
    (9, 15, 6, 2, 1, 0, 1),
    (5, 7, 4, 4, 0, -4, 0),
    (12, 10, 3, 1, 1, -3, 1),
    (8, 1, 5, 1, 1, 0, 1),
    (8, 16, 2, 1, 0, 0, 0),
    (7, 3, 4, 2, 1, -9, 1),
)
ROMS = ((12, 5), (65, 1), (128, 9))
WINDOW_KEYS = (
    "LAST_READ_ELEM LAST_WRITE_ELEM BUF_ELEM_TOTAL ELEM_PER_WINDOW INCR_BITWIDTH LOOP_H_ITERATIONS "
    "LOOP_W_ITERATIONS LOOP_KH_ITERATIONS LOOP_KW_ITERATIONS LOOP_SIMD_ITERATIONS HEAD_INCR_SIMD HEAD_INCR_KW "
    "HEAD_INCR_KH HEAD_INCR_W HEAD_INCR_H TAIL_INCR_W TAIL_INCR_H TAIL_INCR_LAST IS_DEPTHWISE INNERMOST_STATE"
)
WINDOW_VALUES = (  # a convolution of one beat a pixel, a pool, a convolution of several beats
    (143, 143, 60, 36, 7, 2, 2, 1, 1, 1, 1, 1, 13, -55, -47, 4, 12, 59, 0, "STATE_LOOP_SIMD"),
    (2047, 2047, 768, 4, 11, 0, 0, 126, 0, -1, 128, 384, -639, -511, 1, 129, 641, 767, 1, "STATE_LOOP_SIMD"),
    (1599, 1599, 368, 144, 10, 6, 6, 1, 1, 13, 1, 1, 113, -351, -319, 16, 48, 367, 0, "STATE_LOOP_SIMD"),
)
WINDOWS = [dict(zip(WINDOW_KEYS.split(), values)) for values in WINDOW_VALUES]


def finn(*files: str) -> dict[str, str]:
    """Files of FINN's library with the patches of rtllib.py; what a model stands for gets the suffix _finn."""
    root = Path(str(distribution("finn-plus").locate_file("finn/finn-rtllib")))
    texts = {file: (root / file).read_text() for file in files}
    for patch in PATCHES:
        if patch.file in texts:
            texts[patch.file] = patch.apply(texts[patch.file])
    named = {Path(file).name: text for file, text in texts.items()}
    return {
        name: renamed(text, Path(name).stem, "_finn") if name in fast.MODELS else text for name, text in named.items()
    }


def streams(random: np.random.Generator, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Blocks of all models with streams, and sources made for them; memory files go to the folder."""
    blocks, sources = [], {}
    for n, (ibits, obits) in enumerate(CONVERTERS):
        widths = {"width": -(-ibits // 8) * 8, "out_width": -(-obits // 8) * 8}
        parameters = {"IBITS": ibits, "OBITS": obits}
        blocks.append(stream(f"dwc{n}", "dwc_axi_finn", "dwc_axi", parameters, FINN_AXIS, **widths))
    for n, (channels, simd, on, off, end) in enumerate(PADDINGS):
        parameters = {"XCOUNTER_BITS": 4, "YCOUNTER_BITS": 4, "NUM_CHANNELS": channels, "SIMD": simd, "ELEM_BITS": 4}
        for axis in "XY":
            parameters |= {f"INIT_{axis}ON": on, f"INIT_{axis}OFF": off, f"INIT_{axis}END": end}
        width = -(-simd * 4 // 8) * 8
        ports = AXI_LITE + FINN_AXIS
        blocks.append(
            stream(f"pad{n}", "fmpadding_axi_finn", "fmpadding_axi", parameters, ports, width=width, out_width=width)
        )
    for n, (k, count, channels, pe, signed, bias, deep) in enumerate(THRESHOLDINGS):
        stages = count.bit_length()
        for p in range(pe):
            for s in range(stages):
                values = random.integers(0, 2**k, channels // pe * 2**s)
                (folder / f"t{n}_threshs_{p}_{s}.dat").write_text("".join(f"{value:x}\n" for value in values))
        parameters = {"K": k, "N": count, "C": channels, "PE": pe, "SIGNED": signed, "BIAS": bias, "USE_CONFIG": 0}
        parameters |= {"DEEP_PIPELINE": deep, "THRESHOLDS_PATH": f'"t{n}_"'}
        bits = (count + bias).bit_length() if bias >= 0 else 1 + max(-bias - 1, count + bias).bit_length()
        widths = {"width": pe * k, "out_width": pe * bits}
        blocks.append(
            stream(f"threshold{n}", "thresholding_finn", "thresholding", parameters, THRESHOLD_PORTS, **widths)
        )
    for n, (width, depth) in enumerate(ROMS):
        words = ("".join(f"{digit:x}" for digit in random.integers(0, 16, width // 4)) for _ in range(depth))
        (folder / f"r{n}.dat").write_text("\n".join(words))
        parameters = {"WIDTH": width, "DEPTH": depth, "INIT_FILE": f'"r{n}.dat"'}
        widths = {"width": 1, "out_width": -(-width // 8) * 8}
        block = stream(f"rom{n}", "rom_stream_exact", "rom_stream", parameters, ROM_PORTS, **widths)
        blocks.append(block.replace("logic valid, ready, ready_twin,", "logic valid, ready = 1, ready_twin = 1,"))
    template = finn("swg/swg_template_default.sv")["swg_template_default.sv"]
    for n, given in enumerate(WINDOWS):
        text = template.replace("$RAM_STYLE$", '"auto"')
        for key, value in given.items():
            text = text.replace(f"${key}$", str(value))
        sources[f"window{n}_impl.sv"] = exact = text.replace("$TOP_MODULE_NAME$", f"window{n}")
        model = fast.window_model(exact)
        assert model is not None
        sources[f"window{n}_fast.sv"] = model.replace(f"window{n}_impl", f"window{n}_fast")
        parameters = {"BIT_WIDTH": 4, "SIMD": 3, "MMV_IN": 1, "MMV_OUT": 1}
        names = (f"window{n}_impl", f"window{n}_fast")
        blocks.append(stream(f"window{n}", *names, parameters, WINDOW_PORTS, width=12, out_width=12))
    return blocks, sources


def lut_dots() -> list[str]:
    names = ("PE", "SIMD", "ACT_LANES", "A_BITS", "A_SIGNED", "A_BIPOLAR", "W_BITS", "W_SIGNED", "W_BIPOLAR", "M_BITS")
    blocks = []
    for n, case in enumerate(LUT_DOTS):
        given = ", ".join(f".{name}({value})" for name, value in zip((*names, "LATENCY"), case))
        pe, simd, lanes, ab, _, _, wb, _, _, acc, _ = case
        sizes = {"pe": pe, "simd": simd, "lanes": lanes, "ab": ab, "wb": wb, "acc": acc}
        blocks.append(LUT_DOT_BLOCK.format(n=n, parameters=given, **sizes))
    return blocks


def test_the_models_equal_what_they_stand_for(tmp_path: Path) -> None:
    seed = secrets.randbelow(2**31 - 1) + 1
    print("seed", seed)
    fields = ("pe", "simd", "wb", "ab", "acc", "signed")
    blocks = [MVU_BLOCK.format(n=n, **dict(zip(fields, case))) for n, case in enumerate(MVU)]
    blocks += [
        QUEUE_BLOCK.format(n=n, depth=depth, width=width, style=style) for n, (depth, width, style) in enumerate(QUEUES)
    ]
    made, texts = streams(np.random.default_rng(seed), tmp_path)
    blocks += lut_dots() + made
    texts |= finn(*FINN)
    texts |= {"fifo.sv": finn_fifo(), "stream_fifo.sv": KERNELS["stream_fifo.sv"].read_text()}
    texts["axis_check.sv"] = KERNELS["axis_check.sv"].read_text()
    for name in ("lut_dot_model", "rom_stream"):
        texts[f"{name}_exact.sv"] = renamed(KERNELS[f"{name}.sv"].read_text(), name, "_exact")
    models = (*fast.MODELS.values(), fast.WINDOW)
    options = ("-DBITSWATH_FAST", "--compiler-include", str(fast.HEADER), "-CFLAGS", "-std=c++17 -march=native")
    assert_twins(blocks, texts, tmp_path, seed, options=options, models=models)
