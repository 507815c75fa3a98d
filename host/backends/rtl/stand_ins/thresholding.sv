// A model of FINN's thresholding (finn-rtllib/thresholding/hdl/thresholding.sv) for fast simulation: the same ports
// and parameters, the same results in the same cycles. FINN's moves every beat through the stages of a binary search,
// this one searches when a beat comes and delays the result. tests/host/backends/rtl/test_fast_models.py holds one against the other.
module thresholding #(
    int unsigned K,
    int unsigned N,
    int unsigned C,
    int unsigned PE,
    bit SIGNED = 1,
    bit FPARG = 0,
    int BIAS = 0,
    int unsigned SETS = 1,
    parameter THRESHOLDS_PATH = "",
    bit USE_CONFIG = 1,
    int unsigned DEPTH_TRIGGER_URAM = 0,
    int unsigned DEPTH_TRIGGER_BRAM = 0,
    bit DEEP_PIPELINE = 0,
    localparam int unsigned CF = C / PE,
    localparam int unsigned S_BITS = SETS > 2 ? $clog2(SETS) : 1,
    localparam int unsigned O_BITS = BIAS >= 0 ?
        $clog2(N + BIAS + 1) : 1 + $clog2(-2 * BIAS > int'(N) ? -BIAS : N + BIAS + 1)
) (
    input  logic clk,
    input  logic rst,
    input  logic cfg_en,
    input  logic cfg_we,
    input  logic [$clog2(SETS)+$clog2(CF)+$clog2(PE)+$clog2(N)-1:0] cfg_a,
    input  logic [K-1:0] cfg_d,
    output logic cfg_rack,
    output logic [K-1:0] cfg_q,
    output logic irdy,
    input  logic ivld,
    input  logic [S_BITS-1:0] iset,
    input  logic [PE-1:0][K-1:0] idat,
    input  logic ordy,
    output logic ovld,
    output logic [PE-1:0][O_BITS-1:0] odat
);

  if (USE_CONFIG || FPARG || SETS != 1) begin : gen_bad
    $fatal(1, "thresholding: the model for fast simulation has no USE_CONFIG, FPARG or SETS; simulate exactly");
  end

  localparam int unsigned M = $clog2(N + 1);  // stages, of which stage s has CF * 2**s thresholds
  localparam int unsigned PER_PE = CF * (2 ** M - 1);
  localparam int unsigned LATENCY = (DEEP_PIPELINE + 1) * M;
  localparam int unsigned ROOM = LATENCY + 3;
  localparam int unsigned SLOTS = 1 << $clog2(ROOM);
  localparam logic [K-1:0] FLIP = K'(SIGNED) << (K - 1);  // makes two's complement compare as unsigned

  logic [K-1:0] thresholds[PE*PER_PE];  // by PE, by stage
  logic [PE-1:0][O_BITS-1:0] results[SLOTS];
  logic [$clog2(SLOTS)-1:0] head, tail;
  logic [LATENCY-1:0] searching;  // bit i: for i + 1 cycles
  logic [31:0] found, pending, channel;

  for (genvar pe = 0; pe < PE; pe++) begin : gen_pe
    for (genvar s = 0; s < M; s++) begin : gen_stage
      localparam int unsigned BASE = pe * PER_PE + CF * (2 ** s - 1);
      initial
        if (THRESHOLDS_PATH != "")
          $readmemh($sformatf("%sthreshs_%0d_%0d.dat", THRESHOLDS_PATH, pe, s), thresholds, BASE, BASE + CF * 2 ** s - 1);
    end
  end

  function automatic logic [31:0] count(int unsigned pe, logic [K-1:0] value);
    automatic int unsigned base = pe * PER_PE;
    count = 0;
    for (int s = 0; s < M; s++) begin
      automatic int unsigned beyond = ((1 << (M - s - 1)) + (1 << M) - 1 - N) >> (M - s);  // padding up to 2**M - 1
      automatic bit above = count < (1 << s) - beyond &&
                            (thresholds[base+(channel<<s)+count] ^ FLIP) <= (value ^ FLIP);
      base = base + (CF << s);
      count = count << 1 | 32'(above);
    end
  endfunction

  wire take = ivld && irdy;
  wire load = !ovld || ordy;
  wire move = load && found != 0;

  assign irdy = pending != ROOM;
  assign cfg_rack = 1'b0;
  assign cfg_q = '0;

  always_ff @(posedge clk)
    if (rst) begin
      searching <= '0;
      found <= '0;
      pending <= '0;
      channel <= '0;
      head <= '0;
      tail <= '0;
      ovld <= 1'b0;
    end else begin
      searching <= LATENCY'({searching, take});
      found <= found + 32'(searching[LATENCY-1]) - 32'(move);
      pending <= pending + 32'(take) - 32'(ovld && ordy);
      if (load) ovld <= move;
      if (move) begin
        odat <= results[head];
        head <= head + 1'b1;
      end
      if (take) begin
        for (int pe = 0; pe < PE; pe++) results[tail][pe] <= O_BITS'(count(pe, idat[pe]) + BIAS);
        tail <= tail + 1'b1;
        channel <= channel == CF - 1 ? 0 : channel + 1;
      end
    end

endmodule
