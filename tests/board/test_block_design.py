"""What our scripts make of a block design is what the unmodified pynq and the driver look for: the hand-off file of the
stand-in for Vivado (tests/vivado), the accelerator and its engines in simulation behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tkinter", reason="the stand-in for Vivado runs scripts in tkinter's Tcl")

import bitswath as bs
from bitswath.builds.folder import read_design
from bitswath.hw.planning.boards import find_board
from bitswath.hw.vendor.project import script, write_project
from bitswath.hw.vendor.results import describe_overlay
from bitswath.simulated.hwh import Family
from bitswath.simulated.overlay import placeholder
from tests.board.boards import Plug, patches_of
from tests.board.builds import BOARD
from tests.vivado.vivado import Setup, run_script

BOARDS: dict[str, Family] = {"Pynq-Z2": "zynq", "AUP-ZU3_8GB": "zynqmp", "KV260_SOM": "zynqmp"}


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("wait", ["poll", "interrupt"])
def test_pynq_drives_what_the_scripts_describe(
    plug: Plug, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, wait: Any
) -> None:
    board, build = find_board(name), small / "hw" / BOARD
    design = read_design(build)
    write_project(design, build, board, tmp_path / "run", jobs=1, activity=None)
    monkeypatch.chdir(tmp_path / "run")
    for step in ("package", "system"):
        run_script(script(step), Setup())
    folder = tmp_path / "run" / "result"
    (folder / "system.bit").write_bytes(placeholder(design))  # what the simulated board takes for one
    describe_overlay(folder, design, board)
    monkeypatch.chdir(tmp_path)
    patches = patches_of(9)
    device = plug.device(plug.system(small), BOARDS[name])
    options = {"bitstream": folder, "board": BOARD, "device": device, "wait": wait}
    with bs.open(small) as emulator, bs.open(small, backend="pynq", **options) as accelerator:
        assert np.array_equal(accelerator.classify(patches).logits, emulator.classify(patches).logits)
        assert accelerator.backend.clock_hz == pytest.approx(100e6, rel=1e-3)
