"""What stands at bus addresses: the window pynq maps, plain registers, clocks, an interrupt controller."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import BackendError
from bitswath.simulated.hwh import Family

__all__ = ["Bus", "InterruptController", "Registers", "Slave", "Window", "clock_registers"]

_WATCH_S = 0.02


class Slave(Protocol):
    """Something with 32-bit registers."""

    def read(self, offset: int) -> int:
        """The register's value."""

    def write(self, offset: int, value: int) -> None:
        """Set the register."""


class Bus:
    """Slaves by address."""

    def __init__(self) -> None:
        self._slaves: list[tuple[int, int, Slave]] = []

    def attach(self, base: int, size: int, slave: Slave) -> None:
        """Put a slave in front of what is there."""
        self._slaves.insert(0, (base, size, slave))

    def read(self, address: int) -> int:
        """Raises `RuntimeError` where nothing is, as a bus does not answer there."""
        slave, offset = self._find(address)
        return slave.read(offset) & 0xFFFFFFFF

    def write(self, address: int, value: int) -> None:
        """Raises as `read` does."""
        slave, offset = self._find(address)
        slave.write(offset, value)

    def _find(self, address: int) -> tuple[Slave, int]:
        for base, size, slave in self._slaves:
            if base <= address < base + size:
                return slave, address - base
        raise RuntimeError(f"bus error: nothing answers at {address:#x}")


class Registers(dict[int, int]):
    """Plain storage."""

    def read(self, offset: int) -> int:
        """0 where nothing was written."""
        return self.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Keep it."""
        self[offset] = value


class Window(np.ndarray[Any, np.dtype[np.uint32]]):
    """uint32 array over bus addresses: reading an element reads the bus, writing writes it.

    pynq's MMIO indexes it; its register maps make views of one element and read those.
    """

    _at: tuple[Bus, int, int, int] | None

    def __new__(cls, bus: Bus, base: int, length: int) -> Window:
        """`length` bytes from `base`."""
        self = np.zeros(length >> 2, np.uint32).view(cls)
        start = _address_of(self)
        self._at = (bus, base - start, start, start + self.nbytes)
        return self

    def __array_finalize__(self, other: object) -> None:
        at = getattr(other, "_at", None)
        # copies and results are plain memory; only views of the window stay on the bus
        self._at = at if at is not None and at[2] <= _address_of(self) < at[3] else None

    def __getitem__(self, key: Any) -> Any:
        if self._at is None:
            return super().__getitem__(key)
        view, plain = self._view(key)
        scalar = isinstance(key, (int, np.integer))
        if scalar or view.size > 1:  # register maps read their views of one element later
            for i in range(plain.size):
                plain[i] = self._at[0].read(_address_of(plain) + self._at[1] + 4 * i)
        return plain[0] if scalar else view

    def __setitem__(self, key: Any, value: Any) -> None:
        if self._at is None:
            super().__setitem__(key, value)
            return
        _, plain = self._view(key)
        plain[:] = value
        for i in range(plain.size):
            self._at[0].write(_address_of(plain) + self._at[1] + 4 * i, int(plain[i]))

    def _view(self, key: Any) -> tuple[Any, NDArray[np.uint32]]:
        key = slice(key, key + 1 or None) if isinstance(key, (int, np.integer)) else key
        view = super().__getitem__(key)
        return view, view.view(np.ndarray)


def _address_of(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def clock_registers(family: Family) -> list[tuple[int, int, Registers]]:
    """(address, size, registers) that pynq's Clocks reads and sets, as after boot: 100 MHz."""
    if family == "zynqmp":  # CRF_APB and CRL_APB; PLLs at 33.333 MHz * 90 / 2
        pll = 90 << 8 | 1 << 16
        clocks = {0xC0 + 4 * i: 1 << 24 | 1 << 16 | 15 << 8 for i in range(4)}
        return [
            (0xFD1A0000, 0x1000, Registers({0x20: pll, 0x2C: pll, 0x38: pll, 0x60: 1 << 8})),
            (0xFF5E0000, 0x1000, Registers({0x20: pll, 0x30: pll, **clocks})),
        ]
    clocks = {0x170 + 16 * i: 1 << 20 | 10 << 8 for i in range(4)}
    return [
        (0xF8000000, 0x1000, Registers({0x100: 26 << 12, 0x104: 21 << 12, 0x108: 20 << 12, 0x120: 2 << 8, **clocks}))
    ]


class InterruptController(Registers):
    """The AXI interrupt controller's registers as pynq uses them (pending 0x04, enables 0x08, 0x10 and 0x14,
    acknowledge 0x0C), and in place of the UIO device that it waits on.

    `raised(line, timeout_s)`: wait until that line is raised.
    """

    def __init__(self, raised: Callable[[int, float], bool]) -> None:
        super().__init__()
        self._raised = raised
        self._lock = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[Any] = []
        self._enabled = self._pending = 0
        self._closed = False
        self._watcher = threading.Thread(target=self._watch, name="bitswath-interrupts", daemon=True)
        self._watcher.start()

    def add_event(self, event: Any, number: int) -> None:
        """As pynq's UioController: call `event.set()` at the next interrupt, in the loop that it was first used in."""
        with self._lock:
            self._loop = self._loop or asyncio.get_running_loop()
            self._waiting.append(event)
            self._lock.notify_all()

    def read(self, offset: int) -> int:
        with self._lock:
            return self._pending & self._enabled if offset == 0x04 else self.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        with self._lock:
            if offset == 0x08:
                self._enabled = value
            elif offset == 0x0C:
                self._pending &= ~value
            elif offset == 0x10:
                self._enabled |= value
            elif offset == 0x14:
                self._enabled &= ~value
            self._lock.notify_all()

    def close(self) -> None:
        """End the watching thread."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()
        self._watcher.join()

    def _watch(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._closed or (self._waiting and self._enabled))
                if self._closed:
                    return
                lines = [line for line in range(32) if self._enabled >> line & 1]
            for line in lines:
                try:
                    if self._raised(line, _WATCH_S):
                        self._fire(line)
                except BackendError:  # it is being reset, or was closed
                    time.sleep(_WATCH_S)

    def _fire(self, line: int) -> None:
        with self._lock:
            self._pending |= 1 << line
            if self._loop is None or self._loop.is_closed():
                return
            waiting, self._waiting = self._waiting, []
            for event in waiting:
                self._loop.call_soon_threadsafe(event.set)
