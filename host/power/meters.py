"""What a power meter is. There is no figure without one: nothing is estimated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Protocol

from bitswath.errors import PowerError

__all__ = ["Meter", "Quantity", "chosen_rails", "read_number"]


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
