"""Current and power monitors on a board's supply rails, through Linux's hwmon files.

``/sys/class/hwmon/hwmonN``: `name` of the chip, `powerM_input` (microwatts), `inM_input` (millivolts), `currM_input`
(milliamperes), each with an optional `..._label`. Source: Linux, Documentation/hwmon/sysfs-interface.rst; ina2xx.rst
(in0 shunt, in1 bus), ina3221.rst (channel M is inM and currM, no power), pmbus.rst (labels vinM, voutM, iinM, ioutM,
pinM, poutM). AMD's Zynq UltraScale+ kernels show an INA226 through the IIO driver and iio-hwmon instead, as chip
"ina226_u79", in1 shunt, in2 bus, and an INA260 as "ina260_u14" with in1 bus.

A known fault is dealt with: iio-hwmon without its "milli-Watts to micro-Watts conversion" gives power in milliwatts
(linux-iio list, 2019, on a ZCU102: sensors shows 1.16 mW at 0.85 V and 1.6 A). Where volts times amperes say so, all
chips of that driver are read in milliwatts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bitswath.errors import PowerError
from bitswath.power.meters import Quantity, read_number

__all__ = ["HwmonMeter", "Rail", "find"]

_FOLDER = Path("sys/class/hwmon")
_MODEL = Path("proc/device-tree/compatible")
_MONITORS = re.compile(r"(ina\d|irps5401|ir3\d|isl\d|max\d|ltc\d|tps\d|ucd9|pmbus|sq52)")
"""Drivers that watch the supply rails of boards, by how their names begin. Batteries, fans, graphics cards do not."""

_IIO_CHIP = re.compile(r"ina2\d\d_\w+")
_MILLIWATTS = (300.0, 3000.0)
_ENOUGH_W = 0.1

_ZCU102 = {
    "ina226_u76": "VCCPSINTFP",
    "ina226_u77": "VCCPSINTLP",
    "ina226_u78": "VCCPSAUX",
    "ina226_u87": "VCCPSPLL",
    "ina226_u85": "MGTRAVCC",
    "ina226_u86": "MGTRAVTT",
    "ina226_u93": "VCCO_PSDDR_504",
    "ina226_u88": "VCCOPS",
    "ina226_u15": "VCCOPS3",
    "ina226_u92": "VCCPSDDRPLL",
    "ina226_u79": "VCCINT",
    "ina226_u81": "VCCBRAM",
    "ina226_u80": "VCCAUX",
    "ina226_u84": "VCC1V2",
    "ina226_u16": "VCC3V3",
    "ina226_u65": "VADJ_FMC",
    "ina226_u74": "MGTAVCC",
    "ina226_u75": "MGTAVTT",
}
"""Rails by monitor (ZCU102 user guide UG1182, power monitors): outputs of regulators, which together are what the
processing system and the programmable logic draw; the 12 V input has no monitor."""

_ZCU104_SUPPLY = "ina226"
"""The ZCU104's only INA226 is on its 12 V input, before the regulators (PYNQ's boards/ZCU104 sensor settings)."""


@dataclass(frozen=True)
class Rail:
    """`factors`: files whose product, times `scale`, is watts."""

    name: str
    chip: str
    factors: tuple[Path, ...]
    scale: float

    def watts(self) -> float:
        return math.prod(read_number(path) for path in self.factors) * self.scale


@dataclass(frozen=True)
class HwmonMeter:
    """Watts of each rail; `board`: what the device tree says it is, "" where there is none."""

    rails_read: tuple[Rail, ...]
    board: str = ""
    quantity: Quantity = Quantity.POWER
    longest_gap_s: float = math.inf

    @property
    def name(self) -> str:
        return f"hwmon {self.board}".rstrip()

    @property
    def rails(self) -> tuple[str, ...]:
        return tuple(rail.name for rail in self.rails_read)

    @property
    def everything(self) -> tuple[str, ...] | None:
        chips = {rail.chip for rail in self.rails_read}
        if len(self.rails) == 1 or (self.board == "zcu102" and chips == _ZCU102.keys()):
            return self.rails
        supply = tuple(rail.name for rail in self.rails_read if rail.chip == _ZCU104_SUPPLY)
        return supply if self.board == "zcu104" and len(supply) == 1 else None

    def read(self) -> tuple[float, ...]:
        """Watts of each rail. See `Meter.read`."""
        return tuple(rail.watts() for rail in self.rails_read)


def find(root: Path) -> list[HwmonMeter]:
    """One meter of all the rails that are watched, or `PowerError`.

    What cannot be read now is left out: a chip's driver also shows channels that the board does not use.
    """
    folders = sorted((root / _FOLDER).glob("hwmon*"), key=lambda path: int(re.sub(r"\D", "", path.name) or 0))
    board = _board(root)
    rails = [rail for folder in folders for rail in _rails_of(folder) if _readable(rail)]
    if not rails:
        raise PowerError(f"hwmon: no monitor of a supply rail in {root / _FOLDER}")
    if _in_milliwatts(rails):
        rails = [replace(rail, scale=1e-3) if _IIO_CHIP.fullmatch(rail.chip) else rail for rail in rails]
    names = {chip: rail for chip, rail in _ZCU102.items() if board == "zcu102"}
    rails = [replace(rail, name=names.get(rail.chip, rail.name)) for rail in rails]
    return [HwmonMeter(tuple(_told_apart(rails)), board)]


def _board(root: Path) -> str:
    """The board's name in "xlnx,zynqmp-zcu102-rev1.0\\0xlnx,zynqmp-zcu102\\0xlnx,zynqmp"; "" if there is none."""
    try:
        names = (root / _MODEL).read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    found = [re.fullmatch(r"xlnx,zynq(?:mp)?-(?:sk-)?([a-z]+\d+)", name) for name in names]
    return next((match[1] for match in found if match), "")


def _rails_of(folder: Path) -> Iterator[Rail]:
    chip = _text(folder / "name") or ""
    if not _MONITORS.match(chip):
        return
    powers = _channels(folder, "power")
    for index in powers:
        label = _text(folder / f"power{index}_label") or (f"power{index}" if len(powers) > 1 else "")
        yield Rail(f"{chip} {label}".rstrip(), chip, (folder / f"power{index}_input",), 1e-6)
    if not powers:
        yield from _products(folder, chip)


def _readable(rail: Rail) -> bool:
    try:
        rail.watts()
    except PowerError:
        return False
    return True


def _products(folder: Path, chip: str) -> Iterator[Rail]:
    """Rails of a chip that gives no power: volts times amperes, where it is known which belong together."""
    volts = {_key(folder, "in", index): index for index in _channels(folder, "in")}
    for index in _channels(folder, "curr"):
        key = _key(folder, "curr", index)
        if key not in volts and chip != "ina3221":
            continue
        volt = index if chip == "ina3221" else volts[key]
        label = _text(folder / f"in{volt}_label") or str(index)
        factors = (folder / f"in{volt}_input", folder / f"curr{index}_input")
        if factors[0].exists() and not (chip == "ina3221" and index > 3):  # curr4 is the sum of the others
            yield Rail(f"{chip} {label}", chip, factors, 1e-6)


def _key(folder: Path, kind: str, index: int) -> str:
    """What voltage and current of one rail share: PMBus labels them vout2 and iout2; else nothing says so."""
    label = _text(folder / f"{kind}{index}_label") or ""
    return label[1:] if label[:1] in ("v", "i") and label[1:2] in ("i", "o") else f"{kind}{index}"


def _in_milliwatts(rails: list[Rail]) -> bool:
    """Whether iio-hwmon's power is in milliwatts, by the chips that draw enough to tell."""
    for rail in rails:
        folder = rail.factors[0].parent
        if not _IIO_CHIP.fullmatch(rail.chip) or not _channels(folder, "curr"):
            continue
        bus = folder / f"in{max(_channels(folder, 'in'), default=0)}_input"
        if not bus.exists():
            continue
        product_w = read_number(bus) * read_number(folder / "curr1_input") * 1e-6
        stated_w = rail.watts()
        if product_w >= _ENOUGH_W and stated_w > 0:
            return _MILLIWATTS[0] < product_w / stated_w < _MILLIWATTS[1]
    return False


def _told_apart(rails: list[Rail]) -> list[Rail]:
    """Rails of chips of one name get the chip's bus address, "irps5401@4-0043 pout1"."""
    folders = {(rail.chip, rail.factors[0].parent) for rail in rails}
    chips = [chip for chip, _ in folders]
    apart = []
    for rail in rails:
        folder = rail.factors[0].parent
        where = (folder / "device").resolve().name if (folder / "device").exists() else folder.name
        name = rail.name.replace(rail.chip, f"{rail.chip}@{where}", 1)
        apart.append(replace(rail, name=name) if chips.count(rail.chip) > 1 else rail)
    return apart


def _channels(folder: Path, kind: str) -> list[int]:
    found = (re.fullmatch(rf"{kind}(\d+)_input", path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in found if match)


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
