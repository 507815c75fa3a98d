"""A system of two DMA engines written in Python: FINN's registers, memory, and what the accelerator computes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.board.overlay import Frames
from bitswath.simulated.cache import CachedMemory

CONTROL, IER, ISR, LOW, HIGH, COUNT, STATUS, MOVED = 0x00, 0x08, 0x0C, 0x10, 0x14, 0x1C, 0x80, 0x84
START, DONE, IDLE = 1, 2, 4
IDMA, ODMA = 0, 1
NEVER = float("inf")

Rows = NDArray[np.uint8]


class ModelSystem:
    """Computes when both engines are started and says so `busy` reads of a control register later.

    `network`: with bitswath's identity registers, that digest in them; None: FINN's engines, which have none.
    `log`: (engine, offset, value) of every write. `late`: an engine that never says that it is done; `errors`: status
    by engine, of the next transfer; both last until `reset`.
    """

    design = None

    def __init__(
        self,
        given: Frames,
        taken: Frames,
        compute: Callable[[Rows], Rows],
        *,
        network: str | None = None,
        busy_s: float = 0.001,
        memory_bytes: int = 1 << 20,
        memory_base: int = 0x1000_0000,
    ) -> None:
        self.ends, self.compute, self.network, self.busy_s = (given, taken), compute, network, busy_s
        self.memory = np.random.default_rng(1).integers(0, 256, memory_bytes, np.uint8)
        self.memory_base = memory_base
        self.log: list[tuple[int, int, int]] = []
        self.resets = 0
        self.gate = threading.Event()
        self.gate.set()
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        with self.lock:
            self.registers: list[dict[int, int]] = [{CONTROL: IDLE}, {CONTROL: IDLE}]
            self.done_at = [NEVER, NEVER]
            self.late: int | None = None
            self.errors: dict[int, int] = {}
            self.resets += 1

    def read(self, engine: int, offset: int) -> int:
        with self.lock:
            self._advance()
            own = self.registers[engine]
            if offset != CONTROL:
                return self._identity(engine).get(offset, own.get(offset, 0))
            value = own[CONTROL]
            own[CONTROL] &= ~DONE
            return value

    def write(self, engine: int, offset: int, value: int) -> None:
        assert type(value) is int and 0 <= value < 1 << 32, f"pynq takes 32-bit Python integers, got {value!r}"
        with self.lock:
            self.log.append((engine, offset, value))
            own = self.registers[engine]
            if offset == ISR:
                own[ISR] = own.get(ISR, 0) ^ value
            elif offset == CONTROL and value & START:
                assert own[CONTROL] & IDLE, "an engine at work was started"
                own[CONTROL], own[STATUS] = START, 0
                if all(each[CONTROL] == START for each in self.registers):
                    self._transfer()
            else:
                own[offset] = value

    def wait_interrupt(self, engine: int, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with self.lock:
                self._advance()
                if self.registers[engine].get(ISR, 0):
                    return True
            time.sleep(0.001)
        return False

    def close(self) -> None:
        pass

    def bytes_at(self, address: int, size: int) -> Rows:
        start = address - self.memory_base
        assert start >= 0 and start + size <= self.memory.nbytes, f"access outside of memory at {address:#x}"
        return self.memory[start : start + size]

    def _transfer(self) -> None:
        for engine, status in self.errors.items():
            self.registers[engine][STATUS] = status
        now = time.monotonic()
        self.done_at = [now + self.busy_s / 2, now + self.busy_s]
        if self.errors:
            if IDMA in self.errors:
                self.done_at[ODMA] = NEVER  # words are missing: the output engine waits for ever
            return
        sources = [self._frames(engine) for engine in (IDMA, ODMA)]
        sources[ODMA][:] = self.compute(sources[IDMA].copy())

    def _frames(self, engine: int) -> Rows:
        own, size = self.registers[engine], self.ends[engine].step_bytes
        address = own.get(LOW, 0) | own.get(HIGH, 0) << 32
        return self.bytes_at(address, own[COUNT] * size).reshape(own[COUNT], size)

    def _advance(self) -> None:
        for engine, own in enumerate(self.registers):
            if self.late != engine and self.gate.is_set() and time.monotonic() >= self.done_at[engine]:
                self.done_at[engine] = NEVER
                own[CONTROL] = DONE | IDLE
                if own.get(IER, 0):
                    own[ISR] = 1

    def _identity(self, engine: int) -> dict[int, int]:
        if self.network is None:
            return {}
        end = self.ends[engine]
        width = end.width or 8
        words = [int(self.network[8 * i : 8 * i + 8], 16) for i in range(8)]
        return {
            0x40: 0x54575342,
            0x44: 1,
            0x48: width,
            0x4C: end.step_bytes * 8 // width,
            0x50: engine,
            MOVED: 7,
            **{0x60 + 4 * i: word for i, word in enumerate(words)},
        }


class CopiedBuffer:
    """Device memory that the host sees through a write-back cache."""

    def __init__(self, system: ModelSystem, address: int, size: int, log: list[str]) -> None:
        self.address, self._log = address, log
        self._cache = CachedMemory(system.bytes_at(address, size), np.random.default_rng(address))
        self.array = self._cache.host

    def flush(self) -> None:
        self._log.append("flush")
        self._cache.flush()

    def invalidate(self) -> None:
        self._log.append("invalidate")
        self._cache.invalidate()

    def free(self) -> None:
        self._log.append("free")


class ModelBoard:
    """A board over a model, without pynq. `log`: what was done with it, in order; `room`: bytes it can allocate."""

    clock_hz: float | None = 100e6

    def __init__(
        self, system: ModelSystem, *, kind: type[CopiedBuffer] = CopiedBuffer, room: int | None = None
    ) -> None:
        from bitswath.backends.board.engines.iodma import RegisterEngine

        self.system, self.kind, self.log = system, kind, list[str]()
        self.room = system.memory.nbytes if room is None else room
        self.broken: Exception | None = None
        self._used = 0
        ours = system.network is not None
        names: tuple[tuple[str, Literal["in", "out"]], ...] = (("idma0", "in"), ("odma0", "out"))
        self.idma, self.odma = (
            RegisterEngine(
                name, way, lambda o, e=e: system.read(e, o), lambda o, v, e=e: system.write(e, o, v), ours=ours
            )
            for e, (name, way) in enumerate(names)
        )

    @property
    def device(self) -> int:
        return id(self.system)

    def allocate(self, engine: object, size: int) -> CopiedBuffer:
        from bitswath.errors import BackendError

        if self._used + size > self.room:
            raise BackendError(f"no {size} bytes of contiguous memory")
        self.log.append("allocate")
        address = self.system.memory_base + self._used
        self._used += -(-size // 64) * 64
        return self.kind(self.system, address, size, self.log)

    def rest(self, pause_s: float) -> None:
        if self.broken is not None:
            raise self.broken
        time.sleep(pause_s)

    def reload(self) -> None:
        self.log.append("reload")
        if self.broken is not None:
            raise self.broken
        self.system.reset()

    def close(self) -> None:
        self.log.append("close")
