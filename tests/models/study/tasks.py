"""Small studies without training, workers that misbehave, and looking for processes left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from bitswath.models.study.plan.cells import Cell
from bitswath.models.study.plan.config import load_study
from bitswath.models.study.plan.grid import expand

SMALL = """
name: small
data: {name: synthetic, limit: 60, size: 16}
codecs: [{kinds: [uniform, companded], bits: [1, 2, 3, 4]}]
containers: [png, tiff:deflate]
training: []
measure: {patches: 40}
"""


LONGER = SMALL.replace("bits: [1, 2, 3, 4]", "bits: [1, 2, 3, 4, 5, 6, 7, 8], dither: [none, ordered]").replace(
    "[png, tiff:deflate]", "[png, tiff, tiff:deflate, bmp]"
)
"""Of so many cells that a signal comes before the last."""


def small_study(folder: Path, text: str = SMALL) -> tuple[Path, list[Cell]]:
    """A configuration file and its cells."""
    path = folder / "small.yaml"
    path.write_text(text)
    return path, expand(load_study(path))


def start(config: Path, output: Path, *options: str) -> subprocess.Popen[str]:
    """``bitswath study``, with a mark in its environment by which `processes_of` finds it and its children."""
    return subprocess.Popen(
        [sys.executable, "-m", "bitswath", "study", str(config), "-o", str(output), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "STUDY_OF_THIS_TEST": str(output), "COLUMNS": "200"},
    )


def processes_of(output: Path) -> list[int]:
    """Living processes that `start` started, or that those started."""
    mark = f"STUDY_OF_THIS_TEST={output}\0".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes() and "\nState:\tZ" not in (entry / "status").read_text():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def wait_until_gone(output: Path, seconds: float = 15.0) -> list[int]:
    """The processes that are still there after so long."""
    deadline = time.monotonic() + seconds
    while (left := processes_of(output)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


__all__ = ["LONGER", "SMALL", "processes_of", "small_study", "start", "wait_until_gone"]
