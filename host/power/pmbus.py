"""The rails that PYNQ names, through `pynq.pmbus.get_rails` (the same in pynq 3.0 to 4.0; libsensors below it).

PYNQ gives a `Rail` by label, with sensors `power` (watts), `voltage` (volts), `current` (amperes), each None where
there is none, each with a `value`. Two things of its are guarded against: without a libsensors configuration chips
share labels such as "power1", and the last one silently takes the place of the others; and a sensor that cannot be
read gives 0 or its last value without saying so, which only shows as a reading that is no positive number.
"""

from __future__ import annotations

import importlib
import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bitswath.errors import PowerError
from bitswath.power.meters import Quantity

__all__ = ["PmbusMeter", "find"]

_UNLABELLED = re.compile(r"(power|in|curr)\d+")
_BOARD_SUPPLY = "12V"
"""PYNQ's configuration of the ZCU104 calls the board's input so; every other rail hangs on it."""


@dataclass(frozen=True)
class PmbusMeter:
    """Watts of each rail that PYNQ knows."""

    readers: Mapping[str, Callable[[], float]]
    name: str = "pynq"
    quantity: Quantity = Quantity.POWER
    longest_gap_s: float = math.inf

    @property
    def rails(self) -> tuple[str, ...]:
        return tuple(self.readers)

    @property
    def everything(self) -> tuple[str, ...] | None:
        if _BOARD_SUPPLY in self.readers:
            return (_BOARD_SUPPLY,)
        return self.rails if len(self.rails) == 1 else None

    def read(self) -> tuple[float, ...]:
        """Watts of each rail. See `Meter.read`."""
        values = []
        for rail, reader in self.readers.items():
            try:
                watts = reader()
            except (OSError, ValueError) as error:
                raise PowerError(f"{self.name}: rail {rail!r} cannot be read: {error}") from error
            if not 0 <= watts < math.inf:
                raise PowerError(f"{self.name}: rail {rail!r} reads {watts} W")
            values.append(watts)
        if not any(values):
            raise PowerError(f"{self.name}: every rail reads 0 W, as pynq gives where its sensors cannot be read")
        return tuple(values)


def find() -> list[PmbusMeter]:
    """PYNQ's meter, or `PowerError`: no pynq, no rails, or rails without names."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is no libsensors; then there are no rails
            pmbus = importlib.import_module("pynq.pmbus")
            rails: Mapping[str, Any] = pmbus.get_rails()
    except ImportError as error:
        raise PowerError(f"pynq: its rails cannot be asked for ({error})") from error
    named = {name: rail for name, rail in rails.items() if not _UNLABELLED.fullmatch(name)}
    readers = {name: reader for name, rail in named.items() if (reader := _reader(rail))}
    if not readers:
        unnamed = f" that has a name ({', '.join(rails)})" if rails else ""
        raise PowerError(f"pynq: knows no rail with a power reading{unnamed}")
    return [PmbusMeter(readers)]


def _reader(rail: Any) -> Callable[[], float] | None:
    if rail.power is not None:
        return lambda: float(rail.power.value)
    if rail.voltage is not None and rail.current is not None:
        return lambda: float(rail.voltage.value) * float(rail.current.value)
    return None
