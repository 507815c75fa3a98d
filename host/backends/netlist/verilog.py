"""A netlist as Verilog for simulation: LUTs as expressions, all else as instances of the cells' models."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bitswath.backends.netlist.yosys import Module
from bitswath.errors import BuildError

__all__ = ["verilog"]

Cell = Mapping[str, Any]

_KNOWN = re.compile(r"FD[RSCP]E|CARRY[48]|MUXF[789]|SRLC?(16|32)E|RAM\d+(X\d+[SD]|M\d*)|VCC|GND|BUFG|LUT6_2")
"""Cells whose models are Yosys' own (share/xilinx/cells_sim.v)."""

_BLOCK_RAM = re.compile(r"RAMB(18|36)E[12]")
_HARMLESS = ("SIM_COLLISION_CHECK", "SIM_DEVICE", "RDADDR_COLLISION_HWCONFIG", "RSTREG_PRIORITY_A", "RSTREG_PRIORITY_B")
"""Parameters of block RAMs that change nothing of what a model does; those that invert a pin may only be 0."""
_RENAMED = {"DSP48E1": "dsp48e1_model", "DSP48E2": "dsp48e2_model", "URAM288": "uram288_model"}


def verilog(netlist: Module, module: str) -> str:
    """Verilog of `netlist` as a module of this name. Raises `BuildError` for a cell that has no model."""
    nets = {bit for bits in _all_bits(netlist) for bit in bits if isinstance(bit, int)}
    ports = netlist["ports"]
    lines = [f"module {module} (", ",\n".join(_port(name, port) for name, port in ports.items()), ");"]
    lines += [f"wire n{net};" for net in sorted(nets)]
    for name, port in ports.items():
        bits = _joined(port["bits"])
        lines.append(f"assign {bits} = {name};" if port["direction"] == "input" else f"assign {name} = {bits};")
    lines += [_cell(index, cell) for index, cell in enumerate(netlist["cells"].values())]
    return "\n".join([*filter(None, lines), "endmodule", ""])


def _all_bits(netlist: Module) -> Iterable[list[int | str]]:
    for port in netlist["ports"].values():
        yield port["bits"]
    for cell in netlist["cells"].values():
        yield from cell["connections"].values()


def _port(name: str, port: Mapping[str, Any]) -> str:
    return f"  {port['direction']} wire [{len(port['bits']) - 1}:0] {name}"


def _net(bit: int | str) -> str:
    return f"n{bit}" if isinstance(bit, int) else f"1'b{bit if bit in ('0', '1') else 'x'}"


def _joined(bits: list[int | str]) -> str:
    return "{" + ", ".join(_net(bit) for bit in reversed(bits)) + "}"


def _cell(index: int, cell: Cell) -> str:
    kind = str(cell["type"])
    if kind == "$scopeinfo":
        return ""
    if writer := _EXPRESSIONS.get(kind):
        return writer(cell)
    parameters = {name: _value(value) for name, value in cell["parameters"].items()}
    if found := _BLOCK_RAM.fullmatch(kind):
        parameters, kind = _with_whole_contents(cell, parameters, int(found[1])), f"{kind.lower()}_model"
    elif kind in _RENAMED:
        kind = _RENAMED[kind]
    elif not _KNOWN.fullmatch(kind):
        raise BuildError(f"Yosys left a cell {kind!r}, which no model simulates")
    given = ", ".join(f".{name}({value})" for name, value in parameters.items())
    wires = ", ".join(f".{port}({_joined(bits)})" for port, bits in cell["connections"].items() if bits)
    return f"{kind}{f' #({given})' if given else ''} c{index} ({wires});"


def _lut(cell: Cell) -> str:
    """The bit of its contents that its inputs choose."""
    wires, size = cell["connections"], int(str(cell["type"])[3:])
    contents = str(cell["parameters"]["INIT"]).replace("x", "0").zfill(1 << size)[-(1 << size) :]
    inputs = _joined([wires[f"I{i}"][0] for i in range(size)])
    return f"assign {_net(wires['O'][0])} = {1 << size}'h{int(contents, 2):x} >> {inputs};"


def _inverter(cell: Cell) -> str:
    return f"assign {_net(cell['connections']['O'][0])} = ~{_net(cell['connections']['I'][0])};"


_EXPRESSIONS: dict[str, Callable[[Cell], str]] = {**{f"LUT{n}": _lut for n in range(1, 7)}, "INV": _inverter}


def _value(value: str) -> str:
    """A parameter: bits, where unknown ones are 0 as they are after configuration, or a string."""
    if re.fullmatch("[01xz]+", value):
        return f"{len(value)}'b{value.replace('x', '0').replace('z', '0')}"
    return '"' + value.rstrip(" ") + '"'


def _with_whole_contents(cell: Cell, parameters: Mapping[str, str], kilobits: int) -> dict[str, str]:
    """INIT_00, INIT_01, ... and INITP_00, ... in one parameter each."""
    given = cell["parameters"]
    inverted = {name for name, value in given.items() if re.fullmatch(r"IS_\w+_INVERTED", name)}
    if any("1" in given[name] for name in inverted):
        raise BuildError(f"Yosys left a {cell['type']} with an inverted pin, which no model simulates")
    left_out = {*_HARMLESS, *inverted, *(name for name in given if re.fullmatch(r"INITP?_[0-9A-F]{2}", name))}
    kept = {name: value for name, value in parameters.items() if name not in left_out}
    for prefix, count in (("INIT", kilobits // 18 * 64), ("INITP", kilobits // 18 * 8)):
        rows = [str(given.get(f"{prefix}_{row:02X}", "0")).zfill(256) for row in range(count)]
        bits = re.sub("[xz]", "0", "".join(reversed(rows)))
        kept[prefix] = f"{len(bits)}'h{int(bits, 2):x}"
    return kept
