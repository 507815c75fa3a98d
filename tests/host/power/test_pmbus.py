"""PYNQ's rails, from a stand-in with the classes of pynq.pmbus (PYNQ v3.0 and v4.0, pynq/pmbus.py)."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import ModuleType

import pytest

from bitswath.errors import PowerError
from bitswath.power.pmbus import find


@dataclass
class Sensor:
    name: str
    value: float


@dataclass
class Rail:
    name: str
    voltage: Sensor | None = None
    current: Sensor | None = None
    power: Sensor | None = None


def rail(name: str, **values: float) -> Rail:
    return Rail(name, **{kind: Sensor(f"{name}_{kind}", value) for kind, value in values.items()})


def install(monkeypatch: pytest.MonkeyPatch, *rails: Rail) -> None:
    pmbus = ModuleType("pynq.pmbus")
    pmbus.get_rails = lambda config_file=None: {one.name: one for one in rails}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pynq", ModuleType("pynq"))
    monkeypatch.setitem(sys.modules, "pynq.pmbus", pmbus)


def test_the_boards_supply_is_everything_where_pynq_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, rail("INT", power=1.5, voltage=0.85), rail("12V", power=14.0), rail("1V8", voltage=1.8))
    (meter,) = find()
    assert (meter.rails, meter.everything, meter.read()) == (("INT", "12V"), ("12V",), (1.5, 14.0))


def test_a_rail_without_a_power_sensor_is_volts_times_amperes(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, rail("INT", voltage=0.5, current=3.0))
    (meter,) = find()
    assert (meter.everything, meter.read()) == (("INT",), (1.5,))


def test_of_several_rails_nobody_says_that_they_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, rail("INT", power=1.0), rail("AUX", power=1.0))
    assert find()[0].everything is None


def test_labels_that_chips_share_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, rail("power1", power=1.0), rail("in1", voltage=1.0))
    with pytest.raises(PowerError, match="that has a name"):
        find()


@pytest.mark.parametrize("value", [float("nan"), -1.0, float("inf"), 0.0])
def test_a_sensor_that_reads_nonsense_is_an_error(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    install(monkeypatch, rail("12V", power=5.0))
    (meter,) = find()
    install(monkeypatch, rail("12V", power=value))
    (broken,) = find()
    assert meter.read() == (5.0,)
    with pytest.raises(PowerError, match=r"12V|every rail"):
        broken.read()


def test_without_pynq_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynq", None)
    with pytest.raises(PowerError, match="pynq"):
        find()
