"""Supply rails from recorded hwmon trees."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitswath.errors import PowerError
from bitswath.power.hwmon import find
from tests.host.power import trees


@pytest.mark.parametrize("milliwatts", [False, True])
def test_a_zcu102_has_18_named_rails_that_add_up(tmp_path: Path, milliwatts: bool) -> None:
    (meter,) = find(trees.zcu102(tmp_path, milliwatts=milliwatts))
    watts = dict(zip(meter.rails, meter.read()))
    assert meter.name == "hwmon zcu102" and len(meter.rails) == 18 and meter.everything == meter.rails
    assert watts["VCCPSINTFP"] == pytest.approx(0.1) and watts["VCCINT"] == pytest.approx(1.1)
    assert sum(watts.values()) == pytest.approx(sum(range(1, 19)) / 10)


def test_of_a_zcu102_that_lacks_a_monitor_nobody_says_it_is_everything(tmp_path: Path) -> None:
    trees.zcu102(tmp_path)
    (tmp_path / "sys/class/hwmon/hwmon10/power1_input").unlink()
    (meter,) = find(tmp_path)
    assert len(meter.rails) == 17 and "VCCINT" not in meter.rails and meter.everything is None


def test_a_zcu104_is_measured_at_its_12_v_input_alone(tmp_path: Path) -> None:
    (meter,) = find(trees.zcu104(tmp_path))
    watts = dict(zip(meter.rails, meter.read()))
    assert meter.everything == ("ina226",) and watts["ina226"] == pytest.approx(18.15)
    assert watts["irps5401@4-0043 pin1"] == 9 and watts["irps5401@4-0044 pout5"] == 5
    assert len(meter.rails) == 5 + 6 + 1


def test_a_kria_module_has_one_rail(tmp_path: Path) -> None:
    (meter,) = find(trees.kria(tmp_path))
    assert (meter.name, meter.rails, meter.everything) == ("hwmon kv260", ("ina260_u14",), ("ina260_u14",))
    assert meter.read() == (pytest.approx(3.72),)


def test_an_ina3221_gives_volts_times_amperes(tmp_path: Path) -> None:
    channels = {"in1_label": "VDD", "in1": 5000, "curr1": 400, "in2": 3300, "curr2": 100, "in3": 0, "curr3": 0}
    trees.write(tmp_path, trees.chip(0, "ina3221", **channels, in4=8000, curr4=500))
    (meter,) = find(tmp_path)
    assert dict(zip(meter.rails, meter.read())) == pytest.approx(
        {"ina3221 VDD": 2.0, "ina3221 2": 0.33, "ina3221 3": 0}
    )
    assert meter.everything is None


def test_pmbus_volts_and_amperes_belong_together_by_label(tmp_path: Path) -> None:
    labels = {"in1_label": "vin", "in2_label": "vout1", "curr1_label": "iout1", "curr2_label": "iout2"}
    trees.write(tmp_path, trees.chip(0, "tps544b25", in1=12000, in2=900, curr1=2000, curr2=7, **labels))
    (meter,) = find(tmp_path)
    assert dict(zip(meter.rails, meter.read())) == pytest.approx({"tps544b25 vout1": 1.8})


def test_what_cannot_be_read_at_first_is_left_out_and_what_fails_later_is_an_error(tmp_path: Path) -> None:
    files = trees.chip(0, "irps5401", power1=1000, power2="", power1_label="pout1", power2_label="pout2")
    trees.write(tmp_path, files)
    (meter,) = find(tmp_path)
    assert meter.rails == ("irps5401 pout1",)
    path = tmp_path / "sys/class/hwmon/hwmon0/power1_input"
    path.unlink()
    with pytest.raises(PowerError, match="power1_input: cannot be read"):
        meter.read()


def test_batteries_and_graphics_cards_are_no_boards(tmp_path: Path) -> None:
    trees.write(tmp_path, trees.chip(0, "BAT0", power1=9_000_000) | trees.chip(1, "amdgpu", power1=30_000_000))
    with pytest.raises(PowerError, match="no monitor of a supply rail"):
        find(tmp_path)
