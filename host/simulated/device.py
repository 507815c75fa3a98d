"""A simulated board for the unmodified pynq: its registers, memory and clocks are those of a simulated system.

One subclass of pynq's Device is enough for Overlay, MMIO, allocate, Clocks and interrupts (pynq 3.0 to 4.0). The
host's view of cacheable memory is a copy of the device's: what is not flushed or invalidated is not seen, and what
is not flushed may be written back over what the device wrote (cache.py).
"""

from __future__ import annotations

import itertools
import threading
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pynq.buffer import PynqBuffer
from pynq.interrupt import _InterruptController
from pynq.pl_server.device import Device

from bitswath.builds.design import Design
from bitswath.simulated.bus import Bus, InterruptController, Window, clock_registers
from bitswath.simulated.cache import CachedMemory
from bitswath.simulated.hwh import Family
from bitswath.simulated.overlay import CONTROLLER, ENGINE_BYTES, INTC_BYTES, engine_addresses, placeholder

__all__ = ["SimulatedDevice", "SystemLike"]

_PAGE = 4096
_ARCHITECTURES = {"zynq": "armv7l", "zynqmp": "aarch64"}
_numbers = itertools.count()


class SystemLike(Protocol):
    """What a device needs of a `System`."""

    memory: NDArray[np.uint8]
    memory_base: int

    @property
    def design(self) -> Design | None:
        """What it computes; None for a model without one."""

    def read(self, engine: int, offset: int) -> int:
        """An engine's register."""

    def write(self, engine: int, offset: int, value: int) -> None:
        """Set an engine's register."""

    def reset(self) -> None:
        """As loading the bitstream again."""

    def wait_interrupt(self, engine: int, timeout_s: float) -> bool:
        """Whether the engine's interrupt line is raised in time."""

    def close(self) -> None:
        """End it."""


class SimulatedDevice(Device):  # type: ignore[misc]  # pynq is not annotated
    """A board with one accelerator. It is pynq's active device from here on, as the board's own is on a board.

    `family`: whose clock registers and architecture it has. `registers`: reach registers by calls as pynq's cards do,
    instead of by mapped memory. Closing it closes the system.
    """

    name = "simulated"

    def __init__(self, system: SystemLike, *, family: Family = "zynqmp", registers: bool = False) -> None:
        super().__init__(f"simulated{next(_numbers)}")
        self.capabilities = {"MEMORY_MAPPED": not registers, "REGISTER_RW": registers}
        self.arch = _ARCHITECTURES[family]
        self.system, self.family = system, family
        self.bus = Bus()
        for base, size, slave in clock_registers(family):
            self.bus.attach(base, size, slave)
        for engine, address in enumerate(engine_addresses(family)):
            self.bus.attach(address, ENGINE_BYTES, _EngineRegisters(system, engine))
        self.controller = InterruptController(system.wait_interrupt)
        self.bus.attach(CONTROLLER[family], INTC_BYTES, self.controller)
        self.downloads: list[str] = []
        self._lock = threading.Lock()
        self._free = [(system.memory_base, system.memory.nbytes)]
        self._noise = np.random.default_rng(0)
        self.activate()

    def activate(self) -> SimulatedDevice:
        """Be the device for calls that name none (pynq.allocate, Clocks, Interrupt)."""
        from pynq import ps

        Device.active_device = self
        if hasattr(ps.Clocks, "set_device"):
            ps.Clocks.set_device(self)
            if "_real_instance" in vars(ps.Clocks):
                del ps.Clocks._real_instance
        else:  # pynq 3.0 asks for the machine's architecture, not the device's
            kinds = {"aarch64": ps._ClocksUltrascale, "armv7l": ps._ClocksZynq}
            ps.Clocks._real_instance = kinds[self.arch]()
        return self

    @property
    def free_bytes(self) -> int:
        """Of device memory."""
        with self._lock:
            return sum(size for _, size in self._free)

    def mmap(self, base_addr: int, length: int) -> Window:
        """What pynq.MMIO indexes."""
        return Window(self.bus, base_addr, length)

    def read_registers(self, address: int, length: int) -> bytes:
        """pynq.MMIO's other way."""
        return b"".join(self.bus.read(address + i).to_bytes(4, "little") for i in range(0, length, 4))

    def write_registers(self, address: int, data: bytes) -> None:
        """pynq.MMIO's other way."""
        raw = bytes(data)
        for i in range(0, len(raw), 4):
            self.bus.write(address + i, int.from_bytes(raw[i : i + 4], "little"))

    def allocate(self, shape: int | tuple[int, ...], dtype: Any = "u4", cacheable: int = 0, **_: Any) -> Any:
        """A PynqBuffer in device memory. Raises `MemoryError` if there is no room."""
        kind = np.dtype(dtype)
        size = -(-max(int(np.prod(shape)) * kind.itemsize, 1) // _PAGE) * _PAGE
        memory = self._take(size)
        if cacheable:
            memory.cache = CachedMemory(memory.device, self._noise)
        host = memory.device if memory.cache is None else memory.cache.host
        buffer = PynqBuffer(
            shape, kind, device=self, device_address=memory.address, bo=memory, buffer=host, coherent=False
        )
        # with these three pynq calls return_pointer where it would unmap memory of the operating system
        buffer.memory, buffer.pointer, buffer.return_to = self, memory, self
        memory.buffer = weakref.ref(buffer)
        return buffer

    def return_pointer(self, memory: _Memory) -> None:
        """Take memory back. Called by pynq."""
        buffer = memory.buffer() if memory.buffer is not None else None
        if buffer is not None:
            buffer.freed = True  # freed early: pynq's __del__ would unmap it again
        with self._lock:
            self._free = _merged([*self._free, (memory.address, memory.device.nbytes)])

    def flush(self, bo: _Memory, offset: int, vaddr: int, nbytes: int) -> None:
        """Host copy to device, the whole object as XRT does."""
        if bo.cache is not None:
            bo.cache.flush()

    def invalidate(self, bo: _Memory, offset: int, vaddr: int, nbytes: int) -> None:
        """Device to host copy, after unflushed lines were written back."""
        if bo.cache is not None:
            bo.cache.invalidate()

    def get_memory(self, description: Any) -> SimulatedDevice:
        """The memory of an overlay by name."""
        return self

    def get_bitfile_metadata(self, bitfile_name: str, partial: bool = False) -> Any:
        """The handoff file beside the bit file, as pynq's own devices read it."""
        from pynq.metadata.runtime_metadata_parser import RuntimeMetadataParser
        from pynqmetadata.frontends import Metadata

        self.bitfile_name = bitfile_name
        parser = RuntimeMetadataParser(Metadata(input=str(Path(bitfile_name).with_suffix(".hwh"))))
        for controller in parser.interrupt_controllers.values():
            if "raw_irq" in controller:  # looked up before the operating system's interrupts
                _InterruptController._uio_devices[controller["raw_irq"]] = self.controller
        return parser

    def download(self, bitstream: Any, parser: Any = None) -> None:
        """Load a bitstream: resets the system. Raises `RuntimeError` for another design's."""
        path = Path(bitstream.bitfile_name)
        design = self.system.design
        if design is not None and path.read_bytes() != placeholder(design):
            raise RuntimeError(f"{path} is not of the design {design.name!r} that this device simulates")
        self.system.reset()
        self.downloads.append(str(path))
        self.post_download(bitstream, parser, self.name)

    def gen_cache(self, bitstream: Any, parser: Any = None) -> None:
        """pynq would write into its own installation."""

    def close(self) -> None:
        """End the interrupts and the system."""
        self.controller.close()
        self.system.close()

    def __enter__(self) -> SimulatedDevice:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, size: int) -> _Memory:
        with self._lock:
            for i, (address, room) in enumerate(self._free):
                if room >= size:
                    self._free[i : i + 1] = [(address + size, room - size)] if room > size else []
                    start = address - self.system.memory_base
                    return _Memory(address, self.system.memory[start : start + size])
        raise MemoryError(f"no {size} contiguous bytes of device memory are free")


class _Memory:
    """A buffer object: where it is, the device's bytes and the cache in front of them, if there is one."""

    def __init__(self, address: int, device: NDArray[np.uint8]) -> None:
        self.address, self.device = address, device
        self.cache: CachedMemory | None = None
        self.buffer: weakref.ref[Any] | None = None


class _EngineRegisters:
    """An engine of the system as a slave of the bus."""

    def __init__(self, system: SystemLike, engine: int) -> None:
        self._system, self._engine = system, engine

    def read(self, offset: int) -> int:
        return self._system.read(self._engine, offset)

    def write(self, offset: int, value: int) -> None:
        self._system.write(self._engine, offset, value)


def _merged(free: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Neighbouring pieces as one."""
    result: list[tuple[int, int]] = []
    for address, size in sorted(free):
        if result and sum(result[-1]) == address:
            result[-1] = (result[-1][0], result[-1][1] + size)
        else:
            result.append((address, size))
    return result
