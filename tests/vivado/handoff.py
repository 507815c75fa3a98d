"""The hardware hand-off file of the stand-in's block design, in the form in which Vivado writes it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from tests.vivado.blocks import BlockDesign
from tests.vivado.catalog import Cell

__all__ = ["handoff"]

_DIVISORS = {
    "processing_system7": ("PCW_FCLK{i}_PERIPHERAL_DIVISOR{j}", "PCW_ACT_FPGA{i}_PERIPHERAL_FREQMHZ", "FCLK_CLK0"),
    "zynq_ultra_ps_e": (
        "PSU__CRL_APB__PL{i}_REF_CTRL__DIVISOR{j}",
        "PSU__CRL_APB__PL{i}_REF_CTRL__ACT_FREQMHZ",
        "pl_clk0",
    ),
}
_ALWAYS = {
    "processing_system7": {
        **{f"PCW_FPGA_FCLK{i}_ENABLE": str(int(i == 0)) for i in range(4)},
        **{f"PCW_FCLK{i}_PERIPHERAL_CLKSRC": "IO PLL" for i in range(4)},
    },
    "zynq_ultra_ps_e": {
        **{f"PSU__FPGA_PL{i}_ENABLE": str(int(i == 0)) for i in range(4)},
        **{f"PSU__CRL_APB__PL{i}_REF_CTRL__SRCSEL": "IOPLL" for i in range(4)},
    },
}
_REGISTERS = {"CTRL": 0x00, "GIER": 0x04, "IP_IER": 0x08, "IP_ISR": 0x0C, "buffer": 0x10, "repetitions": 0x1C}
_KINDS = {"clk": "clk", "rst": "rst", "intr": "INTERRUPT", "data": "undef"}
_TYPES = {
    ("aximm", "master"): "MASTER",
    ("aximm", "slave"): "SLAVE",
    ("axis", "master"): "INITIATOR",
    ("axis", "slave"): "TARGET",
}


def handoff(design: BlockDesign, part: str, board: str, version: str) -> str:
    """Its text."""
    root = ElementTree.Element(
        "EDKSYSTEM", EDWVERSION="1.2", TIMESTAMP="Sun Nov 29 21:55:55 2026", VIVADOVERSION=version
    )
    device = part.removeprefix("xc").partition("-")
    names = {
        "ARCH": "zynq",
        "BOARD": board,
        "DEVICE": device[0],
        "NAME": design.name,
        "PACKAGE": "",
        "SPEEDGRADE": device[2],
    }
    ElementTree.SubElement(root, "SYSTEMINFO", names)
    ElementTree.SubElement(root, "EXTERNALPORTS")
    modules = ElementTree.SubElement(root, "MODULES")
    for cell in design.cells.values():
        _module(modules, design, cell)
    return ElementTree.tostring(root, encoding="unicode")


def _module(modules: ElementTree.Element, design: BlockDesign, cell: Cell) -> None:
    vlnv = cell.definition.vlnv
    names = {"FULLNAME": f"/{cell.name}", "INSTANCE": cell.name, "MODTYPE": cell.definition.name, "VLNV": vlnv}
    module = ElementTree.SubElement(
        modules, "MODULE", {**names, "HWVERSION": vlnv.rpartition(":")[2], "IS_ENABLE": "1"}
    )
    _registers(module, cell)
    parameters = ElementTree.SubElement(module, "PARAMETERS")
    for name, value in _parameters(design, cell).items():
        ElementTree.SubElement(parameters, "PARAMETER", NAME=name, VALUE=value)
    ports = ElementTree.SubElement(module, "PORTS")
    for name, pin in cell.pins.items():
        _port(ports, design, f"{cell.name}/{name}", pin.direction, _KINDS[pin.kind], pin.width)
    buses = ElementTree.SubElement(module, "BUSINTERFACES")
    for name, interface in cell.interfaces.items():
        path = f"{cell.name}/{name}"
        kind = {"NAME": name, "TYPE": _TYPES[interface.kind, interface.mode]}
        net = "_".join(sorted((path, design.joined[path]))).replace("/", "_")
        kind |= {"VLNV": f"xilinx.com:interface:{interface.kind}:1.0", "BUSNAME": net}
        if interface.kind == "aximm" and interface.width is not None:
            kind["DATAWIDTH"] = str(interface.width)
        bus = ElementTree.SubElement(buses, "BUSINTERFACE", kind)
        if interface.kind == "axis":
            ElementTree.SubElement(bus, "PARAMETER", NAME="TDATA_NUM_BYTES", VALUE=str((interface.width or 8) // 8))
    _memory_map(module, design, cell)


def _registers(module: ElementTree.Element, cell: Cell) -> None:
    if "s_axi_control" not in cell.interfaces:
        return
    blocks = ElementTree.SubElement(module, "ADDRESSBLOCKS")
    names = {"INTERFACE": "s_axi_control", "NAME": "reg0", "USAGE": "register", "RANGE": "4096", "ACCESS": ""}
    registers = ElementTree.SubElement(ElementTree.SubElement(blocks, "ADDRESSBLOCK", names), "REGISTERS")
    for name, offset in _REGISTERS.items():
        register = ElementTree.SubElement(registers, "REGISTER", NAME=name)
        size = "64" if name == "buffer" else "32"
        facts = {"DESCRIPTION": name, "ADDRESS_OFFSET": f"{offset:#x}", "SIZE": size, "ACCESS": "read-write"}
        for key, value in {**facts, "IS_ENABLED": "true"}.items():
            ElementTree.SubElement(register, "PROPERTY", NAME=key, VALUE=value)
        ElementTree.SubElement(register, "FIELDS")


def _parameters(design: BlockDesign, cell: Cell) -> dict[str, str]:
    listed = {name: cell.value(name) for name in cell.definition.parameters}
    kind = cell.definition.name
    if kind in _DIVISORS:
        listed |= _ALWAYS[kind]
        divisor, rate, pin = _DIVISORS[kind]
        for i in range(4):
            for j, value in enumerate(design.dividers(f"ps/{pin}")):
                listed[divisor.format(i=i, j=j)] = str(value)
            listed[rate.format(i=i)] = f"{design.clock_hz(f'ps/{pin}') / 1e6:.6f}"
    if kind == "axi_intc":
        lines = design.nets.get(f"{cell.name}/intr")
        listed["C_NUM_INTR_INPUTS"] = str(design.pin(lines).width if lines else 1)
    return listed


def _port(ports: ElementTree.Element, design: BlockDesign, path: str, direction: str, kind: str, width: int) -> None:
    _cell, _, name = path.partition("/")
    if direction == "I":
        others = [design.nets[path]] if path in design.nets else []
    else:
        others = [load for load, driver in design.nets.items() if driver == path]
    driver = path if direction == "O" else (others or [path])[0]
    facts = {"DIR": direction, "NAME": name, "SIGIS": kind, "SIGNAME": driver.replace("/", "_")}
    if width > 1:
        facts |= {"LEFT": str(width - 1), "RIGHT": "0"}
    connections = ElementTree.SubElement(ElementTree.SubElement(ports, "PORT", facts), "CONNECTIONS")
    for other in others:
        instance, _, pin = other.partition("/")
        ElementTree.SubElement(connections, "CONNECTION", INSTANCE=instance, PORT=pin)


def _memory_map(module: ElementTree.Element, design: BlockDesign, cell: Cell) -> None:
    ranges = ElementTree.SubElement(module, "MEMORYMAP")
    for one in design.segments:
        if one.space.partition("/")[0] != cell.name:
            continue
        instance, _, block = one.segment.partition("/")
        slave, _, _ = design.slaves()[one.segment]
        masters = [name for name, bus in cell.interfaces.items() if bus.mode == "master" and bus.kind == "aximm"]
        facts = {
            "ADDRESSBLOCK": block.rpartition("/")[2],
            "BASENAME": "C_BASEADDR",
            "BASEVALUE": f"0x{one.offset:08X}",
            "HIGHNAME": "C_HIGHADDR",
            "HIGHVALUE": f"0x{one.last:08X}",
            "INSTANCE": instance,
            "IS_DATA": "TRUE",
            "IS_INSTRUCTION": "TRUE",
            "MASTERBUSINTERFACE": masters[0],
            "MEMTYPE": "MEMORY" if instance == "ps" else "REGISTER",
            "SLAVEBUSINTERFACE": slave.partition("/")[2],
        }
        ElementTree.SubElement(ranges, "MEMRANGE", facts)
