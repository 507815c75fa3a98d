"""Which meters a machine has, which is taken, and why there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bitswath.errors import PowerError
from bitswath.power import Meter, find_meters, open_meter
from bitswath.power.kinds import KINDS
from bitswath.power.meters import chosen_rails
from tests.host.power import trees
from tests.host.power.fakes import CurveMeter, StepClock


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynq", None)
    monkeypatch.setitem(sys.modules, "pyxrt", None)


def test_a_machine_without_sensors_says_so_for_each_kind(tmp_path: Path) -> None:
    assert find_meters(tmp_path) == []
    with pytest.raises(PowerError, match="no power meter") as told:
        open_meter(root=tmp_path)
    assert all(f"{kind}: " in str(told.value) for kind in KINDS) and "\n" not in str(told.value)


def test_a_meter_is_asked_for_by_name_or_kind(tmp_path: Path) -> None:
    trees.zcu102(tmp_path)
    trees.rapl(tmp_path, {"0": 1})
    found: list[Meter] = find_meters(tmp_path)
    assert [meter.name for meter in found] == ["hwmon zcu102", "rapl"]
    assert open_meter(root=tmp_path).name == open_meter("hwmon", tmp_path).name == "hwmon zcu102"
    assert open_meter("rapl", tmp_path).name == "rapl"
    with pytest.raises(PowerError, match="no meter 'xrt': xrt: "):
        open_meter("xrt", tmp_path)
    with pytest.raises(PowerError, match="'wattmeter'; this machine has 'hwmon zcu102', 'rapl'"):
        open_meter("wattmeter", tmp_path)


def test_kinds_are_looked_for_in_the_order_given_and_no_others(tmp_path: Path) -> None:
    trees.zcu102(tmp_path)
    trees.rapl(tmp_path, {"0": 1})
    assert [meter.name for meter in find_meters(tmp_path, ["rapl", "hwmon"])] == ["rapl", "hwmon zcu102"]
    assert open_meter(root=tmp_path, kinds=["rapl"]).name == "rapl"
    assert open_meter("hwmon", tmp_path, kinds=["rapl"]).name == "hwmon zcu102"  # a name goes before kinds
    with pytest.raises(PowerError, match="can be read: xrt: "):
        open_meter(root=tmp_path, kinds=["xrt"])


def test_meters_whose_rails_add_up_are_taken_first(tmp_path: Path) -> None:
    trees.write(tmp_path, trees.chip(0, "ina226", power1=1) | trees.chip(1, "ina226", power1=2))
    trees.rapl(tmp_path, {"0": 1})
    assert open_meter(root=tmp_path).name == "rapl"
    assert open_meter("hwmon", tmp_path).rails == ("ina226@hwmon0", "ina226@hwmon1")


def test_rails_are_those_asked_for_or_everything() -> None:
    meter = CurveMeter(StepClock())
    assert chosen_rails(meter, None) == ("a",) and chosen_rails(meter, ["b", "a"]) == ("b", "a")


@pytest.mark.parametrize(
    ("rails", "told"),
    [(["c"], "has no rail 'c'; it has a, b"), (["a", "a"], "different rails"), ([], "different rails")],
)
def test_rails_that_make_no_sum_are_refused(rails: list[str], told: str) -> None:
    with pytest.raises(PowerError, match=told):
        chosen_rails(CurveMeter(StepClock()), rails)


def test_where_nobody_knows_what_adds_up_rails_must_be_named() -> None:
    with pytest.raises(PowerError, match="name those to add: a, b"):
        chosen_rails(CurveMeter(StepClock(), everything=None), None)
