"""Alveo's sensors, from a stand-in with pyxrt's names and JSON as XRT's sensor.cpp makes it (all values strings)."""

from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from bitswath.errors import PowerError
from bitswath.power.xrt import find


def rail(name: str, volts: str, amps: str | None) -> dict[str, Any]:
    return {
        "id": name,
        "description": name,
        "voltage": {"volts": volts, "is_present": "true"},
        "current": {"amps": amps or "0.000", "is_present": "true" if amps else "false"},
    }


def electrical(board: str = "27.361") -> dict[str, Any]:
    return {
        "power_rails": [
            rail("12v_pex", "12.100", "1.250"),
            rail("vccint", "0.850", "8.000"),
            rail("1v8", "1.800", None),
        ],
        "power_consumption_max_watts": "225",
        "power_consumption_watts": board,
        "power_consumption_warning": "false",
    }


class Card:
    def __init__(self, answer: object) -> None:
        self.answer = answer

    def get_info(self, what: str) -> str:
        if what == "bdf":
            return "0000:af:00.1"
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if isinstance(self.answer, str) else json.dumps(self.answer)


def install(monkeypatch: pytest.MonkeyPatch, *cards: Card) -> None:
    pyxrt = ModuleType("pyxrt")
    pyxrt.device = cards.__getitem__  # type: ignore[attr-defined]
    pyxrt.enumerate_devices = lambda: len(cards)  # type: ignore[attr-defined]
    pyxrt.xrt_info_device = SimpleNamespace(bdf="bdf", electrical="electrical")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyxrt", pyxrt)


def test_the_card_is_everything_and_rails_are_volts_times_amperes(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Card(electrical()))
    (meter,) = find()
    assert (meter.name, meter.everything) == ("xrt 0000:af:00.1", ("board",))
    assert dict(zip(meter.rails, meter.read())) == pytest.approx({"board": 27.361, "12v_pex": 15.125, "vccint": 6.8})


@pytest.mark.parametrize("unknown", ["N/A", "NA"])
def test_a_board_power_that_xrt_does_not_know_is_no_rail(monkeypatch: pytest.MonkeyPatch, unknown: str) -> None:
    install(monkeypatch, Card(electrical(unknown)))
    (meter,) = find()
    assert meter.rails == ("12v_pex", "vccint") and meter.everything is None


@pytest.mark.parametrize(
    "answer",
    [RuntimeError("no xclbin"), "{", "[]", {"power_rails": [{"id": "x"}]}, {"power_consumption_watts": "much"}],
)
def test_answers_of_another_form_are_errors(monkeypatch: pytest.MonkeyPatch, answer: object) -> None:
    card = Card(electrical())
    install(monkeypatch, card)
    (meter,) = find()
    card.answer = answer
    with pytest.raises(PowerError, match=r"0000:af:00\.1"):
        meter.read()


def test_a_rail_that_goes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(electrical())
    install(monkeypatch, card)
    (meter,) = find()
    card.answer = electrical("N/A")
    with pytest.raises(PowerError, match="'board' is not given any more"):
        meter.read()


def test_without_xrt_or_sensors_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyxrt", None)
    with pytest.raises(PowerError, match="xrt: its sensors cannot be asked for"):
        find()
    install(monkeypatch, Card({}))
    with pytest.raises(PowerError, match="no card with power sensors"):
        find()
