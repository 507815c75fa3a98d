"""The system around an accelerator: its words are read from memory and written to memory by two DMA engines.

``shell.sv`` is the module that a block design takes, and the top of the simulated system (`bitswath.simulated`).
Its ports: `clk`, `rst_n`; for each engine, `idma0` (memory to accelerator) and `odma0` (accelerator to memory),
AXI-Lite registers `s_axi_*` as dma_control.sv lists them, an AXI4 master `m_axi_*` and `interrupt_*`.
"""

from __future__ import annotations

from dataclasses import dataclass

from bitswath.builds.design import Design, Link
from bitswath.errors import BuildError

__all__ = ["KERNELS", "SHELL", "shell_module"]

SHELL = "shell"
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
_READ: tuple[Port, ...] = (
    *(("output", 64, "araddr"), ("output", 8, "arlen"), ("output", 1, "arvalid"), ("input", 1, "arready")),
    *(("input", "width", "rdata"), ("input", 2, "rresp"), ("input", 1, "rvalid"), ("output", 1, "rready")),
)
_WRITE: tuple[Port, ...] = (
    *(("output", 64, "awaddr"), ("output", 8, "awlen"), ("output", 1, "awvalid"), ("input", 1, "awready")),
    *(("output", "width", "wdata"), ("output", "bytes", "wstrb"), ("output", 1, "wlast")),
    *(("output", 1, "wvalid"), ("input", 1, "wready")),
    *(("input", 2, "bresp"), ("input", 1, "bvalid"), ("output", 1, "bready")),
)


@dataclass(frozen=True)
class _Engine:
    """`kernel`: its module; `side`: of the stream it has; `direction`: as its register says."""

    name: str
    kernel: str
    side: str
    direction: int
    bus: tuple[Port, ...]
    link: Link

    @property
    def unused(self) -> tuple[Port, ...]:
        """Ports of the bus that the engine does not need and others expect."""
        if self.direction:
            return _attributes("aw")
        return (*_attributes("ar"), ("input", 1, "rlast"))


def shell_module(design: Design) -> str:
    """SystemVerilog of module `shell`. Raises `BuildError` if a link is not as wide as AXI can be."""
    for link in (design.input, design.output):
        if link.width not in _WIDTHS:
            raise BuildError(f"stream {link.stream!r}: expected one of {_WIDTHS} bits, as AXI has, it has {link.width}")
    engines = (
        _Engine("idma0", "dma_read", "m_axis", 0, _READ, design.input),
        _Engine("odma0", "dma_write", "s_axis", 1, _WRITE, design.output),
    )
    ports = ",\n    ".join(
        ["input  logic clk", "input  logic rst_n", *(port for one in engines for port in _ports(one))]
    )
    return (
        f"// {design.name} for {design.board} between two DMA engines. Generated: change design.json, not this.\n"
        f"module {SHELL} (\n    {ports}\n"
        "`ifdef BITSWATH_SYSTEM\n    , output logic [1:0] running\n`endif\n);\n\n"
        + "".join(_instances(one, design.network) for one in engines)
        + f"  {design.top} accelerator_core (\n      .clk, .rst_n,\n"
        f"      {_stream('s_axis', 'idma0')},\n      {_stream('m_axis', 'odma0')}\n  );\n\n"
        "`ifdef BITSWATH_SYSTEM\n  assign running = {odma0_running, idma0_running};\n`endif\n\nendmodule\n"
    )


def _attributes(channel: str) -> tuple[Port, ...]:
    return tuple(
        ("output", bits, channel + name) for name, bits in (("size", 3), ("burst", 2), ("cache", 4), ("prot", 3))
    )


def _ports(engine: _Engine) -> list[str]:
    widths: dict[int | str, int | str] = {"width": engine.link.width, "bytes": engine.link.width // 8}
    groups = (("s_axi", _CONTROL), ("m_axi", (*engine.bus, *engine.unused)))
    listed = [
        f"{direction:6} logic [{int(widths.get(bits, bits)) - 1}:0] {prefix}_{engine.name}_{name}"
        for prefix, ports in groups
        for direction, bits, name in ports
    ]
    return [*(port.replace("[0:0] ", "") for port in listed), f"output logic interrupt_{engine.name}"]


def _instances(engine: _Engine, network: str) -> str:
    """The engine and its registers. Wires between them and those of the stream begin with the engine's name."""
    name, link = engine.name, engine.link
    transfer = ", ".join(f".{wire}({name}_{wire})" for wire in ("start", "address", "words", "busy", "status", "move"))
    channel = "aw" if engine.direction else "ar"
    size = (link.width // 8).bit_length() - 1
    return f"""\
  wire {name}_running, {name}_start, {name}_busy, {name}_move, {name}_tvalid, {name}_tready;
  wire [1:0] {name}_status;
  wire [63:0] {name}_address, {name}_words;
  wire [{link.width - 1}:0] {name}_tdata;

  assign m_axi_{name}_{channel}size = 3'd{size};
  assign m_axi_{name}_{channel}burst = 2'd1;  // incrementing
  assign m_axi_{name}_{channel}cache = 4'd3;  // bufferable, modifiable
  assign m_axi_{name}_{channel}prot = 3'd0;

  dma_control #(
      .WIDTH({link.width}), .WORDS({link.step_words}), .DIRECTION({engine.direction}),
      .NETWORK(256'h{network})
  ) {name}_control (
      .clk, .rst_n,
{_bus("s_axi", name, _CONTROL)}
      .irq(interrupt_{name}), .running({name}_running),
      {transfer}
  );

  {engine.kernel} #(.WIDTH({link.width}), .BURST({_BURST}), .DEPTH({_DEPTH})) {name}_engine (
      .clk, .rst_n,
{_bus("m_axi", name, engine.bus)}
      {transfer},
      {_stream(engine.side, name)}
  );

"""


def _bus(prefix: str, engine: str, ports: tuple[Port, ...]) -> str:
    return "\n".join(f"      .{prefix}_{name}({prefix}_{engine}_{name})," for _, _, name in ports)


def _stream(side: str, engine: str) -> str:
    return ", ".join(f".{side}_{wire}({engine}_{wire})" for wire in ("tdata", "tvalid", "tready"))
