"""AXI-Stream ports of a device under test, for cocotb.

A port named `s_axis` has the signals `s_axis_tdata`, `s_axis_tvalid` and `s_axis_tready`. A port may
be an array of streams (lanes): `tvalid` and `tready` then have a bit a lane, lane 0 lowest, and
`tdata` holds the lanes side by side. Ports are driven at the falling clock edge and sampled once the
logic has settled, so what is seen is what the next rising edge acts on.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

Pace = tuple[float, float]
"""Mean lengths, in cycles, of the runs in which a stream goes and in which it waits; (1, 0) never waits."""


class Gate:
    """Says each cycle whether a stream may go, in runs of random length."""

    def __init__(self, pace: Pace, random: Random) -> None:
        self.pace = pace
        self.random = random
        self.open = not pace[1] or random.random() < 0.5

    def step(self) -> bool:
        if self.pace[1] and self.random.random() < 1 / self.pace[0 if self.open else 1]:
            self.open = not self.open
        return self.open


@dataclass
class Lane:
    """One stream: beats to send or beats received, and the cycle in which each was taken."""

    gate: Gate
    beats: list[int]
    cycles: list[int]
    active: bool = False


class Port:
    """The signals of one port and the lanes on it."""

    def __init__(self, dut: Any, name: str, lanes: list[Lane]) -> None:
        self.tdata = getattr(dut, f"{name}_tdata")
        self.tvalid = getattr(dut, f"{name}_tvalid")
        self.tready = getattr(dut, f"{name}_tready")
        if len(self.tvalid) != len(lanes):
            raise ValueError(f"expected {len(self.tvalid)} lanes on {name}, got {len(lanes)}")
        self.name = name
        self.lanes = lanes
        self.width = len(self.tdata) // len(lanes)

    def drive(self) -> None:
        raise NotImplementedError

    def sample(self, cycle: int) -> None:
        raise NotImplementedError


class Source(Port):
    """Offers each lane's beats in order; an offered beat stays until it is taken."""

    def drive(self) -> None:
        valid = data = 0
        for index, lane in enumerate(self.lanes):
            sent = len(lane.cycles)
            lane.active = sent < len(lane.beats) and (lane.gate.step() or lane.active)
            if lane.active:
                valid |= 1 << index
                data |= lane.beats[sent] << (index * self.width)
        self.tvalid.value = valid
        if valid:
            self.tdata.value = data

    def sample(self, cycle: int) -> None:
        ready = int(self.tready.value)
        for index, lane in enumerate(self.lanes):
            if lane.active and ready >> index & 1:
                lane.cycles.append(cycle)
                lane.active = False


class Sink(Port):
    """Takes beats from each lane whenever its gate is open."""

    def drive(self) -> None:
        ready = 0
        for index, lane in enumerate(self.lanes):
            lane.active = lane.gate.step()
            ready |= lane.active << index
        self.tready.value = ready

    def sample(self, cycle: int) -> None:
        valid = int(self.tvalid.value)
        for index, lane in enumerate(self.lanes):
            if lane.active and valid >> index & 1:
                lane.beats.append(int(self.tdata.value) >> (index * self.width) & ((1 << self.width) - 1))
                lane.cycles.append(cycle)
