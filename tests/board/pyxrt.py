"""Stands in for pyxrt, the Python API of the vendor's runtime for cards, over simulated systems.

Names, arguments and behaviour are those of XRT's Python bindings (documentation of 2022.1 to 2025.1), as far as the
backend uses them. `CARDS`: the systems that are plugged in, by number. An xclbin that is loaded is not programmed
again, as XRT does not; `xbutil_reset` on a card is what forgets it. `CLOCKS`: what `device.get_info` says of clocks.
"""

from __future__ import annotations

import enum
import json
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from bitswath.simulated import ENGINES

CARDS: dict[int, Any] = {}
CLOCKS: list[dict[str, str]] = [
    {"id": "DATA_CLK", "description": "Data", "freq_mhz": "98"},
    {"id": "KERNEL_CLK", "description": "Kernel", "freq_mhz": "500"},
]
_loaded: weakref.WeakKeyDictionary[Any, bytes] = weakref.WeakKeyDictionary()
"""Content of the xclbin in each system."""
KERNEL = "StreamingDataflowPartition"
_PAGE = 4096


class ert_cmd_state(enum.Enum):  # noqa: N801 as XRT calls them
    ERT_CMD_STATE_NEW = 1
    ERT_CMD_STATE_QUEUED = 2
    ERT_CMD_STATE_COMPLETED = 4
    ERT_CMD_STATE_ERROR = 5
    ERT_CMD_STATE_ABORT = 6
    ERT_CMD_STATE_SUBMITTED = 7
    ERT_CMD_STATE_TIMEOUT = 8
    ERT_CMD_STATE_NORESPONSE = 9
    ERT_CMD_STATE_SKERROR = 10
    ERT_CMD_STATE_SKCRASHED = 11


class xclBOSyncDirection(enum.Enum):  # noqa: N801
    XCL_BO_SYNC_BO_TO_DEVICE = 0
    XCL_BO_SYNC_BO_FROM_DEVICE = 1


class xrt_info_device(enum.Enum):  # noqa: N801
    bdf = 0
    platform = 12


def xbutil_reset(index: int) -> None:
    CARDS[index].reset()
    _loaded.pop(CARDS[index], None)


def _address(index: int) -> str:
    """On the PCIe bus."""
    return f"0000:{index:02x}:00.1"


class _Named:
    def __init__(self, name: str) -> None:
        self._name = name

    def get_name(self) -> str:
        return self._name


class xclbin:  # noqa: N801
    def __init__(self, path: str) -> None:
        if not Path(path).is_file():
            raise RuntimeError(f"No such xclbin '{path}'")
        self.content = Path(path).read_bytes()

    def get_kernels(self) -> list[_Named]:
        """One kernel an engine, each with one compute unit: FINN names kernels by their nodes."""
        return [_Named(f"{KERNEL}_{i}") for i in range(3)]


class device:  # noqa: N801
    def __init__(self, index: int | str) -> None:
        if index not in CARDS and index not in map(_address, CARDS):
            raise RuntimeError(f"Could not open device with index '{index}'")
        self.number = next(number for number in CARDS if index in (number, _address(number)))
        self.system, self.loaded = CARDS[self.number], False
        self.used = 0

    def load_xclbin(self, content: xclbin) -> str:
        self.loaded = True
        if _loaded.get(self.system) != content.content:
            self.system.reset()
        _loaded[self.system] = content.content
        return "uuid"

    def get_info(self, key: xrt_info_device) -> str:
        if key is xrt_info_device.bdf:
            return _address(self.number)
        assert key is xrt_info_device.platform
        return json.dumps({"platforms": [{"static_region": {"vbnv": "xilinx_u250"}, "clocks": {"clocks": CLOCKS}}]})


class kernel:  # noqa: N801
    def __init__(self, card: device, uuid: str, name: str) -> None:
        units = {f"{KERNEL}_{i}:{{{engine}}}": number for i, (engine, number) in enumerate(ENGINES.items())}
        if not card.loaded or name not in units:
            raise RuntimeError(f"No compute units found with name '{name}'")
        self.system, self.engine = card.system, units[name]

    def group_id(self, argument: int) -> int:
        return self.engine

    def __call__(self, buffer: bo, frames: int) -> run:
        assert type(frames) is int and buffer.group == self.engine
        for offset, value in ((0x10, buffer.address() & 0xFFFFFFFF), (0x14, buffer.address() >> 32), (0x1C, frames)):
            self.system.write(self.engine, offset, value)
        self.system.write(self.engine, 0x00, 1)
        return run(self)


class run:  # noqa: N801
    def __init__(self, of: kernel) -> None:
        self._kernel, self._state = of, ert_cmd_state.ERT_CMD_STATE_SUBMITTED

    def state(self) -> ert_cmd_state:
        if (
            self._state is ert_cmd_state.ERT_CMD_STATE_SUBMITTED
            and self._kernel.system.read(self._kernel.engine, 0) & 2
        ):
            self._state = ert_cmd_state.ERT_CMD_STATE_COMPLETED
        return self._state


class bo:  # noqa: N801
    class flags(enum.Enum):  # noqa: N801
        normal = 0

    def __init__(self, card: device, size: int, flags: bo.flags, group: int) -> None:
        memory = card.system.memory
        room = -(-size // _PAGE) * _PAGE
        if card.used + room > memory.nbytes:
            raise RuntimeError("failed to allocate bo: Cannot allocate memory")
        self._device = memory[card.used : card.used + size]
        self._address = card.system.memory_base + card.used
        self._host = bytearray(np.random.default_rng(2).integers(0, 256, size, np.uint8).tobytes())
        self.group = group
        card.used += room

    def address(self) -> int:
        return int(self._address)

    def map(self) -> memoryview:
        return memoryview(self._host)

    def sync(self, direction: xclBOSyncDirection, size: int, offset: int) -> None:
        part = slice(offset, offset + size)
        if direction is xclBOSyncDirection.XCL_BO_SYNC_BO_TO_DEVICE:
            self._device[part] = np.frombuffer(self._host, np.uint8)[part]
        else:
            self._host[part] = self._device[part].tobytes()
