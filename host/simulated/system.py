"""A build's accelerator between two DMA engines, with memory and registers, simulated cycle by cycle.

What a board's software would drive: registers as hw/rtl/dma/dma_control.sv lists them, accessed through AXI-Lite, and
device memory behind AXI4. It runs in a process of its own, whose clock stands still while there is nothing to do.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.rtl.backend import pacing
from bitswath.backends.rtl.verilator import Harness, Variant, compiled
from bitswath.builds.design import Design
from bitswath.builds.folder import RTL, load_design
from bitswath.errors import BackendError, BundleError, InputError
from bitswath.simulated.process import Process, Reply

__all__ = ["ENGINES", "Fault", "System"]

ENGINES = {"idma0": 0, "odma0": 1}
"""Number of each engine by its name: memory to accelerator, accelerator to memory."""

SYSTEM = Harness(Path(__file__).with_name("harness") / "system.cpp", "shell", "BITSWATH_SYSTEM", ("source", "shell"))

FaultKind = Literal["never_done", "read_error", "write_error", "hang", "reset"]
_FAULTS: tuple[FaultKind, ...] = ("never_done", "read_error", "write_error", "hang", "reset")
_STATUS, _READ, _WRITE, _INJECT = range(4)
_REGISTERS = 256
_PAGE = 4096
_NOISE = 1 << 20
_MAX_STALL = 0.95
_MAX_U32 = (1 << 32) - 1
_ACCESS_S = 60.0
"""The longest wait for an access; it takes some cycles of the clock, which are slow on a busy machine."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    `kind`: "never_done" (writes get no response any more, so that the output engine is never done), "read_error" and
    "write_error" (SLVERR for a word read, for a burst written), "hang" (the memory does not answer any more), "reset"
    (of the fabric: engines idle, registers 0, frames lost). `after`: words that pass between memory and engines from
    the injection on before it strikes. `times`: how often errors and resets strike, one right after the other; the
    others last until `System.reset`.
    """

    kind: FaultKind
    after: int = 0
    times: int = 1

    def __post_init__(self) -> None:
        if self.kind not in _FAULTS:
            raise InputError(f"expected a fault of {', '.join(_FAULTS)}, got {self.kind!r}")
        if not (0 <= self.after <= _MAX_U32 and 1 <= self.times <= _MAX_U32):
            raise InputError(f"expected a fault after 0 or more words, 1 or more times, got {self.after}, {self.times}")


class System:
    """The simulated system of the build folder `folder`.

    `memory_bytes`, `memory_base`: of its memory, whole pages of 4096 bytes; accesses elsewhere get DECERR. `stall`:
    share of cycles in which the memory pauses, drawn from `seed`, as its latencies are. `exact`: simulate every module
    as it is synthesized. `checks`: with the modules' assertions. `build_timeout_s`: for the compiler, which runs if the
    simulator is not in the cache. Any thread may use it.

    Raises `BundleError` if the build is damaged or has no shell, `BackendError`, `BackendTimeoutError`, `InputError`.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        memory_bytes: int = 1 << 26,
        memory_base: int = 0x1000_0000,
        stall: float = 0.0,
        seed: int = 0,
        exact: bool = False,
        build_timeout_s: float = 1800.0,
        checks: bool = False,
    ) -> None:
        if not 0 <= stall <= _MAX_STALL or seed < 0:
            raise InputError(f"expected a stall of 0 to {_MAX_STALL} and a seed of 0 or more, got {stall} and {seed}")
        if memory_bytes <= 0 or memory_bytes % _PAGE or memory_base < 0 or memory_base % _PAGE:
            raise InputError(f"expected memory of whole pages of {_PAGE} bytes, got {memory_bytes} at {memory_base:#x}")
        self.design: Design = load_design(Path(folder))
        if not any(file.kind == "shell" for file in self.design.files):
            raise BundleError(f"{folder}: has no shell around the accelerator; build again")
        self.memory_base = memory_base
        self._rtl = Path(folder) / RTL
        variant = Variant(fast=not exact, checks=checks)
        self._model = compiled(self.design, self._rtl, variant, harness=SYSTEM, timeout_s=build_timeout_s)
        self._shared = _shared_memory(memory_bytes)
        self.memory: NDArray[np.uint8] = np.frombuffer(mmap.mmap(self._shared.fileno(), memory_bytes), np.uint8)
        _poison(self.memory, seed)
        self._options = {
            "memory": self._shared.fileno(),
            "base": memory_base,
            "bytes": memory_bytes,
            "stall": stall,
            "seed": seed,
            "quiet": pacing(self.design, stall).frame_cycles,
        }
        self._cycles = 0  # of processes that were
        self._lock = threading.Lock()
        self._process = self._start()

    @property
    def cycles(self) -> int:
        """Of the clock since the system was opened."""
        return self._cycles + self._ask(_STATUS).cycles

    @property
    def pid(self) -> int:
        """Of the simulation's process."""
        return self._process.pid

    def read(self, engine: int, offset: int) -> int:
        """An engine's register at byte `offset`."""
        _check_register(engine, offset)
        return self._ask(_READ, engine, offset).value

    def write(self, engine: int, offset: int, value: int) -> None:
        """Write an engine's register at byte `offset`."""
        _check_register(engine, offset)
        if not 0 <= value <= _MAX_U32:
            raise InputError(f"expected a register value of 32 bits, got {value}")
        self._ask(_WRITE, engine, offset, value)

    def inject(self, fault: Fault) -> None:
        """Make something go wrong."""
        self._ask(_INJECT, _FAULTS.index(fault.kind), fault.after, fault.times)

    def wait_interrupt(self, engine: int, timeout_s: float) -> bool:
        """Wait until an engine's interrupt line is high; False if it is still low after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not self._ask(_STATUS).interrupts >> engine & 1:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._process.wait_signal(engine, left)
        return True

    def reset(self) -> None:
        """As loading the bitstream again: registers, accelerator and faults; the memory stays as it is."""
        with self._lock:
            if self._shared.closed:
                raise BackendError("the simulated system is closed; open it again")
            self._process.close()
            self._cycles += self._process.cycles
            self._process = self._start()

    def close(self) -> None:
        """Give up what is under way and free everything but `memory`; more than once is fine."""
        with self._lock:
            self._process.close()
            self._shared.close()

    def __enter__(self) -> System:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> Process:
        return Process(self._model, self._rtl, self._options, [self._shared.fileno()], len(ENGINES))

    def _ask(self, kind: int, first: int = 0, second: int = 0, third: int = 0) -> Reply:
        return self._process.ask(kind, first, second, third, _ACCESS_S)


def _check_register(engine: int, offset: int) -> None:
    if engine not in ENGINES.values() or not 0 <= offset < _REGISTERS or offset % 4:
        raise InputError(
            f"expected engine 0 or 1 and a register at a multiple of 4 below {_REGISTERS}, got {engine} and {offset}"
        )


def _shared_memory(size: int) -> IO[bytes]:
    """A file without a name, which two processes can map."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("bitswath")
    else:
        descriptor, name = tempfile.mkstemp()
        Path(name).unlink()
    os.truncate(descriptor, size)
    return os.fdopen(descriptor, "r+b", buffering=0)


def _poison(memory: NDArray[np.uint8], seed: int) -> None:
    """Noise, so that what was never written does not look like zeros."""
    noise = np.random.default_rng(seed).integers(0, 256, min(_NOISE, memory.size), np.uint8)
    for start in range(0, memory.size, noise.size):
        part = memory[start : start + noise.size]
        part[:] = noise[: part.size]
