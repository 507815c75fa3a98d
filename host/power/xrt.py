"""Alveo cards, through XRT: `pyxrt.device.get_info(pyxrt.xrt_info_device.electrical)`.

It gives JSON: `power_consumption_watts`, and `power_rails`, each with `id`, `voltage.volts`, `current.amps` and their
`is_present`. All values are strings; a board power that is not known is "N/A". Source: XRT,
src/runtime_src/core/common/sensor.cpp. The driver itself keeps readings for about a second, so a figure needs rounds
of many seconds.
"""

from __future__ import annotations

import importlib
import json
import math
from dataclasses import dataclass
from typing import Any

from bitswath.errors import PowerError
from bitswath.power.meters import Quantity

__all__ = ["XrtMeter", "find"]

_BOARD = "board"


@dataclass(frozen=True)
class XrtMeter:
    """Watts of the card as a whole ("board"), where XRT knows it, and of each rail with voltage and current."""

    pyxrt: Any
    device: Any
    name: str
    rails: tuple[str, ...]
    quantity: Quantity = Quantity.POWER
    longest_gap_s: float = math.inf

    @property
    def everything(self) -> tuple[str, ...] | None:
        return (_BOARD,) if _BOARD in self.rails else None

    def read(self) -> tuple[float, ...]:
        """Watts of each rail. See `Meter.read`."""
        watts = _watts(_electrical(self.pyxrt, self.device, self.name), self.name)
        for rail in self.rails:
            if rail not in watts:
                raise PowerError(f"{self.name}: rail {rail!r} is not given any more")
        return tuple(watts[rail] for rail in self.rails)


def find() -> list[XrtMeter]:
    """A meter for each card, or `PowerError`: no XRT, no card, or no sensors."""
    try:
        pyxrt: Any = importlib.import_module("pyxrt")
    except ImportError as error:
        raise PowerError(f"xrt: its sensors cannot be asked for ({error})") from error
    meters = []
    for index in range(_count(pyxrt)):
        try:
            device = pyxrt.device(index)
            name = f"xrt {device.get_info(pyxrt.xrt_info_device.bdf)}"
        except RuntimeError as error:  # what pybind11 makes of XRT's exceptions
            raise PowerError(f"xrt: card {index} cannot be opened: {error}") from error
        rails = tuple(_watts(_electrical(pyxrt, device, name), name))
        if rails:
            meters.append(XrtMeter(pyxrt, device, name, rails))
    if not meters:
        raise PowerError("xrt: no card with power sensors")
    return meters


def _count(pyxrt: Any) -> int:
    """Cards present; XRT before 2.13 cannot tell, there only the first is tried."""
    return int(pyxrt.enumerate_devices()) if hasattr(pyxrt, "enumerate_devices") else 1


def _electrical(pyxrt: Any, device: Any, name: str) -> dict[str, Any]:
    try:
        found = json.loads(device.get_info(pyxrt.xrt_info_device.electrical))
    except (RuntimeError, ValueError) as error:
        raise PowerError(f"{name}: its sensors cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise PowerError(f"{name}: gives {type(found).__name__} for its sensors, expected an object")
    return found


def _watts(electrical: dict[str, Any], name: str) -> dict[str, float]:
    try:
        watts = {}
        board = str(electrical.get("power_consumption_watts", "N/A"))
        if board not in ("N/A", "NA", ""):
            watts[_BOARD] = float(board)
        for rail in electrical.get("power_rails", []):
            volts, amps = rail["voltage"], rail["current"]
            if str(volts["is_present"]) == str(amps["is_present"]) == "true":
                watts[str(rail["id"])] = float(volts["volts"]) * float(amps["amps"])
    except (KeyError, TypeError, ValueError) as error:
        raise PowerError(f"{name}: its sensors are not in the form XRT documents: {error!r}") from error
    return watts
