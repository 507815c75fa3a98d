"""Networks of a study are timed again, with energy where there is a meter."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import time_study

from bitswath.bench import suite
from bitswath.bench.suite import Settings
from bitswath.bundle.zoo import zoo_path
from bitswath.codecs.palette import PaletteCodec
from bitswath.errors import PowerError
from bitswath.models.nets.config import DataConfig
from bitswath.models.study.plan.cells import Imagery, ImageryCell, TrainingCell
from bitswath.models.study.work.store import Store
from tests.host.power.fakes import CurveMeter, StepClock

QUICK = Settings(rounds=2, round_s=0.5, idle_s=0.5, period_s=0.005)  # time for a hundred readings where five will do
CELLS = [
    TrainingCell(imagery=Imagery(data=DataConfig(name="synthetic"), codec=codec))
    for codec in ("uniform:4", "uniform:2")
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of two networks; the bundle of the second one is elsewhere."""
    store = Store(tmp_path)
    store.add(CELLS)
    for cell, bundle in zip(CELLS, ("bundles/here.bsw", "bundles/elsewhere.bsw")):
        store.finish(cell.digest, {"bundle": bundle, "emulator_patches_per_s": 0.5}, 1.0)
    shutil.copytree(zoo_path("synthetic-u4-w4a4"), tmp_path / "bundles/here.bsw")
    monkeypatch.setattr(time_study, "Settings", lambda: QUICK)
    monkeypatch.setattr(time_study, "PATCHES", 3)
    monkeypatch.setattr(sys, "argv", ["time_study.py", str(tmp_path), "--rounds", "2"])
    return tmp_path


def measures(folder: Path) -> list[dict[str, Any]]:
    return [Store(folder).rows([cell.digest])[0].measures or {} for cell in CELLS]


def test_a_meter_gives_joules(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "open_meter", lambda name, kinds: CurveMeter(StepClock(), everything=("a", "b")))
    time_study.main()
    here, elsewhere = measures(folder)
    assert here["emulator_patches_per_s"] > 1 and here["timed_on"]
    assert here["emulator_j"] == pytest.approx(0, abs=1e-9)  # constant power is all idle
    assert elsewhere == {"bundle": "bundles/elsewhere.bsw", "emulator_patches_per_s": 0.5}


def test_without_a_meter_it_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none_there(name: str | None, kinds: object) -> None:
        raise PowerError("no meter of this machine")

    monkeypatch.setattr(suite, "open_meter", none_there)
    time_study.main()
    here, _ = measures(folder)
    assert here["emulator_patches_per_s"] > 1 and "emulator_j" not in here
    assert "no energy: no meter of this machine" in capsys.readouterr().out


def test_codecs_are_timed_with_what_they_were_fitted_to(tmp_path: Path) -> None:
    cell = ImageryCell(
        imagery=Imagery(data=DataConfig(name="synthetic", limit=20, size=16), codec="palette:1"), patches=5
    )
    store = Store(tmp_path)
    store.add([cell])
    store.finish(cell.digest, {"codec": codec().to_dict(), "encode_patches_per_s": 0.5, "ssim": 1.0}, 1.0)
    time_study.time_codecs(store, tmp_path)
    found = store.rows()[0].measures or {}
    assert found["encode_patches_per_s"] > 1 and found["decode_patches_per_s"] > 1
    assert found["timed_on"] and found["ssim"] == 1.0 and found["codec"] == codec().to_dict()


def codec() -> PaletteCodec:
    return PaletteCodec(1, colours=((0, 0, 0), (9, 9, 9)))
