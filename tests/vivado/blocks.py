"""The stand-in's block design: cells, nets, interface nets and addresses, and what its validation refuses."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from tests.vivado.catalog import Cell, Definition, Interface, Pin, Refused

__all__ = ["BlockDesign", "Segment"]

_RATES = {"FCLK_CLK0": (1e9, "PCW_FPGA0_PERIPHERAL_FREQMHZ"), "pl_clk0": (1.5e9, "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ")}
_LARGEST = 63


@dataclass(frozen=True)
class Segment:
    """A slave's addresses as a master sees them."""

    space: str
    segment: str
    offset: int
    size: int

    @property
    def last(self) -> int:
        return self.offset + self.size - 1


@dataclass
class BlockDesign:
    """`nets`: what drives each input pin; `joined`: both ends of an interface connection, each by the other."""

    name: str
    cells: dict[str, Cell] = field(default_factory=dict)
    nets: dict[str, str] = field(default_factory=dict)
    joined: dict[str, str] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    valid: bool = False

    def add(self, name: str, definition: Definition) -> None:
        if name in self.cells:
            raise Refused(f"there is a cell {name} already")
        self.cells[name] = Cell(name, definition)

    def cell(self, path: str) -> Cell:
        name = path.lstrip("/").partition("/")[0]
        if name not in self.cells:
            raise Refused(f"no cell {name}")
        return self.cells[name]

    def pin(self, path: str) -> Pin:
        cell, _, name = path.lstrip("/").partition("/")
        pins = self.cell(cell).pins
        if name not in pins:
            raise Refused(f"no pin {name} at {cell}, which has {', '.join(sorted(pins)) or 'none'}")
        return pins[name]

    def interface(self, path: str) -> Interface:
        cell, _, name = path.lstrip("/").partition("/")
        interfaces = self.cell(cell).interfaces
        if name not in interfaces:
            raise Refused(f"no interface {name} at {cell}, which has {', '.join(sorted(interfaces)) or 'none'}")
        return interfaces[name]

    def configure(self, path: str, name: str, value: str) -> None:
        cell = self.cell(path)
        if name not in cell.definition.parameters:
            raise Refused(f"{cell.definition.name} has no parameter {name}")
        _, allowed = cell.definition.parameters[name]
        if not (allowed(value) if callable(allowed) else value in allowed):
            raise Refused(f"{cell.name}: {value!r} is no value of {name}")
        cell.parameters[name] = value

    def connect(self, *paths: str) -> None:
        """A net of one driver and inputs."""
        drivers = [path for path in paths if self.pin(path).direction == "O"]
        if len(drivers) != 1 or len(paths) < 2:
            raise Refused(f"expected one driver and its loads, got {' '.join(paths)}")
        driver = self.pin(drivers[0])
        for path in paths:
            load = self.pin(path)
            if load.direction == "O":
                continue
            if path in self.nets:
                raise Refused(f"{path} is driven by {self.nets[path]} already")
            if load.kind != driver.kind and "data" not in (load.kind, driver.kind):
                raise Refused(f"{drivers[0]} ({driver.kind}) cannot drive {path} ({load.kind})")
            if load.width not in (1, 32) or driver.width > load.width:
                raise Refused(f"{drivers[0]} has {driver.width} bits, {path} {load.width}")
            self.nets[path] = drivers[0]

    def join(self, first: str, second: str) -> None:
        one, other = self.interface(first), self.interface(second)
        if {one.mode, other.mode} != {"master", "slave"} or one.kind != other.kind:
            raise Refused(f"{first} ({one.kind} {one.mode}) cannot be joined with {second} ({other.kind} {other.mode})")
        for path in (first, second):
            if path in self.joined:
                raise Refused(f"{path} is joined with {self.joined[path]} already")
        bridged = any("smartconnect" in self.cell(path).definition.vlnv for path in (first, second))
        if not bridged and None not in (one.width, other.width) and one.width != other.width:
            raise Refused(f"{first} has {one.width} bits, {second} {other.width}")
        if not bridged and one.kind == "aximm":
            raise Refused(f"{first} and {second} need an interconnect between them")
        self.joined[first], self.joined[second] = second, first

    # ---- addresses

    def spaces(self) -> dict[str, Interface]:
        """Address spaces by name: a processor's, and each other master's own."""
        found = {}
        for cell in self.cells.values():
            for name, interface in cell.interfaces.items():
                if (
                    interface.mode == "master"
                    and interface.kind == "aximm"
                    and "smartconnect" not in cell.definition.vlnv
                ):
                    found["ps/Data" if cell.name == "ps" else f"{cell.name}/{name}"] = interface
        return found

    def slaves(self) -> dict[str, tuple[str, int | None, int | None]]:
        """Segments by name: the interface, offset and size that they have, if any."""
        return {
            f"{cell.name}/{segment}": (f"{cell.name}/{bus}", offset, size)
            for cell in self.cells.values()
            for bus, listed in cell.definition.segments(cell).items()
            if bus in cell.interfaces
            for segment, (offset, size) in listed.items()
        }

    def reached(self, space: str) -> set[str]:
        """Slave interfaces behind the masters of an address space, through SmartConnects."""
        cell = self.cells[space.partition("/")[0]]
        starts = [
            f"{cell.name}/{name}"
            for name, interface in cell.interfaces.items()
            if interface.mode == "master" and interface.kind == "aximm"
        ]
        found, todo = set(), [self.joined.get(path) for path in starts]
        while todo:
            path = todo.pop()
            if path is None or path in found:
                continue
            found.add(path)
            cell = self.cell(path)
            if "smartconnect" in cell.definition.vlnv:
                masters = [name for name, one in cell.interfaces.items() if one.mode == "master"]
                todo += [self.joined.get(f"{cell.name}/{name}") for name in masters]
        return found

    def assign(self, space: str, segment: str, offset: int, size: int) -> None:
        interface, _fixed, _room = self.slaves()[segment]
        if interface not in self.reached(space):
            raise Refused(f"{segment} is not reached from {space}")
        if size & (size - 1) or offset % size or (size < 4096):
            raise Refused(f"{segment}: {offset:#x} of {size:#x} bytes is not aligned")
        window = self.spaces()[space].window
        if window is not None and not window[0] <= offset <= offset + size - 1 <= window[1]:
            raise Refused(f"{segment}: {offset:#x} lies outside of {space}")
        new = Segment(space, segment, offset, size)
        for other in self.segments:
            if other.space == space and other.offset <= new.last and new.offset <= other.last:
                raise Refused(f"{segment} at {offset:#x} overlaps {other.segment} at {other.offset:#x} in {space}")
        self.segments.append(new)

    def assign_rest(self) -> None:
        """Memory keeps the addresses that it has; what has none is told by the validation."""
        for space in self.spaces():
            for segment, (interface, offset, size) in self.slaves().items():
                taken = any(one.space == space and one.segment == segment for one in self.segments)
                if not taken and interface in self.reached(space) and offset is not None and size is not None:
                    self.assign(space, segment, offset, size)

    # ---- validation

    def validate(self) -> None:
        for cell in self.cells.values():
            for name, pin in cell.pins.items():
                if pin.direction == "I" and not pin.optional and f"{cell.name}/{name}" not in self.nets:
                    what = {"clk": "clock", "rst": "reset"}.get(pin.kind, "input")
                    raise Refused(f"{what} pin {cell.name}/{name} is not connected")
            for name, interface in cell.interfaces.items():
                if not interface.optional and f"{cell.name}/{name}" not in self.joined:
                    raise Refused(f"interface {cell.name}/{name} is not connected")
        for first, second in self.joined.items():
            if self._clock(first) != self._clock(second):
                raise Refused(f"{first} and {second} run on {self._clock(first)} and {self._clock(second)}")
        for space in self.spaces():
            seen = {one.segment for one in self.segments if one.space == space}
            for segment, (interface, _, _) in self.slaves().items():
                if interface in self.reached(space) and segment not in seen:
                    raise Refused(f"{segment} has no address in {space}")
        self.valid = True

    def _clock(self, path: str) -> str:
        cell = self.cell(path)
        return self.nets[f"{cell.name}/{self.interface(path).clock}"]

    def clock_hz(self, pin: str) -> float:
        """What the processing system makes of the wanted clock with its two dividers."""
        source, parameter = _RATES[pin.rpartition("/")[2]]
        first, second = self.dividers(pin)
        assert parameter in self.cells["ps"].definition.parameters
        return source / (first * second)

    def dividers(self, pin: str) -> tuple[int, int]:
        source, parameter = _RATES[pin.rpartition("/")[2]]
        wanted = 1e6 * float(self.cells["ps"].value(parameter))
        pairs = [(i, j) for i in range(1, _LARGEST + 1) for j in range(1, i + 1) if source / (i * j) <= wanted * 1.0001]
        return max(pairs, key=lambda pair: (source / math.prod(pair), pair[0]))

    def renamed(self, segment: Segment, name: str) -> Segment:
        return replace(segment, segment=name)
