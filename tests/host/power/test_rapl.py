"""Energy counters from recorded powercap trees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bitswath.errors import PowerError
from bitswath.power import Quantity
from bitswath.power.rapl import find
from tests.host.power import trees

SERVER = {"0": 7_000_000, "0:0": 1_000_000, "0:1": 2_000_000, "1": 3_000_000, "1:1": 4_000_000, "2": 99_000_000}


def test_packages_and_memories_are_everything_their_parts_and_the_platform_are_not_added(tmp_path: Path) -> None:
    (meter,) = find(trees.rapl(tmp_path, SERVER))
    assert meter.quantity is Quantity.ENERGY
    assert meter.rails == ("package-0", "package-0/core", "package-0/dram", "package-1", "package-1/dram", "psys")
    assert meter.everything == ("package-0", "package-0/dram", "package-1", "package-1/dram")
    assert meter.read() == (7, 1, 2, 3, 4, 99)


def test_a_counter_that_goes_round_goes_on(tmp_path: Path) -> None:
    (meter,) = find(trees.rapl(tmp_path, {"0": 9_000_000}, range_uj=10_000_000))
    read = []
    for count in (9_500_000, 500_000, 9_000_000, 1_000_000):
        trees.set_count(tmp_path, "0", count)
        read.append(meter.read()[0])
    assert read == [9.5, 10.5, 19.0, 21.0]


def test_its_longest_gap_is_the_time_in_which_it_may_go_round(tmp_path: Path) -> None:
    (meter,) = find(trees.rapl(tmp_path, {"0": 0}, range_uj=65_000_000_000))
    assert meter.longest_gap_s == 65.0  # at 1 kW


@pytest.mark.parametrize("content", ["", "many", "-1", "11000000"])
def test_what_is_no_count_is_an_error(tmp_path: Path, content: str) -> None:
    (meter,) = find(trees.rapl(tmp_path, {"0": 1}, range_uj=10_000_000))
    (tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj").write_text(content)
    with pytest.raises(PowerError, match="intel-rapl:0"):
        meter.read()


def test_without_counters_the_reason_is_told(tmp_path: Path) -> None:
    with pytest.raises(PowerError, match="no energy counters"):
        find(tmp_path)


def test_counters_for_root_alone_are_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees.rapl(tmp_path, {"0": 1})
    read_text = Path.read_text

    def denied(path: Path, *arguments: object, **options: object) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, os.strerror(13), str(path))
        return read_text(path)

    monkeypatch.setattr(Path, "read_text", denied)
    with pytest.raises(PowerError, match="for root alone"):
        find(tmp_path)
