"""The system around an accelerator: its words are read from memory and written to memory by two DMA engines.

Three modules with the ports of kernels (UG1701, "RTL Kernel Interface Requirements"), which the vendor's tools package
one by one: ``idma`` (memory to accelerator), ``dataflow`` (the accelerator) and ``odma`` (accelerator to memory), each
with `ap_clk` and `ap_rst_n`; the engines with registers `s_axi_control_*` as dma_control.sv lists them, an AXI4 master
`m_axi_gmem_*` and `interrupt`; all with AXI-Stream `s_axis_*` or `m_axis_*`. They are Verilog, which the top of a
packaged IP has to be. ``shell`` joins the three; it is the top of the simulated system (`bitswath.simulated`).
"""

from __future__ import annotations

from dataclasses import dataclass

from bitswath.builds.design import Design, Link
from bitswath.errors import BuildError
from bitswath.hw.generating.instances import core_of

__all__ = ["DATAFLOW", "IDMA", "KERNELS", "ODMA", "SHELL", "shell_sources"]

SHELL, IDMA, DATAFLOW, ODMA = "shell", "idma", "dataflow", "odma"
KERNELS = (
    "axis_check.sv",
    "dma_align.sv",
    "dma_buffer.sv",
    "dma_bursts.sv",
    "dma_control.sv",
    "dma_read.sv",
    "dma_write.sv",
)
"""What it is made of besides the accelerator, in hw/rtl."""

_BURST = 16
"""Words of the longest burst: as many as AXI3 has, which is what a Zynq-7000's memory ports are."""
_DEPTH = 4 * _BURST

_WIDTHS = (32, 64, 128, 256, 512)

Port = tuple[str, int | str, str]
"""Direction, bits (a number, or what of the link: its "width", its "bytes") and name."""

_CONTROL: tuple[Port, ...] = (
    *(("input", 8, "awaddr"), ("input", 1, "awvalid"), ("output", 1, "awready")),
    *(("input", 32, "wdata"), ("input", 4, "wstrb"), ("input", 1, "wvalid"), ("output", 1, "wready")),
    *(("output", 2, "bresp"), ("output", 1, "bvalid"), ("input", 1, "bready")),
    *(("input", 8, "araddr"), ("input", 1, "arvalid"), ("output", 1, "arready")),
    *(("output", 32, "rdata"), ("output", 2, "rresp"), ("output", 1, "rvalid"), ("input", 1, "rready")),
)
_ADDRESS: tuple[Port, ...] = (
    ("output", 64, "addr"),
    ("output", 8, "len"),
    ("output", 1, "valid"),
    ("input", 1, "ready"),
)
_ATTRIBUTES: tuple[Port, ...] = (
    ("output", 3, "size"),
    ("output", 2, "burst"),
    ("output", 4, "cache"),
    ("output", 3, "prot"),
)
_READ: tuple[Port, ...] = (
    *(("input", "width", "rdata"), ("input", 2, "rresp"), ("input", 1, "rvalid"), ("output", 1, "rready")),
)
_WRITE: tuple[Port, ...] = (
    *(("output", "width", "wdata"), ("output", "bytes", "wstrb"), ("output", 1, "wlast")),
    *(("output", 1, "wvalid"), ("input", 1, "wready")),
    *(("input", 2, "bresp"), ("input", 1, "bvalid"), ("output", 1, "bready")),
)
_STREAM = ("tdata", "tvalid", "tready")


@dataclass(frozen=True)
class _Engine:
    """`kernel`: its module; `side`: of the stream it has; `direction`: as its register says."""

    name: str
    kernel: str
    side: str
    direction: int
    link: Link

    @property
    def channel(self) -> str:
        return "aw" if self.direction else "ar"

    @property
    def bus(self) -> tuple[Port, ...]:
        """What the kernel drives and takes."""
        return (*_prefixed(self.channel, _ADDRESS), *(_WRITE if self.direction else _READ))

    @property
    def attributes(self) -> tuple[Port, ...]:
        """What is the same for every burst, or not looked at."""
        return (*_prefixed(self.channel, _ATTRIBUTES), *(() if self.direction else (("input", 1, "rlast"),)))

    @property
    def idle(self) -> tuple[Port, ...]:
        """The channels of the other direction, which AXI4 masters have for the vendor's tools."""
        if self.direction:
            return (*_prefixed("ar", (*_ADDRESS, *_ATTRIBUTES)), *_READ, ("input", 1, "rlast"))
        return (*_prefixed("aw", (*_ADDRESS, *_ATTRIBUTES)), *_WRITE)


def shell_sources(design: Design) -> dict[str, str]:
    """By file name, the modules `idma`, `dataflow`, `odma` and `shell`.

    Raises `BuildError` if a link is not as wide as AXI can be."""
    for link in (design.input, design.output):
        if link.width not in _WIDTHS:
            raise BuildError(f"stream {link.stream!r}: expected one of {_WIDTHS} bits, as AXI has, it has {link.width}")
    engines = (
        _Engine(IDMA, "dma_read", "m_axis", 0, design.input),
        _Engine(ODMA, "dma_write", "s_axis", 1, design.output),
    )
    return {
        **{f"{one.name}.v": _engine(one, design) for one in engines},
        f"{DATAFLOW}.v": _dataflow(design),
        f"{SHELL}.sv": _shell(design, engines),
    }


def _engine(engine: _Engine, design: Design) -> str:
    link = engine.link
    transfer = "\n      ".join(f".{wire}({wire})," for wire in ("start", "address", "words", "busy", "status", "move"))
    idle = "".join(
        f"  assign m_axi_gmem_{name} = {1 if name in ('rready', 'bready') else 0};\n"
        for direction, _, name in engine.idle
        if direction == "output"
    )
    size = (link.width // 8).bit_length() - 1
    return f"""\
// DMA engine of {design.name} for {design.board}. Generated: change design.json, not this.
module {engine.name} (
    {_listed(engine, "wire")}
`ifdef BITSWATH_SYSTEM
    , output wire running
`endif
);

`ifndef BITSWATH_SYSTEM
  wire running;
`endif
  wire start, busy, move;
  wire [1:0] status;
  wire [63:0] address, words;

  assign m_axi_gmem_{engine.channel}size = 3'd{size};
  assign m_axi_gmem_{engine.channel}burst = 2'd1;  // incrementing
  assign m_axi_gmem_{engine.channel}cache = 4'd3;  // bufferable, modifiable
  assign m_axi_gmem_{engine.channel}prot = 3'd0;
{idle}
  dma_control #(
      .WIDTH({link.width}), .WORDS({link.step_words}), .DIRECTION({engine.direction}),
      .NETWORK(256'h{design.network})
  ) control (
      .clk(ap_clk), .rst_n(ap_rst_n),
      {transfer}
{_bus("s_axi", "s_axi_control", _CONTROL)}
      .running(running), .irq(interrupt)
  );

  {engine.kernel} #(.WIDTH({link.width}), .BURST({_BURST}), .DEPTH({_DEPTH})) engine (
      .clk(ap_clk), .rst_n(ap_rst_n),
      {transfer}
{_bus("m_axi", "m_axi_gmem", engine.bus)}
      {_stream(engine.side, engine.side)}
  );

endmodule
"""


def _dataflow(design: Design) -> str:
    given, taken = design.input.width, design.output.width
    return f"""\
// {design.name} for {design.board}, as a kernel. Generated: change design.json, not this.
module {DATAFLOW} (
    input  wire ap_clk,
    input  wire ap_rst_n,
    input  wire [{given - 1}:0] s_axis_tdata,
    input  wire s_axis_tvalid,
    output wire s_axis_tready,
    output wire [{taken - 1}:0] m_axis_tdata,
    output wire m_axis_tvalid,
    input  wire m_axis_tready
);

  {core_of(design)} core (
      .clk(ap_clk), .rst_n(ap_rst_n),
      {_stream("s_axis", "s_axis")},
      {_stream("m_axis", "m_axis")}
  );

endmodule
"""


def _shell(design: Design, engines: tuple[_Engine, ...]) -> str:
    ports = ",\n    ".join(
        ["input  logic clk", "input  logic rst_n", *(port for one in engines for port in _shell_ports(one))]
    )
    return (
        f"// {design.name} for {design.board} between two DMA engines. Generated: change design.json, not this.\n"
        f"module {SHELL} (\n    {ports}\n"
        "`ifdef BITSWATH_SYSTEM\n    , output logic [1:0] running\n`endif\n);\n\n"
        + "".join(_instance(one, index) for index, one in enumerate(engines))
        + f"  {core_of(design)} accelerator_core (\n      .clk, .rst_n,\n"
        f"      {_stream('s_axis', f'{IDMA}0')},\n      {_stream('m_axis', f'{ODMA}0')}\n  );\n\nendmodule\n"
    )


def _instance(engine: _Engine, index: int) -> str:
    """An engine in the shell, where what belongs to it has its name; its idle channels are left out."""
    name = f"{engine.name}0"
    return f"""\
  wire {name}_tvalid, {name}_tready;
  wire [{engine.link.width - 1}:0] {name}_tdata;

  {engine.name} {name} (
      .ap_clk(clk), .ap_rst_n(rst_n),
`ifdef BITSWATH_SYSTEM
      .running(running[{index}]),
`endif
{_bus("s_axi_control", f"s_axi_{name}", _CONTROL)}
{_bus("m_axi_gmem", f"m_axi_{name}", (*engine.bus, *engine.attributes))}
      .interrupt(interrupt_{name}),
      {_stream(engine.side, name)}
  );

"""


def _listed(engine: _Engine, kind: str) -> str:
    """All ports of an engine."""
    there, back = ("input", "output") if engine.direction else ("output", "input")
    stream: tuple[Port, ...] = ((there, "width", "tdata"), (there, 1, "tvalid"), (back, 1, "tready"))
    ports: list[Port] = [
        ("input", 1, "ap_clk"),
        ("input", 1, "ap_rst_n"),
        *_prefixed("s_axi_control_", _CONTROL),
        *_prefixed("m_axi_gmem_", (*engine.bus, *engine.attributes, *engine.idle)),
        *_prefixed(f"{engine.side}_", stream),
        ("output", 1, "interrupt"),
    ]
    return ",\n    ".join(_declared(port, engine.link, kind) for port in ports)


def _shell_ports(engine: _Engine) -> list[str]:
    name = f"{engine.name}0"
    ports = (
        *_prefixed(f"s_axi_{name}_", _CONTROL),
        *_prefixed(f"m_axi_{name}_", (*engine.bus, *engine.attributes)),
        ("output", 1, f"interrupt_{name}"),
    )
    return [_declared(port, engine.link, "logic") for port in ports]


def _declared(port: Port, link: Link, kind: str) -> str:
    direction, bits, name = port
    widths: dict[int | str, int | str] = {"width": link.width, "bytes": link.width // 8}
    width = int(widths.get(bits, bits))
    return f"{direction:6} {kind} {f'[{width - 1}:0] ' if width > 1 else ''}{name}"


def _prefixed(prefix: str, ports: tuple[Port, ...]) -> tuple[Port, ...]:
    return tuple((direction, bits, prefix + name) for direction, bits, name in ports)


def _bus(prefix: str, wires: str, ports: tuple[Port, ...]) -> str:
    return "\n".join(f"      .{prefix}_{name}({wires}_{name})," for _, _, name in ports)


def _stream(side: str, wires: str) -> str:
    return ", ".join(f".{side}_{wire}({wires}_{wire})" for wire in _STREAM)
