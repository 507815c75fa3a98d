"""Finding the power meters of this machine. There is no figure without one: nothing is estimated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Protocol

from bitswath.errors import PowerError

__all__ = ["KINDS", "Meter", "Quantity", "chosen_rails", "find_meters", "open_meter", "read_number"]


class Quantity(str, Enum):
    """What a meter reads."""

    POWER = "power"
    """Watts at the time of the reading."""
    ENERGY = "energy"
    """Joules counted since some time in the past; only differences mean something."""


class Meter(Protocol):
    """A sensor, or several of one kind, that reads power or counts energy per rail.

    `name`: what it is, as it stands beside every figure. `rails`: what it reads, in the order of `read`.
    `everything`: the rails that together are all the meter sees, each joule once; None where it is not known
    which rail feeds which. `longest_gap_s`: the longest time between two readings that still tells all, infinite
    where there is no such limit.
    """

    @property
    def name(self) -> str: ...
    @property
    def quantity(self) -> Quantity: ...
    @property
    def rails(self) -> tuple[str, ...]: ...
    @property
    def everything(self) -> tuple[str, ...] | None: ...
    @property
    def longest_gap_s(self) -> float: ...

    def read(self) -> tuple[float, ...]:
        """Watts or joules of each rail. Raises `PowerError` if one cannot be read."""


Finder = Callable[[Path], Sequence[Meter]]
"""Meters of one kind below a file system's root; raises `PowerError` that says why there is none."""


def _hwmon(root: Path) -> Sequence[Meter]:
    from bitswath.power.hwmon import find

    return find(root)


def _pmbus(root: Path) -> Sequence[Meter]:
    from bitswath.power.pmbus import find

    return find()


def _xrt(root: Path) -> Sequence[Meter]:
    from bitswath.power.xrt import find

    return find()


def _rapl(root: Path) -> Sequence[Meter]:
    from bitswath.power.rapl import find

    return find(root)


KINDS: dict[str, Finder] = {"hwmon": _hwmon, "pynq": _pmbus, "xrt": _xrt, "rapl": _rapl}
"""Kinds of meters in the order in which they are preferred: what sees the board before what sees the processor."""


def find_meters(root: str | Path = "/", kinds: Sequence[str] = tuple(KINDS)) -> list[Meter]:
    """Every meter this machine has and this process may read; those whose rails are known to add up come first.

    `root`: of the file system in which sensors are looked for; `kinds`: which ones, in order of preference.
    """
    return _survey(Path(root), kinds)[0]


def open_meter(name: str | None = None, root: str | Path = "/", kinds: Sequence[str] = tuple(KINDS)) -> Meter:
    """The meter called `name`, or of the kind `name` (a key of `KINDS`), or the best there is of `kinds`.

    Raises `PowerError` if there is none, with the reason for each kind.
    """
    meters, absent = _survey(Path(root), kinds if name is None else tuple(KINDS))
    if name is None and meters:
        return meters[0]
    for meter in meters:
        if name in (meter.name, meter.name.split(" ")[0]):
            return meter
    if name is None:
        raise PowerError(f"this machine has no power meter that can be read: {'; '.join(absent.values())}")
    if name in absent:
        raise PowerError(f"no meter {name!r}: {absent[name]}")
    known = ", ".join(repr(meter.name) for meter in meters) or "none"
    raise PowerError(f"no meter {name!r}; this machine has {known}; kinds are {', '.join(KINDS)}")


def _survey(root: Path, kinds: Sequence[str]) -> tuple[list[Meter], dict[str, str]]:
    """The meters, and for each kind without one the reason."""
    meters: list[Meter] = []
    absent: dict[str, str] = {}
    for kind in kinds:
        try:
            meters += KINDS[kind](root)
        except PowerError as error:
            absent[kind] = str(error)
    return sorted(meters, key=lambda meter: meter.everything is None), absent


def chosen_rails(meter: Meter, rails: Sequence[str] | None) -> tuple[str, ...]:
    """The rails to add up: those asked for, or all that the meter sees if that is known.

    Raises `PowerError` for a rail it does not have, for one named twice, and where nobody can say which to add.
    """
    listed = ", ".join(meter.rails)
    if rails is None:
        if meter.everything is None:
            raise PowerError(f"{meter.name}: nothing says which of its rails feed others; name those to add: {listed}")
        return meter.everything
    for rail in rails:
        if rail not in meter.rails:
            raise PowerError(f"{meter.name}: has no rail {rail!r}; it has {listed}")
    if not rails or len(set(rails)) != len(rails):
        raise PowerError(f"{meter.name}: expected one or more different rails, got {', '.join(rails) or 'none'}")
    return tuple(rails)


def read_number(path: Path) -> int:
    """The integer that a file of sysfs holds. Raises `PowerError` naming file and reason."""
    try:
        text = path.read_text()
    except OSError as error:
        raise PowerError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return int(text)
    except ValueError:
        raise PowerError(f"{path}: expected an integer, got {text[:40]!r}") from None
