"""A memory behind AXI4, in Python, for cocotb: it answers a device's bursts and checks how they are asked for.

As in `axis`, ports are driven at the falling clock edge and sampled once the logic has settled. What the
protocol forbids (AMBA AXI, chapter A3), or what is beside the buffer, is an AssertionError.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.rtl.axis import Gate

PAGE = 4096


@dataclass
class Memory:
    """Bytes from `base` on, of which the device may use the `size` bytes from `address` on."""

    base: int
    content: bytearray
    address: int
    size: int
    word: int
    longest: int
    written: set[int] = field(default_factory=set)
    bursts: list[tuple[int, int]] = field(default_factory=list)

    def check(self, address: int, beats: int) -> None:
        assert address % self.word == 0, f"burst at {address:#x} does not begin with a word"
        assert beats <= self.longest, f"burst of {beats} words"
        assert address // PAGE == (address + beats * self.word - 1) // PAGE, f"{beats} words at {address:#x}: 4 KB"
        first, last = self.address // self.word, (self.address + self.size - 1) // self.word
        assert first <= address // self.word and address // self.word + beats - 1 <= last, f"{address:#x}: beside"
        self.bursts.append((address, beats))

    def read(self, address: int) -> int:
        start = address - self.base
        return int.from_bytes(self.content[start : start + self.word], "little")

    def write(self, address: int, data: int, strobes: int) -> None:
        for i, byte in enumerate(data.to_bytes(self.word, "little")):
            if strobes >> i & 1:
                place = address + i
                assert self.address <= place < self.address + self.size, f"byte {place:#x} is beside the buffer"
                assert place not in self.written, f"byte {place:#x} was written twice"
                self.written.add(place)
                self.content[place - self.base] = byte


class Channel:
    """A channel that the device is the source of; what it offers must stay until it is taken."""

    def __init__(self, dut: Any, prefix: str, names: tuple[str, ...]) -> None:
        self.prefix = prefix
        self.valid, self.ready = getattr(dut, f"{prefix}valid"), getattr(dut, f"{prefix}ready")
        self.fields = [getattr(dut, prefix + name) for name in names]
        self.offered: tuple[int, ...] | None = None

    def sample(self) -> tuple[int, ...] | None:
        """What is taken in this cycle."""
        seen = tuple(int(one.value) for one in self.fields) if int(self.valid.value) else None
        assert self.offered in (None, seen), f"{self.prefix}: {self.offered} became {seen} before it was taken"
        taken = seen is not None and bool(int(self.ready.value))
        self.offered = None if taken else seen
        return seen if taken else None


class ReadMemory:
    """The slave of read bursts. `faults`: responses by number of the word answered."""

    def __init__(
        self, dut: Any, memory: Memory, pace: Any, latency: int, faults: dict[int, int], random: Random
    ) -> None:
        self.dut, self.memory, self.latency, self.faults, self.random = dut, memory, latency, faults, random
        self.address = Channel(dut, "m_axi_ar", ("addr", "len"))
        self.gates = Gate(pace, random), Gate(pace, random)
        self.words: deque[tuple[int, int, bool]] = deque()  # address, cycle from which on it is there, last
        self.answered = self.most = 0
        self.offered = False

    def drive(self, cycle: int) -> None:
        self.dut.m_axi_arready.value = self.gates[0].step()
        goes = self.gates[1].step()
        if not self.offered and goes and self.words and self.words[0][1] <= cycle:
            self.offered = True
            self.dut.m_axi_rdata.value = self.memory.read(self.words[0][0])
            self.dut.m_axi_rresp.value = self.faults.get(self.answered, 0)
        self.dut.m_axi_rvalid.value = self.offered

    def sample(self, cycle: int) -> None:
        if self.offered and int(self.dut.m_axi_rready.value):
            self.words.popleft()
            self.answered += 1
            self.offered = False
        if asked := self.address.sample():
            address, beats = asked[0], asked[1] + 1
            self.memory.check(address, beats)
            due = cycle + 1 + self.latency + (self.random.randrange(8) if self.latency else 0)
            self.words += [(address + i * self.memory.word, due, i == beats - 1) for i in range(beats)]
            self.most = max(self.most, sum(last for _, _, last in self.words))

    @property
    def idle(self) -> bool:
        return not self.words and self.address.offered is None


class WriteMemory:
    """The slave of write bursts. `faults`: responses by number of the burst answered. `waits`: cycles in which a
    burst was begun and its next word not there."""

    def __init__(
        self, dut: Any, memory: Memory, pace: Any, latency: int, faults: dict[int, int], random: Random
    ) -> None:
        self.dut, self.memory, self.latency, self.faults = dut, memory, latency, faults
        self.address = Channel(dut, "m_axi_aw", ("addr", "len"))
        self.data = Channel(dut, "m_axi_w", ("data", "strb", "last"))
        self.gates = Gate(pace, random), Gate(pace, random)
        self.bursts: deque[list[int]] = deque()  # address, words left
        self.answers: deque[int] = deque()  # cycles from which on they are there
        self.answered = self.most = self.waits = 0
        self.offered = False

    def drive(self, cycle: int) -> None:
        self.dut.m_axi_awready.value = self.gates[0].step()
        self.dut.m_axi_wready.value = self.gates[1].step() and bool(self.bursts)
        if not self.offered and self.answers and self.answers[0] <= cycle:
            self.offered = True
            self.dut.m_axi_bresp.value = self.faults.get(self.answered, 0)
        self.dut.m_axi_bvalid.value = self.offered

    def sample(self, cycle: int) -> None:
        if self.offered and int(self.dut.m_axi_bready.value):
            self.answers.popleft()
            self.answered += 1
            self.offered = False
        self.waits += bool(self.bursts) and not int(self.data.valid.value)
        if given := self.data.sample():
            burst = self.bursts[0]
            self.memory.write(burst[0], given[0], given[1])
            assert given[2] == (burst[1] == 1), "WLAST is not where the burst ends"
            burst[0] += self.memory.word
            burst[1] -= 1
            if not burst[1]:
                self.bursts.popleft()
                self.answers.append(cycle + 1 + self.latency)
        if asked := self.address.sample():
            self.memory.check(asked[0], asked[1] + 1)
            self.bursts.append([asked[0], asked[1] + 1])
            self.most = max(self.most, len(self.bursts) + len(self.answers))

    @property
    def idle(self) -> bool:
        return not self.bursts and not self.answers and self.address.offered is None and self.data.offered is None
