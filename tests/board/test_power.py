"""The meter for PYNQ's rails reads the installed pynq's own sensors."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitswath.errors import PowerError
from bitswath.power.pmbus import find


def test_the_classes_of_the_installed_pynq_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from pynq import pmbus

    (tmp_path / "power").write_text("12500\n")
    supply, core = pmbus.Rail("12V"), pmbus.Rail("INT")
    supply.power = pmbus.SysFSSensor(str(tmp_path / "power"), "W", "12V_power", 1e-3)
    core.voltage = core.current = supply.power
    monkeypatch.setattr(pmbus, "get_rails", lambda config_file=None: {"12V": supply, "INT": core})
    (meter,) = find()
    assert meter.rails == ("12V", "INT") and meter.read() == (12.5, 12.5**2) and meter.everything == ("12V",)
    (tmp_path / "power").unlink()
    with pytest.raises(PowerError, match="rail '12V' cannot be read"):
        meter.read()
