"""Finding the power meters of this machine. A new kind is added to `KINDS`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bitswath.errors import PowerError
from bitswath.power.meters import Finder, Meter

__all__ = ["KINDS", "find_meters", "open_meter"]


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
