"""The stand-in's IP packager: a component from the ports of a Verilog module, and whether it is whole."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from bitswath.backends.rtl.verilator import find_verilator
from bitswath.basics.files import write_atomic
from tests.paths import ROOT
from tests.vivado.catalog import Cell, Definition, Interface, Pin, Refused

__all__ = ["Component", "definition_of", "elaborate", "load", "package_xo", "ports_of", "save"]

COMPONENT = "component.xml"
_AXI = {
    "aw": ("awaddr", "awlen", "awsize", "awburst", "awvalid", "awready"),
    "w": ("wdata", "wstrb", "wlast", "wvalid", "wready"),
    "b": ("bresp", "bvalid", "bready"),
    "ar": ("araddr", "arlen", "arsize", "arburst", "arvalid", "arready"),
    "r": ("rdata", "rresp", "rlast", "rvalid", "rready"),
}
_LITE = {"len", "size", "burst"}
_SIGNALS = {"clock_rtl": "input", "reset_rtl": "input", "interrupt_rtl": "output"}


@dataclass
class Component:
    """`ports`: direction and width by name; `buses`: by name, kind, mode, width, clock and parameters; `registers`:
    offset and bits by name, and whose address they hold."""

    name: str
    root: str
    files: list[str]
    ports: dict[str, tuple[str, int]]
    version: str = "1.0"
    buses: dict[str, dict[str, Any]] = field(default_factory=dict)
    resets: dict[str, str] = field(default_factory=dict)
    map: dict[str, Any] | None = None
    kernel: bool = False

    def infer(self, name: str, kind: str) -> None:
        """Raises `Refused` unless there are the ports of such an interface under this name."""
        bare = kind.split(":")[2]
        if bare in _SIGNALS:
            if self.ports.get(name) != (_SIGNALS[bare], 1):
                raise Refused(f"{self.name}: {name} is no port of one bit for {bare}")
            self.buses[name] = {"kind": bare, "ports": [name], "parameters": {}}
        elif bare == "axis_rtl":
            self.buses[name] = self._stream(name)
        elif bare == "aximm_rtl":
            self.buses[name] = self._memory_mapped(name)
        else:
            raise Refused(f"{self.name}: unknown interface {kind}")

    def _stream(self, name: str) -> dict[str, Any]:
        ports = [f"{name}_{one}" for one in ("tdata", "tvalid", "tready")]
        missing = [port for port in ports if port not in self.ports]
        if missing:
            raise Refused(f"{self.name}: interface {name} lacks {', '.join(missing)}")
        direction, width = self.ports[ports[0]]
        back = {"input": "output", "output": "input"}[direction]
        if width % 8 or self.ports[ports[1]] != (direction, 1) or self.ports[ports[2]] != (back, 1):
            raise Refused(f"{self.name}: interface {name} has a port of the wrong width or direction")
        mode = "master" if direction == "output" else "slave"
        return {"kind": "axis", "mode": mode, "width": width, "ports": ports, "parameters": {}}

    def _memory_mapped(self, name: str) -> dict[str, Any]:
        lite = f"{name}_awlen" not in self.ports and f"{name}_arlen" not in self.ports
        wanted = [one for group in _AXI.values() for one in group]
        if lite:
            wanted = [one for one in wanted if one[2:] not in _LITE and not one.endswith("last")]
        missing = [one for one in wanted if f"{name}_{one}" not in self.ports]
        if missing:
            raise Refused(f"{self.name}: interface {name} lacks {', '.join(missing)}")
        direction, address_bits = self.ports[f"{name}_awaddr"]
        mode = "master" if direction == "output" else "slave"
        for one in wanted:
            answers = one in ("awready", "wready", "arready") or (one[0] in "br" and one not in ("bready", "rready"))
            expected = direction if not answers else {"input": "output", "output": "input"}[direction]
            if self.ports[f"{name}_{one}"][0] != expected:
                raise Refused(f"{self.name}: {name}_{one} is an {self.ports[f'{name}_{one}'][0]}")
        width = self.ports[f"{name}_wdata"][1]
        if self.ports[f"{name}_rdata"][1] != width or self.ports[f"{name}_wstrb"][1] * 8 != width:
            raise Refused(f"{self.name}: data of {name} differ in width")
        ports = [port for port in self.ports if port.startswith(f"{name}_")]
        facts = {"kind": "aximm", "mode": mode, "width": width, "address_bits": address_bits, "lite": lite}
        return {**facts, "ports": ports, "parameters": {}}

    def check(self) -> None:
        """What ``ipx::check_integrity`` and Vitis' packaging refuse."""
        covered = {port for bus in self.buses.values() for port in bus["ports"]}
        if loose := sorted(set(self.ports) - covered):
            raise Refused(f"{self.name}: pins that are not part of an interface are not supported: {', '.join(loose)}")
        for name, bus in self.buses.items():
            if bus["kind"] in ("aximm", "axis") and bus.get("clock") not in self.buses:
                raise Refused(f"{self.name}: interface {name} is not associated with a clock")
            if bus["kind"] == "aximm" and bus["mode"] == "slave":
                self._check_registers(name, bus)
            if bus["kind"] == "clock_rtl" and name not in self.resets:
                raise Refused(f"{self.name}: clock {name} has no reset associated with it")

    def _check_registers(self, name: str, bus: dict[str, Any]) -> None:
        if self.map is None or bus.get("map") != name:
            raise Refused(f"{self.name}: slave {name} has no memory map")
        taken: list[tuple[int, int, str]] = []
        for register, facts in self.map["registers"].items():
            if "offset" not in facts or "size" not in facts:
                raise Refused(f"{self.name}: register {register} has no offset or no size")
            first = facts["offset"]
            last = first + facts["size"] // 8 - 1
            for begin, end, other in taken:
                if first <= end and begin <= last:
                    raise Refused(f"{self.name}: registers {register} and {other} overlap")
            if last >= int(self.map.get("range", 0)):
                raise Refused(f"{self.name}: register {register} lies outside of its block")
            taken.append((first, last, register))


def ports_of(path: Path) -> dict[str, tuple[str, int]]:
    """Of the module in a Verilog file that has the file's name, without what only simulations have."""
    text = re.sub(r"`ifdef BITSWATH_SYSTEM.*?`endif", "", path.read_text(), flags=re.DOTALL)
    header = re.search(rf"^module {path.stem} \((.*?)\);", text, re.DOTALL | re.MULTILINE)
    if header is None or path.suffix != ".v":
        raise Refused(f"{path}: the top of a packaged IP is a Verilog module of the file's name")
    ports = {}
    for line in header[1].splitlines():
        found = re.fullmatch(r"\s*(input|output)\s+wire (?:\[(\d+):0\] )?(\w+),?", line)
        if found:
            ports[found[3]] = (found[1], int(found[2] or 0) + 1)
        elif line.strip():
            raise Refused(f"{path}: no port: {line.strip()}")
    return ports


def elaborate(files: list[str], top: str) -> None:
    """Whether these files are all that the module needs, Verilog in .v and SystemVerilog in .sv. Raises `Refused`."""
    contents = sorted((path.name, _digest(_memory_names(path.read_bytes()))) for path in map(Path, files))
    kept = ROOT / ".cache" / "elaborated" / _digest(json.dumps([top, contents]).encode())
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(kept, _elaborate(files, top).encode())
    if wrong := kept.read_text():
        raise Refused(wrong)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _memory_names(text: bytes) -> bytes:
    """A source without the folders of its memory files."""
    return re.sub(rb'"/[^"]*/([^"/]+)"', rb'"\1"', text)


def _elaborate(files: list[str], top: str) -> str:
    """What is wrong, "" for nothing."""
    tool = find_verilator()
    languages = ("+1364-2005ext+v", "+1800-2017ext+sv")
    command = [str(tool.program), "--lint-only", "-Wno-fatal", "-Wno-lint", "-DSYNTHESIS", "--no-timing", *languages]
    done = subprocess.run(
        [*command, "--top-module", top, *files],
        capture_output=True,
        text=True,
        env={**os.environ, **tool.environment},
    )
    if not done.returncode:
        return ""
    wrong = [line for line in done.stderr.splitlines() if "%Error" in line]
    return f"{top}: {(wrong or [done.stderr[-300:]])[0]}"


def save(component: Component) -> None:
    component.check()
    root = Path(component.root)
    root.mkdir(parents=True, exist_ok=True)
    (root / COMPONENT).write_text(json.dumps(asdict(component)))


def load(folder: Path) -> Component:
    try:
        return Component(**json.loads((folder / COMPONENT).read_text()))
    except OSError:
        raise Refused(f"{folder}: no component.xml") from None


def definition_of(component: Component) -> Definition:
    """As the catalog has it."""
    kinds = {"clock_rtl": "clk", "reset_rtl": "rst", "interrupt_rtl": "intr"}
    pins = {
        name: Pin("O" if bus["kind"] == "interrupt_rtl" else "I", 1, kinds[bus["kind"]], bus["kind"] == "interrupt_rtl")  # type: ignore[arg-type]
        for name, bus in component.buses.items()
        if bus["kind"] in kinds
    }
    buses = {
        name: Interface(bus["mode"], bus["kind"], bus["clock"], bus["width"], bus.get("address_bits", 64))
        for name, bus in component.buses.items()
        if bus["kind"] in ("aximm", "axis")
    }
    segments: dict[str, dict[str, tuple[int | None, int | None]]] = {}
    if component.map is not None:
        segments = {"s_axi_control": {f"s_axi_control/{component.map['block']}": (None, None)}}

    def all_segments(cell: Cell) -> dict[str, dict[str, tuple[int | None, int | None]]]:
        return segments

    vlnv = f"bitswath:kernel:{component.name}:{component.version}"
    return Definition(vlnv, {}, lambda cell: pins, lambda cell: buses, all_segments)


def package_xo(component: Component, target: Path, kernel: str, protocol: str) -> None:
    """A kernel for Vitis (UG1701, "RTL Kernel Interface Requirements"). Raises `Refused`."""
    component.check()
    if not component.kernel or component.name != kernel:
        raise Refused(f"{kernel}: is not packaged as a kernel of that name")
    if protocol not in ("ap_ctrl_hs", "ap_ctrl_chain", "ap_ctrl_none", "user_managed"):
        raise Refused(f"{kernel}: no protocol {protocol}")
    buses = component.buses
    lite = [name for name, bus in buses.items() if bus["kind"] == "aximm" and bus["mode"] == "slave"]
    if lite not in ([], ["s_axi_control"]) or (protocol != "ap_ctrl_none") != bool(lite):
        raise Refused(f"{kernel}: expected the one slave s_axi_control for {protocol}, got {lite}")
    for name, bus in buses.items():
        if bus["kind"] == "aximm" and bus["mode"] == "master" and bus["address_bits"] != 64:
            raise Refused(f"{kernel}: {name} has addresses of {bus['address_bits']} bits")
    registers = component.map["registers"] if component.map else {}
    if lite and registers.get("CTRL", {}).get("offset") != 0:
        raise Refused(f"{kernel}: no control register")
    arguments = sorted((facts["offset"], name) for name, facts in registers.items() if facts["offset"] >= 0x10)
    lines = []
    for number, (offset, name) in enumerate(arguments):
        owner, size = registers[name].get("owner"), registers[name]["size"] // 8
        if owner is not None and (buses.get(owner, {}).get("mode") != "master" or size != 8):
            raise Refused(f"{kernel}: argument {name} is no address of {owner}")
        facts = {"name": name, "addressQualifier": int(owner is not None), "id": number, "port": owner or lite[0]}
        listed = {**facts, "size": f"{size:#x}", "offset": f"{offset:#x}"}
        lines.append(f"<arg {' '.join(f'{key}={quoteattr(str(value))}' for key, value in listed.items())}/>")
    with zipfile.ZipFile(target, "w") as package:
        package.writestr("kernel.xml", f'<root><kernel name="{kernel}"><args>{"".join(lines)}</args></kernel></root>')
        package.writestr("component.json", json.dumps(asdict(component)))
