"""The notebook that `pynq get-notebooks` delivers runs from its first cell to its last."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import bitswath as bs
from tests.board.boards import BUILDS, CACHE
from tests.board.builds import BOARD, EUROSAT, SMALL

NAME = "classify_on_the_board.ipynb"
PLUG = """
import contextlib, os
from bitswath.simulated import simulate_board

os.environ.update({environment!r})
_plugged = contextlib.ExitStack()
_board = _plugged.enter_context(simulate_board({bundle!r}, {board!r}))
os.environ["BITSWATH_BITSTREAM"] = str(_board.bitstream)
"""


def run(bundle: Path, count: int) -> str:
    """What the notebook prints, with a simulated board plugged in by a cell before the first."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.reads(files("bitswath.notebooks").joinpath(NAME).read_text(), as_version=4)
    environment = {"BITSWATH_BUNDLE": str(bundle), "BITSWATH_COUNT": str(count), "BITSWATH_CACHE": str(CACHE)}
    plug = PLUG.format(environment=environment, bundle=str(bundle), board=BOARD)
    notebook.cells = [nbformat.v4.new_code_cell(plug), *notebook.cells]
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))


@pytest.mark.parametrize(("name", "count"), [(SMALL, 64), (EUROSAT, 8)])
def test_it_runs_on_a_simulated_board(name: str, count: int) -> None:
    said = run(BUILDS / name, count)
    assert f"{count} patches, every integer equal to the emulator's" in said
    assert ", ".join(bs.load_bundle(BUILDS / name).classes) in said
    assert "0 frames sent again after 0 resets" in said
    assert "patches/s" in said and "p99" in said


def test_pynq_delivers_it(tmp_path: Path) -> None:
    program = shutil.which("pynq", path=str(Path(sys.executable).parent))
    assert program is not None
    command = [program, "get-notebooks", "bitswath", "--ignore-overlays", "-p", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    delivered = list(tmp_path.rglob(NAME))
    assert len(delivered) == 1
    notebook: dict[str, Any] = json.loads(delivered[0].read_text())
    assert notebook["nbformat"] == 4
