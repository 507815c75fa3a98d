"""The longest path between registers of a netlist: levels of logic, carries, and nanoseconds.

A netlist has cells and no places, so a net's delay is what a net of its fan-out took in designs that Vivado has routed.
``scripts/fit_timing.py`` fits that and compares whole paths; the cells' own delays are those of Yosys' models of them,
which are of 7 series, speed grade -1. Inputs of a part come as if from registers outside, outputs go to some.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import log2
from typing import Any

from bitswath.backends.netlist.yosys import Module
from bitswath.errors import BuildError

__all__ = ["NET", "UNCERTAINTY", "TimingPath", "longest_path", "net_ns", "slowness"]

Cell = Mapping[str, Any]
Bit = int | str

NET = (0.535, 0.069)
"""ns of a net: the first, and the second for each doubling of its fan-out (scripts/fit_timing.py)."""
_MOST_DOUBLINGS = 9.0
"""Beyond 512 loads the vendor's tools copy the driver."""

UNCERTAINTY = 0.18
"""Skew and jitter of a clock, ns."""

_GRADES = {"-1": 1 / 1.3, "-2": 1 / 1.5, "-2L": 1 / 1.3, "-2M": 1 / 1.3}
"""Of UltraScale+ and Versal, against 7 series of grade -1: assumed on the safe side, as no routed paths of them are at
hand; L and M stand for parts at low voltage."""

_NOTHING = ("$scopeinfo", "VCC", "GND")

_LUT, _MUX, _CARRY_IN, _CARRY_ON, _CARRY_OUT = 0.124, 0.24, 0.53, 0.117, 0.33
_FROM = {"FD": 0.50, "SRL": 1.32, "RAM": 1.32, "RAMB": 2.454, "URAM": 2.454, "port": 0.50}
"""From the clock to an output."""
_TO_DATA, _TO_CONTROL, _TO_BLOCK = 0.06, 0.53, 0.74
_DSP_OUT, _DSP_IN, _DSP_PRE_ADDER, _DSP_MULTIPLIER, _DSP_THROUGH = 0.43, 0.32, 1.28, 2.40, 3.95


@dataclass(frozen=True)
class TimingPath:
    """`ns`: from one clock edge to the next, uncertainty included; `levels`: LUTs, `carries`: CARRY4 or CARRY8, `muxes`
    in it; `nets`: what of `ns` is assumed for nets; `start`, `end`: the cells, or ports, between which it goes."""

    ns: float
    levels: int
    carries: int
    muxes: int
    nets: float
    start: str
    end: str

    @property
    def clock_hz(self) -> float:
        """The fastest clock that it keeps up with."""
        return 1e9 / self.ns


@dataclass(frozen=True)
class _Arrival:
    """At a net: when, and what it came through."""

    ns: float
    start: str
    before: _Arrival | None = None
    kind: str = ""
    nets: float = 0.0


@dataclass
class _Graph:
    """Who drives a bit, how many it feeds, and which combinational cells wait for how many of their inputs."""

    loads: Counter[Bit] = field(default_factory=Counter)
    arrivals: dict[Bit, _Arrival] = field(default_factory=dict)
    drivers: dict[Bit, str] = field(default_factory=dict)


def slowness(part: str) -> float:
    """Of a part by its full name, such as xczu7ev-ffvc1156-2-e; 1 for 7 series of grade -1, the slowest."""
    grades = re.findall(r"-[123][LM]?", part)
    if part.startswith("xc7"):
        return 1.0
    return _GRADES.get(grades[0] if grades else "-1", _GRADES["-1"])


def net_ns(loads: int) -> float:
    return NET[0] + NET[1] * min(log2(max(loads, 1)), _MOST_DOUBLINGS)


def longest_path(netlist: Module, slowness: float = 1.0) -> TimingPath:
    """Of a flat netlist. `slowness`: of the part, 1 for 7 series of grade -1.

    Raises `BuildError` where logic goes round in a circle, or for a cell that it does not know.
    """
    graph = _Graph()
    cells: Mapping[str, Cell] = {
        n: c for n, c in netlist["cells"].items() if c["type"] not in ("$scopeinfo", "VCC", "GND")
    }
    for cell in cells.values():
        graph.loads.update(bit for _, bit in _inputs(cell))
    for name, port in netlist["ports"].items():
        if port["direction"] == "input":
            for bit in port["bits"]:
                graph.arrivals[bit] = _Arrival(_FROM["port"], f"port {name}")
        else:
            graph.loads.update(bit for bit in port["bits"] if isinstance(bit, int))
    for name, cell in cells.items():
        if (begins := _begins(cell)) is not None:
            for bit in _outputs(cell):
                graph.arrivals[bit] = _Arrival(begins, f"{cell['type']} {_named(netlist, bit, name)}")
    for name in _in_order(cells, graph):
        _pass_through(cells[name], graph)
    ends = [*_cell_ends(netlist, cells, graph), *_port_ends(netlist, graph)]
    return _path(max(ends, key=lambda end: end[0].ns + end[1], default=(_Arrival(0, ""), 0.0, "")), slowness)


def _inputs(cell: Cell) -> Iterator[tuple[str, int]]:
    for port, bits in cell["connections"].items():
        if cell["port_directions"].get(port) == "input":
            yield from ((port, bit) for bit in bits if isinstance(bit, int))


def _outputs(cell: Cell) -> Iterator[int]:
    for port, bits in cell["connections"].items():
        if cell["port_directions"].get(port) == "output":
            yield from (bit for bit in bits if isinstance(bit, int))


def _begins(cell: Cell) -> float | None:
    """ns after the clock edge that its outputs change, None for cells without a clock or with registers inside."""
    kind = str(cell["type"])
    if kind.startswith("DSP"):
        return (
            _DSP_OUT
            if _registered(cell, "PREG")
            else _DSP_THROUGH
            if _registered(cell, "AREG", "BREG", "MREG")
            else None
        )
    found = next((name for name in ("RAMB", "URAM", "RAM", "SRL", "FD") if kind.startswith(name)), None)
    return _FROM[found] if found else None


def _registered(cell: Cell, *names: str) -> bool:
    """Whether it has one of these registers; a parameter that is not given says that it has."""
    return any(int(str(cell["parameters"].get(name, "1")), 2) > 0 for name in names)


def _combinational(cell: Cell) -> bool:
    """Whether outputs follow inputs; memories in LUTs do so from their addresses as well."""
    kind = str(cell["type"])
    return _begins(cell) is None or kind.startswith("SRL") or (kind.startswith("RAM") and not kind.startswith("RAMB"))


def _data(cell: Cell) -> list[tuple[str, int]]:
    """The inputs that outputs follow."""
    kind = str(cell["type"])
    if kind.startswith(("SRL", "RAM")):
        return [(port, bit) for port, bit in _inputs(cell) if port.startswith(("A", "DPRA")) and port != "AWE"]
    return [(port, bit) for port, bit in _inputs(cell) if port not in ("CLK", "C", "CLK1")]


def _in_order(cells: Mapping[str, Cell], graph: _Graph) -> Iterator[str]:
    """Combinational cells, each behind those that feed it."""
    following = {name: cell for name, cell in cells.items() if _combinational(cell)}
    driven = {bit: name for name, cell in following.items() for bit in _outputs(cell)}
    waiting = {n: {driven[bit] for _, bit in _data(cell) if bit in driven} - {n} for n, cell in following.items()}
    feeds: dict[str, list[str]] = {name: [] for name in following}
    for name, sources in waiting.items():
        for source in sources:
            feeds[source].append(name)
    left = {name: len(sources) for name, sources in waiting.items()}
    ready = [name for name, count in left.items() if count == 0]
    done = 0
    while ready:
        name = ready.pop()
        done += 1
        yield name
        for target in feeds[name]:
            left[target] -= 1
            if left[target] == 0:
                ready.append(target)
    if done < len(following):
        stuck = next(name for name, count in left.items() if count > 0)
        raise BuildError(f"netlist: logic goes round in a circle, at cell {stuck}")


def _at(bit: int, graph: _Graph, into: str) -> _Arrival | None:
    """The arrival at a load of this kind: a net of one load into a carry chain or a register lies within a slice."""
    before = graph.arrivals.get(bit)
    if before is None:
        return None
    inside = (
        graph.loads[bit] == 1 and before.kind in ("LUT", "MUX", "CARRY") and into in ("S", "DI", "D", "CARRY", "MUX")
    )
    net = 0.0 if inside else net_ns(graph.loads[bit])
    return _Arrival(before.ns + net, before.start, before, "net", net)


def _pass_through(cell: Cell, graph: _Graph) -> None:
    kind = str(cell["type"])
    if kind.startswith("CARRY"):
        _through_carry(cell, graph)
        return
    if kind == "INV":  # becomes part of a LUT
        for bit, (_, source) in zip(_outputs(cell), _data(cell)):
            if source in graph.arrivals:
                graph.arrivals[bit] = graph.arrivals[source]
        return
    own, cost = (
        ("MUX", _MUX) if kind.startswith("MUXF") else ("DSP", _DSP_THROUGH) if kind.startswith("DSP") else ("LUT", _LUT)
    )
    if kind == "BUFG":
        own, cost = "", 0.0
    arrived = [_at(bit, graph, own if own == "MUX" and port != "S" else "") for port, bit in _data(cell)]
    latest = max(filter(None, arrived), key=lambda one: one.ns, default=None)
    if latest is None:
        return
    for bit in _outputs(cell):
        if bit not in graph.arrivals or graph.arrivals[bit].ns < latest.ns + cost:
            graph.arrivals[bit] = _Arrival(latest.ns + cost, latest.start, latest, own)


def _through_carry(cell: Cell, graph: _Graph) -> None:
    """From its sums to all above them, and along the chain."""
    arrived = [_at(bit, graph, port) for port, bit in _data(cell) if port in ("S", "DI", "CYINIT", "CI_TOP")]
    chain = [graph.arrivals.get(bit) for port, bit in _data(cell) if port == "CI"]
    into = max(filter(None, arrived), key=lambda one: one.ns, default=None)
    along = max(filter(None, chain), key=lambda one: one.ns, default=None)
    for port, on in (("CO", _CARRY_ON), ("O", _CARRY_OUT)):
        ways = [(into, _CARRY_IN), (along, on)]
        found = [_Arrival(way.ns + cost, way.start, way, "CARRY") for way, cost in ways if way is not None]
        if found:
            latest = max(found, key=lambda one: one.ns)
            graph.arrivals.update((bit, latest) for bit in cell["connections"].get(port, []) if isinstance(bit, int))


End = tuple[_Arrival, float, str]


def _named(netlist: Module, bit: int | None, cell: str) -> str:
    """A register by what it drives, if that has a name in the sources."""
    return str(netlist.get("names", {}).get(str(bit), cell))


def _cell_ends(netlist: Module, cells: Mapping[str, Cell], graph: _Graph) -> Iterator[End]:
    for name, cell in cells.items():
        if _begins(cell) is None:
            continue
        for port, bit in _inputs(cell):
            if port in ("C", "CLK", "WCLK", "CLKARDCLK", "CLKBWRCLK"):
                continue
            arrival = _at(bit, graph, "D" if port in ("D", "I") else "")
            if arrival is not None:
                where = _named(netlist, next(_outputs(cell), None), name)
                yield arrival, _needs(cell, port), f"{cell['type']} {where} {port}"


def _needs(cell: Cell, port: str) -> float:
    """ns before the clock edge that an input must have come."""
    kind = str(cell["type"])
    if kind.startswith("DSP"):
        return _dsp_needs(cell, port)
    if kind.startswith(("RAMB", "URAM")):
        return _TO_BLOCK
    return _TO_CONTROL if port in ("CE", "R", "S", "CLR", "PRE", "WE") else _TO_DATA


def _dsp_needs(cell: Cell, port: str) -> float:
    if port.startswith(("CE", "RST")):
        return _TO_CONTROL
    register = {"A": "AREG", "B": "BREG", "C": "CREG", "D": "DREG"}.get(port)
    if register is None or _registered(cell, register):
        return _DSP_IN
    if port in ("A", "D") and "ADREG" in cell["parameters"] and _registered(cell, "ADREG"):
        return _DSP_PRE_ADDER
    return _DSP_MULTIPLIER


def _port_ends(netlist: Module, graph: _Graph) -> Iterator[End]:
    for name, port in netlist["ports"].items():
        if port["direction"] == "output":
            arrivals: Iterable[_Arrival | None] = (_at(bit, graph, "") for bit in port["bits"] if isinstance(bit, int))
            yield from ((arrival, _TO_DATA, f"port {name}") for arrival in arrivals if arrival is not None)


def _path(end: End, slowness: float) -> TimingPath:
    arrival, needs, where = end
    kinds: Counter[str] = Counter()
    nets, at = 0.0, arrival
    while at is not None:
        kinds[at.kind] += 1
        nets += at.nets
        at = at.before  # type: ignore[assignment]
    ns = (arrival.ns + needs + UNCERTAINTY) * slowness
    return TimingPath(ns, kinds["LUT"], kinds["CARRY"], kinds["MUX"], nets * slowness, arrival.start, where)
