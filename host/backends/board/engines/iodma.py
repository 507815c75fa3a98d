"""The register map of FINN's DMA engines (IODMA, Vitis HLS ap_ctrl_hs), with what our shell adds to it.

FINN's: 0x00 control (bit 0 start, bit 1 done, cleared by reading, bit 2 idle), 0x04 and 0x08 interrupt enables,
0x0C interrupt status (writing toggles), 0x10 and 0x14 the buffer's address, 0x1C steps (`Frames.step_bytes`). Ours:
0x40 onwards, where FINN's bitstreams read 0.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Literal

from bitswath.backends.board.overlay import Frames
from bitswath.backends.board.protocol import Buffer
from bitswath.errors import BackendError, BitswathError

__all__ = ["FINN_BYTES", "OUR_BYTES", "RegisterEngine"]

FINN_BYTES, OUR_BYTES = 0x20, 0x88
"""Of the register maps."""

CONTROL, GLOBAL_INTERRUPT, INTERRUPT_ENABLE, INTERRUPT_STATUS = 0x00, 0x04, 0x08, 0x0C
ADDRESS_LOW, ADDRESS_HIGH, STEPS = 0x10, 0x14, 0x1C
MAGIC, VERSION, WIDTH, WORDS, DIRECTION, NETWORK, STATUS, MOVED = 0x40, 0x44, 0x48, 0x4C, 0x50, 0x60, 0x80, 0x84
START, DONE, IDLE = 1, 2, 4
BSWT = 0x54575342
SHELL_VERSION = 1

_RESPONSES = {1: "SLVERR", 2: "DECERR"}


class RegisterEngine:
    """An engine driven through its registers. `read(offset)`, `write(offset, value)`: 32 bits, Python integers.

    `ours`: it is our shell's and has an identity and a status. `direction`: "in" reads memory, "out" writes it.
    """

    def __init__(
        self,
        name: str,
        direction: Literal["in", "out"],
        read: Callable[[int], int],
        write: Callable[[int, int], None],
        *,
        ours: bool,
    ) -> None:
        self.name = name
        self._direction, self._read, self._write, self._ours = direction, read, write, ours
        self._interrupts = False

    def start(self, buffer: Buffer, steps: int) -> None:
        """See `protocol.Engine`. Raises `BackendError` if the engine is at work."""
        control = self._read(CONTROL)
        if not control & IDLE or control & START:
            raise BackendError(f"{self.name}: expected it idle, it is at work (control {control:#x}); reset the device")
        if self._interrupts:
            self.clear_interrupt()
        address = int(buffer.address)
        self._write(ADDRESS_LOW, address & 0xFFFFFFFF)
        self._write(ADDRESS_HIGH, address >> 32)
        self._write(STEPS, int(steps))
        self._write(CONTROL, START)

    def finished(self) -> bool:
        """Raises `BackendError` if the bus answered with an error, or the engine lost the transfer."""
        control = self._read(CONTROL)
        if not control & DONE:
            if control & IDLE and not control & START:
                raise BackendError(
                    f"{self.name}: stopped in the middle, as after a reset of the fabric; reset the device"
                )
            return False
        status = self._read(STATUS) if self._ours else 0
        if status:
            response = _RESPONSES.get(status, f"status {status}")
            what = "reading" if self._direction == "in" else "writing"
            raise BackendError(
                f"{self.name}: the bus answered {response} while {what} memory, after {self._read(MOVED)} words; "
                "reset the device"
            )
        return True

    def progress(self) -> str:
        """What it is at, for error messages."""
        with contextlib.suppress(BitswathError):
            moved = f", {self._read(MOVED)} words moved" if self._ours else ""
            return f"{self.name}: {'idle' if self._read(CONTROL) & IDLE else 'running'}{moved}"
        return f"{self.name}: does not answer"

    def enable_interrupt(self) -> None:
        """Raise the interrupt line when a transfer is done."""
        self.clear_interrupt()
        self._interrupts = True
        self._write(INTERRUPT_ENABLE, 1)
        self._write(GLOBAL_INTERRUPT, 1)

    def clear_interrupt(self) -> None:
        """Lower the interrupt line."""
        if self.interrupting():
            self._write(INTERRUPT_STATUS, self._read(INTERRUPT_STATUS))

    def interrupting(self) -> bool:
        """Whether the interrupt line is raised."""
        return self._read(INTERRUPT_STATUS) != 0

    def check_identity(self, frames: Frames, network: str | None) -> None:
        """Raises `BackendError` unless this is the engine of our shell for these frames and this network."""
        magic, version = self._read(MAGIC), self._read(VERSION)
        if magic != BSWT or version != SHELL_VERSION:
            raise BackendError(
                f"{self.name}: expected bitswath's DMA engine, version {SHELL_VERSION}, found magic {magic:#010x}, "
                f"version {version}; another bitstream is loaded, open with download=True"
            )
        wanted = (frames.width, frames.step_bytes * 8 // (frames.width or 8), 0 if self._direction == "in" else 1)
        found = (self._read(WIDTH), self._read(WORDS), self._read(DIRECTION))
        if found != wanted:
            raise BackendError(
                f"{self.name}: expected {wanted[0]} bits, {wanted[1]} words a frame, direction {wanted[2]}, the device "
                f"has {found[0]}, {found[1]}, {found[2]}; another design is loaded, open with download=True"
            )
        digest = "".join(f"{self._read(NETWORK + 4 * i):08x}" for i in range(8))
        if network is not None and digest != network:
            raise BackendError(
                f"{self.name}: expected network {network[:16]}..., the device has {digest[:16]}...; another design is "
                "loaded, open with download=True"
            )
