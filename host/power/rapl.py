"""RAPL: energy counters of x86 processors, through Linux's powercap files.

``/sys/class/powercap/intel-rapl:N`` (AMD's too, since Linux 5.8) is a package or the platform, ``intel-rapl:N:M``
a part of package N: `name`, `energy_uj` (microjoules, counting up), `max_energy_range_uj` (where it starts again at
0). Source: Linux, Documentation/power/powercap/powercap.rst and Documentation/ABI/testing/sysfs-class-powercap.
"package" is the die; "core" and "uncore" are parts of it, "dram" is beside it, "psys" is the platform with all of
them (Intel SDM volume 3, "RAPL domains").
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from bitswath.errors import PowerError
from bitswath.power.meters import Quantity, read_number

__all__ = ["RaplMeter", "find"]

_FOLDER = Path("sys/class/powercap")
_ZONE = re.compile(r"intel-rapl:\d+(:\d+)?")
_MOST_W = 1000.0
"""More than any zone draws: a counter does not go round faster than that."""


@dataclass(frozen=True)
class Zone:
    """One counter. `rail`: its name, with the package's in front where it is a part of one; `kind`: "package" etc."""

    folder: Path
    rail: str
    kind: str
    range_uj: int


@dataclass
class RaplMeter:
    """Joules counted since opening, per zone; the counters' wrap-around is taken out."""

    zones: tuple[Zone, ...]
    name: str = "rapl"
    quantity: Quantity = Quantity.ENERGY
    _last_uj: list[int] = field(init=False, repr=False)
    _turned_uj: list[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._last_uj = [self._count(zone) for zone in self.zones]
        self._turned_uj = [0] * len(self.zones)

    @property
    def rails(self) -> tuple[str, ...]:
        return tuple(zone.rail for zone in self.zones)

    @property
    def everything(self) -> tuple[str, ...] | None:
        return tuple(zone.rail for zone in self.zones if zone.kind in ("package", "dram")) or None

    @property
    def longest_gap_s(self) -> float:
        return min((zone.range_uj / 1e6 / _MOST_W for zone in self.zones), default=math.inf)

    def read(self) -> tuple[float, ...]:
        """Joules of each zone. See `Meter.read`."""
        joules = []
        for index, zone in enumerate(self.zones):
            count = self._count(zone)
            if count < self._last_uj[index]:
                self._turned_uj[index] += zone.range_uj
            self._last_uj[index] = count
            joules.append((self._turned_uj[index] + count) / 1e6)
        return tuple(joules)

    @staticmethod
    def _count(zone: Zone) -> int:
        count = read_number(zone.folder / "energy_uj")
        if not 0 <= count <= zone.range_uj:
            raise PowerError(f"{zone.folder}: counts {count} microjoules, outside of its range of {zone.range_uj}")
        return count


def find(root: Path) -> list[RaplMeter]:
    """The processor's meter, or `PowerError`: no counters, or none that this user may read."""
    folder = root / _FOLDER
    names = sorted(path.name for path in folder.glob("intel-rapl:*") if _ZONE.fullmatch(path.name))
    if not names:
        raise PowerError(f"rapl: no energy counters in {folder} (no such processor, or a virtual machine)")
    denied = folder / names[0] / "energy_uj"
    try:
        denied.read_text()
    except PermissionError:
        raise PowerError(f"rapl: {denied} is for root alone (CVE-2020-8694); run as root or allow reading it") from None
    except OSError as error:
        raise PowerError(f"rapl: {denied}: {error.strerror}") from error
    return [RaplMeter(tuple(_zone(folder, name) for name in names))]


def _zone(folder: Path, name: str) -> Zone:
    label = _label(folder / name)
    package = name.rpartition(":")[0] if name.count(":") == 2 else None
    rail = label if package is None else f"{_label(folder / package)}/{label}"
    range_uj = read_number(folder / name / "max_energy_range_uj")
    if range_uj <= 0:
        raise PowerError(f"{folder / name}: gives {range_uj} as the range of its counter")
    return Zone(folder / name, rail, label.partition("-")[0], range_uj)


def _label(zone: Path) -> str:
    try:
        return (zone / "name").read_text().strip()
    except OSError as error:
        raise PowerError(f"{zone}: its name cannot be read: {error.strerror}") from error
