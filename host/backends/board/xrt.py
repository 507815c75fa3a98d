"""The `pynq` backend on Alveo cards: through pyxrt, the Python API of the vendor's runtime (XRT), without pynq.

XRT starts a compute unit with a buffer and a number of steps (`Frames.step_bytes`) and says when it is done; its
registers are not seen from here, so that a card's identity is that of the xclbin file.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Hashable
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from bitswath.backends.board.engines.dma import DmaBackend
from bitswath.backends.board.overlay import Overlay
from bitswath.backends.board.protocol import Buffer, Engine, typed
from bitswath.errors import BackendError, DependencyError

__all__ = ["XrtBackend", "XrtBoard"]

_XRT_ERRORS = (RuntimeError, OSError, ValueError, TypeError, IndexError, MemoryError)
_typed = partial(typed, errors=_XRT_ERRORS)
_GRACE_S = 2.0
"""How long `reload` lets runs end by themselves."""
_FAILED = ("ERROR", "ABORT", "TIMEOUT", "NORESPONSE", "SKERROR", "SKCRASHED")

_REMEDY = "end the program, run 'xbutil reset' on the card, start again"
_left_running: set[str] = set()
"""Cards with runs that did not complete: XRT programs them again only after a reset, for which programs must end."""


class XrtBackend(DmaBackend):
    """An overlay with an xclbin file on a card behind the `Backend` interface.

    `device`: the card's number, or its PCIe address as text. The others as for `DmaBackend`.
    Raises `DependencyError` without pyxrt, `BackendError`, `InputError`.
    """

    def __init__(
        self,
        overlay: Overlay,
        *,
        device: int | str = 0,
        output_shape: tuple[int, ...] | None = None,
        frames_per_transfer: int = 256,
        transfer_timeout_s: float = 60.0,
    ) -> None:
        super().__init__(
            XrtBoard(overlay, device),
            overlay,
            output_shape=output_shape,
            frames_per_transfer=frames_per_transfer,
            transfer_timeout_s=transfer_timeout_s,
        )


class XrtBoard:
    """A card with the overlay's xclbin in it. See `protocol.Board`."""

    def __init__(self, overlay: Overlay, device: int | str) -> None:
        self._xrt = _pyxrt()
        if str(device) in _left_running:
            raise BackendError(f"card {device}: a run of this program did not complete; {_REMEDY}")
        overlay.check_bitfile()
        self._overlay, self._index = overlay, device
        self._buffers: list[_XrtBuffer] = []
        self._device: Any = None
        self.idma, self.odma = self._open()
        self.clock_hz = self._clock()

    @property
    def device(self) -> Hashable:
        """See `protocol.Board`: the card's PCIe address, which also has a number; that, if XRT does not tell it."""
        with contextlib.suppress(*_XRT_ERRORS, AttributeError):
            return str(self._device.get_info(self._xrt.xrt_info_device.bdf))
        return str(self._index)

    def allocate(self, engine: Engine, size: int) -> Buffer:
        """In the memory bank that the engine is connected to."""
        if not isinstance(engine, _XrtEngine):
            raise BackendError(f"{engine.name} is not an engine of this card")
        buffer = _XrtBuffer(self._xrt, size)
        buffer.place(self._device, engine)
        self._buffers.append(buffer)
        return buffer

    def rest(self, pause_s: float) -> None:
        """Polls: pyxrt's own wait would hold up every thread of Python."""
        time.sleep(pause_s)

    def reload(self) -> None:
        """Let go of the card and open it again, which is all that can be done from here: XRT does not program an
        xclbin again that is loaded. Raises `BackendError` unless all that was started has ended: frames may be left in
        the accelerator then, and the card may still write."""
        deadline = time.monotonic() + _GRACE_S
        while not (self.idma.ended() and self.odma.ended()):
            if time.monotonic() > deadline:
                raise BackendError(
                    f"card {self._index}: a run did not complete ({self.idma.progress()}; {self.odma.progress()}), and "
                    f"XRT does not program a loaded xclbin again; {_REMEDY}"
                )
            time.sleep(_GRACE_S / 100)
        for buffer in self._buffers:
            buffer.drop()
        self._drop()
        self.idma, self.odma = self._open()
        for buffer in self._buffers:
            buffer.place(self._device, buffer.engine_of(self.idma, self.odma))

    def close(self) -> None:
        """Let go of the card; the xclbin stays loaded."""
        if not (self.idma.ended() and self.odma.ended()):
            _left_running.add(str(self._index))
        self._drop()

    def _drop(self) -> None:
        for engine in (self.idma, self.odma):
            engine.drop()
        self._device = None

    def _open(self) -> tuple[_XrtEngine, _XrtEngine]:
        path = str(self._overlay.bitfile.absolute())
        with _typed(f"{path}: cannot be loaded into card {self._index}"):
            self._device = self._xrt.device(self._index)
            content = self._xrt.xclbin(path)
            uuid = self._device.load_xclbin(content)
            kernels = [kernel.get_name() for kernel in content.get_kernels()]
        first, second = self._overlay.input.engine, self._overlay.output.engine
        return (
            _XrtEngine(first, self._xrt, self._kernel(uuid, kernels, first)),
            _XrtEngine(second, self._xrt, self._kernel(uuid, kernels, second)),
        )

    def _clock(self) -> float | None:
        """Of the kernels, as XRT reports it; None if it does not. (What `xbutil examine -r platform` shows.)"""
        with contextlib.suppress(*_XRT_ERRORS, AttributeError, LookupError):
            report = json.loads(self._device.get_info(self._xrt.xrt_info_device.platform))
            listed = report["platforms"][0]["clocks"]
            for clock in listed["clocks"] if isinstance(listed, dict) else listed:
                if clock["description"] == "Data" and float(clock["freq_mhz"]) > 0:
                    return float(clock["freq_mhz"]) * 1e6
        return None

    def _kernel(self, uuid: Any, kernels: list[str], name: str) -> Any:
        """The compute unit of that name, of whatever kernel it is one."""
        for kernel in kernels:
            for wanted in (f"{kernel}:{{{name}}}", *([name] if kernel == name else [])):
                with contextlib.suppress(*_XRT_ERRORS):
                    return self._xrt.kernel(self._device, uuid, wanted)
        raise BackendError(
            f"{self._overlay.bitfile}: expected a compute unit {name!r}, its kernels {', '.join(kernels)} have none; "
            "xclbin and settings are not of one build"
        )


class _XrtEngine:
    """A compute unit as `board.Engine`."""

    def __init__(self, name: str, xrt: ModuleType, kernel: Any) -> None:
        self.name = name
        self.kernel: Any = kernel
        self._states, self._run = xrt.ert_cmd_state, None
        self._started: Any = None

    def start(self, buffer: Buffer, steps: int) -> None:
        """Raises `BackendError` if XRT does not take it."""
        if not isinstance(buffer, _XrtBuffer):
            raise BackendError(f"{self.name}: expected a buffer of this card")
        with _typed(f"{self.name}: cannot be started"):
            self._started = self.kernel(buffer.object, int(steps))

    def finished(self) -> bool:
        """Raises `BackendError` if XRT says that it failed."""
        with _typed(f"{self.name}: its state cannot be read"):
            state = self._started.state()
        if state == self._states.ERT_CMD_STATE_COMPLETED:
            return True
        for name in _FAILED:
            if state == getattr(self._states, f"ERT_CMD_STATE_{name}", None):
                raise BackendError(f"{self.name}: XRT ended it with {name}; {_REMEDY}")
        return False

    def ended(self) -> bool:
        """Whether nothing was started, or XRT says that it completed."""
        with contextlib.suppress(*_XRT_ERRORS):
            return self._started is None or self._started.state() == self._states.ERT_CMD_STATE_COMPLETED
        return False

    def progress(self) -> str:
        """For error messages."""
        if self._started is None:
            return f"{self.name}: not started"
        with contextlib.suppress(*_XRT_ERRORS):
            return f"{self.name}: {str(self._started.state()).rpartition('.')[2]}"
        return f"{self.name}: does not answer"

    def drop(self) -> None:
        """Let go of the card."""
        self.kernel = self._started = None


class _XrtBuffer:
    """A buffer object as `board.Buffer`; it can be placed again after the card was opened again."""

    def __init__(self, xrt: ModuleType, size: int) -> None:
        self._xrt, self._size, self._engine = xrt, size, ""
        self.object: Any = None
        self.array = np.zeros(0, np.uint8)
        self.address = 0

    def place(self, device: Any, engine: _XrtEngine) -> None:
        """Allocate it in the engine's bank."""
        self._engine = engine.name
        with _typed(f"no {self._size} bytes of card memory; lower frames_per_transfer"):
            self.object = self._xrt.bo(device, self._size, self._xrt.bo.flags.normal, engine.kernel.group_id(0))
            self.address = int(self.object.address())
            self.array = np.frombuffer(self.object.map(), np.uint8)[: self._size]
        self.array[:] = 0

    def engine_of(self, *engines: _XrtEngine) -> _XrtEngine:
        """The one that it was placed for."""
        return next(engine for engine in engines if engine.name == self._engine)

    def flush(self) -> None:
        """To the card."""
        self._sync(self._xrt.xclBOSyncDirection.XCL_BO_SYNC_BO_TO_DEVICE)

    def invalidate(self) -> None:
        """From the card."""
        self._sync(self._xrt.xclBOSyncDirection.XCL_BO_SYNC_BO_FROM_DEVICE)

    def drop(self) -> None:
        """Give the memory back, to be placed again."""
        self.array, self.object = np.zeros(0, np.uint8), None

    def free(self) -> None:
        """Give the memory back."""
        self.drop()

    def _sync(self, direction: Any) -> None:
        with _typed("memory cannot be synchronized with the card"):
            self.object.sync(direction, self._size, 0)


def _pyxrt() -> ModuleType:
    try:
        import pyxrt
    except ImportError as error:
        raise DependencyError(
            f"driving a card needs pyxrt, which comes with XRT ({error}); source its setup.sh, or use pynq 3.0"
        ) from error
    module: ModuleType = pyxrt
    return module
