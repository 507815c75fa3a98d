"""The `pynq` backend: a bitstream on a Zynq-7000 or Zynq UltraScale+, driven through pynq 3.0 to 4.0.

pynq loads the bitstream, reaches the registers and hands out contiguous memory. What it leaves open is done here:
checks, a clock that is read back, time-outs, and Zynq-7000 handoff files that pynq 4.0.0 stumbles over. Cards that
pynq 3.0 drives work too; with pynq 4 they are driven through XRT (xrt.py).
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np

from bitswath.backends.board.clocks import Clock, aim_clocks, set_clock, wanted_clock
from bitswath.backends.board.engines.dma import DmaBackend
from bitswath.backends.board.engines.interrupts import OutputInterrupt
from bitswath.backends.board.engines.iodma import FINN_BYTES, OUR_BYTES, RegisterEngine
from bitswath.backends.board.handoff import Handoff, read_blocks, read_handoff
from bitswath.backends.board.overlay import Frames, Overlay
from bitswath.backends.board.protocol import Buffer, Engine, typed
from bitswath.errors import BackendError, DependencyError, InputError

__all__ = ["PynqBackend", "PynqBoard"]

_PYNQ_ERRORS = (RuntimeError, OSError, ValueError, TypeError, AttributeError, LookupError, MemoryError, ImportError)
_typed = partial(typed, errors=_PYNQ_ERRORS)
_INTC_BYTES, _INTC_ENABLE = 0x20, 0x10
_HLS_PORT_BITS = 32
"""The narrowest memory port that HLS makes, for narrower words, too."""
_clocks_lock = threading.Lock()
"""pynq.Clocks is one for the whole process."""

Wait = Literal["auto", "poll", "interrupt"]


class PynqBackend(DmaBackend):
    """An overlay on a board behind the `Backend` interface.

    `device`: a pynq Device, by default pynq's active one. `download`: load the bitstream, or take the one that is
    loaded. `clock_hz`: met within 1 % or refused; by default the fastest that the board makes and that is not above
    what the bitstream was routed for (the attribute `clock_hz` tells). Not for cards. `wait`: "poll", "interrupt", or
    "auto" for an interrupt where the overlay has one. The others as for `DmaBackend`.
    Raises `DependencyError` without pynq, `BackendError`, `BundleError`, `InputError`.
    """

    def __init__(
        self,
        overlay: Overlay,
        *,
        device: Any = None,
        download: bool = True,
        clock_hz: float | None = None,
        wait: Wait = "auto",
        output_shape: tuple[int, ...] | None = None,
        frames_per_transfer: int = 64,
        transfer_timeout_s: float = 60.0,
    ) -> None:
        super().__init__(
            PynqBoard(overlay, device=device, download=download, clock_hz=clock_hz, wait=wait),
            overlay,
            output_shape=output_shape,
            frames_per_transfer=frames_per_transfer,
            transfer_timeout_s=transfer_timeout_s,
        )


class PynqBoard:
    """A pynq Device with the overlay's bitstream in it. See `protocol.Board`."""

    def __init__(
        self, overlay: Overlay, *, device: Any, download: bool, clock_hz: float | None, wait: Wait = "auto"
    ) -> None:
        if wait not in ("auto", "poll", "interrupt"):
            raise InputError(f"expected wait to be auto, poll or interrupt, got {wait!r}")
        self._pynq = _pynq()
        self._overlay, self._wait = overlay, wait
        self._wanted_hz, self._named = wanted_clock(overlay, clock_hz), clock_hz is not None
        overlay.check_bitfile()
        handoff = overlay.bitfile.with_suffix(".hwh")
        self._handoff = Handoff() if overlay.is_alveo else read_handoff(handoff)
        self._blocks = None if overlay.is_alveo else read_blocks(handoff)
        with _typed(f"{overlay.bitfile}: pynq cannot load it"):
            self._device = self._pynq.Device.active_device if device is None else device
            # downloaded below: pynq 4.0.0 would fail here on the clocks of a Zynq-7000
            self._loaded = self._pynq.Overlay(str(overlay.bitfile.absolute()), download=False, device=self._device)
        self._interrupt: OutputInterrupt | None = None
        self._start(download)

    @property
    def device(self) -> Hashable:
        """See `protocol.Board`; pynq has one object for each."""
        return id(self._device)

    def allocate(self, engine: Engine, size: int) -> Buffer:
        """Contiguous memory, cached on Zynq."""
        caching = {} if self._overlay.is_alveo else {"cacheable": 1}
        with _typed(f"no {size} bytes of contiguous memory; lower frames_per_transfer or free other buffers"):
            return _PynqBuffer(self._pynq.allocate(size, dtype=np.uint8, target=self._device, **caching))

    def rest(self, pause_s: float) -> None:
        """See `protocol.Board`."""
        if self._interrupt is None:
            time.sleep(pause_s)
        elif not self._interrupt.wait():
            warnings.warn("the interrupt of the output engine does not arrive, polling instead", stacklevel=2)
            self._interrupt = None

    def reload(self) -> None:
        """See `protocol.Board`."""
        self._start(download=True)

    def close(self) -> None:
        """Nothing to let go of: the bitstream stays loaded."""

    def _start(self, download: bool) -> None:
        with _clocks_lock, _typed(f"{self._overlay.bitfile}: cannot be loaded"):
            aim_clocks(self._pynq, self._device)
            clock = self._set_clock()
            if download:
                self._download(clock)
                clock = self._set_clock()
        self.clock_hz = None if clock is None else clock.accelerator_hz
        ours = self._overlay.shell == "bitswath"
        self.idma = self._engine(self._overlay.input, "in", ours)
        self.odma = self._engine(self._overlay.output, "out", ours)
        if ours:
            self.idma.check_identity(self._overlay.input, self._overlay.network)
            self.odma.check_identity(self._overlay.output, self._overlay.network)
        self._connect_interrupt()

    def _connect_interrupt(self) -> None:
        if self._wait == "poll":
            return
        pins = self._loaded.ip_dict[self._overlay.output.engine].get("interrupts", {})
        pin = next(iter(pins.values()), None)
        if pin is None or self._pynq.Device.active_device is not self._device:  # pynq finds pins on that one only
            if self._wait == "interrupt":
                raise BackendError(
                    f"{self._overlay.output.engine} has no interrupt on pynq's active device; use wait='poll'"
                )
            return
        if self._interrupt is None:
            self._interrupt = OutputInterrupt(self._pynq, pin["fullpath"], self._arming(pin))
        self._interrupt.attach(self.odma)

    def _arming(self, pin: dict[str, Any]) -> Callable[[], None]:
        """Enables the pin's line at the AXI interrupt controller it is on, if it is on one."""
        controller = self._loaded.ip_dict.get(pin.get("controller", ""))
        if controller is None:
            return lambda: None
        mmio = self._pynq.MMIO(controller["phys_addr"], _INTC_BYTES, device=self._device)
        return lambda: mmio.write(_INTC_ENABLE, 1 << int(pin["index"]))

    def _engine(self, frames: Frames, direction: Literal["in", "out"], ours: bool) -> RegisterEngine:
        known = self._loaded.ip_dict
        entry = known.get(frames.engine)
        if entry is None:
            raise BackendError(
                f"{self._overlay.bitfile}: expected an engine {frames.engine!r}, it has {', '.join(sorted(known))}; "
                "bit file and settings are not of one build"
            )
        self._check_registers(frames, entry, OUR_BYTES if ours else FINN_BYTES)
        self._check_width(frames, ours)
        with _typed(f"{frames.engine}: its registers cannot be reached"):
            if "index" in entry:  # a compute unit of a card: pynq opens it with its driver
                mmio = getattr(self._loaded, frames.engine).mmio
            else:
                mmio = self._pynq.MMIO(entry["phys_addr"], entry["addr_range"], device=self._device)

        def read(offset: int) -> int:
            with _typed(f"{frames.engine}: cannot be read"):
                return int(mmio.read(offset))

        def write(offset: int, value: int) -> None:
            with _typed(f"{frames.engine}: cannot be written"):
                mmio.write(offset, int(value))  # pynq takes no numpy integers

        return RegisterEngine(frames.engine, direction, read, write, ours=ours)

    def _check_registers(self, frames: Frames, entry: dict[str, Any], size: int) -> None:
        if entry.get("addr_range", 0) < size:
            raise BackendError(
                f"{frames.engine}: expected {size} bytes of registers, the overlay has {entry.get('addr_range')}"
            )
        if frames.address is not None and entry.get("phys_addr") != frames.address:
            raise BackendError(
                f"{frames.engine}: expected its registers at {frames.address:#x}, the .hwh file has "
                f"{entry.get('phys_addr', 0):#x}; copy the whole folder again"
            )

    def _check_width(self, frames: Frames, ours: bool) -> None:
        """The width of the engine's memory port, where the .hwh file has it, against the frames."""
        width = None if self._blocks is None else self._blocks.engines[frames.engine].port_bits
        if width is None or (not ours and width <= _HLS_PORT_BITS):
            return
        if ours and frames.width != width:
            raise BackendError(
                f"{frames.engine}: expected {frames.width} bits, the .hwh file has {width}; copy it again"
            )
        if frames.frame_bytes * 8 % width:
            raise BackendError(
                f"{frames.engine}: moves words of {width} bits, a frame of {frames.frame_bytes} bytes is no whole "
                "number; settings and bit file are not of one build"
            )

    def _download(self, clock: Clock | None) -> None:
        """pynq sets clocks before: clock 0 is to stay as it is. pynq 4 goes by the frequency, which 4.0.0 does not
        read from a Zynq-7000's handoff file and then fails; pynq 3 goes by the divisors."""
        for index, entry in getattr(self._loaded, "clock_dict", {}).items():
            if index == 0 and clock is not None and clock.divisors is not None:
                first, second = clock.divisors
                entry.update(enable=1, frequency=clock.zero_hz / 1e6, divisor0=first, divisor1=second)
            elif entry.get("enable") and entry.get("frequency", 0) is None:
                entry["frequency"] = self._handoff.clocks_hz.get(index, 100e6) / 1e6
        _check_directory(self._pynq, self._device)
        self._loaded.download()

    def _set_clock(self) -> Clock | None:
        """None on cards."""
        if self._overlay.is_alveo:
            return None
        return set_clock(self._pynq, self._wanted_hz, exact=self._named, wizard=self._handoff.wizard)


class _PynqBuffer:
    """A PynqBuffer as `board.Buffer`."""

    def __init__(self, buffer: Any) -> None:
        self._buffer = buffer
        self.array = buffer.view(np.ndarray)
        self.address = int(buffer.device_address)

    def flush(self) -> None:
        with _typed("memory cannot be flushed"):
            self._buffer.flush()

    def invalidate(self) -> None:
        with _typed("memory cannot be invalidated"):
            self._buffer.invalidate()

    def free(self) -> None:
        self.array = np.zeros(0, np.uint8)
        with _typed("memory cannot be freed"):
            self._buffer.freebuffer()


def _check_directory(pynq: ModuleType, device: Any) -> None:
    """pynq 4 puts a file into the current directory while it loads a bitstream, when half of that is done."""
    if not hasattr(device, "_xrt_download") or int(pynq.__version__.partition(".")[0]) < 4:
        return
    try:
        with Path("loaded.xclbin").open("ab"):
            pass
    except OSError as error:
        raise BackendError(
            f"pynq {pynq.__version__} writes loaded.xclbin into the current directory, which it cannot here "
            f"({error.strerror}); change to a directory that can be written"
        ) from error


def _pynq() -> ModuleType:
    try:
        import pynq
    except ImportError as error:
        raise DependencyError(f"driving a board needs pynq ({error}); pip install 'bitswath[board]'") from error
    module: ModuleType = pynq
    return module
