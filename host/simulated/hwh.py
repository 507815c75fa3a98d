"""A hardware handoff file (.hwh) as Vivado writes it for the accelerator between its two DMA engines, as far as pynq
reads it: processing system, clocks, engines with their registers, interrupt controller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import quoteattr

__all__ = ["Family", "Module", "handoff"]

Family = Literal["zynq", "zynqmp"]

_AXI = "xilinx.com:interface:aximm:1.0"
_REGISTERS = {"CTRL": 0x00, "GIER": 0x04, "IP_IER": 0x08, "IP_ISR": 0x0C, "mem_1": 0x10, "mem_2": 0x14, "numReps": 0x1C}
_PROCESSORS = {
    "zynq": ("processing_system7", "IRQ_F2P", 10, "PCW_FPGA_FCLK{i}_ENABLE", "PCW_FCLK{i}_PERIPHERAL_DIVISOR"),
    "zynqmp": ("zynq_ultra_ps_e", "pl_ps_irq0", 15, "PSU__FPGA_PL{i}_ENABLE", "PSU__CRL_APB__PL{i}_REF_CTRL__DIVISOR"),
}
_CLOCK_RATES = {"zynq": "PCW_ACT_FPGA{i}_PERIPHERAL_FREQMHZ", "zynqmp": "PSU__CRL_APB__PL{i}_REF_CTRL__ACT_FREQMHZ"}
_CLOCK_SOURCES = {"zynq": "PCW_FCLK{i}_PERIPHERAL_CLKSRC", "zynqmp": "PSU__CRL_APB__PL{i}_REF_CTRL__SRCSEL"}


@dataclass(frozen=True)
class Module:
    """A DMA engine: its instance name, where its registers lie, and bits of its memory port."""

    name: str
    address: int
    size: int
    width: int


def handoff(
    family: Family,
    engines: tuple[Module, ...],
    *,
    controller: int | None = None,
    wizard_mhz: float | None = None,
) -> str:
    """The file's text. `controller`: address of an interrupt controller for all engines, `wizard_mhz`: output of a
    clocking wizard as FINN+ puts one between clock 0 and the accelerator."""
    wired = controller is not None
    modules = [
        _processor(family, engines, controller),
        *(_engine(engine, i, wired) for i, engine in enumerate(engines)),
    ]
    if wired:
        modules += [_controller(family, len(engines)), _concat(engines)]
    if wizard_mhz is not None:
        values = {"PRIM_IN_FREQ": "100.000", "CLKOUT1_OUT_FREQ": f"{wizard_mhz:.5f}"}
        modules.append(_module("clk_wiz_0", "clk_wiz", "xilinx.com:ip:clk_wiz:6.0", parameters=values))
    return (
        '<EDKSYSTEM EDWVERSION="1.2"><SYSTEMINFO NAME="top"/><EXTERNALPORTS/><MODULES>\n'
        + "\n".join(modules)
        + "\n</MODULES></EDKSYSTEM>\n"
    )


def _module(name: str, kind: str, vlnv: str, *, parameters: dict[str, str] | None = None, inner: str = "") -> str:
    listed = "".join(f"<PARAMETER NAME={quoteattr(k)} VALUE={quoteattr(v)}/>" for k, v in (parameters or {}).items())
    return (
        f'<MODULE FULLNAME={quoteattr("/" + name)} INSTANCE={quoteattr(name)} MODTYPE="{kind}" VLNV="{vlnv}">'
        f"<PARAMETERS>{listed}</PARAMETERS>{inner}</MODULE>"
    )


def _processor(family: Family, engines: tuple[Module, ...], controller: int | None) -> str:
    kind, pin, divisor, enable, divisors = _PROCESSORS[family]
    values = {}
    for i in range(4):
        values[enable.format(i=i)] = str(int(i == 0))
        values |= {f"{divisors.format(i=i)}{j}": str(divisor if j == 0 else 1) for j in range(2)}
        values[_CLOCK_SOURCES[family].format(i=i)] = "IO PLL" if family == "zynq" else "IOPLL"
        values[_CLOCK_RATES[family].format(i=i)] = "100.000000"
    ranges = [(engine.name, engine.address, engine.size, "s_axi_control") for engine in engines]
    ports = ""
    if controller is not None:
        ranges.append(("intc", controller, 0x10000, "s_axi"))
        ports = f"<PORTS>{_port('I', pin, 'intc_irq', 'intc', 'irq')}</PORTS>"
    memory = "".join(
        f'<MEMRANGE ADDRESSBLOCK="Reg" BASEVALUE="{base:#x}" HIGHVALUE="{base + size - 1:#x}" '
        f'INSTANCE={quoteattr(name)} MASTERBUSINTERFACE="M_AXI" SLAVEBUSINTERFACE="{bus}" MEMTYPE="REGISTER"/>'
        for name, base, size, bus in ranges
    )
    inner = f"{ports}{_bus('M_AXI', 'MASTER')}<MEMORYMAP>{memory}</MEMORYMAP>"
    return _module("ps", kind, f"xilinx.com:ip:{kind}:3.4", parameters=values, inner=inner)


def _engine(engine: Module, index: int, wired: bool) -> str:
    registers = "".join(
        f'<REGISTER NAME="{name}"><PROPERTY NAME="DESCRIPTION" VALUE="{name}"/>'
        f'<PROPERTY NAME="ADDRESS_OFFSET" VALUE="{offset}"/><PROPERTY NAME="SIZE" VALUE="32"/>'
        '<PROPERTY NAME="ACCESS" VALUE="read-write"/><PROPERTY NAME="IS_ENABLED" VALUE="true"/><FIELDS/></REGISTER>'
        for name, offset in _REGISTERS.items()
    )
    blocks = (
        '<ADDRESSBLOCKS><ADDRESSBLOCK INTERFACE="s_axi_control" NAME="Reg" USAGE="register"><REGISTERS>'
        f"{registers}</REGISTERS></ADDRESSBLOCK></ADDRESSBLOCKS>"
    )
    line = _port("O", "interrupt", f"irq_{index}", "concat", f"In{index}")
    ports = f"<PORTS>{line}</PORTS>" if wired else ""
    return _module(
        engine.name,
        engine.name.rstrip("0123456789"),
        f"bitswath:kernel:{engine.name.rstrip('0123456789')}:1.0",
        inner=ports + _bus("s_axi_control", "SLAVE", ("m_axi_gmem", "MASTER", engine.width)) + blocks,
    )


def _controller(family: Family, lines: int) -> str:
    pin = _PROCESSORS[family][1]
    ports = _port("O", "irq", "intc_irq", "ps", pin) + _port("I", "intr", "irqs", "concat", "dout")
    return _module(
        "intc",
        "axi_intc",
        "xilinx.com:ip:axi_intc:4.1",
        parameters={"C_NUM_INTR_INPUTS": str(lines)},
        inner=f"<PORTS>{ports}</PORTS>{_bus('s_axi', 'SLAVE')}",
    )


def _concat(engines: tuple[Module, ...]) -> str:
    ports = "".join(_port("I", f"In{i}", f"irq_{i}", one.name, "interrupt") for i, one in enumerate(engines))
    ports += _port("O", "dout", "irqs", "intc", "intr")
    values = {"NUM_PORTS": str(len(engines)), **{f"IN{i}_WIDTH": "1" for i in range(len(engines))}}
    return _module(
        "concat", "xlconcat", "xilinx.com:ip:xlconcat:2.1", parameters=values, inner=f"<PORTS>{ports}</PORTS>"
    )


def _port(direction: str, name: str, signal: str, other: str, pin: str) -> str:
    return (
        f'<PORT DIR="{direction}" NAME="{name}" SIGIS="INTERRUPT" SIGNAME="{signal}"><CONNECTIONS>'
        f"<CONNECTION INSTANCE={quoteattr(other)} PORT={quoteattr(pin)}/></CONNECTIONS></PORT>"
    )


def _bus(name: str, kind: str, *more: tuple[str, str, int]) -> str:
    """Interfaces: that one, and others of which the width of the data is told."""
    listed = [f'<BUSINTERFACE NAME="{name}" TYPE="{kind}" VLNV="{_AXI}"/>']
    for other, side, width in more:
        listed.append(f'<BUSINTERFACE NAME="{other}" TYPE="{side}" VLNV="{_AXI}" DATAWIDTH="{width}"/>')
    return f"<BUSINTERFACES>{''.join(listed)}</BUSINTERFACES>"
